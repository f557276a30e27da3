package kernel

// Block is the part of a block of layers behind its 1-bit convolution, for one image: batch norm of the counts, which may be
// tiled, a shortcut, hardtanh. It has Pixels pixels of N counts, and N·Factor channels j behind the tile: copies of count
// j mod N, or j/Factor with Interleave. As everywhere in training the passes compute in float64 and round when they store.
//
// What the gradient needs of the result is one bit an element, element e of the image at bit e%16 of word e/16 of a mask.
type Block struct {
	Pixels, N, Factor int
	Interleave        bool
}

// BlockImage is what a forward pass reads and writes.
type BlockImage struct {
	Counts   []int16   // [Pixels,N], or nil
	Floats   []float32 // [Pixels,N], in the place of Counts: batch norm behind another layer
	Shortcut []float32 // [Pixels,N·Factor], nil for none
	Y        []float32 // [Pixels,N·Factor], the result
	Mask     []uint16  // [MaskWords(Pixels·N·Factor)]: -1 < Y < 1
	Signs    []uint64  // [Pixels,Words(N·Factor)]: Y < 0, as PackSigns packs it; padding bits are clear before
}

// MaskWords returns the words of the mask of n elements.
func MaskWords(n int) int { return (n + maskBits - 1) / maskBits }

const maskBits = 16

// masked returns dy[e] where the mask is set, else 0.
func masked(dy []float32, mask []uint16, e int) float32 {
	if mask[e/maskBits]>>(e%maskBits)&1 != 0 {
		return dy[e]
	}
	return 0
}

// wide returns the channels behind the tile.
func (b Block) wide() int { return b.N * b.Factor }

// source returns the count that channel j is a copy of.
func (b Block) source(j int) int {
	if b.Interleave {
		return j / b.Factor
	}
	return j % b.N
}

func (b Block) check(fn string, counts []int16, mask []uint16, coefficients []float64) {
	checkLen(fn, "counts", len(counts), b.Pixels*b.N)
	checkLen(fn, "mask", len(mask), MaskWords(b.Pixels*b.wide()))
	checkLen(fn, "coefficients", len(coefficients), b.wide())
}

// stepped returns the active tier's kernels for the block, and the steps of maskBits channels in a run of copies that
// follow one another in memory; nil if there are no such kernels.
func (b Block) stepped() (k *blockKernels, steps int) {
	if active.blocks == nil || b.Pixels < 1 || b.wide()%maskBits != 0 || b.Interleave && b.Factor > 1 {
		return nil, 0
	}
	switch {
	case b.N%maskBits == 0:
		return &active.blocks[0], b.N / maskBits
	case b.N == 8:
		return &active.blocks[1], b.wide() / maskBits
	case b.N == 4:
		return &active.blocks[2], b.wide() / maskBits
	}
	return nil, 0
}

// Forward computes
//
//	Y[p,j] = min(1, max(-1, float32(scale[j]·Counts[p,i] + bias[j]) + Shortcut[p,j]))
//
// or that of Floats, and returns the sum of Y and of its squares, in interleaved partial sums as SumSquares has them. Shortcut may be Y.
func (b Block) Forward(im *BlockImage, scale, bias []float64, room *Sums) (sum, squares float64) {
	wide := b.wide()
	checkLen("Block.Forward", "Counts and Floats", len(im.Counts)+len(im.Floats), b.Pixels*b.N)
	checkLen("Block.Forward", "Mask", len(im.Mask), MaskWords(b.Pixels*wide))
	checkLen("Block.Forward", "scale", len(scale), wide)
	checkLen("Block.Forward", "bias", len(bias), wide)
	checkLen("Block.Forward", "Y", len(im.Y), b.Pixels*wide)
	checkLen("Block.Forward", "Signs", len(im.Signs), b.Pixels*Words(wide))
	if im.Shortcut != nil {
		checkLen("Block.Forward", "Shortcut", len(im.Shortcut), len(im.Y))
	}
	clear(room[:])
	s, q := room[:reductionLanes], room[reductionLanes:]
	k, steps := b.stepped()
	if k == nil || im.Floats != nil && b.N%maskBits != 0 {
		if im.Floats != nil {
			forward(b, im, im.Floats, scale, bias, room)
		} else {
			forward(b, im, im.Counts, scale, bias, room)
		}
		return total(s), total(q)
	}
	var shortcut *float32
	if im.Shortcut != nil {
		shortcut = &im.Shortcut[0]
	}
	copies, skip := wide/maskBits/steps, 8*Words(wide)-wide/8
	if im.Floats != nil {
		active.normForward(&im.Y[0], &im.Mask[0], &im.Signs[0], &s[0], &q[0], &im.Floats[0], shortcut, &scale[0], &bias[0], b.Pixels, steps, copies, skip)
	} else {
		k.forward(&im.Y[0], &im.Mask[0], &im.Signs[0], &s[0], &q[0], &im.Counts[0], shortcut, &scale[0], &bias[0], b.Pixels, steps, copies, skip)
	}
	return total(s), total(q)
}

