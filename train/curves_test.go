package train

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"
)

// TestCurves: curves of one epoch, of some and of many are well-formed SVG with both series.
func TestCurves(t *testing.T) {
	for _, epochs := range []int{1, 5, 200} {
		list := make([]Metrics, epochs)
		for i := range list {
			list[i] = Metrics{Epoch: i, TrainLoss: 2 / float64(i+1), TestLoss: 2.1 / float64(i+1), TrainTop1: float64(i % 90), TestTop1: float64(i % 80)}
		}
		svg, err := curves(list)
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%d epochs: %v", epochs, err)
			}
		}
		for _, want := range []string{">train<", ">test<", ">loss<", ">epoch<", ">top-1 %<"} {
			if !bytes.Contains(svg, []byte(want)) {
				t.Errorf("%d epochs: no %q in the picture", epochs, want)
			}
		}
	}
}
