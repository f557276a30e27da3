package kernel

// inputTables is SignGradients.Input by tables, with pixels in the lanes. For each group of four filters a table holds
// the signed sums of their elements at every pixel of the padded gradient; an input channel then needs, for each tap and
// group, one entry. Rows of pixels lie one behind the other in whole vectors, so that the rows of taps are shifts by
// vectors; the columns of taps, whose shifts are not, are summed up in planes of their own and shifted only then.
type inputTables struct {
	g       Geometry
	k       *signKernels
	lay     *signLayout
	width   int // pixels of a row of the tables: without padding at its sides, in whole vectors
	length  int // pixels of a table: with the rows of padding
	padded  int // filters, in whole groups
	band    int // rows of dx whose planes are computed together
	margin  int // elements in front of and behind the planes, which shifts reach
	blocks  []inputBlock
	masks   []int32 // [⌈W/8⌉,S,8]: the lanes whose shifted pixel is in the row
	floats  int     // of scratch
	tablesN int     // of it, for tables
}

// inputBlock is a block of filtersPerSum filters.
type inputBlock struct {
	first, groups int
	table         int     // where its tables begin
	offsets       []int32 // [S,R,groups,C]: byte offsets into its tables
}

// The planes of a band of rows are of 8 vectors, or one row, and 32 channels, which stay in the nearest cache.
const (
	bandVectors   = 8
	planeChannels = 32
)

func newInputTables(g Geometry) *inputTables {
	ph, _ := paddedOut(g)
	t := &inputTables{g: g, lay: &active.signLayout, padded: roundUp(g.K, 4)}
	t.width = roundUp(max(g.W, (g.OutW()-1)*g.Stride+1), 8)
	t.k = signsFor(t.width)
	t.length = ph * t.width
	t.band = max(1, bandVectors*t.k.lanes/t.width)
	t.margin = roundUp(g.Kernel+8, 16)
	for first := 0; first < t.padded; first += filtersPerSum {
		b := inputBlock{first: first, groups: min(filtersPerSum, t.padded-first) / 4, table: t.tablesN}
		b.offsets = make([]int32, g.Kernel*g.Kernel*b.groups*g.C)
		t.blocks = append(t.blocks, b)
		t.tablesN += b.groups * tableEntries * t.length
	}
	off := g.Kernel - 1 - g.Pad
	for z0 := 0; z0 < g.W; z0 += 8 {
		for s := range g.Kernel {
			for l := range 8 {
				mask := int32(0)
				if z := z0 + l + s - off; z >= 0 && z < t.width {
					mask = -1
				}
				t.masks = append(t.masks, mask)
			}
		}
	}
	t.floats = roundUp(t.width*t.padded, 16) + t.tablesN + g.Kernel*min(planeChannels, g.C)*t.band*t.width + 2*t.margin
	return t
}

func (t *inputTables) pack(w []float32) {
	g := t.g
	rs := g.Kernel * g.Kernel
	for _, b := range t.blocks {
		for tap := range rs {
			s, r := tap/g.Kernel, tap%g.Kernel
			reversed := (g.Kernel-1-r)*g.Kernel + g.Kernel - 1 - s
			for q := range b.groups {
				out := b.offsets[(tap*b.groups+q)*g.C:][:g.C]
				first := b.first + 4*q
				for c := range out {
					entry := 0
					for i := range min(4, g.K-first) {
						if w[((first+i)*g.C+c)*rs+reversed] < 0 {
							entry |= 1 << i
						}
					}
					out[c] = int32(4 * ((q*tableEntries+entry)*t.length + r*t.width))
				}
			}
		}
	}
}

func (t *inputTables) run(dx, dy, scratch []float32) {
	g := t.g
	tables := scratch[:t.tablesN]
	planes := scratch[t.tablesN : len(scratch)-roundUp(t.width*t.padded, 16)] // [S,channels,band·width] between margins
	t.build(tables, scratch[t.tablesN+len(planes):], dy)
	for y := 0; y < g.H; y += t.band {
		rows := min(t.band, g.H-y)
		for c := 0; c < g.C; c += planeChannels {
			channels := min(planeChannels, g.C-c)
			t.sumColumns(planes[t.margin:], tables[y*t.width:], rows*t.width, c, channels)
			for row := range rows {
				t.combine(dx[(y+row)*g.W*g.C+c:], planes[row*t.width:], channels, rows*t.width)
			}
		}
	}
}

// sumColumns computes the planes of some channels from the first one on, each of some pixels from the first of tables on.
func (t *inputTables) sumColumns(planes, tables []float32, pixels, first, channels int) {
	g := t.g
	for i := range t.blocks {
		b := &t.blocks[i]
		n := g.Kernel * b.groups
		for s := range g.Kernel {
			t.k.sum(planes[s*channels*pixels:], tables[b.table:], b.offsets[s*n*g.C+first:], pixels/t.k.lanes, channels, 1, n,
				pixels, 0, 0, g.C, i > 0)
		}
	}
}

// build makes the tables. The rows and columns of padding are zero from the start.
func (t *inputTables) build(tables, row, dy []float32) {
	g := t.g
	off, ow := g.Kernel-1-g.Pad, g.OutW()
	whole := g.Stride == 1 && ow%8 == 0 && g.K%4 == 0 // the kernel reads and writes pixels of dy alone
	for y := range g.OutH() {
		at, blocks := (y*g.Stride+off)*t.width, t.width/8
		pixels := dy[y*ow*g.K:][:ow*g.K]
		if whole {
			blocks = ow / 8
		} else {
			for z := range ow {
				copy(row[z*g.Stride*t.padded:][:g.K], pixels[z*g.K:])
			}
			pixels = row
		}
		for k := 0; k < t.padded; k += 4 {
			t.lay.pixels(&tables[k/4*tableEntries*t.length+at], &pixels[k], blocks, t.padded, t.length)
		}
	}
}

// combine writes some channels of one row of dx, from the first of them on, from the planes of the columns of taps, each
// [channels,step] and shifted by its column; planes begin with the margin.
func (t *inputTables) combine(dx, planes []float32, channels, step int) {
	g := t.g
	first := t.margin - (g.Kernel - 1 - g.Pad)
	c8 := channels / 8 * 8
	for z := 0; z < g.W; z += 8 {
		masks := t.masks[z*g.Kernel:][:8*g.Kernel]
		if c8 > 0 {
			t.lay.combine(&dx[z*g.C], &planes[first+z], &masks[0], c8/8, g.Kernel, min(8, g.W-z), step, channels*step+1, g.C)
		}
		for c := c8; c < channels; c++ {
			for l := range min(8, g.W-z) {
				var sum float32
				for s := range g.Kernel {
					if masks[8*s+l] != 0 {
						sum += planes[first+z+l+s+(s*channels+c)*step]
					}
				}
				dx[(z+l)*g.C+c] = sum
			}
		}
	}
}
