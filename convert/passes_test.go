package convert

import (
	"testing"

	"github.com/bnntool/bnntool/runtime/artifact"
)

// TestZooOperations counts operations of converted networks: what the passes are there for.
func TestZooOperations(t *testing.T) {
	nets := networks(t)
	for _, tt := range []struct {
		net  string
		want map[artifact.Kind]int
	}{
		// Every batch norm between two 1-bit convolutions is a threshold; the stem's and the last one's remain.
		{"recu-vggsmall", map[artifact.Kind]int{artifact.Threshold: 4, artifact.Affine: 2, artifact.Hardtanh: 1, artifact.BinConv: 5}},
		{"rep2-vggsmall.json", map[artifact.Kind]int{artifact.Threshold: 4, artifact.Affine: 2, artifact.Tile: 1, artifact.BinConv: 5}},
		// The first batch norm of each of the eight blocks.
		{"recu-resnet18", map[artifact.Kind]int{artifact.Threshold: 8, artifact.BinConv: 16}},
		{"rep2-resnet18.json", map[artifact.Kind]int{artifact.Threshold: 8, artifact.BinConv: 16, artifact.Tile: 1}},
		// A shortcut around every convolution takes the value of every batch norm.
		{"recu-resnet20", map[artifact.Kind]int{artifact.Threshold: 0, artifact.BinConv: 12}},
		{"reactnet-a", map[artifact.Kind]int{artifact.Threshold: 0, artifact.PReLU: 26}},
	} {
		if nets[tt.net] == nil {
			t.Fatalf("no network %q", tt.net)
		}
		m, err := Lower(trained(t, nets[tt.net], 1))
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[artifact.Kind]int)
		for i := range m.Ops {
			got[m.Ops[i].Kind]++
		}
		for kind, want := range tt.want {
			if got[kind] != want {
				t.Errorf("%s: %d operations %s, want %d", tt.net, got[kind], kind, want)
			}
		}
	}
}

// TestTensorBytes: 1-bit weights take a bit each.
func TestTensorBytes(t *testing.T) {
	net := networks(t)["recu-vggsmall"]
	m, err := Lower(trained(t, net, 1))
	if err != nil {
		t.Fatal(err)
	}
	w := m.Tensors["conv2.weight"]
	if got, want := w.Bytes(), (w.Shape[0]*w.Shape[1]*w.Shape[2]*w.Shape[3]+7)/8; got != want {
		t.Errorf("conv2.weight %v has %d bytes, want %d", w.Shape, got, want)
	}
}
