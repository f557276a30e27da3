package kernel

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unsafe"
)

// signRows is the plan by which the tiers compute a 1-bit convolution: some rows of the result at a time, for a panel of
// filters at a time, into a room that stays in the nearest cache until the kernels of rowKernels have taken them on.
//
// The room has for each pixel and filter half the difference d to the largest count,
//
//	count = full - 2·d    full = R·S·C
//
// in int16 or int32. For a window inside the image it is popcount(x xor w); that of other windows starts from what makes
// up for their padding, so that it costs nothing. An odd number of channels would need halves there: it has no plan.
type signRows struct {
	g      Geometry
	k      *rowKernels
	engine rowEngine
	lanes  int  // filters, of all rows that are computed in one vector, rounded up to whole vectors
	panel  int  // filters that are computed side by side
	skips  bool // whether taps in rows outside the image are left out, or count what their filters have set

	columns []uint32 // by output column: byte offset of its starts within its block's
	starts  [][]byte // by rowBlock.starts: [column classes, lanes] values of d, which the sum over the taps is added to
	blocks  []rowBlock
}

// rowEngine computes rows on one tier.
type rowEngine interface {
	name() string
	// arrange takes over packed filters, [K,R,S,Words(C)].
	arrange(words []uint64)
	// mapLen returns the elements of scratch that prepare writes, and roomLen those of the room behind them.
	mapLen() int
	roomLen() int
	// prepare writes x, [H,W,Words(C)], to scratch as run takes it.
	prepare(scratch, x []uint64)
	// run computes a block of rows for the panel from filter first on.
	run(scratch []uint64, b *rowBlock, first int)
}

// rowBlock is some rows of the result. Pixels are panel values of d apart in the room, which has for each pixel the filters of
// the first row, then those of the second, and so on. Blocks of rows that are not side by side in a vector have one row, of
// more pixels.
type rowBlock struct {
	y, rows int // first row, and rows in a vector
	done    int // how many of them the block before has too
	pixels  int // of one such row
	starts  int
}

// rowKernels are what takes rows of d on, in values of size bytes.
type rowKernels struct {
	size int
	// counts is dst[p*dstPixel+i] = full - 2*d[p*dPixel+i] for p < pixels and i < n, a multiple of 4.
	counts func(dst *int32, d *uint8, full, n, pixels, dstPixel, dPixel int)
	// spread is dst[p*dstPixel+i] = d[p*dPixel+j] for p < pixels and i < 8, j being value i of order.
	spread func(dst, d, order *uint8, pixels, dstPixel, dPixel int)
	// bits are for panels of as many filters as the vectors, the most first.
	bits []rowBits
	// floats are for 16 and for 8 channels, without and with a shortcut, without and with signs.
	floats [2][2][2]rowFloats
	tile   [2][2][2]rowTile // the same, for the copies of a channel tile
}

// rowBits compares the panel of each pixel, bit i of m being d[p*panel+i] < limits[i], and writes
//
//	v = dst[p*dstPixel+r*dstRow]
//	v = v&old | ((m>>(right+r*perRow)&keep)<<left ^ flip)
//
// for p < pixels and r < rows.
type rowBits struct {
	panel int
	run   func(dst *uint64, d, limits *uint8, pixels, dstPixel, rows, dstRow, perRow int, right, left, keep, old, flip uint64)
}

// rowFloats is, for some channels i of each p < pixels, with a shortcut or without,
//
//	dst[p*dstPixel+i] = min(clip, max(-clip, float32(scale[i]*(full - 2*d[p*dPixel+i])) + bias[i] + shortcut[p*dstPixel+i]))
//
// and writes the signs as bits from byte p*bitsPixel of bits on.
type rowFloats func(dst, shortcut *float32, bits *uint8, d *uint8, scale, bias *float32, clip, full float32, pixels, dstPixel, bitsPixel, dPixel int)

// rowTile is rowFloats for channels r*copyStep+i, r < copies, of the same d[p*dPixel+i].
type rowTile func(dst, shortcut *float32, bits *uint8, d *uint8, scale, bias *float32, clip, full float32, pixels, copies, copyStep, dstPixel, bitsPixel, dPixel int)

// newSignRows plans g for the active tier, nil if it has nothing for g.
func newSignRows(g Geometry) *signRows {
	if g.Groups != 1 || g.C%2 != 0 || g.Kernel*g.Kernel*g.C >= math.MaxInt16 {
		return nil
	}
	for _, plan := range active.signRows {
		if s := plan(g); s != nil {
			return s
		}
	}
	return nil
}

// full returns the largest count.
func (s *signRows) full() int { return s.g.Kernel * s.g.Kernel * s.g.C }

// panelAt returns the filters of the panel from filter first on.
func (s *signRows) panelAt(first int) int { return min(s.panel, s.lanes-first) }

// put stores d, or a limit for it, as value i of v.
func (k *rowKernels) put(v []byte, i, d int) {
	if k.size == 2 {
		binary.LittleEndian.PutUint16(v[2*i:], uint16(int16(d)))
		return
	}
	binary.LittleEndian.PutUint32(v[4*i:], uint32(int32(d)))
}

