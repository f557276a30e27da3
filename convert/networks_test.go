package convert

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
)

// networks are small forms of the zoo. The replicated ones are descriptions in testdata, as package reptran makes them.
func networks(t testing.TB) map[string]*model.Net {
	t.Helper()
	nets := make(map[string]*model.Net)
	for _, n := range []struct {
		name    string
		options model.Options
	}{
		{"recu-resnet20", model.Options{Input: model.Shape{H: 12, W: 12, C: 3}, Width: 8, Blocks: 2}},
		{"recu-resnet18", model.Options{Input: model.Shape{H: 16, W: 16, C: 3}, Width: 6}},
		{"recu-vggsmall", model.Options{Input: model.Shape{H: 16, W: 16, C: 1}, Width: 9, Classes: 4}},
		{"reactnet-a", model.Options{Input: model.Shape{H: 32, W: 32, C: 3}, Width: 3, Classes: 5}},
	} {
		net, err := model.New(n.name, n.options)
		if err != nil {
			t.Fatal(err)
		}
		nets[n.name] = net
	}
	for _, stride := range []int{1, 2} {
		block, err := model.ReActBlock(model.Shape{H: 6, W: 6, C: 3}, 6, stride)
		if err != nil {
			t.Fatal(err)
		}
		last := block.Layers[len(block.Layers)-1].Name
		block.Layers = append(block.Layers, model.Layer{Name: "pool", Op: model.GlobalAvgPool, Inputs: []string{last}})
		nets[fmt.Sprintf("reactnet block, stride %d", stride)] = block
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("networks in testdata: %v, %v", files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		net := new(model.Net)
		if err := json.Unmarshal(raw, net); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		nets[filepath.Base(file)] = net
	}
	return nets
}

// trained returns a checkpoint of net with random weights as training leaves them: gammas and alphas of both signs and
// some zero, statistics of the size that the batch norm's input has.
func trained(t testing.TB, net *model.Net, seed uint64) *checkpoint.Checkpoint {
	t.Helper()
	tensors, err := net.Tensors()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	weights := make(model.Weights)
	spread := 1.0 // of the last convolution's sums
	for _, p := range tensors {
		draw := rng.NormFloat64
		switch p.Role {
		case model.Weight:
			spread = math.Sqrt(float64(p.Len() / p.Shape[0]))
		case model.Gamma, model.Alpha:
			draw = func() float64 { return rng.NormFloat64() * float64(min(1, rng.IntN(12))) }
		case model.RunningMean:
			draw = func() float64 { return rng.NormFloat64() * spread }
		case model.RunningVar:
			draw = func() float64 { return rng.Float64() * spread * spread }
		}
		v := make([]float32, p.Len())
		for i := range v {
			v[i] = float32(draw())
		}
		weights[p.Name] = v
	}
	classes, err := net.Classes()
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, classes)
	for i := range names {
		names[i] = fmt.Sprint("class ", i)
	}
	in := net.Input
	p := preprocess.Config{H: in.H, W: in.W, C: in.C, Mean: make([]float32, in.C), Std: make([]float32, in.C)}
	for i := range p.Std {
		p.Mean[i], p.Std[i] = 0.5, 0.25
	}
	return &checkpoint.Checkpoint{Net: net, Weights: weights, Preprocess: p, Classes: names, Dataset: "random",
		State: checkpoint.TrainState{Epoch: 3, Seed: seed, LastTop1: 0.5, Seconds: float64(seed)}}
}
