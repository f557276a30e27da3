package runtime_test

import (
	"context"
	"image"
	"image/color"
	"math"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
)

// colours is a network whose logits are 10 times the mean red, green and blue of a picture of 4x4.
func colours() *artifact.Model {
	return &artifact.Model{
		Name: "colours", Input: [3]int{4, 4, 3}, Classes: []string{"red", "green", "blue"},
		Preprocess: preprocess.Config{H: 4, W: 4, C: 3, Mean: []float32{0, 0, 0}, Std: []float32{1, 1, 1}},
		Ops: []artifact.Op{
			{Name: "mean", Kind: artifact.GlobalAvgPool, Inputs: []string{artifact.ImageInput}},
			{Name: "logits", Kind: artifact.Affine, Inputs: []string{"mean"}, Scale: "ten"},
		},
		Tensors: map[string]artifact.Tensor{"ten": artifact.F32([]int{3}, []float32{10, 10, 10})},
	}
}

// plain is a picture of one colour.
func plain(w, h int, c color.Color) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.Set(i%w, i/w, c)
	}
	return img
}

func TestClassify(t *testing.T) {
	e := mustNew(t, colours(), runtime.Options{})
	for _, size := range []int{4, 3, 50} {
		got, err := e.Classify(context.Background(), plain(size, size, color.RGBA{R: 51, B: 255, A: 255}), 2)
		if err != nil {
			t.Fatal(err)
		}
		// The logits are 2, 0, 10.
		sum := math.Exp(2) + math.Exp(0) + math.Exp(10)
		want := []runtime.Prediction{{Class: 2, Name: "blue", Probability: math.Exp(10) / sum}, {Class: 0, Name: "red", Probability: math.Exp(2) / sum}}
		if len(got) != len(want) {
			t.Fatalf("size %d: %d predictions, want %d", size, len(got), len(want))
		}
		for i, p := range got {
			if p.Class != want[i].Class || p.Name != want[i].Name || math.Abs(p.Probability-want[i].Probability) > 1e-6 {
				t.Errorf("size %d: prediction %d is %+v, want %+v", size, i, p, want[i])
			}
		}
	}
	got, err := e.Classify(context.Background(), plain(4, 4, color.White), 9)
	if err != nil || len(got) != 3 || got[0].Class != 0 || got[1].Class != 1 {
		t.Errorf("three equal classes, 9 asked for: %+v, %v, want all in their own order", got, err)
	}
}

func TestClassifyErrors(t *testing.T) {
	huge := colours()
	huge.Tensors["ten"] = artifact.F32([]int{3}, []float32{math.MaxFloat32, 1, 1})
	huge.Ops = append(huge.Ops, artifact.Op{Name: "twice", Kind: artifact.Add, Inputs: []string{"logits", "logits"}})
	for _, tt := range []struct {
		name string
		m    *artifact.Model
		img  image.Image
		k    int
		want string
	}{
		{"k 0", colours(), plain(4, 4, color.White), 0, "0 most probable"},
		{"empty picture", colours(), plain(0, 0, color.White), 1, "0x0"},
		{"infinite logit", huge, plain(4, 4, color.White), 1, `"red" is +Inf`},
	} {
		_, err := mustNew(t, tt.m, runtime.Options{}).Classify(context.Background(), tt.img, tt.k)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want one with %q", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := mustNew(t, colours(), runtime.Options{}).Classify(ctx, plain(4, 4, color.White), 1); err == nil {
		t.Error("cancelled: no error")
	}
}

func TestSoftmax(t *testing.T) {
	for _, tt := range []struct {
		logits []float32
		want   []float64
	}{
		{nil, nil},
		{[]float32{5}, []float64{1}},
		{[]float32{-1000, -1000}, []float64{0.5, 0.5}},
		{[]float32{1000, 0}, []float64{1, 0}},
		{[]float32{0, float32(math.Log(3))}, []float64{0.25, 0.75}},
	} {
		got := runtime.Softmax(tt.logits)
		if len(got) != len(tt.want) {
			t.Fatalf("Softmax(%v) = %v, want %v", tt.logits, got, tt.want)
		}
		for i := range got {
			if math.Abs(got[i]-tt.want[i]) > 1e-7 {
				t.Errorf("Softmax(%v) = %v, want %v", tt.logits, got, tt.want)
			}
		}
	}
}
