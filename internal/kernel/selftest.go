package kernel

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"math"
	"math/rand/v2"
)

// Check is a part of SelfTest.
type Check struct {
	Name string
	Err  error // nil where the results are right
}

// SelfTest computes fixed random work with the tier in use, through every function that inference calls, and compares the
// CRC-32 of the results with those of plain Go, which are the same on every machine. It takes some ten milliseconds.
func SelfTest() []Check {
	list := make([]Check, len(checks))
	for i, c := range checks {
		list[i] = Check{Name: c.name}
		if got := c.sum(); got != c.want {
			list[i].Err = fmt.Errorf("the results on the %s tier have the checksum %08x, those of plain Go %08x", active.name, got, c.want)
		}
	}
	return list
}

// check is a function with the checksum of its results.
type check struct {
	name string
	want uint32
	run  func(w *work)
}

// sum runs the check and returns the checksum of its results.
func (c *check) sum() uint32 {
	w := &work{rng: rand.New(rand.NewPCG(1, 2)), h: crc32.NewIEEE()}
	c.run(w)
	return w.h.Sum32()
}

// work is the source of operands and takes results.
type work struct {
	rng *rand.Rand
	h   hash.Hash32
}

// floats returns n numbers from -2 to 2, whose products and sums are not exact; some are 0.
func (w *work) floats(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		if r := w.rng.IntN(1 << 24); r%16 != 0 {
			v[i] = float32(r-1<<23) / (1 << 22)
		}
	}
	return v
}

// signs returns rows of c packed signs.
func (w *work) signs(rows, c int) []uint64 {
	v := make([]uint64, rows*Words(c))
	PackSigns(v, w.floats(rows*c), rows, c)
	return v
}

func (w *work) putFloats(v []float32) {
	var b [4]byte
	for _, x := range v {
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(x))
		w.h.Write(b[:])
	}
}

func (w *work) putWords(v []uint64) {
	var b [8]byte
	for _, x := range v {
		binary.LittleEndian.PutUint64(b[:], x)
		w.h.Write(b[:])
	}
}

