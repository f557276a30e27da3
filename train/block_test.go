package train

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bnntool/bnntool/reptran"
	"github.com/bnntool/bnntool/train/model"
)

// TestBlockEqualsComposed: loss, gradients and statistics of the fused graph are those of one operation a layer, bit for
// bit, over the networks' shapes, strides and shortcuts, β, tile order and tiers.
func TestBlockEqualsComposed(t *testing.T) {
	for _, tt := range []struct {
		name string
		net  string
		o    model.Options
		rep  reptran.Config
		want int // blocks
	}{
		{"resnet20", "recu-resnet20", model.Options{Width: 16, Input: model.Shape{H: 16, W: 16, C: 3}, Blocks: 2}, reptran.Config{Beta: 1}, 12},
		{"resnet20 beta 2", "recu-resnet20", model.Options{Width: 16, Input: model.Shape{H: 16, W: 16, C: 3}, Blocks: 2}, reptran.Config{Beta: 2}, 12},
		{"resnet20 beta 4", "recu-resnet20", model.Options{Width: 16, Input: model.Shape{H: 8, W: 8, C: 3}, Blocks: 1}, reptran.Config{Beta: 4}, 6},
		{"resnet20 interleaved", "recu-resnet20", model.Options{Width: 8, Input: model.Shape{H: 8, W: 8, C: 1}, Blocks: 1}, reptran.Config{Beta: 2, Interleave: true}, 6},
		{"resnet18", "recu-resnet18", model.Options{Width: 8, Input: model.Shape{H: 16, W: 16, C: 3}}, reptran.Config{Beta: 2}, 16},
		{"vggsmall", "recu-vggsmall", model.Options{Width: 8, Input: model.Shape{H: 16, W: 16, C: 3}}, reptran.Config{Beta: 1}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			net, err := model.New(tt.net, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if net, err = reptran.Apply(net, tt.rep); err != nil {
				t.Fatal(err)
			}
			nodes, err := net.Nodes()
			if err != nil {
				t.Fatal(err)
			}
			consumers, _ := model.Consumers(nodes)
			if got := len(planFusion(nodes, consumers).blocks); got != tt.want {
				t.Errorf("%d blocks, want %d", got, tt.want)
			}
			w := initWeights(t, net, 4)
			run := func(composed bool) (*trainGraph, model.Weights) {
				pool := newWorkers(2)
				t.Cleanup(pool.close)
				own := cloneWeights(w)
				g, err := newTrainGraph(net, own, graphOptions{batch: 19, composed: composed}, pool)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { g.close() })
				g.m.tau = 0.9
				rng := rand.New(rand.NewPCG(8, 9))
				fill(rng, g.images)
				for i := range g.labels {
					g.labels[i] = float32(rng.IntN(10))
				}
				for range 2 { // the second time over used buffers
					if _, err := g.step(18); err != nil {
						t.Fatal(err)
					}
				}
				return g, own
			}
			got, gotWeights := run(false)
			want, wantWeights := run(true)
			if got.value.y[0] != want.value.y[0] {
				t.Errorf("loss %v, composed %v", got.value.y[0], want.value.y[0])
			}
			for i, p := range got.params {
				if !slices.Equal(p.grad.Float32s(), want.params[i].grad.Float32s()) {
					t.Errorf("gradient by %s differs", p.Name())
				}
			}
			for name, v := range wantWeights {
				if !slices.Equal(gotWeights[name], v) {
					t.Errorf("%s differs after the passes", name)
				}
			}
		})
	}
}
