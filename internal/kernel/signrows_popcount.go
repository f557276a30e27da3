package kernel

import "unsafe"

// popcountKernels are the routines for 1-bit convolution with a population count in vectors of 16 filters.
type popcountKernels struct {
	name string
	rows *rowKernels
	// The tiles, by vectors (2, 1) and then by pixels, the most first and then down to 1; the first are nil where panels are of
	// one vector.
	tiles [2][]popcountTile
	// For 3x3 windows of at most 16 channels.
	rows16 func(dst, start *int32, columns *uint32, x *uint16, zip, w *uint32, pixels, xRow, xPixel, dstPixel, lines, xLine, dstLine int)
	bits16 func(dst *uint16, start *int32, columns *uint32, x *uint16, zip, w *uint32, pixels, xRow, xPixel, dstPixel, lines, xLine, dstLine, first int)
	// compact16 and compact32 write the low bits of rows of n words; zip16 is dst[i] = x[i] | y[i]<<16 for n rounded up to 16.
	compact16 func(dst *uint16, src *uint64, rows, n, dstRow int)
	compact32 func(dst *uint32, src *uint64, rows, n, dstRow int)
	zip16     func(dst *uint32, x, y *uint16, n int)
}

// popcountTile computes blocks of pixels by 16·vectors filters k: with
//
//	d = sum over r < rows, i < run of popcount(x[p*xPixel+r*xRow+i] ^ w[(r*run+i)*16*vectors+k])
//
// rows writes start[columns[p]/4+k] + d to dst[p*dstPixel+k], and bits writes start[columns[p]/4+k] < d to bit k of
// dst[p*dstPixel]: with the rest of a 64-bit word clear if first is 1, and else beside what is there.
type popcountTile struct {
	pixels int
	rows   func(dst *int32, start *int32, columns, x, w *uint32, blocks, rows, run, xRow, xPixel, dstPixel, lines, xLine, dstLine int)
	bits   func(dst *uint16, start *int32, columns, x, w *uint32, blocks, rows, run, xRow, xPixel, dstPixel, lines, xLine, dstLine, first int)
}

const (
	popcountLanes = 16       // filters in a vector
	popcountPanel = 32       // filters that are computed side by side, at most
	popcountRoom  = 8 * 1024 // bytes of a block of more than one row
)

// popcountRows is the rowEngine of popcountKernels.
type popcountRows struct {
	s     *signRows
	g     Geometry
	k     *popcountKernels
	five  bool     // whether windows are in five words
	words int      // 32-bit words of a pixel, unless five
	w     []uint32 // by panel: [words of a window, filters of the panel]

	segments []popcountSegment
}

// plan plans g.
func (k *popcountKernels) plan(g Geometry) *signRows {
	return k.planRows(g, 0)
}

// planRows plans g in blocks of up to lines rows, or of what the room should hold.
func (k *popcountKernels) planRows(g Geometry, lines int) *signRows {
	e := &popcountRows{g: g, k: k, five: g.Kernel == 3 && g.C <= 16, words: 2 * Words(g.C)}
	if g.C <= 32 {
		e.words = 1
	}
	e.s = &signRows{g: g, k: k.rows, engine: e, panel: popcountPanel, skips: !e.five,
		lanes: (g.K + popcountLanes - 1) / popcountLanes * popcountLanes}
	if e.five || k.tiles[0] == nil {
		e.s.panel = popcountLanes
	}
	e.segments = segments(e.tilesFor(e.s.panel), g.OutW())
	e.w = make([]uint32, e.window()*e.s.lanes)
	e.s.setColumns()
	if lines == 0 {
		lines = max(1, popcountRoom/(4*e.s.panel*g.OutW()))
	}
	e.addBlocks(lines)
	return e.s
}

func (e *popcountRows) name() string { return e.k.name }

// window returns the words of a window.
func (e *popcountRows) window() int {
	if e.five {
		return 5
	}
	return e.g.Kernel * e.g.Kernel * e.words
}

// addBlocks groups up to most rows that have the same taps inside the image.
func (e *popcountRows) addBlocks(most int) {
	ow := e.g.OutW()
	classOf, _ := classes(e.g.OutH(), e.g.H, e.g)
	var seen [][]int
	for y := 0; y < e.g.OutH(); {
		lines := 1
		for lines < most && y+lines < e.g.OutH() && classOf[y+lines] == classOf[y] {
			lines++
		}
		e.s.addBlock(rowBlock{y: y, rows: 1, pixels: lines * ow}, &seen, classOf)
		y += lines
	}
}

// arrange takes over packed filters, [K,R,S,Words(C)].
func (e *popcountRows) arrange(words []uint64) {
	for first := 0; first < e.s.lanes; first += e.s.panel {
		panel := e.s.panelAt(first)
		w := e.w[first*e.window():]
		for k := first; k < min(first+panel, e.g.K); k++ {
			if e.five {
				t := words[9*k:]
				for i, v := range [5]uint64{t[0] | t[1]<<16, t[3] | t[4]<<16, t[6] | t[7]<<16, t[2] | t[5]<<16, t[8]} {
					w[i*panel+k-first] = uint32(v)
				}
				continue
			}
			wd, taps := Words(e.g.C), e.g.Kernel*e.g.Kernel
			for i := range e.window() {
				tap, part := i/e.words, i%e.words
				w[i*panel+k-first] = uint32(words[(k*taps+tap)*wd+part/2] >> (part % 2 * 32))
			}
		}
	}
}

