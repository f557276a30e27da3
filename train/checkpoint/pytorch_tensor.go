package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"

	"github.com/bnntool/bnntool/internal/half"
	"github.com/nlpodyssey/gopickle/types"
)

// torchStorage is a block of elements in a file, as a pickle refers to it.
type torchStorage struct {
	class  *storageClass
	key    string
	length int // elements
	first  int // element of the block called key that is its first
}

// torchTensor is a view of a storage.
type torchTensor struct {
	storage       *torchStorage
	offset        int // of the first element
	shape, stride []int
}

// rebuildTensor is torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks).
type rebuildTensor struct{}

// Call returns the *torchTensor that the arguments describe.
func (rebuildTensor) Call(args ...any) (any, error) {
	if len(args) < 6 || len(args) > 7 {
		return nil, fmt.Errorf("a tensor with %d arguments, want 6", len(args))
	}
	s, ok := args[0].(*torchStorage)
	if !ok {
		return nil, errors.New("a tensor whose first argument is no storage")
	}
	t := &torchTensor{storage: s}
	var err error
	if t.offset, err = extent(args[1]); err != nil {
		return nil, fmt.Errorf("the offset of a tensor: %w", err)
	}
	if t.shape, err = extents(args[2]); err != nil {
		return nil, fmt.Errorf("the shape of a tensor: %w", err)
	}
	if t.stride, err = extents(args[3]); err != nil {
		return nil, fmt.Errorf("the strides of a tensor: %w", err)
	}
	return t, t.check()
}

// rebuildParameter is torch._utils._rebuild_parameter(data, requires_grad, backward_hooks).
type rebuildParameter struct{}

// Call returns the first argument.
func (rebuildParameter) Call(args ...any) (any, error) {
	if len(args) != 3 {
		return nil, fmt.Errorf("a parameter with %d arguments, want 3", len(args))
	}
	return args[0], nil
}

// maxAxes bounds the axes of a tensor.
const maxAxes = 8

func extents(v any) ([]int, error) {
	t, ok := v.(*types.Tuple)
	if !ok || t.Len() > maxAxes {
		return nil, fmt.Errorf("want a tuple of at most %d integers", maxAxes)
	}
	list := make([]int, t.Len())
	for i := range list {
		var err error
		if list[i], err = extent(t.Get(i)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// extent returns an integer from 0 that cannot overflow in a product with another.
func extent(v any) (int, error) {
	n, ok := v.(int)
	if !ok {
		if b, big := v.(*big.Int); big {
			return 0, fmt.Errorf("an integer of %d bits", b.BitLen())
		}
		return 0, errors.New("want an integer")
	}
	if n < 0 || n > math.MaxInt32 {
		return 0, fmt.Errorf("%d, want 0..%d", n, math.MaxInt32)
	}
	return n, nil
}

// check checks that every element lies in the storage, and that there are no more than it has, so that a tensor in memory is
// no larger than in the file.
func (t *torchTensor) check() error {
	if len(t.shape) != len(t.stride) {
		return fmt.Errorf("a tensor of shape %v with strides %v", t.shape, t.stride)
	}
	if t.len(t.storage.length) > t.storage.length {
		return fmt.Errorf("a tensor of shape %v in a storage of %d elements", t.shape, t.storage.length)
	}
	last := int64(t.offset)
	for i, d := range t.shape {
		if d == 0 {
			return nil
		}
		step := int64(d-1) * int64(t.stride[i]) // below 2^62
		if last += step; step > int64(t.storage.length) || last >= int64(t.storage.length) {
			return fmt.Errorf("a tensor of shape %v with strides %v from element %d reaches beyond its storage of %d",
				t.shape, t.stride, t.offset, t.storage.length)
		}
	}
	if last >= int64(t.storage.length) {
		return fmt.Errorf("a tensor at element %d of a storage of %d", t.offset, t.storage.length)
	}
	return nil
}

// len returns the number of elements, at most most+1.
func (t *torchTensor) len(most int) int {
	n := int64(1)
	for _, d := range t.shape {
		if n *= int64(d); n > int64(most) {
			return most + 1
		}
	}
	return int(n)
}

// block is where in a file the bytes of a storage lie.
type block struct {
	at, size int64
	// sum checks the bytes, nil where the file has no checksum.
	sum func(b []byte) error
}

// read returns the elements of t, row-major, from the blocks of r.
func (t *torchTensor) read(r io.ReaderAt, blocks map[string]block) ([]float32, error) {
	class := t.storage.class
	if class.float32 == nil {
		return nil, fmt.Errorf("the elements are %s, want floats", class.name)
	}
	b, ok := blocks[t.storage.key]
	if !ok {
		return nil, fmt.Errorf("storage %q is missing", t.storage.key)
	}
	if want := int64(t.storage.first+t.storage.length) * int64(class.size); b.size < want {
		return nil, fmt.Errorf("storage %q has %d bytes, %d elements of %s need %d", t.storage.key, b.size, t.storage.length, class.name, want)
	}
	data := make([]byte, b.size)
	if _, err := r.ReadAt(data, b.at); err != nil {
		return nil, fmt.Errorf("storage %q: %w", t.storage.key, err)
	}
	if b.sum != nil {
		if err := b.sum(data); err != nil {
			return nil, fmt.Errorf("storage %q: %w", t.storage.key, err)
		}
	}
	v := make([]float32, 0, t.len(t.storage.length))
	t.gather(&v, data, t.storage.first+t.offset, 0)
	return v, nil
}

// gather appends the elements from axis on, the first of which is element at of data.
func (t *torchTensor) gather(v *[]float32, data []byte, at, axis int) {
	if axis == len(t.shape) {
		*v = append(*v, t.storage.class.float32(data[at*t.storage.class.size:]))
		return
	}
	for i := range t.shape[axis] {
		t.gather(v, data, at+i*t.stride[axis], axis+1)
	}
}

func float32Of(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }

func float64Of(b []byte) float32 {
	return float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
}

func float16Of(b []byte) float32 { return half.FromFloat16(binary.LittleEndian.Uint16(b)) }

func bfloat16Of(b []byte) float32 { return half.FromBFloat16(binary.LittleEndian.Uint16(b)) }