// limit returns the limit for d that a limit for counts comes to: count < limit where not d < the result, and no d is beyond
// its range.
func (s *signRows) limit(count int32) int {
	return max(0, min(s.full()+1, (s.full()-int(count))>>1+1))
}

type span struct{ first, end int }

// classes groups the output positions of one axis by their valid taps.
func classes(n, extent int, g Geometry) (of []int, list []span) {
	of = make([]int, n)
	for o := range of {
		var s span
		s.first, s.end = taps(o, g.Stride, g.Pad, g.Kernel, extent)
		of[o] = slices.Index(list, s)
		if of[o] < 0 {
			of[o] = len(list)
			list = append(list, s)
		}
	}
	return of, list
}

// setColumns finds the columns' classes.
func (s *signRows) setColumns() {
	columns, _ := classes(s.g.OutW(), s.g.W, s.g)
	for _, c := range columns {
		s.columns = append(s.columns, uint32(s.k.size*c*s.lanes))
	}
}

// addBlock appends a block. All its pixels' rows have the classes of the rows from y on.
func (s *signRows) addBlock(b rowBlock, seen *[][]int, rowClass []int) {
	class := rowClass[b.y : b.y+b.rows]
	b.starts = slices.IndexFunc(*seen, func(c []int) bool { return slices.Equal(c, class) })
	if b.starts < 0 {
		b.starts = len(s.starts)
		*seen = append(*seen, class)
		_, columnOf := classes(s.g.OutW(), s.g.W, s.g)
		s.starts = append(s.starts, make([]byte, s.k.size*len(columnOf)*s.lanes))
	}
	s.blocks = append(s.blocks, b)
}

// arrange takes over packed filters, [K,R,S,Words(C)].
func (s *signRows) arrange(words []uint64) {
	s.engine.arrange(words)
	g, wd := s.g, Words(s.g.C)
	_, columnOf := classes(g.OutW(), g.W, g)
	set := make([]int, g.Kernel*g.Kernel) // bits of each tap
	for k := range g.K {
		for t := range set {
			set[t] = 0
			for _, word := range words[(k*len(set)+t)*wd:][:wd] {
				set[t] += bits.OnesCount64(word)
			}
		}
		for _, b := range s.blocks {
			for j := range b.rows {
				r0, r1 := taps(b.y+j, g.Stride, g.Pad, g.Kernel, g.H)
				for c, columns := range columnOf {
					s.k.put(s.starts[b.starts], c*s.lanes+j*g.K+k, s.start(set, span{r0, r1}, columns))
				}
			}
		}
	}
}

// start returns the d that a window starts from whose taps inside the image are those of rows and columns. A tap outside
// takes nothing away from full, half of what one does that differs in all channels. It would count the bits of its filter.
func (s *signRows) start(set []int, rows, columns span) int {
	d := 0
	for t, n := range set {
		r, c := t/s.g.Kernel, t%s.g.Kernel
		inRow := r >= rows.first && r < rows.end
		if inRow && c >= columns.first && c < columns.end {
			continue
		}
		d += s.g.C
		if inRow || !s.skips {
			d -= 2 * n
		}
	}
	return d / 2
}

// room returns the room for rows in scratch.
func (s *signRows) room(scratch []uint64) []uint64 {
	n := s.engine.mapLen()
	return scratch[n : n+s.engine.roomLen()]
}

// at returns a pointer to value i of a room.
func (k *rowKernels) at(room []uint64, i int) *uint8 {
	return (*uint8)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(room)), k.size*i))
}

// scratch returns the elements that the map and the room take.
func (s *signRows) scratch() int { return s.engine.mapLen() + s.engine.roomLen() }

// convolve is SignFilters.Convolve.
func (s *signRows) convolve(dst []int32, x, scratch []uint64) {
	s.engine.prepare(scratch, x)
	k, ow, room := s.g.K, s.g.OutW(), s.room(scratch)
	for first := 0; first < s.lanes; first += s.panel {
		n, panel := min(s.panel, k-first), s.panelAt(first)
		for i := range s.blocks {
			b := &s.blocks[i]
			s.engine.run(scratch, b, first)
			for j := b.done; j < b.rows; j++ {
				out := dst[(b.y+j)*ow*k+first:]
				if n >= 4 {
					s.k.counts(&out[0], s.k.at(room, j*k), s.full(), n&^3, b.pixels, k, panel)
				}
				for i := n &^ 3; i < n; i++ {
					for p := range b.pixels {
						out[p*k+i] = int32(s.full() - 2*s.k.get(room, j*k+p*panel+i))
					}
				}
			}
		}
	}
}

// get returns value i of a room.
func (k *rowKernels) get(room []uint64, i int) int {
	if k.size == 2 {
		return int(int16(room[i/4] >> (i % 4 * 16)))
	}
	return int(int32(room[i/2] >> (i % 2 * 32)))
}
