package kernel

import (
	"math"
	"unsafe"
)

// ConvLayer is a float convolution, of one group, with what follows its sums in one pass:
//
//	v = float32(scale[k]*sum (y,z,k)) + bias[k]            the sums are Conv's
//	dst[y,z,j] = min(1, max(-1, v))                        v itself without clip; NaN stays NaN
//	bit (y,z,j) of signs = dst[y,z,j] < 0
//
// over the copies·K channels j of a channel tile, where k is j mod K. It serves any number of goroutines.
type ConvLayer struct {
	g           Geometry
	w           []float32 // [R,S,C,K]
	rows        []float32 // [K,R,S,C], what Conv takes; nil with tiles
	scale, bias []float32
	copies      int
	clip        bool
}

// flatTile computes blocks of some pixels by some channels of a convolution with what follows it:
//
//	sum = sum over r < rows, i < run of x[p*xPixel+r*xRow+i] * w[(r*run+i)*wStep+c], in ascending order, from 0
//	y   = min(high, max(low, sum*scale[c] + bias[c]))
//	dst[p*dstPixel+j*copyStep+c] = y for j < copies, unless dst is nil
//	bit c of the bytes from signs[p*signsPixel+j*copyStep/8] on = y < 0, unless signs is nil
//
// The stride of a nil is 0.
type flatTile struct {
	channels, pixels int
	run              func(dst *float32, signs *uint8, x, w, scale, bias *float32, blocks, rows, run, xRow, xPixel, wStep, dstPixel, signsPixel, copies, copyStep int, low, high float32)
}

// flatTile returns the largest tile of at most the given channels and pixels, nil if there is none.
func (t *tier) flatTile(channels, pixels int) *flatTile {
	for i := range t.device.convLayer {
		if f := &t.device.convLayer[i]; f.channels <= channels && f.pixels <= pixels {
			return f
		}
	}
	return nil
}

// tilesConvLayer reports whether the active tier has tiles for g: then all filters are in some of them.
func tilesConvLayer(g Geometry) bool {
	n := len(active.device.convLayer)
	return n > 0 && g.K%active.device.convLayer[n-1].channels == 0
}

// NewConvLayer prepares the layer of w, [K,C,R,S] in PyTorch's order, of finite numbers, with scale and bias, [K] each,
// which it keeps and which must not change.
func NewConvLayer(g Geometry, w, scale, bias []float32, copies int, clip bool) *ConvLayer {
	g.Check()
	checkLen("NewConvLayer", "groups", g.Groups, 1)
	checkLen("NewConvLayer", "w", len(w), g.FilterLen())
	checkLen("NewConvLayer", "scale", len(scale), g.K)
	checkLen("NewConvLayer", "bias", len(bias), g.K)
	l := &ConvLayer{g: g, scale: scale, bias: bias, copies: copies, clip: clip}
	rows := make([]float32, len(w))
	FiltersToHWI(rows, w, g)
	if !tilesConvLayer(g) {
		l.rows = rows
		return l
	}
	n := len(w) / g.K
	l.w = make([]float32, len(w))
	for k := range g.K {
		for i := range n {
			l.w[i*g.K+k] = rows[k*n+i]
		}
	}
	return l
}

// Kernel names what Convolve runs.
func (l *ConvLayer) Kernel() string {
	if l.rows != nil {
		return Generic
	}
	return active.name
}

// Scratch returns the elements that Convolve needs as scratch.
func (l *ConvLayer) Scratch() int {
	g := l.g
	if l.rows != nil {
		return (g.OutH()*g.OutW()*g.K*(1+l.copies) + 1) / 2
	}
	if g.Pad == 0 {
		return 0
	}
	return ((g.H+2*g.Pad)*(g.W+2*g.Pad)*g.C + 1) / 2
}