// The map is padded and of pixels of 16 bits, with the map of neighbours behind it, or of 32-bit words. Reading a word at
// the last pixel goes beyond it.

func (e *popcountRows) mapWidth() int  { return e.g.W + 2*e.g.Pad }
func (e *popcountRows) mapHeight() int { return e.g.H + 2*e.g.Pad }

// zipAt returns the element of scratch at which the map of neighbours begins. Its rows are those of the map.
func (e *popcountRows) zipAt() int { return e.mapHeight()*e.mapWidth()/4 + 8 }

func (e *popcountRows) mapLen() int {
	pixels := e.mapHeight() * e.mapWidth()
	if e.five {
		return e.zipAt() + pixels/2 + 8
	}
	return (pixels*e.words + 1) / 2
}

func (e *popcountRows) roomLen() int {
	most := 0
	for i := range e.s.blocks {
		most = max(most, e.s.blocks[i].pixels)
	}
	return most*popcountPanel/2 + 4 // a spread reads 8 values at the last pixel
}

// prepare writes x, [H,W,Words(C)], to scratch as run takes it.
func (e *popcountRows) prepare(scratch, x []uint64) {
	g, wd, pw := e.g, Words(e.g.C), e.mapWidth()
	inner := g.Pad*pw + g.Pad // the first pixel of the image
	switch {
	case e.five:
		clear(scratch[:e.zipAt()])
		e.k.compact16(halfAt(scratch, inner), &x[0], g.H, g.W, pw)
		e.k.zip16(wordAt(scratch, 2*e.zipAt()), halfAt(scratch, 0), halfAt(scratch, pw), pw*(e.mapHeight()-1))
	case e.words == 1:
		clear(scratch[:e.mapLen()])
		e.k.compact32(wordAt(scratch, inner), &x[0], g.H, g.W, pw)
	default:
		clear(scratch[:e.mapLen()])
		for y := range g.H {
			copy(scratch[(y*pw+inner)*wd:], x[y*g.W*wd:(y+1)*g.W*wd])
		}
	}
}

func halfAt(s []uint64, i int) *uint16 { return (*uint16)(unsafe.Add(unsafe.Pointer(&s[0]), 2*i)) }
func wordAt(s []uint64, i int) *uint32 { return (*uint32)(unsafe.Add(unsafe.Pointer(&s[0]), 4*i)) }

// segments splits a row of pixels among the tiles.
func segments(tiles []popcountTile, pixels int) []popcountSegment {
	var list []popcountSegment
	for z := 0; z < pixels; {
		left := pixels - z
		i := 0
		for tiles[i].pixels > left || tiles[i].pixels == 8 && left%8 != 0 && left%7 == 0 {
			i++
		}
		blocks := left / tiles[i].pixels
		list = append(list, popcountSegment{z, blocks, i})
		z += blocks * tiles[i].pixels
	}
	return list
}

// popcountSegment is blocks of a tile from column z on.
type popcountSegment struct{ z, blocks, tile int }

// tilesFor returns the tiles for a panel.
func (e *popcountRows) tilesFor(panel int) []popcountTile {
	if panel == popcountLanes {
		return e.k.tiles[1]
	}
	return e.k.tiles[0]
}

// inside returns where the windows of a block's first row begin in the map, and the filters, both from the first row
// inside the image on, and the number of these rows.
func (e *popcountRows) inside(b *rowBlock, first int) (at int, w *uint32, rows int) {
	r0, r1 := taps(b.y, e.g.Stride, e.g.Pad, e.g.Kernel, e.g.H)
	skipped := r0 * e.g.Kernel * e.words
	return (b.y*e.g.Stride + r0) * e.mapWidth() * e.words, &e.w[first*e.window()+skipped*e.s.panelAt(first)], r1 - r0
}

// run computes a block of rows for the panel from filter first on.
func (e *popcountRows) run(scratch []uint64, b *rowBlock, first int) {
	g, ow, panel := e.g, e.g.OutW(), e.s.panelAt(first)
	out := unsafe.Pointer(&e.s.room(scratch)[0])
	start := (*int32)(unsafe.Pointer(&e.s.starts[b.starts][4*first]))
	lines, line := b.pixels/ow, g.Stride*e.mapWidth()
	if e.five {
		x, zip := e.maps16(scratch, b)
		e.k.rows16((*int32)(out), start, &e.s.columns[0], x, zip, &e.w[first*e.window()], ow, e.mapWidth(), g.Stride, panel, lines, line, ow*panel)
		return
	}
	at, w, rows := e.inside(b, first)
	tiles := e.tilesFor(panel)
	for _, s := range e.segments {
		tiles[s.tile].rows((*int32)(unsafe.Add(out, 4*s.z*panel)), start, &e.s.columns[s.z], wordAt(scratch, at+s.z*g.Stride*e.words), w,
			s.blocks, rows, g.Kernel*e.words, e.mapWidth()*e.words, g.Stride*e.words, panel, lines, line*e.words, ow*panel)
	}
}

// maps16 returns where the windows of a block begin in the maps of windows in five words.
func (e *popcountRows) maps16(scratch []uint64, b *rowBlock) (x *uint16, zip *uint32) {
	at := b.y * e.g.Stride * e.mapWidth()
	return halfAt(scratch, at), wordAt(scratch, 2*e.zipAt()+at)
}
