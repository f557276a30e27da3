package train

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Solver is a Gorgonia solver whose state can be saved and restored.
type Solver interface {
	G.Solver
	// SetLearnRate sets the learning rate of the following steps.
	SetLearnRate(lr float64)
	// State returns the solver's tensors by name, "KIND.PARAMETER", and the number of steps done. The slices are the
	// solver's own.
	State() (tensors map[string][]float32, steps int)
	// SetState restores what State returned; it copies. An error names a tensor of the wrong size.
	SetState(tensors map[string][]float32, steps int) error
}

// NewSolver returns the solver that c names, for parameters of the given names and sizes.
func NewSolver(c Config, sizes map[string]int) (Solver, error) {
	switch c.Optimizer {
	case OptimizerSGD:
		return newSGD(c.Momentum, c.WeightDecay, sizes), nil
	case OptimizerAdam:
		return newAdam(c.WeightDecay, sizes), nil
	}
	return nil, fmt.Errorf("train: unknown optimizer %q, want %q or %q", c.Optimizer, OptimizerSGD, OptimizerAdam)
}

// SGD is stochastic gradient descent with classic momentum, as PyTorch's torch.optim.SGD with dampening 0:
//
//	d = grad + WeightDecay·w
//	v = Momentum·v + d        (v starts at 0)
//	w -= lr·v
//
// Weight decay reaches every parameter. Gradients are not changed.
type SGD struct {
	lr, momentum, decay float32
	velocity            moments
	steps               int
}

func newSGD(momentum, decay float64, sizes map[string]int) *SGD {
	return &SGD{momentum: float32(momentum), decay: float32(decay), velocity: newMoments("velocity", sizes)}
}

// SetLearnRate implements Solver.
func (s *SGD) SetLearnRate(lr float64) { s.lr = float32(lr) }

// Step updates the parameters in place. Each must be a named dense float32 tensor that the solver was made for.
func (s *SGD) Step(params []G.ValueGrad) error {
	for _, p := range params {
		name, w, g, err := unpack(p)
		if err != nil {
			return err
		}
		v, err := s.velocity.of(name, len(w))
		if err != nil {
			return err
		}
		for i := range w {
			d := g[i] + float32(s.decay*w[i])
			v[i] = float32(s.momentum*v[i]) + d
			w[i] -= float32(s.lr * v[i])
		}
	}
	s.steps++
	return nil
}

// State implements Solver.
func (s *SGD) State() (map[string][]float32, int) {
	out := map[string][]float32{}
	s.velocity.save(out)
	return out, s.steps
}

// SetState implements Solver.
func (s *SGD) SetState(tensors map[string][]float32, steps int) error {
	s.steps = steps
	return s.velocity.load(tensors)
}

// Adam's constants, PyTorch's defaults.
const (
	adamBeta1 = 0.9
	adamBeta2 = 0.999
	adamEps   = 1e-8
)

// Adam is Adam with coupled L2, as PyTorch's torch.optim.Adam: WeightDecay·w is added to the gradient. β1 0.9, β2 0.999,
// eps 1e-8.
type Adam struct {
	lr    float64
	decay float32
	m, v  moments
	steps int
}

func newAdam(decay float64, sizes map[string]int) *Adam {
	return &Adam{decay: float32(decay), m: newMoments("adam_m", sizes), v: newMoments("adam_v", sizes)}
}

// SetLearnRate implements Solver.
func (s *Adam) SetLearnRate(lr float64) { s.lr = lr }

// Step updates the parameters in place. Each must be a named dense float32 tensor that the solver was made for.
func (s *Adam) Step(params []G.ValueGrad) error {
	s.steps++
	stepSize := float32(s.lr / (1 - math.Pow(adamBeta1, float64(s.steps))))
	root2 := float32(math.Sqrt(1 - math.Pow(adamBeta2, float64(s.steps))))
	for _, p := range params {
		name, w, g, err := unpack(p)
		if err != nil {
			return err
		}
		m, err := s.m.of(name, len(w))
		if err != nil {
			return err
		}
		v, err := s.v.of(name, len(w))
		if err != nil {
			return err
		}
		for i := range w {
			d := g[i] + float32(s.decay*w[i])
			m[i] = float32(adamBeta1*m[i]) + float32((1-adamBeta1)*d)
			v[i] = float32(adamBeta2*v[i]) + float32(float32((1-adamBeta2)*d)*d)
			denom := float32(math.Sqrt(float64(v[i])))/root2 + adamEps
			w[i] -= float32(stepSize * (m[i] / denom))
		}
	}
	return nil
}

// State implements Solver.
func (s *Adam) State() (map[string][]float32, int) {
	out := map[string][]float32{}
	s.m.save(out)
	s.v.save(out)
	return out, s.steps
}

// SetState implements Solver.
func (s *Adam) SetState(tensors map[string][]float32, steps int) error {
	s.steps = steps
	if err := s.m.load(tensors); err != nil {
		return err
	}
	return s.v.load(tensors)
}

// unpack returns what a solver needs of a parameter.
func unpack(p G.ValueGrad) (name string, w, g []float32, err error) {
	n, ok := p.(G.Namer)
	if !ok {
		return "", nil, nil, fmt.Errorf("train: a %T has no name", p)
	}
	name = n.Name()
	gv, err := p.Grad()
	if err != nil {
		return "", nil, nil, fmt.Errorf("train: gradient of %s: %w", name, err)
	}
	wd, ok1 := p.Value().(*tensor.Dense)
	gd, ok2 := gv.(*tensor.Dense)
	if !ok1 || !ok2 || wd.Dtype() != tensor.Float32 || gd.Dtype() != tensor.Float32 {
		return "", nil, nil, fmt.Errorf("train: %s: value and gradient are %T and %T, want dense float32 tensors", name, p.Value(), gv)
	}
	w, g = wd.Float32s(), gd.Float32s()
	if len(w) != len(g) {
		return "", nil, nil, fmt.Errorf("train: %s: %d values and %d gradients", name, len(w), len(g))
	}
	return name, w, g, nil
}

// moments is one tensor of solver state for each parameter.
type moments struct {
	kind   string
	tensor map[string][]float32
}

func newMoments(kind string, sizes map[string]int) moments {
	m := moments{kind, make(map[string][]float32, len(sizes))}
	for name, n := range sizes {
		m.tensor[name] = make([]float32, n)
	}
	return m
}

func (m moments) of(name string, n int) ([]float32, error) {
	v := m.tensor[name]
	if len(v) != n {
		return nil, fmt.Errorf("train: the solver holds %d elements for parameter %q, which has %d", len(v), name, n)
	}
	return v, nil
}

func (m moments) save(out map[string][]float32) {
	for name, v := range m.tensor {
		out[m.kind+"."+name] = v
	}
}

func (m moments) load(in map[string][]float32) error {
	for name, v := range m.tensor {
		saved := in[m.kind+"."+name]
		if len(saved) != len(v) {
			return fmt.Errorf("train: saved solver state %q has %d elements, want %d", m.kind+"."+name, len(saved), len(v))
		}
		copy(v, saved)
	}
	return nil
}
