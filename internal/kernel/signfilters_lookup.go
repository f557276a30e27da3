package kernel

import (
	"math"
	"math/bits"
	"slices"
	"unsafe"
)

// lookupKernels are the routines for 1-bit convolution by table lookup. They count in int16.
type lookupKernels struct {
	tiles      [2][2]lookupTile // by vectors (2, 1) and by pixels (4, 2)
	pair       [3]pairNibbles   // for pixels of 16, 32 and 64 channels
	widen      func(dst *int32, src *int16, pixels, vectors, dstPixel, srcPixel int)
	spread     func(dst, src *int16, order *uint8, pixels, dstPixel, srcPixel int)
	thresholds [2]thresholdRow   // of 64 and of 32 counts
	floats     [2][2][2]floatRow // of 16 and of 8 counts; without and with a shortcut; without and with signs
}

// lookupTile computes, for each p < pixels·blocks and k < 32·vectors = lanes,
//
//	dst[p*dstPixel+k] = start[columns[p]/2+k] - 2 * sum over r < flushes*perFlush, i < 3*groups of
//	                    popcount(nibble p%2 of x[p/2*xPair + runs[r]/2 + i] ^ w[(r*3*groups+i)*lanes + lane(k)])
//
// An element of x holds the nibbles of two pixels, in bits 4 to 7 and 8 to 11. Columns and runs are byte offsets.
type lookupTile func(dst, start *int16, columns *uint32, x *uint16, w *uint8, runs *uint32, blocks, flushes, perFlush, groups, xPair, dstPixel int)

// thresholdRow compares the counts of some pixels, bit i of m being counts[p*lanes+i] < limits[i], and writes
//
//	d = dst[p*dstPixel+r*dstRow]
//	d = d&old | ((m>>(right+r*perRow)&keep)<<left ^ flip)
//
// for p < pixels and r < rows.
type thresholdRow func(dst *uint64, counts, limits *int16, pixels, dstPixel, rows, dstRow, perRow int, right, left, keep, old, flip uint64)

// floatRow is, for some counts i of each p < pixels, with a shortcut or without,
//
//	dst[p*dstPixel+i] = min(clip, max(-clip, float32(scale[i]*float32(counts[p*srcPixel+i])) + bias[i] + shortcut[p*dstPixel+i]))
//
// and writes the signs as bits from byte p*bitsPixel of bits on.
type floatRow func(dst, shortcut *float32, bits *uint8, counts *int16, scale, bias *float32, clip float32, pixels, dstPixel, bitsPixel, srcPixel int)

// pairNibbles writes the nibbles of the low bits of the words of x, with those of y, as lookupTile takes them: 16 elements
// of dst in each step.
type pairNibbles func(dst *uint16, x, y *uint64, steps int)

const (
	lookupLanes  = 32   // filters in a vector
	lookupPanel  = 64   // filters that are computed side by side
	lookupGroups = 21   // groups of three nibbles that a tile counts in bytes: 21·12 = 252
	noWeight     = 0x80 // an index that counts nothing
)

// lookupFilters are the filters of SignFilters for the tiles of lookupKernels. A tile computes rows rows of the result at
// once, as filters of a window that is higher by the rows between: so few filters fill a vector too.
type lookupFilters struct {
	g       Geometry
	k       *lookupKernels
	nibbles int // of a pixel: 4, 8, or a multiple of 16
	rows    int // of the result, computed side by side
	lanes   int // filters of all these rows, rounded up to whole vectors

	weights                   []uint8  // by panel: [window rows, nibbles of a row, lanes of the panel]
	runs                      []uint32 // byte offsets of the runs of nibbles of a window
	flushes, perFlush, groups int      // how a window is split into runs, and these into groups of three nibbles

	columns []uint32  // by output column: byte offset of its start within its block's
	starts  [][]int16 // by block of rows: [column classes, lanes], the counts without any difference
	blocks  []lookupBlock
}

// lookupBlock is a block of output rows.
type lookupBlock struct {
	y      int // the first
	done   int // how many of them the block before has too
	starts int // index of its starts
}