// Convolve computes dst, [OutH,OutW,copies·K], and signs, [OutH,OutW,Words(copies·K)], from x, [H,W,C]. dst or signs may be
// nil; the slices must not overlap. scratch has at least Scratch elements, whose values neither matter nor survive.
func (l *ConvLayer) Convolve(dst []float32, signs []uint64, x []float32, scratch []uint64) {
	g := l.g
	pixels, wide := g.OutH()*g.OutW(), g.K*l.copies
	checkLen("Convolve", "x", len(x), g.InLen())
	checkLen("Convolve", "scratch", min(len(scratch), l.Scratch()), l.Scratch())
	if dst != nil {
		checkLen("Convolve", "dst", len(dst), pixels*wide)
	}
	if signs != nil {
		checkLen("Convolve", "signs", len(signs), pixels*Words(wide))
	}
	var floats []float32
	if len(scratch) > 0 {
		floats = unsafe.Slice((*float32)(unsafe.Pointer(&scratch[0])), 2*len(scratch))
	}
	if l.rows != nil {
		l.compose(dst, signs, x, floats)
		return
	}
	if dst == nil && signs == nil {
		return
	}
	if wide%WordBits != 0 {
		clear(signs) // the tiles write no bits behind the channels
	}
	padded, width := x, g.W
	if g.Pad > 0 {
		width += 2 * g.Pad
		padded = floats[:(g.H+2*g.Pad)*width*g.C]
		padMap(padded, x, g)
	}
	low, high := float32(math.Inf(-1)), float32(math.Inf(1))
	if l.clip {
		low, high = -1, 1
	}
	run, xRow, xPixel := g.Kernel*g.C, width*g.C, g.Stride*g.C
	for first := 0; first < g.K; {
		tile := active.flatTile(g.K-first, g.OutW())
		for y := range g.OutH() {
			for z := 0; z < g.OutW(); {
				if z+tile.pixels > g.OutW() {
					z = g.OutW() - tile.pixels // some pixels a second time
				}
				blocks := (g.OutW() - z) / tile.pixels
				at := y*g.OutW() + z
				var d *float32
				var s *uint8
				var dStep, sStep int
				if dst != nil {
					d, dStep = &dst[at*wide+first], wide
				}
				if signs != nil {
					s = (*uint8)(unsafe.Add(unsafe.Pointer(&signs[at*Words(wide)]), first/8))
					sStep = 8 * Words(wide)
				}
				tile.run(d, s, &padded[(y*g.Stride*width+z*g.Stride)*g.C], &l.w[first], &l.scale[first], &l.bias[first], blocks,
					g.Kernel, run, xRow, xPixel, g.K, dStep, sStep, l.copies, g.K, low, high)
				z += blocks * tile.pixels
			}
		}
		first += tile.channels
	}
}

// padMap writes x, [H,W,C], with Pad rows and columns of zeros on every side.
func padMap(padded, x []float32, g Geometry) {
	row, side := (g.W+2*g.Pad)*g.C, g.Pad*g.C
	clear(padded[:g.Pad*row])
	for y := range g.H {
		out := padded[(g.Pad+y)*row:][:row]
		clear(out[:side])
		copy(out[side:], x[y*g.W*g.C:][:g.W*g.C])
		clear(out[row-side:])
	}
	clear(padded[(g.Pad+g.H)*row:])
}

// compose is Convolve by the functions that it stands for.
func (l *ConvLayer) compose(dst []float32, signs []uint64, x, scratch []float32) {
	g := l.g
	pixels, wide := g.OutH()*g.OutW(), g.K*l.copies
	y := scratch[:pixels*g.K]
	Conv(y, x, l.rows, nil, g)
	Affine(y, y, l.scale, l.bias, 1, false)
	if l.clip {
		Hardtanh(y, y)
	}
	if dst == nil {
		dst = scratch[len(y):][:pixels*wide]
	}
	for p := range pixels {
		for j := range l.copies {
			copy(dst[p*wide+j*g.K:], y[p*g.K:(p+1)*g.K])
		}
	}
	if signs != nil {
		PackSigns(signs, dst, pixels, wide)
	}
}