// forward is Forward of x, counts or float32, in plain Go.
func forward[T int16 | float32](b Block, im *BlockImage, x []T, scale, bias []float64, room *Sums) {
	wide := b.wide()
	clear(im.Mask)
	clear(im.Signs)
	for e := range im.Y {
		p, j := e/wide, e%wide
		y := float32(float64(scale[j]*float64(x[p*b.N+b.source(j)])) + bias[j])
		if im.Shortcut != nil {
			y += im.Shortcut[e]
		}
		if y > 1 {
			y = 1
		} else if y < -1 {
			y = -1
		}
		im.Y[e] = y
		if y > -1 && y < 1 {
			im.Mask[e/maskBits] |= 1 << (e % maskBits)
		}
		if y < 0 {
			im.Signs[p*Words(wide)+j/WordBits] |= 1 << (j % WordBits)
		}
		f := float64(y)
		room[e%reductionLanes] += f
		room[reductionLanes+e%reductionLanes] += float64(f * f)
	}
}

// Reduce adds to sums, [2,N·Factor], the pixels of g, one after the other, and g times Counts: g is dy where the mask is
// set, else 0.
func (b Block) Reduce(sums []float64, dy []float32, mask []uint16, counts []int16) {
	wide := b.wide()
	b.check("Block.Reduce", counts, mask, sums[:len(sums)/2])
	checkLen("Block.Reduce", "dy", len(dy), b.Pixels*wide)
	s, q := sums[:wide], sums[wide:][:wide]
	if k, _ := b.stepped(); k != nil {
		for j := 0; j < wide; j += maskBits {
			k.reduce(&s[j], &q[j], &dy[j], &mask[j/maskBits], &counts[j%b.N], b.Pixels, wide, b.N)
		}
		return
	}
	for e := range dy {
		p, j, g := e/wide, e%wide, float64(masked(dy, mask, e))
		s[j] += g
		q[j] += float64(g * float64(counts[p*b.N+b.source(j)]))
	}
}

// Spread is, with g as in Reduce, the gradient by the counts:
//
//	d[p,i] = a[i] + bc[i]·Counts[p,i] + Σ_j scale[j]·g[p,j]
//
// over the copies j of count i, in ascending order.
func (b Block) Spread(d, dy []float32, mask []uint16, counts []int16, scale, a, bc []float64) {
	wide := b.wide()
	b.check("Block.Spread", counts, mask, scale)
	checkLen("Block.Spread", "dy", len(dy), b.Pixels*wide)
	checkLen("Block.Spread", "d", len(d), len(counts))
	checkLen("Block.Spread", "a", len(a), b.N)
	checkLen("Block.Spread", "bc", len(bc), b.N)
	if k, _ := b.stepped(); k != nil {
		step := max(b.N, maskBits)
		for i := 0; i < b.N; i += maskBits {
			k.spread(&d[i], &dy[i], &mask[i/maskBits], &counts[i], &scale[i], &a[i], &bc[i], b.Pixels, wide/step, b.N, step)
		}
		return
	}
	first, next := 1, b.N // copies of count i: i·first + r·next
	if b.Interleave {
		first, next = b.Factor, 1
	}
	for e, c := range counts {
		p, i := e/b.N, e%b.N
		acc := a[i] + float64(bc[i]*float64(c))
		for r := range b.Factor {
			j := i*first + r*next
			acc += float64(scale[j] * float64(masked(dy, mask, p*wide+j)))
		}
		d[e] = float32(acc)
	}
}

