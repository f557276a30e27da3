package expert

import (
	"context"
	"testing"

	"github.com/bnntool/bnntool/runtime/codec"
)

// TestSurvey: the store and its source have the same weights, so the same entropies.
func TestSurvey(t *testing.T) {
	plan, source := testPlan(t)
	s := openStore(t, build(t, plan, source, BuildOptions{}))
	a, err := Survey(context.Background(), s.Layers(), s.Weights())
	if err != nil {
		t.Fatal(err)
	}
	b, err := Survey(context.Background(), s.Layers(), SourceWeights(s.Layers(), source))
	if err != nil || len(a) != len(b) {
		t.Fatalf("%d kinds, %v, want %d", len(b), err, len(a))
	}
	tensors, bytes := int64(0), int64(0)
	for i, k := range a {
		tensors, bytes = tensors+k.Tensors, bytes+k.Bytes
		if k.Entropy != b[i].Entropy || k.Role != b[i].Role || k.Sampled != b[i].Sampled {
			t.Errorf("%+v of the store, %+v of its source", k, b[i])
		}
		if k.Coded != (k.Codes != nil) || k.Coded && (k.Entropy < 2 || k.Entropy > 6) {
			t.Errorf("%+v", k)
		}
		if k.DType == "BF16" && (k.Entropy > 2.7 || k.Codes[codec.Huffman].Size() > 0.7) {
			t.Errorf("%s: entropy %.3f, huffman leaves %.3f", k.Role, k.Entropy, k.Codes[codec.Huffman].Size())
		}
	}
	if r := s.Report(); tensors != 5*3+3*3+2*3+2*4 || bytes != r.FullBytes || r.Experts != 12 || r.CodedBytes >= r.RestBytes || r.FileBytes == 0 {
		t.Errorf("%d tensors of %d bytes, report %+v", tensors, bytes, r)
	}
}
