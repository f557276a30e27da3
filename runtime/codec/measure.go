package codec

import (
	"fmt"
	"time"
)

// Measurement is what a code makes of some exponents, and how fast they come back.
type Measurement struct {
	Code    Code
	Weights int64
	Bytes   int64         // of the exponents, coded
	Time    time.Duration // the shortest of a few, of decoding and merging on one core
}

// Ratio returns the bytes that are left of one exponent's.
func (m Measurement) Ratio() float64 { return float64(m.Bytes) / float64(m.Weights) }

// Size returns the share of the weights' bytes that is left.
func (m Measurement) Size() float64 { return (1 + m.Ratio()) / 2 }

// Rate returns the bytes of weights a second that one core puts together.
func (m Measurement) Rate() float64 { return 2 * float64(m.Weights) / m.Time.Seconds() }

// Add returns the measurement of the weights of both, of the same code.
func (m Measurement) Add(o Measurement) Measurement {
	return Measurement{Code: m.Code, Weights: m.Weights + o.Weights, Bytes: m.Bytes + o.Bytes, Time: m.Time + o.Time}
}

// measureTimes is how often a decoding is timed.
const measureTimes = 5

// Measure codes some weights, bfloat16, little endian, in each code and decodes them again. It compares every bit.
func Measure(bf16 []byte) ([]Measurement, error) {
	n := len(bf16) / 2
	if n == 0 {
		return nil, fmt.Errorf("codec: no weights to measure")
	}
	exp, sm, back := make([]byte, n), make([]byte, n), make([]byte, 2*n)
	Split(exp, sm, bf16[:2*n])
	var e Encoder
	var d Decoder
	var list []Measurement
	for _, c := range Codes() {
		coded, used := e.Append(nil, c, exp)
		m := Measurement{Code: c, Weights: int64(n), Bytes: int64(len(coded))}
		for range measureTimes {
			start := time.Now()
			if err := d.Merge(back, used, coded, sm); err != nil {
				return nil, err
			}
			if t := time.Since(start); m.Time == 0 || t < m.Time {
				m.Time = max(t, 1)
			}
		}
		if string(back) != string(bf16[:2*n]) {
			return nil, fmt.Errorf("codec: %v does not bring the weights back", c)
		}
		list = append(list, m)
	}
	return list, nil
}

// ChooseExponents returns the measured code with which weights come fastest from a disk of so many bytes a second to workers cores that
// decode: reading and decoding overlap, the slower one counts. Of equally fast ones it returns the smaller.
func ChooseExponents(list []Measurement, disk float64, workers int) Measurement {
	seconds := func(m Measurement) float64 {
		return max((1+m.Ratio())/disk, 2/(m.Rate()*float64(workers)))
	}
	best := list[0]
	for _, m := range list[1:] {
		if s, b := seconds(m), seconds(best); s < b || s == b && m.Ratio() < best.Ratio() {
			best = m
		}
	}
	return best
}
