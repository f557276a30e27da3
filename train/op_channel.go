package train

import "github.com/bnntool/bnntool/internal/kernel"

// channelBias is y[p,c] = x[p,c] + b[c]: the shift of RSign and the shifts of RPReLU (arXiv 2003.03488, section 4.2).
// Inputs: x [B,H,W,C], b [1,C,1,1].
type channelBias struct {
	m        *machine
	c        int
	x, y, b  []float32
	dx, dy   []float32
	sums     []float64 // by chunk and channel
	fwd, bwd func(worker, chunk int)
}

func newChannelBias(m *machine, c int) *channelBias {
	o := &channelBias{m: m, c: c, sums: make([]float64, chunksPerBatch*c)}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *channelBias) forward(y []float32, in [][]float32) {
	o.x, o.b, o.y = in[0], in[1], y
	o.m.each(o.fwd)
}

func (o *channelBias) forwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	x, y := o.m.rows(o.x, lo, hi), o.m.rows(o.y, lo, hi)
	for p := 0; p < len(x); p += o.c {
		kernel.Add(y[p:p+o.c], x[p:p+o.c], o.b)
	}
}

func (o *channelBias) backward(dx [][]float32, dy []float32, _ [][]float32, _ []float32) {
	o.dx, o.dy = dx[0], dy
	o.m.each(o.bwd)
	sumChunks(dx[1], o.sums, o.m.chunks())
}

func (o *channelBias) backwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	dy := o.m.rows(o.dy, lo, hi)
	if o.dx != nil {
		copy(o.m.rows(o.dx, lo, hi), dy)
	}
	sums := o.sums[chunk*o.c : (chunk+1)*o.c]
	clear(sums)
	for p := 0; p < len(dy); p += o.c {
		for i, v := range dy[p : p+o.c] {
			sums[i] += float64(v)
		}
	}
}

// sumChunks writes to dst, [n], the sums over the chunks of sums, [chunk,n].
func sumChunks(dst []float32, sums []float64, chunks int) {
	n := len(dst)
	for i := range dst {
		var s float64
		for c := range chunks {
			s += sums[c*n+i]
		}
		dst[i] = float32(s)
	}
}

// prelu is y = x where x > 0, else slope_c·x. Inputs: x [B,H,W,C], slope [C].
type prelu struct {
	m           *machine
	c           int
	x, y, slope []float32
	dx, dy      []float32
	sums        []float64 // by chunk and channel
	fwd, bwd    func(worker, chunk int)
}

func newPReLU(m *machine, c int) *prelu {
	o := &prelu{m: m, c: c, sums: make([]float64, chunksPerBatch*c)}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *prelu) forward(y []float32, in [][]float32) {
	o.x, o.slope, o.y = in[0], in[1], y
	o.m.each(o.fwd)
}

func (o *prelu) forwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	kernel.PReLU(o.m.rows(o.y, lo, hi), o.m.rows(o.x, lo, hi), o.slope)
}

func (o *prelu) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	o.x, o.slope, o.dx, o.dy = in[0], in[1], dx[0], dy
	o.m.each(o.bwd)
	sumChunks(dx[1], o.sums, o.m.chunks())
}

func (o *prelu) backwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	x, dy, dx := o.m.rows(o.x, lo, hi), o.m.rows(o.dy, lo, hi), o.m.rows(o.dx, lo, hi)
	sums := o.sums[chunk*o.c : (chunk+1)*o.c]
	clear(sums)
	for p := 0; p < len(x); p += o.c {
		for i, v := range x[p : p+o.c] {
			g := dy[p+i]
			if !(v > 0) {
				sums[i] += float64(g) * float64(v)
				g *= o.slope[i]
			}
			dx[p+i] = g
		}
	}
}

// tile copies channels: y[p,j] = x[p,j mod n], or x[p,j/factor] with interleave.
type tile struct {
	m          *machine
	n, factor  int
	interleave bool
	x, y       []float32
	fwd, bwd   func(worker, chunk int)
}

func newTile(m *machine, n, factor int, interleave bool) *tile {
	o := &tile{m: m, n: n, factor: factor, interleave: interleave}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *tile) forward(y []float32, in [][]float32) {
	o.x, o.y = in[0], y
	o.m.each(o.fwd)
}

