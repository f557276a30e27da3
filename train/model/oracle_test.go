package model

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestBinaryConvEqualsReal: the integer sum of a 1-bit convolution is the real convolution of the signs, borders, groups and
// odd channel counts included.
func TestBinaryConvEqualsReal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.IntRange(1, 3).Draw(t, "groups")
		kernel := rapid.IntRange(1, 4).Draw(t, "kernel")
		input := Shape{rapid.IntRange(kernel, 6).Draw(t, "h"), rapid.IntRange(kernel, 6).Draw(t, "w"),
			groups * rapid.SampledFrom([]int{1, 3, 21, 63, 64, 65}).Draw(t, "channels of a group")}
		conv := Layer{Name: "c", Op: Conv, Out: groups * rapid.IntRange(1, 3).Draw(t, "filters of a group"), Kernel: kernel,
			Stride: rapid.IntRange(1, 3).Draw(t, "stride"), Pad: rapid.IntRange(0, kernel-1).Draw(t, "pad"), Groups: groups,
			WeightQuant: ReCUWeight, InputQuant: ReCUInput}
		n := one(input, conv)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		image := make([]float32, input.Len())
		for i := range image {
			image[i] = float32(rng.IntN(5) - 2) // with zeros
		}
		w, err := n.InitWeights(rng.Uint64())
		if err != nil {
			t.Fatal(err)
		}
		f, err := Freeze(n, w)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Forward(image)
		if err != nil {
			t.Fatal(err)
		}

		conv.WeightQuant, conv.InputQuant = RealWeight, RealInput
		r, err := Freeze(one(input, conv), Weights{"c.weight": f.Nodes[0].Filters})
		if err != nil {
			t.Fatal(err)
		}
		signs := make([]float32, len(image))
		for i, v := range image {
			signs[i] = sign(v)
		}
		want, err := r.Forward(signs)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestConvGroups: a grouped convolution is one convolution for each group, side by side.
func TestConvGroups(t *testing.T) {
	const groups, c, k = 3, 2, 4 // channels and filters of a group
	input := Shape{5, 4, groups * c}
	rng := rand.New(rand.NewPCG(1, 1))
	draw := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64())
		}
		return v
	}
	image, weights := draw(input.Len()), draw(groups*k*c*9)
	layer := Layer{Name: "l", Op: Conv, Out: groups * k, Kernel: 3, Stride: 2, Pad: 1, Groups: groups}
	whole := mustForward(t, one(input, layer), Weights{"l.weight": weights}, image)
	layer.Out, layer.Groups = k, 1
	for g := range groups {
		part := make([]float32, 0, 5*4*c)
		for p := range 5 * 4 {
			part = append(part, image[p*groups*c+g*c:][:c]...)
		}
		want := mustForward(t, one(Shape{5, 4, c}, layer), Weights{"l.weight": weights[g*k*c*9 : (g+1)*k*c*9]}, part)
		for p := range len(want) / k {
			if got := whole[p*groups*k+g*k:][:k]; !slices.Equal(got, want[p*k:(p+1)*k]) {
				t.Errorf("group %d, pixel %d: %v, want %v", g, p, got, want[p*k:(p+1)*k])
			}
		}
	}
}

func BenchmarkForward(b *testing.B) {
	n, err := New("recu-resnet20", Options{})
	if err != nil {
		b.Fatal(err)
	}
	w, err := n.InitWeights(1)
	if err != nil {
		b.Fatal(err)
	}
	f, err := Freeze(n, w)
	if err != nil {
		b.Fatal(err)
	}
	image := make([]float32, n.Input.Len())
	for b.Loop() {
		if _, err := f.Forward(image); err != nil {
			b.Fatal(err)
		}
	}
}
