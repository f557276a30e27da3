package train

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/bnntool/bnntool/reptran"
	"github.com/bnntool/bnntool/train/model"
)

// BenchmarkStep is a training step of the CIFAR-10 ResNet-20 at batch 64: forward, backward, SGD.
func BenchmarkStep(b *testing.B) {
	for _, beta := range []int{1, 2} {
		b.Run(map[int]string{1: "beta1", 2: "beta2"}[beta], func(b *testing.B) {
			net, err := model.New("recu-resnet20", model.Options{})
			if err != nil {
				b.Fatal(err)
			}
			if net, err = reptran.Apply(net, reptran.Config{Beta: beta}); err != nil {
				b.Fatal(err)
			}
			const batch = 64
			w := initWeights(b, net, 1)
			pool := newWorkers(runtime.GOMAXPROCS(0))
			defer pool.close()
			g, err := newTrainGraph(net, w, graphOptions{batch: batch}, pool)
			if err != nil {
				b.Fatal(err)
			}
			defer g.close()
			g.m.tau = 0.9
			fill(rand.New(rand.NewPCG(1, 1)), g.images)
			solver := newSGD(0.9, 5e-4, g.sizes())
			solver.SetLearnRate(0.01)
			values := g.values()
			b.SetBytes(int64(4 * len(g.images)))
			for b.Loop() {
				if _, err := g.step(batch); err != nil {
					b.Fatal(err)
				}
				if err := solver.Step(values); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
