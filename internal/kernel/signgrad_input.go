package kernel

// inputTables is SignGradients.Input by tables, with pixels in the lanes. The padded gradient is one row of positions,
// in which a tap is a shift; what falls on the padding is computed and left. For each group of four filters a table holds
// the sums of their elements at every position; an output channel then needs, for each tap and group, one entry.
type inputTables struct {
	g         Geometry
	k         *signKernels
	lay       *signLayout
	width     int       // positions of a row
	positions int       // of a result: of its rows but for the last one's padding, in whole vectors
	length    int       // positions of a table
	padded    int       // filters, in whole groups
	offsets   [][]int32 // by block of filters: [R,S,groups,C] byte offsets into the block's tables
	floats    int       // of scratch
}

func newInputTables(g Geometry) *inputTables {
	ph, pw := paddedOut(g)
	t := &inputTables{g: g, k: &active.signs[0], lay: &active.signLayout, width: pw, padded: roundUp(g.K, 4)}
	t.positions = roundUp((g.H-1)*pw+g.W, t.k.lanes)
	t.length = roundUp(max(t.positions+(g.Kernel-1)*(pw+1), (ph-1)*pw+roundUp(pw, 8)), 16)
	for first := 0; first < t.padded; first += filtersPerSum {
		t.offsets = append(t.offsets, make([]int32, g.Kernel*g.Kernel*t.groups(first)*g.C))
	}
	t.floats = roundUp(roundUp(pw, 8)*t.padded, 16) + t.tableLen() + t.positions*g.C
	return t
}

// groups returns the groups of four filters in the block that begins with the given filter.
func (t *inputTables) groups(first int) int { return (min(filtersPerSum, t.padded-first)) / 4 }

func (t *inputTables) tableLen() int { return t.groups(0) * tableEntries * t.length }

func (t *inputTables) pack(w []float32) {
	g := t.g
	rs := g.Kernel * g.Kernel
	for b, offsets := range t.offsets {
		groups := t.groups(b * filtersPerSum)
		for tap := range rs {
			shift := tap/g.Kernel*t.width + tap%g.Kernel
			for q := range groups {
				out := offsets[(tap*groups+q)*g.C:][:g.C]
				first := b*filtersPerSum + 4*q
				for c := range out {
					entry := 0
					for i := range min(4, g.K-first) {
						if w[((first+i)*g.C+c)*rs+rs-1-tap] < 0 {
							entry |= 1 << i
						}
					}
					out[c] = int32(4 * ((q*tableEntries+entry)*t.length + shift))
				}
			}
		}
	}
}

func (t *inputTables) run(dx, dy, scratch []float32) {
	g := t.g
	row := scratch[:roundUp(roundUp(t.width, 8)*t.padded, 16)]
	table := scratch[len(row):][:t.tableLen()]
	planes := scratch[len(row)+len(table):][:t.positions*g.C] // [C,positions]: dx
	clear(planes)
	for b, offsets := range t.offsets {
		groups := t.groups(b * filtersPerSum)
		t.build(table, row, dy, b*filtersPerSum, groups)
		n := g.Kernel * g.Kernel * groups
		t.k.sum(planes, table, offsets, t.positions/t.k.lanes, g.C, 1, n, t.positions, 0, 0, g.C)
	}
	for y := range g.H {
		t.interleave(dx[y*g.W*g.C:][:g.W*g.C], planes[y*t.width:])
	}
}

// build makes the tables of the groups of filters from the given one on. The rows and columns of padding are zero from
// the start.
func (t *inputTables) build(table, row, dy []float32, first, groups int) {
	g := t.g
	off, ow := g.Kernel-1-g.Pad, g.OutW()
	whole := g.Stride == 1 && ow%8 == 0 && g.K%4 == 0 // no padding within what the kernel reads and writes
	for y := range g.OutH() {
		at, blocks := (y*g.Stride+off)*t.width, roundUp(t.width, 8)/8
		pixels := dy[y*ow*g.K:][:ow*g.K]
		if whole {
			at, blocks = at+off, ow/8
		} else {
			t.padRow(row[off*t.padded:], pixels)
			pixels = row
		}
		for q := range groups {
			t.lay.pixels(&table[q*tableEntries*t.length+at], &pixels[first+4*q], blocks, t.padded, t.length)
		}
	}
}

// padRow copies the pixels of one row, with the padding between them.
func (t *inputTables) padRow(row, dy []float32) {
	g := t.g
	if g.Stride == 1 && t.padded == g.K {
		copy(row, dy)
		return
	}
	for z := 0; z*g.K < len(dy); z++ {
		copy(row[z*g.Stride*t.padded:][:g.K], dy[z*g.K:])
	}
}

// interleave writes one row of dx, [W,C], of its planes.
func (t *inputTables) interleave(dx, planes []float32) {
	g := t.g
	z8, c8 := g.W/8*8, g.C/8*8
	if z8 > 0 {
		for c := 0; c < c8; c += 8 {
			t.lay.transpose(&dx[c], &planes[c*t.positions], z8/8, t.positions, g.C)
		}
	}
	for z := range g.W {
		first := 0
		if z < z8 {
			first = c8
		}
		for c := first; c < g.C; c++ {
			dx[z*g.C+c] = planes[c*t.positions+z]
		}
	}
}
