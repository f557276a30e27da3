package expert

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/codec"
)

// What the metadata of a store says. format.md describes every byte.
const (
	StoreFormat  = "bnntool.experts"
	storeVersion = "1"
	indexName    = "index"
	// PartAlign is what the offset and the length of a part of an expert are multiples of, for direct I/O.
	PartAlign = 4096
	// denseAlign is what the offset of every other tensor is a multiple of.
	denseAlign = 64
)

// The bounds of a description.
const (
	maxTensors = 64      // of an expert
	maxChunks  = 1 << 16 // of a tensor
)

// StoredLayer is the shape of a layer's experts in a store.
type StoredLayer struct {
	// Prefix is what stands before an expert's number in the names of the source: "model.layers.3.mlp.experts.".
	Prefix  string         `json:"prefix"`
	Number  int            `json:"number"` // the model's own number of the layer or block
	Experts int            `json:"experts"`
	Tensors []StoredTensor `json:"tensors"` // of each expert, in the order in which they are needed
}

// StoredTensor is a tensor that each expert of a layer has.
type StoredTensor struct {
	Role  string `json:"role"`  // what stands behind the expert's number: "gate_proj.weight"
	DType string `json:"dtype"` // in memory
	Shape []int  `json:"shape"`
	// Source is the type in the source where that is another: F32 whose numbers all are BF16.
	Source string `json:"source,omitempty"`
	// Coded says that the numbers, of 16 bits, are split, and their exponents coded. All of any other tensor lies in the
	// part of signs and mantissas.
	Coded bool `json:"coded"`
	// Chunks is the number of pieces that are coded each by itself.
	Chunks int `json:"chunks"`
}

// Name returns the name of the layer: "model.layers.3.mlp".
func (l *StoredLayer) Name() string {
	name, _, _ := strings.Cut(l.Prefix, ".experts.")
	return name
}

// TensorName returns the name of an expert's tensor in the source.
func (l *StoredLayer) TensorName(expert, tensor int) string {
	return l.Prefix + strconv.Itoa(expert) + "." + l.Tensors[tensor].Role
}

// partName returns the name of a part of an expert in the file.
func (l *StoredLayer) partName(expert int, p Part) string {
	return l.Prefix + strconv.Itoa(expert) + "." + p.String()
}

// FullBytes returns the bytes of an expert in memory, its tensors one behind the other.
func (l *StoredLayer) FullBytes() int64 {
	sum := int64(0)
	for i := range l.Tensors {
		sum += l.Tensors[i].FullBytes()
	}
	return sum
}

// restBytes returns the bytes of the part of signs and mantissas, without padding.
func (l *StoredLayer) restBytes() int64 {
	sum := int64(0)
	for i := range l.Tensors {
		sum += l.Tensors[i].restBytes()
	}
	return sum
}

// chunks returns the number of chunks of an expert.
func (l *StoredLayer) chunks() int {
	sum := 0
	for i := range l.Tensors {
		sum += l.Tensors[i].Chunks
	}
	return sum
}

// elementBytes returns the bytes of an element of a type, 0 for one that there is not.
func elementBytes(dtype string) int64 {
	n, err := safetensors.Part{DType: dtype}.Size()
	if err != nil {
		return 0
	}
	return n
}

// Elements returns the number of elements.
func (t *StoredTensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= int64(d)
	}
	return n
}

// FullBytes returns the bytes of the tensor in memory.
func (t *StoredTensor) FullBytes() int64 { return t.Elements() * elementBytes(t.DType) }

// SourceBytes returns the bytes of the tensor in the source.
func (t *StoredTensor) SourceBytes() int64 { return t.Elements() * elementBytes(t.sourceType()) }

func (t *StoredTensor) sourceType() string {
	if t.Source != "" {
		return t.Source
	}
	return t.DType
}

func (t *StoredTensor) restBytes() int64 {
	if t.Coded {
		return t.Elements()
	}
	return t.FullBytes()
}

// Chunk returns the elements of a chunk: from start to before end.
func (t *StoredTensor) Chunk(i int) (start, end int64) {
	n, k := t.Elements(), int64(t.Chunks)
	size := (n + k - 1) / k
	return min(int64(i)*size, n), min(int64(i+1)*size, n)
}

