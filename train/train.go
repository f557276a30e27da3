package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"runtime"
	"time"

	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
	G "gorgonia.org/gorgonia"
)

// ErrInterrupted is returned, wrapped, when the context of a training ended: the state is saved, and the same call with
// Resume continues from it.
var ErrInterrupted = errors.New("train: interrupted and saved")

// saveInterval is how often the state is saved within an epoch, so that a power cut does not cost a long epoch.
const saveInterval = 5 * time.Minute

// Options say what Train trains, on what and where.
type Options struct {
	Net        *model.Net
	Config     Config // with defaults, validated
	Data       *datasets.Dataset
	Augment    datasets.Augment  // of the training pictures
	Preprocess preprocess.Config // its size is Net.Input
	// Dir is the run folder; it is created. A folder that holds a run is refused unless Resume is set.
	Dir string
	// Recipe is the resolved recipe as YAML. It is kept in the folder and in the checkpoints; a run is resumed with
	// the recipe that it began with.
	Recipe string
	Resume bool
	// Threads is the number of threads, 0 for one a core. It does not change the result.
	Threads int
	// Progress, if not nil, is called after each step and each evaluated batch, from one goroutine.
	Progress func(Progress)
	// EpochDone, if not nil, is called after each epoch.
	EpochDone func(Metrics)
}

// Progress says how far an epoch is.
type Progress struct {
	Evaluating    bool // the test set is being evaluated, else training
	Epoch, Epochs int
	Images, Of    int // images done of this epoch's training or evaluation
	// Resumed counts the images of this epoch that were done before the run was resumed.
	Resumed int
	Loss    float64 // mean so far in this epoch, training only
	Top1    float64 // percent so far, training only
}

// Result is what a finished training reached.
type Result struct {
	BestTop1, LastTop1 float64 // test accuracy, percent
	BestEpoch, Epochs  int
	Seconds            float64 // of training and evaluation, over all resumptions
	Best, Last         string  // paths of the checkpoints
}

// trainer is the state of one call of Train.
type trainer struct {
	Options
	folder  *runFolder
	pool    *workers
	graph   *trainGraph
	eval    *Evaluator
	solver  Solver
	weights model.Weights
	values  []G.ValueGrad
	state   checkpoint.TrainState
	metrics []Metrics
	train   *datasets.Loader
	test    *datasets.Loader
	since   time.Time // when state.Seconds was last brought up to date
	saved   time.Time
}

// Train trains a network and returns what it reached. The run folder then holds recipe.yaml, metrics.csv, curves.svg,
// last.safetensors (with the solver's state) and best.safetensors (the weights of the best test accuracy). When ctx ends
// the state is saved and the error is ErrInterrupted; any other error leaves the last saved state in place.
func Train(ctx context.Context, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	folder, err := openRunFolder(o.Dir, o.Resume)
	if err != nil {
		return nil, err
	}
	defer folder.close()
	if o.Threads < 1 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	t := &trainer{Options: o, folder: folder, pool: newWorkers(o.Threads), since: time.Now(), saved: time.Now()}
	defer t.pool.close()
	if err := t.restore(); err != nil {
		return nil, err
	}
	if err := t.build(); err != nil {
		return nil, err
	}
	defer t.graph.close()
	defer t.eval.Close()
	for t.state.Epoch < o.Config.Epochs {
		if err := t.epoch(ctx); err != nil {
			return nil, err
		}
	}
	return &Result{BestTop1: t.state.BestTop1, LastTop1: t.state.LastTop1, BestEpoch: t.state.BestEpoch, Epochs: t.state.Epoch,
		Seconds: t.state.Seconds, Best: folder.best(), Last: folder.last()}, nil
}

func (o *Options) check() error {
	if err := o.Config.Validate(); err != nil {
		return err
	}
	classes, err := o.Net.Classes()
	if err != nil {
		return err
	}
	if classes != len(o.Data.Classes) {
		return fmt.Errorf("train: network %q has %d logits, data set %q has %d classes", o.Net.Name, classes, o.Data.Name, len(o.Data.Classes))
	}
	in, p := o.Net.Input, o.Preprocess
	if p.H != in.H || p.W != in.W || p.C != in.C {
		return fmt.Errorf("train: network %q takes %v images, data set %q gives %dx%dx%d", o.Net.Name, in, o.Data.Name, p.H, p.W, p.C)
	}
	return nil
}

