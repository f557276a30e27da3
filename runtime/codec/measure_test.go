package codec

import (
	"testing"
	"time"
)

func TestMeasure(t *testing.T) {
	list, err := Measure(gaussian(100_000))
	if err != nil || len(list) != len(Codes()) {
		t.Fatalf("%d measurements, %v", len(list), err)
	}
	for i, m := range list {
		if m.Code != Code(i) || m.Weights != 100_000 || m.Rate() <= 0 || m.Ratio() <= 0 || m.Ratio() > 1 {
			t.Errorf("%+v", m)
		}
	}
	if h := list[Huffman]; h.Size() > 0.665 || list[Raw].Size() != 1 {
		t.Errorf("huffman leaves %.3f, raw %.3f", h.Size(), list[Raw].Size())
	}
	if _, err := Measure(nil); err == nil {
		t.Error("nothing is measured")
	}
}

func TestChooseExponents(t *testing.T) {
	const n = 1 << 20
	of := func(c Code, ratio, rate float64) Measurement {
		return Measurement{Code: c, Weights: n, Bytes: int64(ratio * n), Time: time.Duration(2 * n / rate * 1e9)}
	}
	list := []Measurement{of(Raw, 1, 20e9), of(Huffman, 0.32, 4e9), of(Fixed3, 0.4, 12e9)}
	for _, tt := range []struct {
		disk    float64
		workers int
		want    Code
	}{
		{1e9, 1, Huffman}, // 0.66 of the bytes
		{2e9, 1, Huffman}, // 1.32/2 = 0.66 ns a weight to read, 0.5 to decode
		{4e9, 1, Fixed3},  // Huffman would wait for the core
		{4e9, 6, Huffman}, // but not for six
		{100e9, 1, Raw},   // nothing is worth decoding
		{20e9, 6, Fixed3},
	} {
		if got := ChooseExponents(list, tt.disk, tt.workers); got.Code != tt.want {
			t.Errorf("disk of %.0f GB/s, %d workers: %v, want %v", tt.disk/1e9, tt.workers, got.Code, tt.want)
		}
	}
	if sum := list[1].Add(list[1]); sum.Weights != 2*n || sum.Ratio() != list[1].Ratio() || sum.Time != 2*list[1].Time {
		t.Errorf("twice %+v is %+v", list[1], sum)
	}
}