// newLookup prepares filters of g for the active tier's tables, nil where it has none for g.
func newLookup(g Geometry) *lookupFilters {
	k := active.lookup
	if k == nil || g.Groups != 1 || g.Kernel*g.Kernel*g.C >= math.MaxInt16 {
		return nil
	}
	f := &lookupFilters{g: g, k: k, nibbles: 16 * Words(g.C)}
	if g.C <= 32 {
		f.nibbles = 8
	}
	if g.C <= 16 {
		f.nibbles = 4
	}
	f.chooseRows()
	f.chooseRuns()
	f.weights = make([]uint8, len(f.runs)*3*f.groups*f.lanes)
	f.chooseBlocks()
	return f
}

// windowRows returns the rows of input under the output rows of a block.
func (f *lookupFilters) windowRows() int { return (f.rows-1)*f.g.Stride + f.g.Kernel }

// chooseRows sets rows and lanes for the least work.
func (f *lookupFilters) chooseRows() {
	best := 0
	for rows := 1; rows <= f.g.OutH() && (rows == 1 || rows*f.g.K <= lookupPanel); rows++ {
		lanes := (rows*f.g.K + lookupLanes - 1) / lookupLanes * lookupLanes
		work := ((rows-1)*f.g.Stride + f.g.Kernel) * lanes * 1000 / rows
		if best == 0 || work < best {
			best, f.rows, f.lanes = work, rows, lanes
		}
	}
}

// chooseRuns splits a window into runs within its rows.
func (f *lookupFilters) chooseRuns() {
	rows, need := f.windowRows(), (f.g.Kernel*f.nibbles+2)/3
	parts := (need + lookupGroups - 1) / lookupGroups
	for more := range 3 { // parts that divide the row waste no lookup
		if n := parts + more; need%n == 0 {
			parts = n
			break
		}
	}
	f.groups = (need + parts - 1) / parts
	f.perFlush = 1
	if parts == 1 {
		for n := 2; n <= rows && n*f.groups <= lookupGroups; n++ {
			if rows%n == 0 {
				f.perFlush = n
			}
		}
	}
	f.flushes = rows * parts / f.perFlush
	for r := range rows {
		for part := range parts {
			f.runs = append(f.runs, uint32(2*(r*f.mapWidth()*f.nibbles+part*3*f.groups)))
		}
	}
}

// chooseBlocks lists the blocks of rows, and the classes of the pixels by their taps inside the image.
func (f *lookupFilters) chooseBlocks() {
	columns, columnOf := classes(f.g.OutW(), f.g.W, f.g)
	for _, c := range columns {
		f.columns = append(f.columns, uint32(2*c*f.lanes))
	}
	f.columns = append(f.columns, 0) // of a pixel beside an only one
	rows, _ := classes(f.g.OutH(), f.g.H, f.g)
	var seen [][]int // the classes of the rows of a block, by its starts
	for next := 0; next < f.g.OutH(); {
		y := min(next, f.g.OutH()-f.rows)
		class := rows[y : y+f.rows]
		i := slices.IndexFunc(seen, func(c []int) bool { return slices.Equal(c, class) })
		if i < 0 {
			i = len(seen)
			seen = append(seen, class)
			f.starts = append(f.starts, make([]int16, len(columnOf)*f.lanes))
		}
		f.blocks = append(f.blocks, lookupBlock{y, next - y, i})
		next = y + f.rows
	}
}

// panel returns the number of filters that are computed beside filter first.
func (f *lookupFilters) panel(first int) int { return min(lookupPanel, f.lanes-first) }

// arrange takes over packed filters, [K,R,S,Words(C)].
func (f *lookupFilters) arrange(words []uint64) {
	g, wd := f.g, Words(f.g.C)
	for i := range f.weights {
		f.weights[i] = noWeight
	}
	perRow := len(f.runs) / f.windowRows() * 3 * f.groups
	for first := 0; first < f.lanes; first += lookupPanel {
		panel := f.panel(first)
		weights := f.weights[first*f.windowRows()*perRow:]
		for l := first; l < min(first+panel, f.rows*g.K); l++ {
			row, k, at := l/g.K, l%g.K, l-first
			lane := at/lookupLanes*lookupLanes + 2*(at%16) + at/16%2
			for r := range g.Kernel {
				tap := words[(k*g.Kernel+r)*g.Kernel*wd:][:g.Kernel*wd]
				out := weights[(row*g.Stride+r)*perRow*panel+lane:]
				for i := range g.Kernel * f.nibbles {
					s, n := i/f.nibbles, i%f.nibbles
					out[i*panel] = uint8(tap[s*wd+n/16]>>(n%16*4)) & 15
				}
			}
		}
	}
	f.arrangeStarts(words)
}

