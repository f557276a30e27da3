package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// table is rows of cells below a head.
type table struct {
	head  []string
	align string // for each column: l, it stands left, or r, right as numbers do
	rows  [][]string
}

// add appends a row.
func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.rows = append(t.rows, row)
}

func (t *table) writeCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write(t.head); err != nil {
		return err
	}
	return c.WriteAll(t.rows)
}

// lines returns the head and the rows with every cell filled up to its column's width.
func (t *table) lines() [][]string {
	width := make([]int, len(t.head))
	all := append([][]string{t.head}, t.rows...)
	for _, row := range all {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([][]string, len(all))
	for n, row := range all {
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if t.align[i] == 'r' {
				cell = pad + cell
			} else {
				cell += pad
			}
			lines[n] = append(lines[n], cell)
		}
	}
	return lines
}

// writeText writes the table in columns.
func (t *table) writeText(w io.Writer) error {
	for _, cells := range t.lines() {
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "  "), " ")); err != nil {
			return err
		}
	}
	return nil
}

// writeMarkdown writes the table in Markdown, in columns for those who read it as it is.
func (t *table) writeMarkdown(w io.Writer) error {
	lines := t.lines()
	rule := make([]string, len(t.head))
	for i, cell := range lines[0] {
		rule[i] = strings.Repeat("-", utf8.RuneCountInString(cell))
		if t.align[i] == 'r' {
			rule[i] = rule[i][1:] + ":"
		}
	}
	for _, cells := range slices.Insert(lines, 1, rule) {
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")); err != nil {
			return err
		}
	}
	return nil
}