// selfTestLayers are 1-bit convolutions as networks have them, and some that end between blocks.
var selfTestLayers = []Geometry{
	{H: 9, W: 32, C: 16, K: 16, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 16, W: 16, C: 32, K: 32, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 9, W: 11, C: 24, K: 12, Kernel: 3, Stride: 2, Pad: 1, Groups: 1},
	{H: 8, W: 8, C: 64, K: 64, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 7, W: 7, C: 512, K: 32, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
	{H: 6, W: 5, C: 100, K: 40, Kernel: 1, Stride: 1, Groups: 1},
}

func (w *work) filters(g Geometry) *SignFilters {
	f := NewSignFilters(g)
	f.Pack(w.floats(g.FilterLen()))
	return f
}

func (w *work) bitLayers() {
	for _, g := range selfTestLayers {
		for factor := range 2 {
			limits := make([]int32, (factor+1)*g.K)
			for i := range limits {
				limits[i] = int32(w.rng.IntN(41) - 20)
			}
			l := NewBitLayer(w.filters(g), limits, w.signs(1, len(limits)), false)
			dst := make([]uint64, g.OutH()*g.OutW()*Words(len(limits)))
			l.Convolve(dst, w.signs(g.H*g.W, g.C), make([]uint64, l.Scratch()))
			w.putWords(dst)
		}
	}
}

func (w *work) floatLayers() {
	for _, g := range selfTestLayers {
		for factor := range 2 {
			wide, pixels := (factor+1)*g.K, g.OutH()*g.OutW()
			l := NewFloatLayer(w.filters(g), w.floats(wide), w.floats(wide), false, factor == 0)
			dst, signs := make([]float32, pixels*wide), make([]uint64, pixels*Words(wide))
			l.Convolve(dst, signs, w.signs(g.H*g.W, g.C), w.floats(len(dst)), make([]uint64, l.Scratch()))
			w.putFloats(dst)
			w.putWords(signs)
		}
	}
}

func (w *work) counts() {
	for _, g := range selfTestLayers {
		f := w.filters(g)
		dst := make([]int32, g.OutLen())
		f.Convolve(dst, w.signs(g.H*g.W, g.C), make([]uint64, f.Scratch()))
		floats := make([]float32, len(dst))
		AffineCounts(floats, dst, w.floats(g.K), w.floats(g.K), 1, false)
		w.putFloats(floats)
	}
}

func (w *work) convLayers() {
	for _, g := range []Geometry{
		{H: 10, W: 32, C: 3, K: 16, Kernel: 3, Stride: 1, Pad: 1, Groups: 1},
		{H: 13, W: 9, C: 3, K: 40, Kernel: 5, Stride: 2, Pad: 2, Groups: 1},
	} {
		l := NewConvLayer(g, w.floats(g.FilterLen()), w.floats(g.K), w.floats(g.K), 2, true)
		pixels := g.OutH() * g.OutW()
		dst, signs := make([]float32, 2*pixels*g.K), make([]uint64, pixels*Words(2*g.K))
		l.Convolve(dst, signs, w.floats(g.InLen()), make([]uint64, l.Scratch()))
		w.putFloats(dst)
		w.putWords(signs)
	}
}

func (w *work) denseLayers() {
	for _, out := range []int{10, 50, 100} {
		l := NewDenseLayer(w.floats(65*out), w.floats(out))
		dst := make([]float32, out)
		l.Apply(dst, w.floats(65), make([]uint64, l.Scratch()))
		w.putFloats(dst)
	}
}

func (w *work) passes() {
	for _, c := range []int{5, 8, 16, 72} {
		x, y := w.floats(36*c), make([]float32, 36*c)
		Hardtanh(y, x)
		w.putFloats(y)
		Add(y, y, x)
		w.putFloats(y)
		Affine(y, x, w.floats(c), w.floats(c), 1, false)
		w.putFloats(y)
		UnpackSigns(y, w.signs(36, c), 36, c)
		w.putFloats(y)
		p := Pool{H: 6, W: 6, C: c, Kernel: 2, Stride: 2}
		small, mean := make([]float32, p.OutLen()), make([]float32, c)
		AvgPool(small, x, p)
		w.putFloats(small)
		MaxPool(small, x, p)
		w.putFloats(small)
		GlobalAvgPool(mean, x)
		w.putFloats(mean)
	}
}

// weights is what the weights of experts go through, compressed ones too.
func (w *work) weights() {
	for _, n := range []int{33, 700} {
		src, exp, sm, codes := w.bytes(2*n), make([]byte, n), make([]byte, n), w.bytes(Code3Bytes(n))
		SplitBF16(exp, sm, src)
		w.h.Write(exp)
		w.h.Write(sm)
		MergeBF16(src, sm, exp)
		w.h.Write(src)
		MergeBF16Code3(src, codes, sm, (*[8]byte)(w.bytes(8)))
		w.h.Write(src)
	}
	const rounds = 3
	table := new(WordTable)
	for i := range table {
		table[i] = w.rng.Uint64()&(1<<48-1) | uint64(w.rng.IntN(WordIndexBits+1))<<48 | uint64(w.rng.IntN(EntrySymbols+1))<<56
	}
	const room = rounds*RoundSymbols + 2
	var at, out [WordStreams]int
	for s := range at {
		at[s], out[s] = 100*s, room*s
	}
	dst := make([]byte, WordStreams*room)
	DecodeWords(dst, w.bytes(100), table, &at, &out, rounds)
	for s, end := range out {
		w.h.Write(dst[room*s : end])
		w.putWords([]uint64{uint64(at[s])})
	}
}

// bytes returns n random bytes.
func (w *work) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	return b
}

// checks are what SelfTest runs. A test computes their checksums on every tier.
var checks = []check{
	{"1-bit convolutions, bits to bits", 0x446c30d0, (*work).bitLayers},
	{"1-bit convolutions, bits to floats and bits", 0x79a9f930, (*work).floatLayers},
	{"1-bit convolutions, bits to counts", 0x9f45030d, (*work).counts},
	{"float convolutions", 0x92dd502c, (*work).convLayers},
	{"linear layers", 0x1e43bdab, (*work).denseLayers},
	{"elementwise passes, pools, packing of signs", 0xfa867587, (*work).passes},
	{"weights of experts", 0x8d27624e, (*work).weights},
}
