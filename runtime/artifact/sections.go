package artifact

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/bnntool/bnntool/internal/half"
	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/codec"
)

// section is one safetensors tensor of a file: all elements that are held in one coding, tensor after tensor in the order
// in which the operations use them.
type section struct {
	name  string
	dtype string
	size  int // bytes of an element; what the section's offset in the file is a multiple of
}

// modelSection holds the description of the network.
const modelSection = "model"

// sections are all there are, in the order of a file. Elements of fewer bytes follow, so that no section needs padding but
// the first one, whose size is a multiple of 4.
var sections = []section{
	{string(AsBits), "U8", dataAlign},
	{string(AsInt32), "I32", 4},
	{string(AsFloat32), "F32", 4},
	{string(AsBFloat16), "BF16", 2},
	{string(AsFloat16), "F16", 2},
	{string(AsInt8), "I8", 1},
	{string(AsPatterns), "U8", 1},
	{modelSection, "U8", 1},
}

const (
	// dataAlign is what the start of the data is a multiple of, and of the tensors' bits that are mapSize bytes or more:
	// the device may use them in place.
	dataAlign = 64
	mapSize   = 4096
)

// bitsStart returns where a tensor of size bytes starts in the bits of which at bytes are taken.
func bitsStart(at, size int64) int64 {
	if size >= mapSize {
		return (at + dataAlign - 1) / dataAlign * dataAlign
	}
	return at
}

// sectionWriter collects the data of the sections.
type sectionWriter struct {
	data    map[string][]byte
	kernels []uint16 // of the section patterns, which is coded as a whole
}

// put appends a tensor. The error says which element its coding cannot hold.
func (w *sectionWriter) put(t *Tensor) error {
	for i := range t.Float32 {
		if !t.holds(i) {
			return fmt.Errorf("element %d is %v in coding %q: %w", i, t.Float32[i], t.coding, errInexact)
		}
	}
	c := t.Coding()
	name := string(c)
	b := w.data[name]
	switch c {
	case AsBits:
		n, row := bitRows(t.Shape)
		b = append(b, make([]byte, bitsStart(int64(len(b)), int64(denseBytes(n, row)))-int64(len(b)))...)
		b = packBits(b, t.Words, row)
	case AsPatterns:
		w.kernels = append(w.kernels, t.patterns()...)
		return nil
	case AsInt32:
		for _, x := range t.Int32 {
			b = binary.LittleEndian.AppendUint32(b, uint32(x))
		}
	case AsFloat32:
		for _, x := range t.Float32 {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	case AsFloat16:
		for _, x := range t.Float32 {
			b = binary.LittleEndian.AppendUint16(b, half.ToFloat16(x))
		}
	case AsBFloat16:
		for _, x := range t.Float32 {
			b = binary.LittleEndian.AppendUint16(b, half.ToBFloat16(x))
		}
	case AsInt8:
		steps := w.data[string(AsBFloat16)]
		for _, step := range t.steps {
			steps = binary.LittleEndian.AppendUint16(steps, half.ToBFloat16(step))
		}
		w.data[string(AsBFloat16)] = steps
		for i, x := range t.Float32 {
			b = append(b, byte(toInt8(x, t.steps[i/(len(t.Float32)/len(t.steps))])))
		}
	}
	w.data[name] = b
	return nil
}

// tensors returns the sections that hold something, as safetensors has them.
func (w *sectionWriter) tensors() []safetensors.Tensor {
	if len(w.kernels) > 0 {
		w.data[string(AsPatterns)] = codec.AppendPatterns(nil, w.kernels)
	}
	var list []safetensors.Tensor
	for _, s := range sections {
		data := w.data[s.name]
		if len(data) == 0 {
			continue
		}
		elem := s.size
		if s.name == string(AsBits) {
			elem = 1
			for len(data)%4 != 0 {
				data = append(data, 0)
			}
		}
		list = append(list, safetensors.Tensor{Name: s.name, DType: s.dtype, Shape: []int{len(data) / elem}, Data: data})
	}
	return list
}
