package reptran

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bnntool/bnntool/train/model"
)

func mustNew(t testing.TB, name string, o model.Options) *model.Net {
	t.Helper()
	n, err := model.New(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mustApply(t testing.TB, n *model.Net, c Config) *model.Net {
	t.Helper()
	rep, err := Apply(n, c)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// layers returns the nodes of n by name.
func layers(t rapid.TB, n *model.Net) map[string]model.Node {
	t.Helper()
	nodes, err := n.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]model.Node{}
	for _, nd := range nodes {
		m[nd.Name] = nd
	}
	return m
}

// TestResNet20 is the worked example of Rep-ReCU-ResNet-20: widths of each convolution, shortcuts, classifier.
func TestResNet20(t *testing.T) {
	base := mustNew(t, "recu-resnet20", model.Options{})
	for _, beta := range []int{1, 2, 4, 8, 16} {
		m := layers(t, mustApply(t, base, Config{Beta: beta}))
		for name, want := range map[string][3]int{ // input channels, filters and wide output channels with beta 1
			"layer1.0.conv1": {16, 16, 16}, "layer1.2.conv2": {16, 16, 16},
			"layer2.0.conv1": {16, 32, 32}, "layer2.0.conv2": {32, 32, 32},
			"layer3.0.conv1": {32, 64, 64}, "layer3.2.conv2": {64, 64, 64},
		} {
			conv, bn := m[name], m[strings.Replace(name, "conv", "bn", 1)]
			got := [3]int{conv.In[0].C, conv.Out, bn.Shape.C}
			if want := [3]int{want[0] * beta, want[1] / beta, want[2] * beta}; got != want {
				t.Errorf("beta %d: %s has in/n/out %v, want %v", beta, name, got, want)
			}
			if tile := m[name+".tile"]; beta > 1 && tile.Factor != beta*beta {
				t.Errorf("beta %d: %s is repeated %d times, want %d", beta, name, tile.Factor, beta*beta)
			}
		}
		for name, want := range map[string]int{"layer2.0.shortcut.pad": 8, "layer3.0.shortcut.pad": 16} {
			pad := m[name]
			if got := (pad.Out - pad.In[0].C) / 2; got != want*beta {
				t.Errorf("beta %d: %s adds %d channels on each side, want %d", beta, name, got, want*beta)
			}
		}
		if got := m["bn1"].Shape.C; got != 16 {
			t.Errorf("beta %d: the stem's batch norm has %d channels, want 16", beta, got)
		}
		if got := m["linear"].In[0].C; got != 64*beta {
			t.Errorf("beta %d: the classifier reads %d features, want %d", beta, got, 64*beta)
		}
	}
}

// TestSwitches checks the layers that each switch moves.
func TestSwitches(t *testing.T) {
	for _, tt := range []struct {
		name   string
		net    string
		config Config
		want   []model.Layer // these follow one another in the result
	}{
		{"bn then tile", "recu-resnet20", Config{Beta: 2}, []model.Layer{
			{Name: "bn1", Op: model.BatchNorm}, {Name: "hardtanh1", Op: model.Hardtanh}, {Name: "hardtanh1.tile", Op: model.Tile, Factor: 2}}},
		{"stem without activation", "recu-resnet18", Config{Beta: 2}, []model.Layer{
			{Name: "bn1", Op: model.BatchNorm}, {Name: "bn1.tile", Op: model.Tile, Factor: 2}}},
		{"stem before RSign", "reactnet-a", Config{Beta: 2}, []model.Layer{
			{Name: "feature.0.bn1", Op: model.BatchNorm}, {Name: "feature.0.bn1.tile", Op: model.Tile, Factor: 2}, {Name: "feature.1.move11", Op: model.Bias}}},
		{"tile then bn", "recu-resnet20", Config{Beta: 2, StemOrder: TileThenBatchNorm}, []model.Layer{
			{Name: "conv1.tile", Op: model.Tile, Factor: 2}, {Name: "bn1", Op: model.BatchNorm}, {Name: "hardtanh1", Op: model.Hardtanh}}},
		{"interleave", "recu-resnet20", Config{Beta: 2, Interleave: true}, []model.Layer{
			{Name: "layer1.0.conv1.tile", Op: model.Tile, Factor: 4, Interleave: true}, {Name: "layer1.0.bn1", Op: model.BatchNorm}}},
		{"pool before tile", "recu-vggsmall", Config{Beta: 4}, []model.Layer{
			{Name: "pool3", Op: model.MaxPool, Kernel: 2, Stride: 2}, {Name: "pool3.tile", Op: model.Tile, Factor: 16}, {Name: "bn3", Op: model.BatchNorm}}},
		{"first features", "recu-resnet20", Config{Beta: 2, FC: FCFirst}, []model.Layer{
			{Name: "bn2", Op: model.BatchNorm}, {Name: "linear.first", Op: model.TakeChannels, Out: 64}, {Name: "linear", Op: model.Linear, Out: 10}}},
		{"first features of a map", "recu-vggsmall", Config{Beta: 2, FC: FCFirst}, []model.Layer{
			{Name: "flatten", Op: model.Flatten}, {Name: "fc.first", Op: model.TakeChannels, Out: 8192},
			{Name: "fc", Op: model.Linear, Out: 10, Init: model.SmallNormalInit}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rep := mustApply(t, mustNew(t, tt.net, model.Options{}), tt.config)
			at := slices.IndexFunc(rep.Layers, func(l model.Layer) bool { return l.Name == tt.want[0].Name })
			if at < 0 || at+len(tt.want) > len(rep.Layers) {
				t.Fatalf("no layer %q", tt.want[0].Name)
			}
			got := slices.Clone(rep.Layers[at : at+len(tt.want)])
			for i := range got {
				if i == 0 || len(got[i].Inputs) == 1 && got[i].Inputs[0] == got[i-1].Name {
					got[i].Inputs = nil
				}
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v\nwant %+v", got, tt.want)
			}
			if rep.Beta != tt.config.Beta {
				t.Errorf("beta is %d, want %d", rep.Beta, tt.config.Beta)
			}
		})
	}
}

func TestBetaOneIsIdentity(t *testing.T) {
	for _, name := range model.Names() {
		base := mustNew(t, name, model.Options{})
		for _, beta := range []int{0, 1} {
			rep := mustApply(t, base, Config{Beta: beta, StemOrder: TileThenBatchNorm, FC: FCFirst, Interleave: true})
			if !reflect.DeepEqual(rep, base) {
				t.Errorf("%s: beta %d changed the network", name, beta)
			}
			rep.Layers[0].Name = "changed"
			if base.Layers[0].Name == "changed" {
				t.Errorf("%s: the copy shares its layers with the original", name)
			}
		}
	}
}

func TestApplyLeavesItsInput(t *testing.T) {
	for _, name := range model.Names() {
		base, again := mustNew(t, name, model.Options{}), mustNew(t, name, model.Options{})
		mustApply(t, base, Config{Beta: 4})
		if !reflect.DeepEqual(base, again) {
			t.Errorf("%s: Apply changed its argument", name)
		}
	}
}

// conv is a 1-bit convolution with kernel 1.
func conv(name string, out, groups int) model.Layer {
	return model.Layer{Name: name, Op: model.Conv, Out: out, Kernel: 1, Stride: 1, Groups: groups,
		WeightQuant: model.ReCUWeight, InputQuant: model.ReCUInput}
}

// net is a stem of 16 filters, the given layers, and a classifier.
func net(layers ...model.Layer) *model.Net {
	all := []model.Layer{{Name: "stem", Op: model.Conv, Out: 16, Kernel: 1, Stride: 1}, {Name: "stem.bn", Op: model.BatchNorm}}
	all = append(all, layers...)
	all = append(all, model.Layer{Name: "gap", Op: model.GlobalAvgPool}, model.Layer{Name: "fc", Op: model.Linear, Out: 10})
	return &model.Net{Name: "net", Beta: 1, Input: model.Shape{H: 4, W: 4, C: 3}, Layers: all}
}

func TestErrors(t *testing.T) {
	resnet20 := mustNew(t, "recu-resnet20", model.Options{})
	for _, tt := range []struct {
		name string
		net  *model.Net
		c    Config
		want string
	}{
		{"divides not", resnet20, Config{Beta: 3}, "beta 3 does not divide the 16 filters of layer1.0.conv1; use 1, 2, 4, 8 or 16"},
		{"too large", resnet20, Config{Beta: 32}, "beta 32 does not divide the 16 filters of layer1.0.conv1; use 1, 2, 4, 8 or 16"},
		{"absurd", resnet20, Config{Beta: 1 << 62}, "does not divide the 16 filters"},
		{"twice", mustApply(t, resnet20, Config{Beta: 2}), Config{Beta: 2}, `"recu-resnet20" is replicated already, with beta 2`},
		{"groups", net(conv("a", 16, 1), conv("b", 16, 4)), Config{Beta: 8}, "beta 8 leaves 2 of the 16 filters of b, which its 4 groups do not divide; use 1, 2 or 4"},
		{"depthwise", net(conv("dw", 16, 16)), Config{Beta: 2}, `layer "dw" is a depthwise convolution (16 groups of one channel)`},
		{"nothing to do", net(), Config{Beta: 2}, "no convolution behind the stem"},
		{"no classifier", &model.Net{Name: "x", Beta: 1, Input: model.Shape{H: 4, W: 4, C: 3}, Layers: append(net(conv("a", 16, 1)).Layers[:3],
			model.Layer{Name: "gap", Op: model.GlobalAvgPool})}, Config{Beta: 2}, `layer "gap" gives the logits without a linear classifier, so there would be 32 in place of 16`},
		{"behind the classifier", &model.Net{Name: "x", Beta: 1, Input: model.Shape{H: 1, W: 1, C: 3}, Layers: []model.Layer{
			conv("a", 4, 1), {Name: "fc", Op: model.Linear, Out: 4}, {Name: "sum", Op: model.Add, Inputs: []string{"a", "fc"}}}},
			Config{Beta: 2}, `layer "sum" joins features with what comes from the classifier "fc"`},
		{"no network", &model.Net{Name: "empty", Beta: 1}, Config{Beta: 2}, `network "empty" has no layers`},
		{"beta", resnet20, Config{Beta: -1}, "beta is -1, want at least 1"},
		{"stem order", resnet20, Config{Beta: 2, StemOrder: "x"}, `stem_order is "x", want "bn_then_tile" or "tile_then_bn"`},
		{"fc", resnet20, Config{Beta: 2, FC: "x"}, `fc is "x", want "wide" or "first_c"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Apply(tt.net, tt.c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestGeneral covers layers that no network of the zoo has.
func TestGeneral(t *testing.T) {
	base := net(
		conv("a", 32, 2), // grouped
		model.Layer{Name: "a.bn", Op: model.BatchNorm},
		model.Layer{Name: "down", Op: model.Conv, Out: 8, Kernel: 1, Stride: 1}, // a real convolution behind the stem
		model.Layer{Name: "a.tile", Op: model.Tile, Factor: 2},                  // takes the name of the tile behind a
		model.Layer{Name: "take", Op: model.TakeChannels, Out: 4},
	)
	base.Layers = append(base.Layers, model.Layer{Name: "fc2", Op: model.Linear, Out: 5})
	m := layers(t, mustApply(t, base, Config{Beta: 2}))
	for name, want := range map[string]model.Shape{
		"stem.bn": {H: 4, W: 4, C: 16}, "stem.bn.tile": {H: 4, W: 4, C: 32},
		"a": {H: 4, W: 4, C: 16}, "a.tile'": {H: 4, W: 4, C: 64}, "a.bn": {H: 4, W: 4, C: 64},
		"down": {H: 4, W: 4, C: 4}, "down.tile": {H: 4, W: 4, C: 16}, "a.tile": {H: 4, W: 4, C: 32},
		"take": {H: 4, W: 4, C: 8}, "fc": {H: 1, W: 1, C: 10}, "fc2": {H: 1, W: 1, C: 5},
	} {
		if got := m[name].Shape; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := m["a"].Groups; got != 2 {
		t.Errorf("a has %d groups, want 2", got)
	}
}

// TestBlock replicates a block without a stem: its input is repeated.
func TestBlock(t *testing.T) {
	base, err := model.ReActBlock(model.Shape{H: 8, W: 8, C: 8}, 16, 2)
	if err != nil {
		t.Fatal(err)
	}
	rep := mustApply(t, base, Config{Beta: 2})
	if l := rep.Layers[0]; l.Name != "image.tile" || l.Factor != 2 {
		t.Errorf("first layer %+v, want the image repeated twice", l)
	}
	m := layers(t, rep)
	for name, want := range map[string][2]int{"binary_3x3": {16, 4}, "binary_pw_down1": {16, 4}, "binary_pw_down2": {16, 4}} {
		if got := [2]int{m[name].In[0].C, m[name].Out}; got != want {
			t.Errorf("%s: in/n %v, want %v", name, got, want)
		}
	}
	if got, want := m["move23"].Shape, (model.Shape{H: 4, W: 4, C: 32}); got != want {
		t.Errorf("output %v, want %v", got, want)
	}
}
