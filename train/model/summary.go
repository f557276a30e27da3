package model

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Summary is a network as a table, with larq's columns.
type Summary struct {
	Name  string
	Beta  int
	Input Shape
	Rows  []SummaryRow // one for each layer
	Total Count
}

// SummaryRow is one layer of a Summary. Count's BOPs are the 1-bit multiply-accumulates, its FLOPs the 32-bit ones.
type SummaryRow struct {
	Name  string
	Op    Op
	Shape Shape // of the output
	Count
}

// Summary describes n as a table. It returns an error if n is not a network.
func (n *Net) Summary() (*Summary, error) {
	counts, err := n.Count()
	if err != nil {
		return nil, err
	}
	nodes, err := n.Nodes()
	if err != nil {
		return nil, err
	}
	s := &Summary{Name: n.Name, Beta: n.Beta, Input: n.Input, Total: counts.Total}
	for i := range nodes {
		s.Rows = append(s.Rows, SummaryRow{nodes[i].Name, nodes[i].Op, nodes[i].Shape, counts.Layers[i]})
	}
	return s, nil
}

// String returns the table as text, as WriteTo writes it.
func (s *Summary) String() string {
	var b strings.Builder
	title := fmt.Sprintf("%s, input %v", s.Name, s.Input)
	if s.Beta != 1 {
		title += fmt.Sprintf(", beta %d", s.Beta)
	}
	fmt.Fprintln(&b, title)

	rows := [][]string{{"layer", "op", "output", "1-bit params", "32-bit params", "memory KB", "1-bit MACs", "32-bit MACs"}}
	for _, r := range s.Rows {
		rows = append(rows, append([]string{r.Name, string(r.Op), r.Shape.String()}, r.cells()...))
	}
	rows = append(rows, nil, append([]string{"total", "", ""}, s.Total.cells()...), nil)
	writeTable(&b, 2, rows)

	t := s.Total
	writeTable(&b, 1, [][]string{
		{"parameters", thousands(t.Params())},
		{"memory, packed", kilobytes(t.Bytes()) + " KB"},
		{"memory, 32-bit", kilobytes(t.Bytes32()) + " KB"},
		{"BOPs", thousands(t.BOPs)},
		{"FLOPs", thousands(t.FLOPs)},
		{"OPs = BOPs/64 + FLOPs", thousands(int64(t.OPs()))},
		{"1-bit share of MACs", fmt.Sprintf("%.2f %%", 100*float64(t.BOPs)/max(1, float64(t.BOPs+t.FLOPs)))},
	})
	return b.String()
}

// WriteTo writes the table as aligned text: a title, one line for each layer, the totals.
func (s *Summary) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, s.String())
	return int64(n), err
}

// cells returns the numbers of a row, empty where they are zero.
func (c Count) cells() []string {
	text := func(v int64) string {
		if v == 0 {
			return ""
		}
		return thousands(v)
	}
	memory := ""
	if c.Params() > 0 {
		memory = kilobytes(c.Bytes())
	}
	return []string{text(c.Params1), text(c.Params32), memory, text(c.BOPs), text(c.FLOPs)}
}

// writeTable writes rows with aligned columns, the first left ones to the left; a nil row is a line.
func writeTable(b *strings.Builder, left int, rows [][]string) {
	var widths []int
	for _, r := range rows {
		for i, cell := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, r := range rows {
		cells := make([]string, len(widths))
		for i, w := range widths {
			switch {
			case r == nil:
				cells[i] = strings.Repeat("-", w)
			case i < left:
				cells[i] = fmt.Sprintf("%-*s", w, r[i])
			default:
				cells[i] = fmt.Sprintf("%*s", w, r[i])
			}
		}
		b.WriteString(strings.TrimRight(strings.Join(cells, "  "), " ") + "\n")
	}
}

// thousands writes v with commas.
func thousands(v int64) string {
	s := strconv.FormatInt(v, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// kilobytes writes a number of bytes in units of 1024.
func kilobytes(bytes int64) string { return fmt.Sprintf("%.2f", float64(bytes)/1024) }