func (o *tile) forwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	kernel.Tile(o.m.rows(o.y, lo, hi), o.m.rows(o.x, lo, hi), o.n, o.factor, o.interleave)
}

func (o *tile) backward(dx [][]float32, dy []float32, _ [][]float32, _ []float32) {
	o.x, o.y = dx[0], dy
	o.m.each(o.bwd)
}

func (o *tile) backwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	kernel.TileGrad(o.m.rows(o.x, lo, hi), o.m.rows(o.y, lo, hi), o.n, o.factor, o.interleave)
}

// rearrange moves channels: y[p,j] = x[p,from[j]] for the output channels j, or 0 where from[j] is -1. It is channel
// padding and channel selection.
type rearrange struct {
	m        *machine
	c        int   // input channels
	from     []int // by output channel
	x, y     []float32
	dx, dy   []float32
	fwd, bwd func(worker, chunk int)
}

func newRearrange(m *machine, c int, from []int) *rearrange {
	o := &rearrange{m: m, c: c, from: from}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

// takeChannels returns the input channels of the first out ones.
func takeChannels(out int) []int {
	from := make([]int, out)
	for j := range from {
		from[j] = j
	}
	return from
}

// padChannels returns the input channel of each of the out channels that padding c of them on both sides gives.
func padChannels(c, out int) []int {
	from := make([]int, out)
	for j := range from {
		if from[j] = j - (out-c)/2; from[j] < 0 || from[j] >= c {
			from[j] = -1
		}
	}
	return from
}

func (o *rearrange) forward(y []float32, in [][]float32) {
	o.x, o.y = in[0], y
	o.m.each(o.fwd)
}

func (o *rearrange) forwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	x, y := o.m.rows(o.x, lo, hi), o.m.rows(o.y, lo, hi)
	for p := 0; p*o.c < len(x); p++ {
		in, out := x[p*o.c:(p+1)*o.c], y[p*len(o.from):(p+1)*len(o.from)]
		for j, i := range o.from {
			if i < 0 {
				out[j] = 0
			} else {
				out[j] = in[i]
			}
		}
	}
}

func (o *rearrange) backward(dx [][]float32, dy []float32, _ [][]float32, _ []float32) {
	o.dx, o.dy = dx[0], dy
	o.m.each(o.bwd)
}

func (o *rearrange) backwardChunk(_, chunk int) {
	lo, hi := o.m.span(chunk)
	dx, dy := o.m.rows(o.dx, lo, hi), o.m.rows(o.dy, lo, hi)
	clear(dx)
	for p := 0; p*o.c < len(dx); p++ {
		out, in := dx[p*o.c:(p+1)*o.c], dy[p*len(o.from):(p+1)*len(o.from)]
		for j, i := range o.from {
			if i >= 0 {
				out[i] += in[j]
			}
		}
	}
}

// concat joins its inputs along the channels.
type concat struct {
	m        *machine
	channels []int
	in, dx   [][]float32
	y, dy    []float32
	fwd, bwd func(worker, chunk int)
}

func newConcat(m *machine, channels []int) *concat {
	o := &concat{m: m, channels: channels}
	o.fwd, o.bwd = o.forwardChunk, o.backwardChunk
	return o
}

func (o *concat) forward(y []float32, in [][]float32) {
	o.in, o.y = in, y
	o.m.each(o.fwd)
}

func (o *concat) forwardChunk(_, chunk int) { o.move(chunk, o.y, o.in, false) }

func (o *concat) backward(dx [][]float32, dy []float32, _ [][]float32, _ []float32) {
	o.dx, o.dy = dx, dy
	o.m.each(o.bwd)
}

func (o *concat) backwardChunk(_, chunk int) { o.move(chunk, o.dy, o.dx, true) }

// move copies the parts into whole, or whole into the parts if split.
func (o *concat) move(chunk int, whole []float32, parts [][]float32, split bool) {
	lo, hi := o.m.span(chunk)
	total := 0
	for _, c := range o.channels {
		total += c
	}
	whole = o.m.rows(whole, lo, hi)
	first := 0
	for i, c := range o.channels {
		if parts[i] != nil {
			part := o.m.rows(parts[i], lo, hi)
			for p := 0; p*c < len(part); p++ {
				a, b := whole[p*total+first:][:c], part[p*c:(p+1)*c]
				if split {
					copy(b, a)
				} else {
					copy(a, b)
				}
			}
		}
		first += c
	}
}