// restore sets weights and state: the initial ones, or those of the last checkpoint.
func (t *trainer) restore() error {
	sizes := map[string]int{}
	tensors, err := t.Net.Tensors()
	if err != nil {
		return err
	}
	for _, info := range tensors {
		if !info.Buffer {
			sizes[info.Name] = info.Len()
		}
	}
	if t.solver, err = NewSolver(t.Config, sizes); err != nil {
		return err
	}
	t.state.Seed = t.Config.Seed
	if !t.Resume {
		if t.weights, err = t.Net.InitWeights(t.Config.Seed); err != nil {
			return err
		}
		return t.folder.write("recipe.yaml", []byte(t.Recipe))
	}
	c, err := checkpoint.Load(t.folder.last())
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(c.Net, t.Net) {
		return fmt.Errorf("train: %s is a checkpoint of another network (%s, beta %d) than the recipe's (%s, beta %d)", t.folder.last(), c.Net.Name, c.Net.Beta, t.Net.Name, t.Net.Beta)
	}
	if c.Recipe != t.Recipe {
		return fmt.Errorf("train: the run in %s was begun with another recipe: resume it with its own, %s", t.Dir, t.folder.path("recipe.yaml"))
	}
	if err := t.solver.SetState(c.Solver, c.State.SolverStep); err != nil {
		return fmt.Errorf("%s: %w", t.folder.last(), err)
	}
	t.weights, t.state = c.Weights, c.State
	t.metrics, err = t.folder.readMetrics(t.state.Epoch)
	return err
}

// build makes the graphs and loaders.
func (t *trainer) build() error {
	var err error
	c := t.Config
	if t.graph, err = newTrainGraph(t.Net, t.weights, graphOptions{batch: c.Batch, smoothing: c.LabelSmoothing}, t.pool); err != nil {
		return err
	}
	if t.eval, err = newEvaluator(t.Net, t.weights, c.EvalBatch, t.pool); err != nil {
		t.graph.close()
		return err
	}
	t.values = t.graph.values()
	workers := max(1, t.Threads/2)
	t.train = datasets.NewLoader(t.Data.Train, t.Preprocess, datasets.LoaderConfig{Batch: c.Batch, Seed: c.Seed, Shuffle: true, Augment: t.Augment, Workers: workers})
	t.test = datasets.NewLoader(t.Data.Test, t.Preprocess, datasets.LoaderConfig{Batch: c.EvalBatch, Workers: workers})
	return nil
}

// steps returns the number of steps of an epoch, and of its images.
func (t *trainer) steps() (steps, images int) {
	steps, images = t.train.Batches(), t.Data.Train.Len()
	if l := t.Config.LimitTrainBatches; l > 0 && l < steps {
		steps, images = l, l*t.Config.Batch
	}
	return steps, images
}

// epoch trains the current epoch from the current step on, evaluates, and saves.
func (t *trainer) epoch(ctx context.Context) error {
	s := &t.state
	lr, tau := t.Config.LearnRate(s.Epoch), t.Config.Tau(s.Epoch)
	t.solver.SetLearnRate(lr)
	t.graph.m.tau = tau
	if err := t.pass(ctx); err != nil {
		return err
	}
	acc, err := t.evaluate(ctx)
	if err != nil {
		return err
	}
	m := Metrics{Epoch: s.Epoch, LR: lr, Tau: tau, TrainLoss: s.LossSum / float64(s.Seen), TrainTop1: percent(s.Correct, s.Seen),
		TestLoss: acc.Loss, TestTop1: acc.Top1, TestTop5: acc.Top5}
	better := s.Epoch == 0 || acc.Top1 > s.BestTop1
	if better {
		s.BestTop1, s.BestEpoch = acc.Top1, s.Epoch
	}
	s.LastTop1 = acc.Top1
	s.Epoch, s.Step, s.LossSum, s.Correct, s.Seen = s.Epoch+1, 0, 0, 0, 0
	t.clock()
	m.Seconds = s.Seconds
	t.metrics = append(t.metrics, m)
	if err := t.folder.writeMetrics(t.metrics); err != nil {
		return err
	}
	if better {
		if err := t.save(t.folder.best(), false); err != nil {
			return err
		}
	}
	if err := t.save(t.folder.last(), true); err != nil {
		return err
	}
	if t.EpochDone != nil {
		t.EpochDone(m)
	}
	return nil
}

