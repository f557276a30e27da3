package train

import (
	"fmt"
	"math"
)

// The optimizers and schedules that a Config can name.
const (
	OptimizerSGD  = "sgd"
	OptimizerAdam = "adam"

	// ScheduleWarmupCosine rises linearly over the warm-up epochs, then falls along a half cosine to 0: ReCU's.
	ScheduleWarmupCosine = "warmup-cosine"
	// ScheduleLinear falls linearly to 0: AdamBNN's.
	ScheduleLinear = "linear"
)

// Config says how a network is trained. The zero value of each optional field stands for its default.
type Config struct {
	Epochs int    `yaml:"epochs"` // passes over the training set, at least 1
	Batch  int    `yaml:"batch"`  // images a step; the last, smaller batch of an epoch is kept
	Seed   uint64 `yaml:"seed"`   // of the initial weights, the order of the images and their augmentation

	Optimizer   string  `yaml:"optimizer"`    // "sgd" (default) or "adam"
	LR          float64 `yaml:"lr"`           // base learning rate, > 0
	Momentum    float64 `yaml:"momentum"`     // of SGD, in [0,1)
	WeightDecay float64 `yaml:"weight_decay"` // L2 coefficient added to the gradient of every parameter, >= 0
	Schedule    string  `yaml:"schedule"`     // "warmup-cosine" (default) or "linear"
	// WarmupEpochs is the length of the warm-up of a long training; it is cut to a quarter of Epochs, but at least 1.
	WarmupEpochs int `yaml:"warmup_epochs"`

	TauMin float64 `yaml:"tau_min"` // ReCU's τ in the first epoch, default 0.85
	TauMax float64 `yaml:"tau_max"` // and the value it approaches, default 0.99

	LabelSmoothing float64 `yaml:"label_smoothing"` // in [0,1), default 0
	EvalBatch      int     `yaml:"eval_batch"`      // images evaluated at a time, default 64

	LimitTrainBatches int `yaml:"limit_train_batches"` // steps of an epoch, 0 for all
	LimitEvalBatches  int `yaml:"limit_eval_batches"`  // evaluated batches, 0 for all
}

// WithDefaults returns c with the defaults filled in.
func (c Config) WithDefaults() Config {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&c.Optimizer, OptimizerSGD)
	set(&c.Schedule, ScheduleWarmupCosine)
	if c.TauMin == 0 {
		c.TauMin = 0.85
	}
	if c.TauMax == 0 {
		c.TauMax = 0.99
	}
	if c.EvalBatch == 0 {
		c.EvalBatch = 64
	}
	return c
}

// Validate returns an error that names the field, by its name in a recipe, that is out of range. Defaults must be
// filled in.
func (c Config) Validate() error {
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	switch {
	case c.Epochs < 1 || c.Epochs > 1e6:
		return fmt.Errorf("train: epochs is %d, want 1..1000000", c.Epochs)
	case c.Batch < 1 || c.Batch > 1<<16:
		return fmt.Errorf("train: batch is %d, want 1..65536", c.Batch)
	case c.EvalBatch < 1 || c.EvalBatch > 1<<16:
		return fmt.Errorf("train: eval_batch is %d, want 1..65536", c.EvalBatch)
	case c.Optimizer != OptimizerSGD && c.Optimizer != OptimizerAdam:
		return fmt.Errorf("train: optimizer is %q, want %q or %q", c.Optimizer, OptimizerSGD, OptimizerAdam)
	case c.Schedule != ScheduleWarmupCosine && c.Schedule != ScheduleLinear:
		return fmt.Errorf("train: schedule is %q, want %q or %q", c.Schedule, ScheduleWarmupCosine, ScheduleLinear)
	case !(c.LR > 0) || !finite(c.LR):
		return fmt.Errorf("train: lr is %v, want a number above 0", c.LR)
	case !(c.Momentum >= 0 && c.Momentum < 1):
		return fmt.Errorf("train: momentum is %v, want a number in [0,1)", c.Momentum)
	case !(c.WeightDecay >= 0) || !finite(c.WeightDecay):
		return fmt.Errorf("train: weight_decay is %v, want a number of at least 0", c.WeightDecay)
	case c.WarmupEpochs < 0:
		return fmt.Errorf("train: warmup_epochs is %d, want at least 0", c.WarmupEpochs)
	case !(c.TauMin > 0.5 && c.TauMin <= c.TauMax && c.TauMax <= 1):
		return fmt.Errorf("train: tau_min and tau_max are %v and %v, want 0.5 < tau_min <= tau_max <= 1", c.TauMin, c.TauMax)
	case !(c.LabelSmoothing >= 0 && c.LabelSmoothing < 1):
		return fmt.Errorf("train: label_smoothing is %v, want a number in [0,1)", c.LabelSmoothing)
	case c.LimitTrainBatches < 0 || c.LimitEvalBatches < 0:
		return fmt.Errorf("train: limit_train_batches and limit_eval_batches are %d and %d, want at least 0", c.LimitTrainBatches, c.LimitEvalBatches)
	}
	return nil
}