// chunksOf returns into how many pieces of at most size elements n are cut, none of them empty.
func chunksOf(n, size int64) int {
	k := (n + size - 1) / size
	size = (n + k - 1) / k
	return int((n + size - 1) / size)
}

// check returns what is wrong with the description of a layer.
func (l *StoredLayer) check() error {
	switch {
	case !strings.Contains(l.Prefix, ".experts."):
		return fmt.Errorf("the prefix %q has no \".experts.\"", l.Prefix)
	case l.Experts < 1 || l.Experts > MaxExperts:
		return fmt.Errorf("%d experts, want 1 to %d", l.Experts, MaxExperts)
	case l.Number < 0:
		return fmt.Errorf("the number is %d", l.Number)
	case len(l.Tensors) < 1 || len(l.Tensors) > maxTensors:
		return fmt.Errorf("%d tensors an expert, want 1 to %d", len(l.Tensors), maxTensors)
	}
	sum := int64(0)
	for i := range l.Tensors {
		t := &l.Tensors[i]
		if err := t.check(); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Role, err)
		}
		if sum += t.FullBytes(); sum > 1<<40 {
			return errors.New("an expert of more than 2^40 bytes")
		}
	}
	return nil
}

func (t *StoredTensor) check() error {
	n := int64(1)
	for _, d := range t.Shape {
		hi, lo := bits.Mul64(uint64(n), uint64(max(d, 0)))
		if d < 1 || hi != 0 || lo > 1<<36 {
			return fmt.Errorf("shape %v: want extents from 1 and at most 2^36 elements", t.Shape)
		}
		n = int64(lo)
	}
	size, source := elementBytes(t.DType), elementBytes(t.sourceType())
	switch {
	case t.Role == "":
		return errors.New("it has no role")
	case size == 0 || source == 0:
		return fmt.Errorf("unknown type %q", t.DType)
	case t.Coded && t.DType != "BF16" && t.DType != "F16":
		return fmt.Errorf("the exponents of %s are not coded", t.DType)
	case t.Source != "" && (t.Source != "F32" || t.DType != "BF16"):
		return fmt.Errorf("%s made of %s, want BF16 of F32", t.DType, t.Source)
	case t.Chunks < 1 || t.Chunks > maxChunks || chunksOf(n, (n+int64(t.Chunks)-1)/int64(t.Chunks)) != t.Chunks:
		return fmt.Errorf("%d chunks for %d elements", t.Chunks, n)
	case (n+int64(t.Chunks)-1)/int64(t.Chunks) > 1<<30:
		return fmt.Errorf("chunks of more than 2^30 elements")
	}
	return nil
}

// Part is one of the two parts of an expert in a store. Each is read by itself, in one piece.
type Part uint8

// The parts.
const (
	ExponentPart Part = iota // the coded exponents
	RestPart                 // signs and mantissas
	numParts
)

// String returns the part's name.
func (p Part) String() string {
	if p == ExponentPart {
		return "exponents"
	}
	return "sign_mantissa"
}

// Chunk is a piece of a tensor of an expert.
type Chunk struct {
	Code     codec.Code
	Bytes    int    // of the coded exponents
	Sum      uint32 // CRC-32C of them
	RestSum  uint32 // CRC-32C of the signs and mantissas
	at, rest int64  // where both start in their parts
	full     int64  // where the numbers start in the expert
}

// Record is an expert in a store.
type Record struct {
	Layer, Expert int
	// Offset is where each part starts in the file, and Length the bytes up to the next multiple of PartAlign.
	Offset, Length [numParts]int64
	Source         [sha256.Size]byte // of the expert's tensors in the source, one behind the other
	// Chunks are those of the first tensor, then those of the next.
	Chunks []Chunk
	used   [numParts]int64 // bytes without padding
}

// An entry of the index has the SHA-256 and then, for each chunk, chunkEntry bytes: the length of the coded exponents, their
// checksum, that of the rest, the code, three zeros.
const chunkEntry = 16

// entryBytes returns the bytes of an index entry of a layer.
func (l *StoredLayer) entryBytes() int { return sha256.Size + chunkEntry*l.chunks() }

// appendEntry appends the record's entry of the index.
func (r *Record) appendEntry(dst []byte) []byte {
	dst = append(dst, r.Source[:]...)
	for _, c := range r.Chunks {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(c.Bytes))
		dst = binary.LittleEndian.AppendUint32(dst, c.Sum)
		dst = binary.LittleEndian.AppendUint32(dst, c.RestSum)
		dst = append(dst, byte(c.Code), 0, 0, 0)
	}
	return dst
}

