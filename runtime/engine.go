package runtime

import (
	"fmt"
	"os"
	goruntime "runtime"
	"sync"

	"github.com/bnntool/bnntool/runtime/artifact"
)

// Options says how an Engine runs. The zero value is the default.
type Options struct {
	// Threads is how many images of one Infer call are computed at the same time. 0 is one for each processor
	// (GOMAXPROCS). It does not change the results.
	Threads int
}

func (o *Options) validate() error {
	if o.Threads < 0 {
		return fmt.Errorf("option Threads is %d, want 0 (all processors) or more", o.Threads)
	}
	if o.Threads == 0 {
		o.Threads = goruntime.GOMAXPROCS(0)
	}
	return nil
}

// Engine computes the logits of images. All methods are safe for concurrent use.
type Engine struct {
	info    Info
	model   *artifact.Model
	plan    plan
	threads int
	image   int // elements of one image
	classes int

	mu     sync.Mutex
	arenas []*arena // idle
	calls  []*call  // idle
}

// Open reads the artifact at path and plans its execution. A file that is damaged, that this version does not
// know, or whose network is not valid is an error that names the path and the tensor or operation.
func Open(path string, o Options) (*Engine, error) {
	m, err := artifact.Read(path)
	if err != nil {
		return nil, err
	}
	e, err := newEngine(m, o)
	if err != nil {
		return nil, fmt.Errorf("runtime: %s: %w", path, err)
	}
	if st, err := os.Stat(path); err == nil {
		e.info.FileBytes = st.Size()
	}
	return e, nil
}

// New plans the execution of a model in memory. The engine keeps m's tensors, which must not change any more. A
// model that is not valid is an error that names the operation or tensor.
func New(m *artifact.Model, o Options) (*Engine, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	e, err := newEngine(m, o)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	return e, nil
}

// newEngine plans a valid model.
func newEngine(m *artifact.Model, o Options) (*Engine, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	p, err := newPlan(m, false)
	if err != nil {
		return nil, err
	}
	return &Engine{
		info:    newInfo(m, p),
		model:   m,
		plan:    *p,
		threads: o.Threads,
		image:   m.Input[0] * m.Input[1] * m.Input[2],
		classes: len(m.Classes),
	}, nil
}

// Info describes the network and its plan. The slices and maps in it are the engine's: do not change them.
func (e *Engine) Info() Info { return e.info }
