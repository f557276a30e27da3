package kernel

// filterTables is SignGradients.Filters by tables, with filters in the lanes. For each group of four pixels of a row of dy
// a table holds their signed sums; a weight then needs, for each group, the entry of the four signs of x at its tap.
// Where some of these signs fall outside of x, a variant of the group has zeros for their pixels.
type filterTables struct {
	g          Geometry
	k          *signKernels
	lay        *signLayout
	filters    int       // K in whole vectors
	channels   int       // C in whole bytes
	groups     int       // of a row
	variants   []variant // behind the groups of a row
	base       [][]int32 // by column of taps and group: byte offset of its table in the row's
	columns    int       // bytes of one row of a plane
	plane      int       // bytes of a plane: one byte of channels at every pixel of one phase
	offsetRows int       // rows of offsets of one phase and column of taps
	floats     int       // of scratch
	offsets    int
	bytes      int
}

// variant is a group of pixels of which only those in mask count.
type variant struct {
	group int
	mask  uint
}

func newFilterTables(g Geometry) *filterTables {
	t := &filterTables{g: g, k: signsFor(g.K), lay: &active.signLayout, channels: roundUp(g.C, 8), groups: (g.OutW() + 3) / 4}
	t.filters = roundUp(g.K, t.k.lanes)
	for s := range g.Kernel {
		base := make([]int32, roundUp(t.groups, 8))
		for q := range t.groups {
			base[q] = int32(4 * t.groupLen() * t.tableOf(q, s))
		}
		t.base = append(t.base, base)
	}
	// Row xr of x is row j of its phase p = (xr+Pad) mod Stride, j = (xr+Pad)/Stride; so are columns.
	t.columns = g.OutW() + (g.Kernel-1)/g.Stride
	t.plane = g.H*t.columns + 4*t.groups
	t.offsetRows = g.OutH() + (g.Kernel-1)/g.Stride
	phases := min(g.Stride, g.Kernel)
	t.bytes = phases * t.channels / 8 * t.plane
	t.offsets = phases * g.Kernel * t.offsetRows * t.groups * t.channels
	t.floats = 4*t.groups*t.filters + t.filters + bandRows(g)*t.rowLen()
	return t
}

func (t *filterTables) length() int { return t.g.Kernel * t.g.Kernel * t.g.C * t.filters }

// groupLen returns the elements of the table of one group, rowLen those of a row's tables.
func (t *filterTables) groupLen() int { return tableEntries * t.filters }
func (t *filterTables) rowLen() int   { return (t.groups + len(t.variants)) * t.groupLen() }

// tableOf returns which of a row's tables group q needs for column s of the taps; it adds a variant that is new.
func (t *filterTables) tableOf(q, s int) int {
	g := t.g
	full, mask := uint(0), uint(0)
	for i := range min(4, g.OutW()-4*q) {
		full |= 1 << i
		if iz := (4*q+i)*g.Stride - g.Pad + s; iz >= 0 && iz < g.W {
			mask |= 1 << i
		}
	}
	if mask == full {
		return q
	}
	for i, v := range t.variants {
		if v.group == q && v.mask == mask {
			return t.groups + i
		}
	}
	t.variants = append(t.variants, variant{q, mask})
	return t.groups + len(t.variants) - 1
}

