package convert

import (
	"testing"

	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/train/model"
)

// BenchmarkInfer runs whole networks of the papers' sizes, one image on one thread.
func BenchmarkInfer(b *testing.B) {
	for _, name := range []string{"recu-resnet20", "recu-resnet18"} {
		b.Run(name, func(b *testing.B) {
			net, err := model.New(name, model.Options{})
			if err != nil {
				b.Fatal(err)
			}
			m, err := Lower(trained(b, net, 1))
			if err != nil {
				b.Fatal(err)
			}
			e, err := runtime.New(m, runtime.Options{Threads: 1})
			if err != nil {
				b.Fatal(err)
			}
			image, logits := randomImages(1, net.Input.Len())[0], make([]float32, len(m.Classes))
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				if err := e.Infer(b.Context(), logits, image); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(e.Info().MACs)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
		})
	}
}

// BenchmarkLower is the conversion without its verification.
func BenchmarkLower(b *testing.B) {
	net, err := model.New("recu-resnet18", model.Options{})
	if err != nil {
		b.Fatal(err)
	}
	ck := trained(b, net, 1)
	for b.Loop() {
		if _, err := Lower(ck); err != nil {
			b.Fatal(err)
		}
	}
}
