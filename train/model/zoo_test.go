package model

import (
	"slices"
	"strings"
	"testing"
)

func mustNew(t *testing.T, name string, o Options) *Net {
	t.Helper()
	n, err := New(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestZoo(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options Options
		layers  int
		shapes  map[string]Shape // of the outputs of some layers
	}{
		{"recu-resnet20", Options{}, 3 + 9*8 + 2*2 + 3, map[string]Shape{"conv1": {32, 32, 16}, "layer1.2.hardtanh2": {32, 32, 16},
			"layer2.0.shortcut.pad": {16, 16, 32}, "layer3.2.add2": {8, 8, 64}, "bn2": {1, 1, 64}, "linear": {1, 1, 10}}},
		{"recu-resnet20", Options{Input: Shape{8, 8, 1}, Classes: 4, Width: 8, Blocks: 1}, 3 + 3*8 + 2*2 + 3,
			map[string]Shape{"conv1": {8, 8, 8}, "layer3.0.hardtanh2": {2, 2, 32}, "linear": {1, 1, 4}}},
		{"recu-resnet18", Options{Classes: 100}, 2 + 8*7 + 3*2 + 3, map[string]Shape{"layer4.1.hardtanh2": {4, 4, 512}, "linear": {1, 1, 100}}},
		{"recu-vggsmall", Options{}, 6*3 + 3 + 2, map[string]Shape{"pool1": {16, 16, 128}, "pool5": {4, 4, 512}, "flatten": {1, 1, 8192}}},
		{"reactnet-a", Options{}, 2 + 8*14 + 5*18 + 4 + 2, map[string]Shape{"feature.0.conv1": {112, 112, 32}, "feature.1.move23": {112, 112, 64},
			"feature.2.pooling": {56, 56, 64}, "feature.13.move23": {7, 7, 1024}, "fc": {1, 1, 1000}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := mustNew(t, tt.name, tt.options)
			if n.Name != tt.name || n.Beta != 1 {
				t.Errorf("name %q beta %d, want %q and 1", n.Name, n.Beta, tt.name)
			}
			if len(n.Layers) != tt.layers {
				t.Errorf("%d layers, want %d", len(n.Layers), tt.layers)
			}
			nodes, err := n.Nodes()
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range tt.shapes {
				i := slices.IndexFunc(nodes, func(nd Node) bool { return nd.Name == name })
				if i < 0 {
					t.Errorf("no layer %q", name)
				} else if nodes[i].Shape != want {
					t.Errorf("layer %q gives %v, want %v", name, nodes[i].Shape, want)
				}
			}
		})
	}
}

func TestNewErrors(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options Options
		want    string
	}{
		{"recu-resnet2", Options{}, `unknown network "recu-resnet2", did you mean "recu-resnet20"?`},
		{"ReActNetA", Options{}, `unknown network "ReActNetA", did you mean "reactnet-a"?`},
		{"vgg", Options{}, `did you mean "recu-vggsmall"?`},
		{"recu-resnet18", Options{Blocks: 3}, `the number of blocks is fixed`},
		{"recu-resnet20", Options{Width: -1}, `negative option`},
		{"recu-resnet20", Options{Width: 1}, `layer2.0.shortcut.pad`},
		{"recu-resnet20", Options{Width: 1 << 40}, `more than 268435456 elements`},
		{"recu-resnet20", Options{Blocks: 1 << 40}, `at most 16384 are supported`},
		{"recu-resnet20", Options{Input: Shape{9, 9, 3}}, `layer2.0.add1`},
		{"recu-vggsmall", Options{Input: Shape{4, 4, 3}}, `window does not fit`},
	} {
		if _, err := New(tt.name, tt.options); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New(%q, %+v): got error %v, want one with %q", tt.name, tt.options, err, tt.want)
		}
	}
}

func TestReActBlock(t *testing.T) {
	for _, tt := range []struct {
		planes, stride int
		want           Shape
	}{{8, 1, Shape{6, 6, 8}}, {16, 1, Shape{6, 6, 16}}, {16, 2, Shape{3, 3, 16}}, {8, 2, Shape{3, 3, 8}}} {
		n, err := ReActBlock(Shape{6, 6, 8}, tt.planes, tt.stride)
		if err != nil {
			t.Fatal(err)
		}
		nodes, err := n.Nodes()
		if err != nil {
			t.Fatal(err)
		}
		if got := nodes[len(nodes)-1].Shape; got != tt.want {
			t.Errorf("planes %d, stride %d: %v, want %v", tt.planes, tt.stride, got, tt.want)
		}
		if _, err := n.Classes(); err == nil || !strings.Contains(err.Error(), "want flat logits") {
			t.Errorf("Classes of a block: %v", err)
		}
	}
	if _, err := ReActBlock(Shape{6, 6, 8}, 24, 1); err == nil {
		t.Error("a block of 8 to 24 channels was accepted")
	}
}

// TestParameterBound: a network is refused by its total of parameters, also where each tensor is within bounds.
func TestParameterBound(t *testing.T) {
	if _, err := New("recu-resnet20", Options{Width: 3500}); err == nil || !strings.Contains(err.Error(), "more than 268435456 parameters") {
		t.Errorf("error %v, want one that names the bound on parameters", err)
	}
}
