package checkpoint

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"
)

// allowedClasses are what a state dictionary refers to by name, besides storages: a call makes an ordered dictionary or a
// description of a tensor. Nothing else is called, and nothing of Python is ever run.
var allowedClasses = map[string]types.Callable{
	"collections.OrderedDict":         &types.OrderedDictClass{},
	"torch._utils._rebuild_tensor_v2": rebuildTensor{},
	"torch._utils._rebuild_parameter": rebuildParameter{},
}

// storageClass is the type of a storage's elements, "torch.FloatStorage" for example.
type storageClass struct {
	name string
	size int // bytes of an element
	// float32 returns the element at the start of b; nil for types that no weights have.
	float32 func(b []byte) float32
}

// storageClasses are the types of PyTorch's storages.
var storageClasses = map[string]*storageClass{
	"torch.FloatStorage":    {"float32", 4, float32Of},
	"torch.DoubleStorage":   {"float64", 8, float64Of},
	"torch.HalfStorage":     {"float16", 2, float16Of},
	"torch.BFloat16Storage": {"bfloat16", 2, bfloat16Of},
	"torch.LongStorage":     {"int64", 8, nil},
	"torch.IntStorage":      {"int32", 4, nil},
	"torch.ShortStorage":    {"int16", 2, nil},
	"torch.CharStorage":     {"int8", 1, nil},
	"torch.ByteStorage":     {"uint8", 1, nil},
	"torch.BoolStorage":     {"bool", 1, nil},
}

// tensorClass is a type of tensor, "torch.FloatTensor" for example, which the tar format names without need.
type tensorClass struct{}

// isTensorClass reports whether a class is a type of tensor.
func isTensorClass(class string) bool {
	name, ok := strings.CutSuffix(class, "Tensor")
	return ok && storageClasses[name+"Storage"] != nil
}

// checkClass returns an error for a class that is not allowed.
func checkClass(module, name string) error {
	class := module + "." + name
	if allowedClasses[class] == nil && storageClasses[class] == nil && !isTensorClass(class) {
		return fmt.Errorf("class %q is not allowed: a file may hold a state dictionary of tensors, numbers and text, "+
			"as torch.save(model.state_dict(), PATH) writes it", class)
	}
	return nil
}

// loadPickle loads the pickle at the start of b, which scanPickle checks first. persistent returns the object that a
// persistent identifier stands for. n is the length of the pickle.
func loadPickle(b []byte, persistent func(id any) (any, error)) (value any, n int, err error) {
	if n, err = scanPickle(b); err != nil {
		return nil, 0, err
	}
	defer func() { // an odd number of keys and values, for example
		if p := recover(); p != nil {
			err = fmt.Errorf("the pickle is malformed: %v", p)
		}
	}()
	u := pickle.NewUnpickler(bytes.NewReader(b[:n]))
	u.FindClass = func(module, name string) (any, error) {
		if c := storageClasses[module+"."+name]; c != nil {
			return c, nil
		}
		if c := allowedClasses[module+"."+name]; c != nil {
			return c, nil
		}
		return tensorClass{}, checkClass(module, name)
	}
	u.PersistentLoad = persistent
	if value, err = u.Load(); err != nil {
		return nil, 0, fmt.Errorf("the pickle is malformed: %w", shorten(err))
	}
	return value, n, nil
}

// noPersistent is for pickles without tensors.
func noPersistent(id any) (any, error) {
	return nil, fmt.Errorf("a persistent identifier where none is expected")
}

// shortError is an error whose text is cut.
type shortError struct{ error }

// shorten cuts the text of an error, which can hold what the file holds.
func shorten(err error) error { return shortError{err} }

func (e shortError) Error() string {
	const most = 200
	text := []rune(e.error.Error())
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}

func (e shortError) Unwrap() error { return e.error }
