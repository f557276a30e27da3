package kernel

import "unsafe"

// lookupKernels are the routines for 1-bit convolution by table lookup.
type lookupKernels struct {
	rows  *rowKernels
	tiles [2][2]lookupTile // by vectors (2, 1) and by pixels (4, 2)
	pair  [3]pairNibbles   // for pixels of 16, 32 and 64 channels
}

// lookupTile computes, for each p < pixels·blocks and k < 32·vectors = lanes,
//
//	dst[p*dstPixel+k] = start[columns[p]/2+k] + sum over r < flushes*perFlush, i < 3*groups of
//	                    popcount(nibble p%2 of x[p/2*xPair + runs[r]/2 + i] ^ w[(r*3*groups+i)*lanes + lane(k)])
//
// in int16. An element of x holds the nibbles of two pixels, in bits 4 to 7 and 8 to 11. Columns and runs are byte offsets.
type lookupTile func(dst, start *uint8, columns *uint32, x *uint16, w *uint8, runs *uint32, blocks, flushes, perFlush, groups, xPair, dstPixel int)

// pairNibbles writes the nibbles of the low bits of the words of x, with those of y, as lookupTile takes them: 16 elements
// of dst in each step.
type pairNibbles func(dst *uint16, x, y *uint64, steps int)

const (
	lookupLanes  = 32   // filters in a vector
	lookupPanel  = 64   // filters that are computed side by side
	lookupGroups = 21   // groups of three nibbles that a tile counts in bytes: 21·12 = 252
	noWeight     = 0x80 // an index that counts nothing
)

// lookupRows is the rowEngine of lookupKernels. Where a vector has room, it computes some rows of the result at once, as
// filters of a window that is higher by the rows between.
type lookupRows struct {
	s       *signRows
	g       Geometry
	k       *lookupKernels
	rows    int // of the result, in one vector
	nibbles int // of a pixel: 4, 8, or a multiple of 16

	weights                   []uint8  // by panel: [window rows, nibbles of a row, lanes of the panel]
	runs                      []uint32 // byte offsets of the runs of nibbles of a window
	flushes, perFlush, groups int      // how a window is split into runs, and these into groups of three nibbles
}

// plan plans g.
func (k *lookupKernels) plan(g Geometry) *signRows {
	e := &lookupRows{g: g, k: k, nibbles: 16 * Words(g.C)}
	if g.C <= 32 {
		e.nibbles = 8
	}
	if g.C <= 16 {
		e.nibbles = 4
	}
	e.s = &signRows{g: g, k: k.rows, engine: e, panel: lookupPanel}
	e.chooseRows()
	e.chooseRuns()
	e.weights = make([]uint8, len(e.runs)*3*e.groups*e.s.lanes)
	e.s.setColumns()
	e.s.columns = append(e.s.columns, 0) // of a pixel beside an only one
	e.addBlocks()
	return e.s
}

func (e *lookupRows) name() string { return "lookup" }

// windowRows returns the rows of input under the output rows of a block.
func (e *lookupRows) windowRows() int { return (e.rows-1)*e.g.Stride + e.g.Kernel }

// chooseRows sets rows and lanes for the least work.
func (e *lookupRows) chooseRows() {
	best := 0
	for rows := 1; rows <= e.g.OutH() && (rows == 1 || rows*e.g.K <= lookupPanel); rows++ {
		lanes := (rows*e.g.K + lookupLanes - 1) / lookupLanes * lookupLanes
		work := ((rows-1)*e.g.Stride + e.g.Kernel) * lanes * 1000 / rows
		if best == 0 || work < best {
			best, e.rows, e.s.lanes = work, rows, lanes
		}
	}
}

// chooseRuns splits a window into runs within its rows.
func (e *lookupRows) chooseRuns() {
	rows, need := e.windowRows(), (e.g.Kernel*e.nibbles+2)/3
	parts := (need + lookupGroups - 1) / lookupGroups
	for more := range 3 { // parts that divide the row waste no lookup
		if n := parts + more; need%n == 0 {
			parts = n
			break
		}
	}
	e.groups = (need + parts - 1) / parts
	e.perFlush = 1
	if parts == 1 {
		for n := 2; n <= rows && n*e.groups <= lookupGroups; n++ {
			if rows%n == 0 {
				e.perFlush = n
			}
		}
	}
	e.flushes = rows * parts / e.perFlush
	for r := range rows {
		for part := range parts {
			e.runs = append(e.runs, uint32(2*(r*e.mapWidth()*e.nibbles+part*3*e.groups)))
		}
	}
}

func (e *lookupRows) addBlocks() {
	classOf, _ := classes(e.g.OutH(), e.g.H, e.g)
	var seen [][]int
	for next := 0; next < e.g.OutH(); {
		y := min(next, e.g.OutH()-e.rows)
		e.s.addBlock(rowBlock{y: y, rows: e.rows, done: next - y, pixels: e.g.OutW()}, &seen, classOf)
		next = y + e.rows
	}
}

// arrange takes over packed filters, [K,R,S,Words(C)].
func (e *lookupRows) arrange(words []uint64) {
	g, wd := e.g, Words(e.g.C)
	for i := range e.weights {
		e.weights[i] = noWeight
	}
	perRow := len(e.runs) / e.windowRows() * 3 * e.groups
	for first := 0; first < e.s.lanes; first += lookupPanel {
		panel := e.s.panelAt(first)
		weights := e.weights[first*e.windowRows()*perRow:]
		for l := first; l < min(first+panel, e.rows*g.K); l++ {
			row, k, at := l/g.K, l%g.K, l-first
			lane := at/lookupLanes*lookupLanes + 2*(at%16) + at/16%2
			for r := range g.Kernel {
				tap := words[(k*g.Kernel+r)*g.Kernel*wd:][:g.Kernel*wd]
				out := weights[(row*g.Stride+r)*perRow*panel+lane:]
				for i := range g.Kernel * e.nibbles {
					s, n := i/e.nibbles, i%e.nibbles
					out[i*panel] = uint8(tap[s*wd+n/16]>>(n%16*4)) & 15
				}
			}
		}
	}
}

// run computes a block of rows for the panel from filter first on.
func (e *lookupRows) run(scratch []uint64, b *rowBlock, first int) {
	g, ow, panel := e.g, e.g.OutW(), e.s.panelAt(first)
	room, start := e.s.room(scratch), e.s.starts[b.starts][2*first:]
	weights := &e.weights[first*len(e.runs)*3*e.groups]
	x := scratch[b.y*g.Stride*e.mapWidth()*e.nibbles/4:]
	tiles := &e.k.tiles[0]
	if panel == lookupLanes {
		tiles = &e.k.tiles[1]
	}
	for z := 0; z < ow; {
		tile, pixels := tiles[0], 4
		if ow < 4 || ow-z < 3 {
			tile, pixels = tiles[1], 2
		}
		z = max(0, min(z, ow-pixels)) // the last tile may overlap the one before
		blocks := max(1, (ow-z)/pixels)
		tile(e.s.k.at(room, z*panel), &start[0], &e.s.columns[z], (*uint16)(unsafe.Pointer(&x[z*g.Stride*e.nibbles/4])), weights, &e.runs[0],
			blocks, e.flushes, e.perFlush, e.groups, 2*g.Stride*e.nibbles, panel)
		z += blocks * pixels
	}
}