// arrangeStarts computes the counts of windows without any difference: C for each tap inside the image, and for the others
// what their lookups take away, since a padded tap has all bits clear.
func (f *lookupFilters) arrangeStarts(words []uint64) {
	g, wd := f.g, Words(f.g.C)
	_, columnOf := classes(g.OutW(), g.W, g)
	tap := make([]int, g.Kernel*g.Kernel)
	for k := range g.K {
		for t := range tap {
			tap[t] = 0
			for _, word := range words[(k*len(tap)+t)*wd:][:wd] {
				tap[t] += bits.OnesCount64(word)
			}
		}
		for _, b := range f.blocks {
			for j := range f.rows {
				r0, r1 := taps(b.y+j, g.Stride, g.Pad, g.Kernel, g.H)
				for c, s := range columnOf {
					start := 0
					for t, set := range tap {
						if y, z := t/g.Kernel, t%g.Kernel; y >= r0 && y < r1 && z >= s.first && z < s.end {
							start += g.C
						} else {
							start += 2 * set
						}
					}
					f.starts[b.starts][c*f.lanes+j*g.K+k] = int16(start)
				}
			}
		}
	}
}

// run computes the counts of a panel in a block of rows over the map in scratch: out is [OutW+1, panel].
func (f *lookupFilters) run(out []int16, scratch []uint64, b lookupBlock, first int) {
	g, ow, panel := f.g, f.g.OutW(), f.panel(first)
	start := f.starts[b.starts][first:]
	weights := &f.weights[first*len(f.runs)*3*f.groups]
	x := scratch[b.y*g.Stride*f.mapWidth()*f.nibbles/4:]
	tiles := &f.k.tiles[0]
	if panel == lookupLanes {
		tiles = &f.k.tiles[1]
	}
	for z := 0; z < ow; {
		tile, pixels := tiles[0], 4
		if ow < 4 || ow-z < 3 {
			tile, pixels = tiles[1], 2
		}
		z = max(0, min(z, ow-pixels)) // the last tile may overlap the one before
		blocks := max(1, (ow-z)/pixels)
		tile(&out[z*panel], &start[0], &f.columns[z], (*uint16)(unsafe.Pointer(&x[z*g.Stride*f.nibbles/4])), weights, &f.runs[0],
			blocks, f.flushes, f.perFlush, f.groups, 2*g.Stride*f.nibbles, panel)
		z += blocks * pixels
	}
}

// counts returns the room for the counts of a panel in scratch, behind the map.
func (f *lookupFilters) counts(scratch []uint64) []int16 {
	room := scratch[f.mapLen():f.scratch()]
	return unsafe.Slice((*int16)(unsafe.Pointer(&room[0])), 4*len(room))
}

// convolve is SignFilters.Convolve.
func (f *lookupFilters) convolve(dst []int32, x, scratch []uint64) {
	k, ow := f.g.K, f.g.OutW()
	f.prepare(scratch, x)
	counts := f.counts(scratch)
	for first := 0; first < f.lanes; first += lookupPanel {
		n := min(k-first, lookupPanel)
		for _, b := range f.blocks {
			f.run(counts, scratch, b, first)
			for j := b.done; j < f.rows; j++ {
				f.widen(dst[(b.y+j)*ow*k+first:], counts[j*k:], n, f.panel(first))
			}
		}
	}
}

// widen copies n counts of each pixel of a row, panel elements apart, to dst, K elements apart.
func (f *lookupFilters) widen(dst []int32, src []int16, n, panel int) {
	const lanes = 8
	ow, k := f.g.OutW(), f.g.K
	if vectors := n / lanes; vectors > 0 {
		f.k.widen(&dst[0], &src[0], ow, vectors, k, panel)
	}
	for i := n / lanes * lanes; i < n; i++ {
		for p := range ow {
			dst[p*k+i] = int32(src[p*panel+i])
		}
	}
}