// pass trains on the batches of the current epoch that are left.
func (t *trainer) pass(ctx context.Context) error {
	s := &t.state
	steps, images := t.steps()
	resumed := s.Seen
	stream := t.train.Epoch(ctx, s.Epoch, s.Step)
	defer stream.Close()
	for s.Step < steps {
		if ctx.Err() != nil {
			return t.interrupted()
		}
		b, err := stream.Next()
		if ctx.Err() != nil {
			return t.interrupted()
		}
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("train: the training set ended after %d of %d steps", s.Step, steps)
		}
		if err != nil {
			return err
		}
		if err := t.step(b); err != nil {
			return err
		}
		if t.Progress != nil {
			t.Progress(Progress{Epoch: s.Epoch, Epochs: t.Config.Epochs, Images: s.Seen, Of: images, Resumed: resumed,
				Loss: s.LossSum / float64(s.Seen), Top1: percent(s.Correct, s.Seen)})
		}
		if time.Since(t.saved) > saveInterval {
			if err := t.save(t.folder.last(), true); err != nil {
				return err
			}
		}
	}
	return nil
}

// step trains on one batch.
func (t *trainer) step(b *datasets.Batch) error {
	copy(t.graph.images, b.Images)
	for i, label := range b.Labels[:b.N] {
		t.graph.labels[i] = float32(label)
	}
	loss, err := t.graph.step(b.N)
	if err != nil {
		return err
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return fmt.Errorf("train: the loss is %v in epoch %d, step %d: the training diverged, try a lower lr than %v", loss, t.state.Epoch, t.state.Step, t.Config.LR)
	}
	if err := t.solver.Step(t.values); err != nil {
		return err
	}
	t.state.Step++
	t.state.LossSum += loss * float64(b.N)
	t.state.Correct += t.graph.loss.correct
	t.state.Seen += b.N
	return nil
}

func (t *trainer) evaluate(ctx context.Context) (Accuracy, error) {
	if err := t.eval.Update(t.weights); err != nil {
		return Accuracy{}, err
	}
	images := t.Data.Test.Len()
	if l := t.Config.LimitEvalBatches; l > 0 {
		images = min(images, l*t.Config.EvalBatch)
	}
	acc, err := t.eval.Evaluate(ctx, t.test, t.Config.LimitEvalBatches, func(done int) {
		if t.Progress != nil {
			t.Progress(Progress{Evaluating: true, Epoch: t.state.Epoch, Epochs: t.Config.Epochs, Images: done, Of: images})
		}
	})
	if ctx.Err() != nil {
		return Accuracy{}, t.interrupted()
	}
	return acc, err
}

// interrupted saves and says so.
func (t *trainer) interrupted() error {
	if err := t.save(t.folder.last(), true); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s, epoch %d, step %d", ErrInterrupted, t.folder.last(), t.state.Epoch, t.state.Step)
}

// clock adds the time since the last call to the state's.
func (t *trainer) clock() {
	now := time.Now()
	t.state.Seconds += now.Sub(t.since).Seconds()
	t.since = now
}

// save writes a checkpoint, with the solver's state or without.
func (t *trainer) save(path string, resumable bool) error {
	t.clock()
	c := &checkpoint.Checkpoint{Net: t.Net, Weights: t.weights, Preprocess: t.Preprocess, Classes: t.Data.Classes, Dataset: t.Data.Name,
		Recipe: t.Recipe, State: t.state}
	solver, steps := t.solver.State()
	c.State.SolverStep = steps
	if resumable {
		c.Solver = solver
		t.saved = time.Now()
	}
	return checkpoint.Save(path, c)
}