func (t *filterTables) run(dw, dy []float32, x []uint64, scratch []float32, offsets []int32, planes []byte) {
	g := t.g
	t.split(planes, x)
	t.locate(offsets, planes)
	row, zero := scratch[:4*t.groups*t.filters], scratch[4*t.groups*t.filters:][:t.filters]
	table := scratch[len(row)+len(zero):][:bandRows(g)*t.rowLen()]
	offsetRow := t.groups * t.channels
	for y0 := 0; y0 < g.OutH(); y0 += bandRows(g) {
		y1 := min(y0+bandRows(g), g.OutH())
		for y := y0; y < y1; y++ {
			t.build(table[(y-y0)*t.rowLen():], row, zero, dy[y*g.OutW()*g.K:][:g.OutW()*g.K])
		}
		for r := range g.Kernel {
			// The rows of the band whose tap is inside x.
			first := max(y0, (g.Pad-r+g.Stride-1)/g.Stride)
			end := min(y1, (g.H-1+g.Pad-r)/g.Stride+1)
			if first >= end || g.H-1+g.Pad-r < 0 {
				continue
			}
			for s := range g.Kernel {
				at := ((r%g.Stride*g.Kernel+s)*t.offsetRows + first + r/g.Stride) * offsetRow
				t.k.sum(dw[(r*g.Kernel+s)*g.C*t.filters:], table[(first-y0)*t.rowLen():], offsets[at:], t.filters/t.k.lanes, g.C,
					end-first, t.groups, t.filters, t.rowLen(), offsetRow, t.channels, true)
			}
		}
	}
}

// build makes the tables of one row of dy.
func (t *filterTables) build(table, row, zero, dy []float32) {
	g := t.g
	if g.K == t.filters && g.OutW()%4 == 0 {
		row = dy
	} else {
		for z := range g.OutW() {
			copy(row[z*t.filters:][:g.K], dy[z*g.K:])
		}
	}
	for q := range t.groups {
		t.buildGroup(table[q*t.groupLen():], row, zero, q, 15)
	}
	for i, v := range t.variants {
		t.buildGroup(table[(t.groups+i)*t.groupLen():], row, zero, v.group, v.mask)
	}
}

func (t *filterTables) buildGroup(table, row, zero []float32, q int, mask uint) {
	var p [4]*float32
	for i := range p {
		p[i] = &zero[0]
		if mask>>i&1 != 0 {
			p[i] = &row[(4*q+i)*t.filters]
		}
	}
	t.k.channels(&table[0], p[0], p[1], p[2], p[3], t.filters/t.k.lanes, t.filters)
}

// split writes each byte of the channels of x to a plane of its own, [H,columns] of one phase of its columns. Columns
// outside of x keep what they have: no group counts them.
func (t *filterTables) split(planes []byte, x []uint64) {
	g := t.g
	perPixel, perPhase := 8*Words(g.C), t.channels/8*t.plane
	bytes := wordBytes(x)
	for phase := range min(g.Stride, g.Kernel) {
		// The phase's first column that is inside x, and how many there are.
		first := (g.Pad - phase + g.Stride - 1) / g.Stride
		z := first*g.Stride + phase - g.Pad
		n := min(t.columns, (g.W-1+g.Pad-phase)/g.Stride+1) - first
		if z >= g.W || n < 1 {
			continue
		}
		for y := range g.H {
			for v := range t.channels / 8 {
				dst := planes[phase*perPhase+v*t.plane+y*t.columns+first:][:n]
				src := bytes[(y*g.W+z)*perPixel+v:]
				for i := range dst {
					dst[i] = src[i*g.Stride*perPixel]
				}
			}
		}
	}
}

// locate writes the offsets of the entries: [phases of rows, S, rows of the phase, groups, channels].
func (t *filterTables) locate(offsets []int32, planes []byte) {
	g := t.g
	perPhase := t.channels / 8 * t.plane
	for y := range g.H {
		phase, j := (y+g.Pad)%g.Stride, (y+g.Pad)/g.Stride
		if phase >= g.Kernel || j >= t.offsetRows {
			continue // no window reads it
		}
		for s := range g.Kernel {
			x := planes[s%g.Stride*perPhase+y*t.columns+s/g.Stride:]
			at := ((phase*g.Kernel+s)*t.offsetRows + j) * t.groups * t.channels
			t.lay.offsets(&offsets[at], &x[0], &t.base[s][0], t.groups, t.channels/8, t.plane, 4*t.filters)
		}
	}
}
