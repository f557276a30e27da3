package datasets

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/bnntool/bnntool/internal/preprocess"
)

//go:embed digits.csv.gz
var digitsFile []byte

const (
	digitsSide   = 8
	digitsMax    = 16 // the largest grey value in the file
	digitsTrain  = 1437
	digitsTest   = 360
	digitsLabels = 10
)

// Mean and standard deviation of the training pixels, scaled to 0..1, rounded to float32.
const (
	digitsMean = 0.30543467
	digitsStd  = 0.37534217
)

func openDigits(c Config) (*Dataset, error) {
	if c.Dir != "" {
		return nil, fmt.Errorf("the digits are part of the program and have no folder: leave out %q, or choose another data set", c.Dir)
	}
	const file = "digits.csv.gz"
	z, err := gzip.NewReader(bytes.NewReader(digitsFile))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	all, err := parseDigits(z)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if all.Len() != digitsTrain+digitsTest {
		return nil, fmt.Errorf("%s: %d lines, want %d", file, all.Len(), digitsTrain+digitsTest)
	}
	d := &Dataset{
		Preprocess: preprocess.Config{H: digitsSide, W: digitsSide, C: 1, Mean: []float32{digitsMean}, Std: []float32{digitsStd}},
		Train:      all.part(0, digitsTrain),
		Test:       all.part(digitsTrain, all.Len()),
	}
	for i := range digitsLabels {
		d.Classes = append(d.Classes, strconv.Itoa(i))
	}
	return d, nil
}

// parseDigits reads lines of 64 grey values 0..16, row by row, and a label 0..9, separated by commas. A value v becomes
// the pixel round(v·255/16).
func parseDigits(r io.Reader) (*Split, error) {
	const pixels = digitsSide * digitsSide
	s := &Split{h: digitsSide, w: digitsSide, c: 1}
	lines := bufio.NewScanner(r) // a line of more than 64 KiB is an error
	for n := 1; lines.Scan(); n++ {
		fields := strings.Split(lines.Text(), ",")
		if len(fields) != pixels+1 {
			return nil, fmt.Errorf("line %d: %d values, want %d grey values and a label", n, len(fields), pixels)
		}
		record := make([]byte, pixels)
		for i, f := range fields {
			most := digitsMax
			if i == pixels {
				most = digitsLabels - 1
			}
			v, err := strconv.Atoi(f)
			if err != nil || v < 0 || v > most {
				return nil, fmt.Errorf("line %d: value %d is %q, want a whole number 0..%d", n, i+1, f, most)
			}
			if i == pixels {
				s.labels = append(s.labels, int32(v))
				break
			}
			record[i] = byte((2*255*v + digitsMax) / (2 * digitsMax))
		}
		s.records = append(s.records, record)
	}
	return s, lines.Err()
}

// part returns the records from..to-1 of a split in memory, which it shares.
func (s *Split) part(from, to int) *Split {
	p := *s
	p.labels, p.records = s.labels[from:to:to], s.records[from:to:to]
	return &p
}