// parseEntry reads an entry of entryBytes bytes and computes where the chunks lie.
func (r *Record) parseEntry(l *StoredLayer, src []byte) error {
	copy(r.Source[:], src)
	src = src[sha256.Size:]
	r.Chunks = make([]Chunk, 0, l.chunks())
	var at, rest, full int64
	for i := range l.Tensors {
		t := &l.Tensors[i]
		for k := range t.Chunks {
			start, end := t.Chunk(k)
			c := Chunk{Code: codec.Code(src[12]), Bytes: int(binary.LittleEndian.Uint32(src)), Sum: binary.LittleEndian.Uint32(src[4:]),
				RestSum: binary.LittleEndian.Uint32(src[8:]), at: at, rest: rest, full: full}
			n := end - start
			switch {
			case src[13]|src[14]|src[15] != 0:
				return fmt.Errorf("%s, chunk %d: bytes of its entry that must be 0 are not", t.Role, k)
			case t.Coded && (int64(c.Bytes) > n || c.Code == codec.Raw && int64(c.Bytes) != n):
				return fmt.Errorf("%s, chunk %d: %d bytes of %v for %d exponents", t.Role, k, c.Bytes, c.Code, n)
			case !t.Coded && (c.Bytes != 0 || c.Sum != 0 || c.Code != codec.Raw):
				return fmt.Errorf("%s, chunk %d: coded exponents of a tensor that has none", t.Role, k)
			}
			size := elementBytes(t.DType)
			at, full = at+int64(c.Bytes), full+n*size
			if t.Coded {
				rest += n
			} else {
				rest += n * size
			}
			r.Chunks = append(r.Chunks, c)
			src = src[chunkEntry:]
		}
	}
	r.used = [numParts]int64{at, rest}
	return nil
}

// pad returns n rounded up to a multiple of align.
func pad(n, align int64) int64 { return (n + align - 1) / align * align }

// description is the metadata of a store.
type description struct {
	Code   codec.Code
	Config string // the config.json of the source
	Source string // SHA-256 of the names, types and shapes of its tensors
	Layers []StoredLayer
}

// metadata returns the description as the file holds it.
func (d *description) metadata() (map[string]string, error) {
	layers, err := json.Marshal(d.Layers)
	if err != nil {
		return nil, err
	}
	return map[string]string{"format": StoreFormat, "version": storeVersion, "code": d.Code.String(), "config": d.Config,
		"source": d.Source, "layers": string(layers)}, nil
}

// parseDescription is the inverse of metadata.
func parseDescription(m map[string]string) (*description, error) {
	if f := m["format"]; f != StoreFormat {
		return nil, fmt.Errorf("its metadata \"format\" is %q, want %q: this is not a store of experts", f, StoreFormat)
	}
	if v := m["version"]; v != storeVersion {
		return nil, fmt.Errorf("version %q of the format, this program knows %s", v, storeVersion)
	}
	for _, key := range []string{"code", "config", "source", "layers"} {
		if _, ok := m[key]; !ok {
			return nil, fmt.Errorf("the metadata has no %q", key)
		}
	}
	if len(m) != 6 {
		for key := range m {
			switch key {
			case "format", "version", "code", "config", "source", "layers":
			default:
				return nil, fmt.Errorf("unknown metadata %q", key)
			}
		}
	}
	code, err := codec.ParseCode(m["code"])
	if err != nil {
		return nil, err
	}
	d := &description{Code: code, Config: m["config"], Source: m["source"]}
	if err := safetensors.DecodeText(m["layers"], &d.Layers); err != nil {
		return nil, fmt.Errorf("metadata \"layers\": %w", err)
	}
	if len(d.Layers) < 1 || len(d.Layers) > MaxLayers {
		return nil, fmt.Errorf("%d layers with experts, want 1 to %d", len(d.Layers), MaxLayers)
	}
	for i := range d.Layers {
		if err := d.Layers[i].check(); err != nil {
			return nil, fmt.Errorf("layer %d, %q: %w", i, d.Layers[i].Prefix, err)
		}
	}
	return d, nil
}
