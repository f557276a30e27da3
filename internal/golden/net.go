package golden

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/reptran"
	"github.com/bnntool/bnntool/train/model"
)

// Net returns the network that a file net_* or block_* describes, as read from its metadata. Its tensors have the names
// of f.With("param.", "buffer."). Unknown kinds fail the test.
func (f *File) Net(t testing.TB) *model.Net {
	t.Helper()
	base := filepath.Base(f.Path)
	var n *model.Net
	var err error
	depth := regexp.MustCompile(`^net_(?:rep_)?recu_(resnet20|resnet18)_`).FindStringSubmatch(base)
	switch {
	case depth != nil:
		size := f.Int(t, "size")
		n, err = model.New("recu-"+depth[1], model.Options{
			Input:   model.Shape{H: size, W: size, C: f.Shapes["input"][1]},
			Classes: f.Shapes["out.eval_init"][1],
			Width:   f.Int(t, "stem_out"), // the base network's; the metadata's widths are the replicated ones
		})
		if err == nil {
			n, err = reptran.Apply(n, reptran.Config{Beta: f.Int(t, "beta")})
		}
	case strings.HasPrefix(base, "block_react_"), strings.HasPrefix(base, "block_rep_react_"):
		n, err = f.block(t)
	default:
		t.Fatalf("golden: %s: no network is known for this name", f.Path)
	}
	if err != nil {
		t.Fatalf("golden: %s: %v", f.Path, err)
	}
	if err := model.Weights(f.With("param.", "buffer.")).Check(n); err != nil {
		t.Fatalf("golden: %s: %v", f.Path, err)
	}
	return n
}

// block returns a block of ReActNet-A. In a replicated block the input is as wide as a block in the middle of the network
// finds it: 2·inplanes channels that are no copies.
func (f *File) block(t testing.TB) (*model.Net, error) {
	t.Helper()
	shape := f.Shapes["input"]
	in := model.Shape{H: shape[2], W: shape[3], C: f.Int(t, "inplanes")}
	n, err := model.ReActBlock(in, f.Int(t, "planes"), f.Int(t, "stride"))
	if err != nil {
		return nil, err
	}
	if strings.Contains(filepath.Base(f.Path), "_step1") {
		for i := range n.Layers {
			if n.Layers[i].Op == model.Conv {
				n.Layers[i].WeightQuant, n.Layers[i].Init = model.RealWeight, model.DefaultInit
			}
		}
	}
	if beta := shape[1] / in.C; beta > 1 {
		if n, err = reptran.Apply(n, reptran.Config{Beta: beta}); err != nil {
			return nil, err
		}
		n = withoutFirst(n)
	}
	return n, nil
}

// withoutFirst returns n without its first layer, a tile of the image, whose output is the image instead.
func withoutFirst(n *model.Net) *model.Net {
	n = n.Clone()
	tile := n.Layers[0]
	n.Input.C *= tile.Factor
	n.Layers = n.Layers[1:]
	for i := range n.Layers {
		for j, name := range n.Layers[i].Inputs {
			if name == tile.Name {
				n.Layers[i].Inputs[j] = model.ImageInput
			}
		}
	}
	return n
}
