package checkpoint

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/train/model"
)

// Checkpoint is the state of a training, or, with an empty Solver, a trained network.
type Checkpoint struct {
	Net *model.Net
	// Weights holds the parameters and buffers of Net, each float32, row-major, in the shape that Net.Tensors says.
	Weights model.Weights
	// Solver holds the solver's buffers, each of the shape of the parameter NAME: "velocity.NAME" (SGD), "adam_m.NAME" and
	// "adam_v.NAME" (Adam). Empty in an exported checkpoint.
	Solver map[string][]float32
	// Preprocess says how a picture becomes the input. Its H, W, C equal Net.Input.
	Preprocess preprocess.Config
	// Classes names the logits, in order: as many as the network has.
	Classes []string
	// Dataset is the data set's name.
	Dataset string
	// Recipe is the resolved recipe, YAML text that this package does not look into.
	Recipe string
	State  TrainState
}

// TrainState says where a training is. Numbers are not negative.
type TrainState struct {
	Epoch      int    `json:"epoch"`       // epochs completed
	Step       int    `json:"step"`        // steps completed within the current epoch
	SolverStep int    `json:"solver_step"` // steps the solver has taken in all
	Seed       uint64 `json:"seed"`

	BestTop1  float64 `json:"best_top1"`  // highest test accuracy so far, as the trainer counts it
	BestEpoch int     `json:"best_epoch"` // the epoch that reached it
	LastTop1  float64 `json:"last_top1"`  // test accuracy after the last completed epoch

	LossSum float64 `json:"loss_sum"` // sum of the losses of the current epoch's images
	Correct int     `json:"correct"`  // of the current epoch's images
	Seen    int     `json:"seen"`     // images of the current epoch

	Seconds float64 `json:"seconds"` // spent training so far
}

// validate checks what does not need the tensors' values.
func (c *Checkpoint) validate() error {
	classes, err := c.Net.Classes()
	if err != nil {
		return err
	}
	if len(c.Classes) != classes {
		return fmt.Errorf("classes: %d names, network %q has %d logits", len(c.Classes), c.Net.Name, classes)
	}
	in, p := c.Net.Input, c.Preprocess
	if err := p.Validate(); err != nil {
		return err
	}
	if p.H != in.H || p.W != in.W || p.C != in.C {
		return fmt.Errorf("preprocess: the picture is %dx%dx%d, the input of network %q is %v", p.H, p.W, p.C, c.Net.Name, in)
	}
	return c.State.validate()
}

func (s *TrainState) validate() error {
	for _, n := range []struct {
		name  string
		value int
	}{
		{"epoch", s.Epoch}, {"step", s.Step}, {"solver_step", s.SolverStep}, {"best_epoch", s.BestEpoch},
		{"correct", s.Correct}, {"seen", s.Seen},
	} {
		if n.value < 0 {
			return fmt.Errorf("state: %s is %d, want 0 or more", n.name, n.value)
		}
	}
	for _, x := range []struct {
		name  string
		value float64
	}{
		{"best_top1", s.BestTop1}, {"last_top1", s.LastTop1}, {"loss_sum", s.LossSum}, {"seconds", s.Seconds},
	} {
		if !finite(x.value) || x.value < 0 {
			return fmt.Errorf("state: %s is %v, want 0 or more", x.name, x.value)
		}
	}
	if s.Correct > s.Seen {
		return fmt.Errorf("state: %d images are correct, only %d were seen", s.Correct, s.Seen)
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// checkFinite returns an error that names the first element which is not a number or infinite.
func checkFinite(v []float32) error {
	for i, x := range v {
		if !finite(float64(x)) {
			return fmt.Errorf("element %d is %v, want a finite number: the training diverged", i, x)
		}
	}
	return nil
}

// solverPrefixes are the buffers that solvers keep for each parameter.
var solverPrefixes = []string{"velocity.", "adam_m.", "adam_v."}

// solverParameter returns the parameter that a solver's buffer belongs to.
func solverParameter(name string) (string, error) {
	for _, prefix := range solverPrefixes {
		if parameter, ok := strings.CutPrefix(name, prefix); ok {
			return parameter, nil
		}
	}
	return "", errors.New("unknown solver state, want velocity., adam_m. or adam_v. and a parameter's name")
}
