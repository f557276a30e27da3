package train

import (
	"time"

	"github.com/bnntool/bnntool/internal/kernel"
)

// Work is what an operation does: multiply-adds, and bytes of memory that it must read and write at least, each buffer once
// a sweep over the batch.
type Work struct {
	MACs, Bytes int64
}

// multiplies is implemented by operations that do products: the multiply-adds of one image, forward.
type multiplies interface{ macs() int }

// moves is implemented by operations whose traffic is not that of reading each float32 input and writing the result once
// (backward, reading the result's gradient and each input and writing each gradient): the bytes of one image.
type moves interface{ bytes(backward bool) int }

// work returns what one pass of the operation over the current batch does.
func (o *graphOp) work(backward bool) Work {
	var w Work
	images := int64(o.m.images)
	if op, ok := o.op.(multiplies); ok {
		w.MACs = images * int64(op.macs())
		if backward && o.grads[0] != nil {
			w.MACs *= 2 // a gradient by each factor
		}
	}
	if op, ok := o.op.(moves); ok {
		w.Bytes = images * int64(op.bytes(backward))
		return w
	}
	n := len(o.y)
	for _, in := range o.args {
		n += len(in)
	}
	if backward {
		for _, d := range o.grads {
			n += len(d)
		}
	}
	w.Bytes = 4 * int64(n)
	return w
}

// macs returns the multiply-adds of a convolution, those with padding included.
func macs(g kernel.Geometry) int { return g.OutLen() * (g.FilterLen() / g.K) }

func (o *convGrad) macs() int { return macs(o.g) }
func (o *block) macs() int    { return macs(o.conv.g) }
func (o *linear) macs() int   { return o.in * o.out }

// bytes: counts are written and read as int16, masks and signs are bits; forward the shortcut is read and the result written,
// backward the gradient is read in both sweeps, x in one, and the gradient by x is written.
func (o *block) bytes(backward bool) int {
	narrow, wide, in := 2*o.conv.g.OutLen(), 4*o.conv.g.OutLen()*o.bn.factor, 4*o.conv.g.InLen()
	bits := wide/32 + in/32
	if backward {
		n := 2*narrow + 2*wide + 2*bits + 2*in
		if o.separate {
			n += wide
		}
		return n
	}
	n := 2*narrow + wide + 2*bits
	if !o.conv.given {
		n += in
	}
	if o.identity || o.separate {
		n += wide
	}
	return n
}

// bytes: x is read twice, by statistics and by the pass; backward the gradient before the tile is left in dx between sweeps.
func (o *normTanh) bytes(backward bool) int {
	narrow := 4 * o.pass.Pixels * o.pass.N
	wide := narrow * o.pass.Factor
	if backward {
		return wide + wide/32 + 5*narrow
	}
	return 2*narrow + wide + 2*wide/32
}

// bytes: both passes sweep twice, for sums and for results.
func (o *batchNorm) bytes(backward bool) int {
	narrow := 4 * o.pixels * o.n
	wide := narrow * o.factor
	switch {
	case backward:
		return 3*narrow + 2*wide
	case o.training:
		return 2*narrow + wide
	}
	return narrow + wide
}

// Peaks are the machine's speeds that operations are held against, measured with the threads of the benchmark.
type Peaks struct {
	GMACs float64 // 10⁹ float32 multiply-adds a second, on registers
	GBs   float64 // 10⁹ bytes a second, adding two maps into a third that do not fit the caches
}

const (
	peakTries  = 5
	peakRounds = 1 << 18
	peakFloats = 8 << 20 // of each of three maps
)

// measurePeaks takes the best of some tries.
func measurePeaks(w *workers) Peaks {
	var p Peaks
	done := make([]int, chunksPerBatch)
	a, b, c := kernel.Make[float32](peakFloats), kernel.Make[float32](peakFloats), kernel.Make[float32](peakFloats)
	part := peakFloats / chunksPerBatch
	for range peakTries {
		p.GMACs = max(p.GMACs, rate(func() int {
			w.run(chunksPerBatch, func(_, i int) { done[i] = kernel.MultiplyAdds(peakRounds) })
			return chunksPerBatch * done[0]
		}))
		p.GBs = max(p.GBs, rate(func() int {
			w.run(chunksPerBatch, func(_, i int) {
				lo, hi := i*part, (i+1)*part
				kernel.Add(c[lo:hi], a[lo:hi], b[lo:hi])
			})
			return 3 * 4 * peakFloats
		}))
	}
	return p
}

// rate returns 10⁹ of what run counts a second.
func rate(run func() int) float64 {
	begin := time.Now()
	n := run()
	return float64(n) / float64(max(1, time.Since(begin).Nanoseconds()))
}
