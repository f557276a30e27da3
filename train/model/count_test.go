package model_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/reptran"
	"github.com/bnntool/bnntool/train/model"
)

func replicated(t testing.TB, name string, o model.Options, c reptran.Config) *model.Net {
	t.Helper()
	n, err := model.New(name, o)
	if err != nil {
		t.Fatal(err)
	}
	if n, err = reptran.Apply(n, c); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCountTotals compares with the totals of the published networks and of their replicated forms.
func TestCountTotals(t *testing.T) {
	for _, tt := range []struct {
		net             string
		beta            int
		params1, params int64
		bops, flops     int64
		format, ops     string // OPs as they are listed
	}{
		{"recu-resnet20", 1, 267264, 270522, 40108032, 443008, "%.0f", "1069696"},
		{"recu-resnet20", 2, 267264, 272298, 40108032, 443648, "%.0f", "1070336"},
		{"recu-resnet20", 4, 267264, 276354, 40108032, 444928, "%.0f", "1071616"},
		{"recu-resnet20", 8, 267264, 284718, 40108032, 447488, "%.0f", "1074176"},
		{"recu-resnet20", 16, 267264, 301572, 40108032, 452608, "%.0f", "1079296"},
		{"recu-resnet18", 1, 10985472, 11005002, 547356672, 1774592, "", ""},
		{"recu-resnet18", 2, 10985472, 11016906, 547356672, 1779712, "", ""},
		{"recu-resnet18", 4, 10985472, 11043594, 547356672, 1789952, "", ""},
		{"recu-vggsmall", 1, 4571136, 4661770, 603979776, 3620864, "", ""},
		{"recu-vggsmall", 2, 4571136, 4746186, 603979776, 3702784, "", ""},
		{"recu-vggsmall", 4, 4571136, 4916266, 603979776, 3866624, "", ""},
		{"reactnet-a", 1, 28253184, 29343592, 4816896000, 11862016, "%.3e", "8.713e+07"},
		{"reactnet-a", 2, 28253184, 30432072, 4816896000, 12886016, "%.3e", "8.815e+07"},
		{"reactnet-a", 4, 28253184, 32609032, 4816896000, 14934016, "%.3e", "9.020e+07"},
	} {
		t.Run(fmt.Sprintf("%s,beta=%d", tt.net, tt.beta), func(t *testing.T) {
			counts, err := replicated(t, tt.net, model.Options{}, reptran.Config{Beta: tt.beta}).Count()
			if err != nil {
				t.Fatal(err)
			}
			c := counts.Total
			if c.Params1 != tt.params1 || c.Params() != tt.params {
				t.Errorf("parameters: %d 1-bit, %d in all, want %d and %d", c.Params1, c.Params(), tt.params1, tt.params)
			}
			if c.BOPs != tt.bops || c.FLOPs != tt.flops {
				t.Errorf("BOPs %d, FLOPs %d, want %d and %d", c.BOPs, c.FLOPs, tt.bops, tt.flops)
			}
			if tt.format != "" && fmt.Sprintf(tt.format, c.OPs()) != tt.ops {
				t.Errorf("OPs "+tt.format+", want %s", c.OPs(), tt.ops)
			}
		})
	}
}

// TestCountParts compares the parameters of each kind.
func TestCountParts(t *testing.T) {
	const (
		alpha = iota
		stem
		blockNorms
		lastNorm
		shifts
		slopes
		classifier
		kinds
	)
	for _, tt := range []struct {
		net  string
		beta int
		want [kinds]int
	}{
		{"recu-resnet20", 1, [kinds]int{672, 432 + 32, 1344, 128, 0, 0, 650}},
		{"recu-resnet20", 2, [kinds]int{336, 432 + 32, 2688, 256, 0, 0, 1290}},
		{"recu-resnet20", 4, [kinds]int{168, 432 + 32, 5376, 512, 0, 0, 2570}},
		{"recu-resnet20", 8, [kinds]int{84, 432 + 32, 10752, 1024, 0, 0, 5130}},
		{"recu-resnet20", 16, [kinds]int{42, 432 + 32, 21504, 2048, 0, 0, 10250}},
		{"reactnet-a", 1, [kinds]int{0, 864 + 64, 21888 - 64, 0, 31744, 10912, 1025000}},
		{"reactnet-a", 2, [kinds]int{0, 864 + 64, 43712 - 64, 0, 63488, 21824, 2049000}},
		{"reactnet-a", 4, [kinds]int{0, 864 + 64, 87360 - 64, 0, 126976, 43648, 4097000}},
	} {
		t.Run(fmt.Sprintf("%s,beta=%d", tt.net, tt.beta), func(t *testing.T) {
			n := replicated(t, tt.net, model.Options{}, reptran.Config{Beta: tt.beta})
			tensors, err := n.Tensors()
			if err != nil {
				t.Fatal(err)
			}
			var got [kinds]int
			for i := range tensors {
				x := &tensors[i]
				layer := n.Layers[x.Layer]
				kind := -1
				switch {
				case x.Buffer || x.Binary:
				case slices.Contains([]string{"conv1", "bn1", "feature.0.conv1", "feature.0.bn1"}, layer.Name):
					kind = stem
				case x.Role == model.Alpha:
					kind = alpha
				case layer.Name == "bn2":
					kind = lastNorm
				case layer.Op == model.BatchNorm:
					kind = blockNorms
				case x.Role == model.Shift:
					kind = shifts
				case x.Role == model.Slope:
					kind = slopes
				case layer.Op == model.Linear:
					kind = classifier
				default:
					t.Errorf("tensor %q is of no kind", x.Name)
				}
				if kind >= 0 {
					got[kind] += x.Len()
				}
			}
			if got != tt.want {
				t.Errorf("alpha, stem, batch norms, last batch norm, shifts, slopes, classifier: %v, want %v", got, tt.want)
			}
		})
	}
}

// TestCountLayers compares single convolutions.
func TestCountLayers(t *testing.T) {
	for _, tt := range []struct {
		net, layer           string
		params1, bops, flops int64
		bytes, bytes32       int64
	}{
		{"recu-resnet20", "conv1", 0, 0, 442368, 4 * 432, 4 * 432},
		{"recu-resnet20", "layer1.0.conv1", 2304, 2359296, 0, 2304/8 + 4*16, 4 * (2304 + 16)},
		{"recu-resnet20", "layer2.0.conv1", 4608, 1179648, 0, 4608/8 + 4*32, 4 * (4608 + 32)},
		{"recu-resnet20", "layer3.2.conv2", 36864, 2359296, 0, 36864/8 + 4*64, 4 * (36864 + 64)},
		{"reactnet-a", "feature.1.binary_3x3", 9 * 32 * 32, 115605504, 0, 9 * 32 * 32 / 8, 4 * 9 * 32 * 32},
		{"reactnet-a", "feature.3.binary_3x3", 9 * 128 * 128, 462422016, 0, 9 * 128 * 128 / 8, 4 * 9 * 128 * 128},
		{"reactnet-a", "feature.4.binary_pw_down2", 128 * 128, 128 * 128 * 28 * 28, 0, 128 * 128 / 8, 4 * 128 * 128},
	} {
		n := replicated(t, tt.net, model.Options{}, reptran.Config{})
		counts, err := n.Count()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(n.Layers, func(l model.Layer) bool { return l.Name == tt.layer })
		c := counts.Layers[i]
		got := [5]int64{c.Params1, c.BOPs, c.FLOPs, c.Bytes(), c.Bytes32()}
		if want := [5]int64{tt.params1, tt.bops, tt.flops, tt.bytes, tt.bytes32}; got != want {
			t.Errorf("%s %s: 1-bit parameters, BOPs, FLOPs, bytes, bytes at 32 bits %v, want %v", tt.net, tt.layer, got, want)
		}
	}
}

// TestCountBinary: only a convolution with both operands quantised is 1-bit work.
func TestCountBinary(t *testing.T) {
	for _, tt := range []struct {
		name          string
		weight        model.WeightQuant
		input         model.InputQuant
		params1, bops int64
	}{
		{"real", model.RealWeight, model.RealInput, 0, 0},
		{"1-bit inputs", model.RealWeight, model.ApproxSignInput, 0, 0},
		{"1-bit weights", model.ScaledSignWeight, model.RealInput, 24, 0},
		{"1-bit", model.ReCUWeight, model.ReCUInput, 24, 24 * 4},
	} {
		n := &model.Net{Name: "x", Beta: 1, Input: model.Shape{H: 2, W: 2, C: 12}, Layers: []model.Layer{
			{Name: "conv", Op: model.Conv, Out: 4, Kernel: 1, Stride: 1, Groups: 2, WeightQuant: tt.weight, InputQuant: tt.input}}}
		counts, err := n.Count()
		if err != nil {
			t.Fatal(err)
		}
		want := model.Count{Params1: tt.params1, Params32: 24 - tt.params1, BOPs: tt.bops, FLOPs: 24*4 - tt.bops}
		if counts.Total != want {
			t.Errorf("%s: %+v, want %+v", tt.name, counts.Total, want)
		}
	}
}

const wantSummary = `tiny, input 4x4x3, beta 2
layer  op             output  1-bit params  32-bit params  memory KB  1-bit MACs  32-bit MACs
stem   conv           4x4x32                          864       3.38                   13,824
conv   conv            4x4x8           256              8       0.06       4,096
pool   globalavgpool   1x1x8
fc     linear          1x1x2                           18       0.07                       16
-----  -------------  ------  ------------  -------------  ---------  ----------  -----------
total                                  256            890       3.51       4,096       13,840
-----  -------------  ------  ------------  -------------  ---------  ----------  -----------
parameters               1,146
memory, packed         3.51 KB
memory, 32-bit         4.48 KB
BOPs                     4,096
FLOPs                   13,840
OPs = BOPs/64 + FLOPs   13,904
1-bit share of MACs    22.84 %
`

func TestSummary(t *testing.T) {
	n := &model.Net{Name: "tiny", Beta: 2, Input: model.Shape{H: 4, W: 4, C: 3}, Layers: []model.Layer{
		{Name: "stem", Op: model.Conv, Out: 32, Kernel: 3, Stride: 1, Pad: 1},
		{Name: "conv", Op: model.Conv, Out: 8, Kernel: 1, Stride: 1, WeightQuant: model.ReCUWeight, InputQuant: model.ReCUInput, Alpha: true},
		{Name: "pool", Op: model.GlobalAvgPool},
		{Name: "fc", Op: model.Linear, Out: 2},
	}}
	s, err := n.Summary()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if written, err := s.WriteTo(&b); err != nil || written != int64(b.Len()) {
		t.Errorf("WriteTo: %d, %v, want %d bytes", written, err, b.Len())
	}
	if b.String() != wantSummary {
		t.Errorf("got\n%s\nwant\n%s", b.String(), wantSummary)
	}
	// Every network of the zoo has one line for each layer.
	for _, name := range model.Names() {
		n := replicated(t, name, model.Options{}, reptran.Config{})
		s, err := n.Summary()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Count(s.String(), "\n"), len(n.Layers)+12; got != want {
			t.Errorf("%s: %d lines, want %d", name, got, want)
		}
	}
}
