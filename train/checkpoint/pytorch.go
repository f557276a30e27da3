package checkpoint

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/train/model"
	"github.com/nlpodyssey/gopickle/types"
)

// ImportConfig says what a PyTorch checkpoint does not.
type ImportConfig struct {
	// Network is the name of a network of the zoo. Empty: the one whose tensors the file has.
	Network string
	// Preprocess says how a picture becomes the input.
	Preprocess preprocess.Config
	// Classes names the logits, in order.
	Classes []string
	// Dataset is the data set's name.
	Dataset string
}

// Import reads a file that torch.save has written (a zip archive, or one of the formats before) with the weights of a network
// of the zoo, as the reference implementations name them: a state dictionary, or a dictionary with one as
// "state_dict", whose names may all start with "module.". The number of filters, blocks and classes is the file's. What training
// alone needs (num_batches_tracked, tau) is left out; every other tensor must belong to the network, have its shape,
// finite floats of 16, 32 or 64 bits, and none may be missing.
//
// The file is data from anybody: no code of it is run, only tensors, numbers and text are loaded, and no more is
// allocated than a small multiple of the file. The error names the file, the class or the tensor.
func Import(path string, c ImportConfig) (*Checkpoint, error) {
	f, file, err := openTorch(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	defer file.Close()
	ck, err := f.checkpoint(c)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", path, err)
	}
	return ck, nil
}

func (f *torchFile) checkpoint(c ImportConfig) (*Checkpoint, error) {
	state, err := stateDict(f.object)
	if err != nil {
		return nil, err
	}
	input := model.Shape{H: c.Preprocess.H, W: c.Preprocess.W, C: c.Preprocess.C}
	net, err := state.network(c.Network, input)
	if err != nil {
		return nil, err
	}
	ck := &Checkpoint{Net: net, Weights: make(model.Weights), Preprocess: c.Preprocess, Classes: c.Classes, Dataset: c.Dataset,
		State: trainState(f.object)}
	if err := ck.validate(); err != nil {
		return nil, err
	}
	list, err := net.Tensors()
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		v, err := state[t.Name].read(f.r, f.blocks)
		if err == nil {
			err = checkFinite(v)
		}
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		ck.Weights[t.Name] = v
	}
	return ck, nil
}

// torchState is a state dictionary: tensors by name.
type torchState map[string]*torchTensor

// stateDict finds the state dictionary in what a file holds and returns its tensors by the names that they have in a network.
func stateDict(object any) (torchState, error) {
	if inner, ok := lookup(object, "state_dict"); ok {
		object = inner
	}
	state := make(torchState)
	parallel := true // whether all names start with the prefix of DataParallel
	err := entries(object, func(key, value any) error {
		name, ok := key.(string)
		if !ok {
			return errors.New("the state dictionary has a key that is no text")
		}
		t, ok := value.(*torchTensor)
		if !ok {
			return fmt.Errorf("%q is no tensor: this is no state dictionary, nor is one called state_dict in it", name)
		}
		if _, twice := state[name]; twice {
			return fmt.Errorf("tensor %q is there twice", name)
		}
		state[name] = t
		parallel = parallel && strings.HasPrefix(name, parallelPrefix)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(state) == 0 {
		return nil, errors.New("the state dictionary is empty")
	}
	named := make(torchState, len(state))
	for name, t := range state {
		if parallel {
			name = strings.TrimPrefix(name, parallelPrefix)
		}
		if !onlyForTraining(name) {
			named[name] = t
		}
	}
	return named, nil
}

// parallelPrefix is what torch.nn.DataParallel puts before every name.
const parallelPrefix = "module."

// onlyForTraining reports whether the tensor of that name does not matter in evaluation: the count of batches that a batch
// norm has seen, and the quantile that ReCU clamps weights at.
func onlyForTraining(name string) bool {
	return strings.HasSuffix(name, ".num_batches_tracked") || strings.HasSuffix(name, ".tau")
}

// network returns the network of that name, or of any name if it is empty, whose tensors are those of s.
func (s torchState) network(name string, input model.Shape) (*model.Net, error) {
	names := model.Names()
	if name != "" {
		names = []string{name}
	}
	var faults []string
	for _, name := range names {
		net, err := model.New(name, s.options(name, input))
		if err == nil {
			if err = s.fits(net); err == nil {
				return net, nil
			}
		}
		if len(names) == 1 {
			return nil, err
		}
		faults = append(faults, err.Error())
	}
	return nil, fmt.Errorf("the tensors are those of no known network:\n  %s", strings.Join(faults, "\n  "))
}

// options returns the sizes of the network of that name that the shapes of s tell.
func (s torchState) options(name string, input model.Shape) model.Options {
	o := model.Options{Input: input}
	for _, first := range []string{"conv1.weight", "conv0.weight"} {
		if t := s[first]; t != nil && len(t.shape) == 4 {
			o.Width = t.shape[0] // conv0 is first where it is
		}
	}
	for _, last := range []string{"linear.weight", "fc.weight"} {
		if t := s[last]; t != nil && len(t.shape) == 2 {
			o.Classes = t.shape[0]
		}
	}
	if name == "recu-resnet20" {
		for s[fmt.Sprintf("layer1.%d.conv1.weight", o.Blocks)] != nil {
			o.Blocks++
		}
	}
	return o
}

// fits returns an error that names the first tensor of net that s lacks or has in another shape, or that s has beyond
// those of net.
func (s torchState) fits(net *model.Net) error {
	list, err := net.Tensors()
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(list))
	for _, want := range list {
		known[want.Name] = true
		t := s[want.Name]
		if t == nil {
			return fmt.Errorf("network %q needs the tensor %q, which is missing", net.Name, want.Name)
		}
		if !slices.Equal(t.shape, want.Shape) {
			return fmt.Errorf("tensor %q is %v, network %q wants %v", want.Name, t.shape, net.Name, want.Shape)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if !known[name] {
			return fmt.Errorf("tensor %q does not belong to network %q", name, net.Name)
		}
	}
	return nil
}

// trainState returns what a file says of the training, as far as it says it: the reference implementations save epoch and
// best_prec1.
func trainState(object any) TrainState {
	var s TrainState
	if v, ok := lookup(object, "epoch"); ok {
		if n, ok := v.(int); ok && n >= 0 {
			s.Epoch = n
		}
	}
	if v, ok := lookup(object, "best_prec1"); ok {
		if x, ok := v.(float64); ok && x >= 0 && x <= 100 {
			s.BestTop1 = x
		}
	}
	return s
}

// entries calls f with the items of a dictionary, ordered or not.
func entries(object any, f func(key, value any) error) error {
	switch d := object.(type) {
	case *types.Dict:
		for _, e := range *d {
			if err := f(e.Key, e.Value); err != nil {
				return err
			}
		}
		return nil
	case *types.OrderedDict:
		for e := d.List.Front(); e != nil; e = e.Next() {
			entry := e.Value.(*types.OrderedDictEntry)
			if err := f(entry.Key, entry.Value); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("the file holds no dictionary: save model.state_dict()")
}

// lookup returns the value of a key of text in a dictionary.
func lookup(object any, key string) (value any, ok bool) {
	// An object without entries has no such key.
	_ = entries(object, func(k, v any) error {
		if k == key {
			value, ok = v, true
		}
		return nil
	})
	return value, ok
}
