package expert

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// The first lines of the files.
const (
	countsHeader = "model,prompt,layer,steps,counts"
	stepsHeader  = "model,prompt,step,layer,experts"
)

// maxTraceLine bounds a line of a file: MaxExperts numbers of five digits fit.
const maxTraceLine = 1 << 16

// rowCells is what a line takes in memory besides its numbers, counted in numbers.
const rowCells = 32

// traceRow is a line of a file. at is the third number of its kind: the steps of counts, the step of steps.
type traceRow struct {
	prompt, layer, at int
	values            []uint16
}

// ReadTrace reads a trace of counts or steps from a CSV file, plain or compressed by gzip. One of the results is nil. The
// file is untrusted: whatever is wrong is an error with its line or prompt, and memory is bounded.
func ReadTrace(path string) (*Counts, *Steps, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("expert: %w", err)
	}
	defer f.Close()
	c, s, err := DecodeTrace(f)
	if err != nil {
		return nil, nil, fmt.Errorf("expert: %s: %w", path, err)
	}
	return c, s, nil
}

// DecodeTrace is ReadTrace from a stream.
func DecodeTrace(r io.Reader) (*Counts, *Steps, error) {
	in := bufio.NewReader(r)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, nil, err
		}
		in = bufio.NewReader(z)
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxTraceLine)
	if !lines.Scan() {
		return nil, nil, fmt.Errorf("line 1: %w", noLine(lines))
	}
	switch header := lines.Text(); header {
	case countsHeader:
		c := &Counts{}
		err := decodeRows(lines, &c.Model, [3]int{0, 1, 2}, c.addPrompt)
		return c, nil, err
	case stepsHeader:
		s := &Steps{}
		err := decodeRows(lines, &s.Model, [3]int{0, 2, 1}, s.addPrompt)
		return nil, s, err
	default:
		return nil, nil, fmt.Errorf("line 1 is %.80q, want %q or %q", header, countsHeader, stepsHeader)
	}
}

// noLine returns why there is no line.
func noLine(lines *bufio.Scanner) error {
	if lines.Err() != nil {
		return lines.Err()
	}
	return io.ErrUnexpectedEOF
}

// decodeRows reads the rows behind the header and hands them on, prompt by prompt. order says where prompt, layer and at
// stand.
func decodeRows(lines *bufio.Scanner, model *string, order [3]int, add func(prompt int, rows []traceRow) error) error {
	var rows []traceRow
	cells := 0
	flush := func(next int) error {
		if len(rows) == 0 {
			return nil
		}
		prompt := rows[0].prompt
		if err := add(prompt, rows); err != nil {
			return fmt.Errorf("prompt %d: %w", prompt, err)
		}
		if next <= prompt {
			return fmt.Errorf("prompt %d behind %d, want ascending ones", next, prompt)
		}
		rows = rows[:0]
		return nil
	}
	number := 1
	for lines.Scan() {
		number++
		name, row, err := parseRow(lines.Text(), order)
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if number == 2 {
			*model = name
		}
		if name != *model {
			return fmt.Errorf("line %d: model %.80q, the first line has %q", number, name, *model)
		}
		if cells += len(row.values) + rowCells; cells > maxCells {
			return fmt.Errorf("line %d: the trace is larger than %d numbers", number, maxCells)
		}
		if len(rows) > 0 && row.prompt != rows[0].prompt {
			if err := flush(row.prompt); err != nil {
				return err
			}
		}
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", number+1, err)
	}
	if number == 1 {
		return fmt.Errorf("no line behind the first")
	}
	return flush(maxInt)
}

const maxInt = int(^uint(0) >> 1)

// parseRow parses a line: a model, three numbers and a list of numbers.
func parseRow(line string, order [3]int) (model string, row traceRow, err error) {
	fields := strings.Split(line, ",")
	if len(fields) != 5 {
		return "", row, fmt.Errorf("%d fields, want 5", len(fields))
	}
	var n [3]int
	for i := range n {
		if n[i], err = strconv.Atoi(fields[i+1]); err != nil || n[i] < 0 {
			return "", row, fmt.Errorf("field %d is %.40q, want a number from 0", i+2, fields[i+1])
		}
	}
	row = traceRow{prompt: n[order[0]], layer: n[order[1]], at: n[order[2]]}
	list := fields[4]
	row.values = make([]uint16, 0, strings.Count(list, " ")+1)
	for s := range strings.SplitSeq(list, " ") {
		v, err := strconv.ParseUint(s, 10, 16)
		if err != nil || v > MaxSteps || len(row.values) == MaxExperts {
			return "", row, fmt.Errorf("number %d of the list is %.40q, want at most %d numbers from 0 to %d", len(row.values)+1, s, MaxExperts, MaxSteps)
		}
		row.values = append(row.values, uint16(v))
	}
	return fields[0], row, nil
}

// Encode writes c as CSV.
func (c *Counts) Encode(w io.Writer) error {
	b := bytes.NewBufferString(countsHeader + "\n")
	for _, p := range c.Prompts {
		for layer, n := range p.N {
			fmt.Fprintf(b, "%s,%d,%d,%d,", c.Model, p.Prompt, c.Layers[layer], p.Steps)
			writeList(b, n)
		}
		if _, err := b.WriteTo(w); err != nil {
			return err
		}
	}
	return nil
}

// Encode writes s as CSV.
func (s *Steps) Encode(w io.Writer) error {
	b := bytes.NewBufferString(stepsHeader + "\n")
	for _, p := range s.Prompts {
		for step, layers := range p.Chosen {
			for layer, chosen := range layers {
				fmt.Fprintf(b, "%s,%d,%d,%d,", s.Model, p.Prompt, step, s.Layers[layer])
				writeList(b, chosen)
			}
		}
		if _, err := b.WriteTo(w); err != nil {
			return err
		}
	}
	return nil
}

func writeList(b *bytes.Buffer, list []uint16) {
	for i, v := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(int(v)))
	}
	b.WriteByte('\n')
}