// CountMoments is dst[e] = counts[e] for counts of at most limit in magnitude, and adds to sums, [2,n], the pixels of counts,
// [pixels,n], and their squares. The sums are exact, so their order does not matter. limit is at most 32767.
func CountMoments(dst []int16, counts []int32, sums []float64, limit int, room *CountSums) {
	n := len(sums) / 2
	checkLen("CountMoments", "dst", len(dst), len(counts))
	checkLen("CountMoments", "counts", len(counts)%n, 0)
	if active.countMoments != nil {
		if wide := n * (8 / gcd(n, 8)); len(counts)%wide == 0 {
			countMoments(dst, counts, sums, wide, limit, room)
			return
		}
	}
	for e, v := range counts {
		dst[e] = int16(v)
		sums[e%n] += float64(v)
		sums[n+e%n] += float64(int64(v) * int64(v))
	}
}

// CountSums is scratch for CountMoments, which callers keep.
type CountSums [16]int32

// countMoments is CountMoments over vectors of eight of wide channels, which are those of one pixel or of several.
func countMoments(dst []int16, counts []int32, sums []float64, wide, limit int, room *CountSums) {
	n, pixels := len(sums)/2, len(counts)/wide
	most := max(1, (1<<31-1)/max(1, limit*limit)) // pixels whose sums fit
	for p := 0; p < pixels; p += most {
		for c := 0; c < wide; c += 8 {
			clear(room[:])
			at := p*wide + c
			active.countMoments(&dst[at], &room[0], &room[8], &counts[at], min(most, pixels-p), wide)
			for i := range 8 {
				sums[(c+i)%n] += float64(room[i])
				sums[n+(c+i)%n] += float64(room[8+i])
			}
		}
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// MaskGrad is dx[e] = dy[e] where the mask is set, else 0. dx may be dy.
func MaskGrad(dx, dy []float32, mask []uint16) {
	checkLen("MaskGrad", "dy", len(dy), len(dx))
	checkLen("MaskGrad", "mask", len(mask), MaskWords(len(dx)))
	done := 0
	if k, n := active.maskGrad, len(dx)/maskBits; k != nil && n > 0 {
		k(&dx[0], &dy[0], &mask[0], n)
		done = n * maskBits
	}
	for e := done; e < len(dx); e++ {
		dx[e] = masked(dy, mask, e)
	}
}

// CombineMasked is Combine and then the addition of MaskGrad: dst[e] = float32(p·d[e] + (q·x[e] + r)) + g[e], g being dy where
// the mask is set, else 0. dst may be d or dy.
func CombineMasked(dst, d, x []float32, p, q, r float64, dy []float32, mask []uint16) {
	checkLen("CombineMasked", "d", len(d), len(dst))
	checkLen("CombineMasked", "x", len(x), len(dst))
	checkLen("CombineMasked", "dy", len(dy), len(dst))
	checkLen("CombineMasked", "mask", len(mask), MaskWords(len(dst)))
	done := 0
	if k, n := active.combineMasked, len(d)/maskBits; k != nil && n > 0 {
		k(&dst[0], &d[0], &x[0], &dy[0], &mask[0], n, p, q, r)
		done = n * maskBits
	}
	for e := done; e < len(d); e++ {
		dst[e] = float32(float64(p*float64(d[e]))+(float64(q*float64(x[e]))+r)) + masked(dy, mask, e)
	}
}
