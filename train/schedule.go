package train

import "math"

// LearnRate returns the learning rate of epoch e, 0..Epochs-1.
func (c Config) LearnRate(e int) float64 {
	if c.Schedule == ScheduleLinear {
		return linearDecay(c.LR, e, c.Epochs)
	}
	return warmupCosine(c.LR, e, c.Epochs, c.warmup())
}

// warmup returns the epochs of the warm-up.
func (c Config) warmup() int {
	if c.WarmupEpochs == 0 {
		return 0
	}
	return min(c.WarmupEpochs, max(1, c.Epochs/4))
}

// warmupCosine is lr·(e+1)/warmup in the warm-up epochs e < warmup; then a half cosine from lr in the last of them to 0
// at epochs (ReCU's recipe: warmup 5).
func warmupCosine(lr float64, e, epochs, warmup int) float64 {
	if e < warmup {
		return lr * float64(e+1) / float64(warmup)
	}
	start := max(0, warmup-1)
	return lr / 2 * (1 + math.Cos(math.Pi*float64(e-start)/float64(epochs-start)))
}

// linearDecay is lr·(1 - (e+1)/epochs): the last epoch runs at 0, as in AdamBNN's scripts.
func linearDecay(lr float64, e, epochs int) float64 {
	return lr * (1 - float64(e+1)/float64(epochs))
}

// Tau returns ReCU's τ in epoch e (arXiv 2103.12369, section 3.3): A·exp(e/Epochs) + B, which is TauMin at e = 0 and would
// be TauMax at e = Epochs.
func (c Config) Tau(e int) float64 {
	a := (c.TauMax - c.TauMin) / (math.E - 1)
	return a*math.Exp(float64(e)/float64(c.Epochs)) + c.TauMin - a
}
