package model

import (
	"math"
	"reflect"
	"slices"
	"testing"
)

func mustInit(t *testing.T, n *Net, seed uint64) Weights {
	t.Helper()
	w, err := n.InitWeights(seed)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Check(n); err != nil {
		t.Fatal(err)
	}
	return w
}

// moments returns the mean and the standard deviation of v.
func moments(v []float32) (mean, std float64) {
	for _, x := range v {
		mean += float64(x)
	}
	mean /= float64(len(v))
	for _, x := range v {
		std += (float64(x) - mean) * (float64(x) - mean)
	}
	return mean, math.Sqrt(std / float64(len(v)))
}

func TestInitWeights(t *testing.T) {
	weights := map[string]Weights{
		"recu-resnet20": mustInit(t, mustNew(t, "recu-resnet20", Options{}), 1),
		"recu-vggsmall": mustInit(t, mustNew(t, "recu-vggsmall", Options{Width: 32}), 1),
		"reactnet-a":    mustInit(t, mustNew(t, "reactnet-a", Options{Width: 8}), 1),
	}
	for _, tt := range []struct {
		net, tensor string
		mean, std   float64
		low, high   float32
	}{
		{"recu-resnet20", "conv1.weight", 0, math.Sqrt(2. / 27), -9, 9},
		{"recu-resnet20", "layer3.2.conv2.weight", 0, math.Sqrt(2. / (9 * 64)), -9, 9},
		{"recu-resnet20", "layer3.2.conv2.alpha", 0.5, math.Sqrt(1. / 12), 0, 1},
		{"recu-resnet20", "linear.weight", 0, math.Sqrt(1./64) / math.Sqrt(3), -0.125, 0.125},
		{"recu-resnet20", "linear.bias", 0, math.Sqrt(1./64) / math.Sqrt(3), -0.125, 0.125},
		{"recu-resnet20", "bn1.weight", 1, 0, 1, 1},
		{"recu-resnet20", "bn1.bias", 0, 0, 0, 0},
		{"recu-resnet20", "bn2.running_mean", 0, 0, 0, 0},
		{"recu-resnet20", "bn2.running_var", 1, 0, 1, 1},
		{"recu-vggsmall", "conv0.weight", 0, math.Sqrt(2. / (9 * 32)), -9, 9},
		{"recu-vggsmall", "conv2.weight", 0, math.Sqrt(2. / (9 * 64)), -9, 9},
		{"recu-vggsmall", "fc.weight", 0, 0.01, -9, 9},
		{"recu-vggsmall", "fc.bias", 0, 0, 0, 0},
		{"reactnet-a", "feature.1.binary_3x3.weight", 0.0005, 0.001 / math.Sqrt(12), 0, 0.001},
		{"reactnet-a", "feature.1.move11.bias", 0, 0, 0, 0},
		{"reactnet-a", "feature.1.prelu1.weight", 0.25, 0, 0.25, 0.25},
	} {
		t.Run(tt.net+"/"+tt.tensor, func(t *testing.T) {
			v := weights[tt.net][tt.tensor]
			mean, std := moments(v)
			// Four standard errors; the standard deviation's own is smaller than that of the mean.
			slack := 4*tt.std/math.Sqrt(float64(len(v))) + 1e-9
			if math.Abs(mean-tt.mean) > slack || math.Abs(std-tt.std) > slack {
				t.Errorf("mean %g, standard deviation %g, want %g and %g within %g", mean, std, tt.mean, tt.std, slack)
			}
			if low, high := slices.Min(v), slices.Max(v); low < tt.low || high > tt.high {
				t.Errorf("values in [%g, %g], want [%g, %g]", low, high, tt.low, tt.high)
			}
		})
	}
}

func TestInitWeightsStreams(t *testing.T) {
	n := mustNew(t, "recu-resnet20", Options{})
	w := mustInit(t, n, 7)
	if !reflect.DeepEqual(w, mustInit(t, n, 7)) {
		t.Error("the same seed gives other weights")
	}
	if slices.Equal(w["conv1.weight"], mustInit(t, n, 8)["conv1.weight"]) {
		t.Error("another seed gives the same weights")
	}
	if slices.Equal(w["layer1.0.conv1.weight"], w["layer1.0.conv2.weight"]) {
		t.Error("two tensors have the same values")
	}
	// A tensor does not depend on the layers around it.
	small := mustNew(t, "recu-resnet20", Options{Blocks: 1, Classes: 3})
	if !slices.Equal(w["layer1.0.conv2.weight"], mustInit(t, small, 7)["layer1.0.conv2.weight"]) {
		t.Error("a tensor's values depend on the number of blocks")
	}
}
