package model

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// InitWeights draws the weights of a network that has learned nothing, as the reference implementations do: convolutions
// and linear layers as their Init says, alpha uniform in [0,1), a batch norm's gamma 1, delta 0, mean 0 and variance 1,
// PReLU slopes 0.25, shifts 0.
//
// Each tensor has a random stream of its own, from the seed and its name, so that a tensor's values do not depend on the
// other layers of the network.
func (n *Net) InitWeights(seed uint64) (Weights, error) {
	tensors, err := n.Tensors()
	if err != nil {
		return nil, err
	}
	w := make(Weights, len(tensors))
	for i := range tensors {
		t := &tensors[i]
		v := make([]float32, t.Len())
		t.fill(v, n.Layers[t.Layer].Init, tensorRand(seed, t.Name))
		w[t.Name] = v
	}
	return w, nil
}

// tensorRand returns the random stream of the tensor of that name.
func tensorRand(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// fill draws the values of the tensor into v.
func (t *Tensor) fill(v []float32, init Init, rng *rand.Rand) {
	constant := func(c float32) {
		for i := range v {
			v[i] = c
		}
	}
	normal := func(std float64) {
		for i := range v {
			v[i] = float32(rng.NormFloat64() * std)
		}
	}
	// uniform draws from [low, low+span).
	uniform := func(low, span float32) {
		for i := range v {
			v[i] = low + float32(rng.Float32()*span)
		}
	}
	switch t.Role {
	case Weight:
		linear := len(t.Shape) == 2
		switch {
		case init == SmallNormalInit:
			normal(0.01)
		case init == SmallUniformInit:
			uniform(0, 0.001)
		case init == FanOutInit:
			normal(math.Sqrt(2 / float64(t.Shape[0]*t.Shape[2]*t.Shape[3])))
		case linear:
			bound := float32(1 / math.Sqrt(float64(t.Shape[1])))
			uniform(-bound, 2*bound)
		default:
			normal(math.Sqrt(2 / float64(t.Shape[1]*t.Shape[2]*t.Shape[3])))
		}
	case LinearBias:
		if init != SmallNormalInit {
			bound := float32(1 / math.Sqrt(float64(t.fanIn)))
			uniform(-bound, 2*bound)
		}
	case Alpha:
		uniform(0, 1)
	case Gamma, RunningVar:
		constant(1)
	case Slope:
		constant(0.25)
	case Delta, Shift, RunningMean:
	default:
		panic(fmt.Sprintf("model: tensor %q: unknown role %q", t.Name, t.Role))
	}
}
