package kernel

// Pool describes pooling of one [H,W,C] image over Kernel x Kernel windows at Stride, without padding.
type Pool struct {
	H, W, C, Kernel, Stride int
}

// OutH returns the rows of the result.
func (p Pool) OutH() int { return (p.H-p.Kernel)/p.Stride + 1 }

// OutW returns the columns of the result.
func (p Pool) OutW() int { return (p.W-p.Kernel)/p.Stride + 1 }

// OutLen returns the elements of the result.
func (p Pool) OutLen() int { return p.OutH() * p.OutW() * p.C }

// avgPoolKernel is, over some channels c and over pixels p,
//
//	dst[p*dstPixel+c] = scale * sum over r < rows, s < taps of x[p*xPixel+r*xRow+s*xTap+c]
//
// in ascending order, beginning with the first.
type avgPoolKernel struct {
	channels int
	run      func(dst, x *float32, pixels, rows, taps, xRow, xTap, xPixel, dstPixel int, scale float32)
}

// poolKernel combines, over some channels c and over pixels p, the four of a window of 2x2,
//
//	x[p*xPixel+c], x[p*xPixel+xTap+c], x[p*xPixel+xRow+c], x[p*xPixel+xRow+xTap+c], in this order,
//
// to dst[p*dstPixel+c]: to the sum times scale, or to the maximum.
type poolKernel[T int32 | float32] struct {
	channels int
	run      func(dst, x *T, pixels, xRow, xTap, xPixel, dstPixel int, scale float32)
}

// pool runs the kernel over a map; pixels of dst are step elements apart. It reports whether the tier has it for p.
func (k *poolKernel[T]) pool(dst, x []T, p Pool, step int, scale float32) bool {
	if k.run == nil || p.Kernel != 2 || p.C%k.channels != 0 {
		return false
	}
	ow := p.OutW()
	for y := range p.OutH() {
		for c := 0; c < p.C; c += k.channels {
			k.run(&dst[y*ow*step+c], &x[y*p.Stride*p.W*p.C+c], ow, p.W*p.C, p.C, p.Stride*p.C, step, scale)
		}
	}
	return true
}

// meanKernel is dst[c] = scale * sum over p < pixels of x[p*step+c], in ascending order, from 0, over some channels c.
type meanKernel struct {
	channels int
	run      func(dst, x *float32, pixels, step int, scale float32)
}

// AvgPool writes to dst, [OutH,OutW,C], the mean of each window of x, [H,W,C]: the sum over rows and columns in
// ascending order, times float32(1)/float32(Kernel²).
func AvgPool(dst, x []float32, p Pool) {
	checkLen("AvgPool", "dst", len(dst), p.OutLen())
	checkLen("AvgPool", "x", len(x), p.H*p.W*p.C)
	avgPool(dst, x, p, p.C)
}

// AvgPoolPadded is AvgPool into the channels from first on of dst, [OutH,OutW,wide]; the others become zero.
func AvgPoolPadded(dst, x []float32, p Pool, wide, first int) {
	checkLen("AvgPoolPadded", "dst", len(dst), p.OutH()*p.OutW()*wide)
	checkLen("AvgPoolPadded", "x", len(x), p.H*p.W*p.C)
	checkLen("AvgPoolPadded", "channels", max(wide, first+p.C), wide)
	clear(dst)
	avgPool(dst[first:], x, p, wide)
}

// avgPool is AvgPool with pixels of dst that are step elements apart.
func avgPool(dst, x []float32, p Pool, step int) {
	ow := p.OutW()
	scale := 1 / float32(p.Kernel*p.Kernel)
	if active.device.avgPool2.pool(dst, x, p, step, scale) {
		return
	}
	if k := active.device.avgPool; k.run != nil && p.C%k.channels == 0 {
		for y := range p.OutH() {
			for c := 0; c < p.C; c += k.channels {
				k.run(&dst[y*ow*step+c], &x[y*p.Stride*p.W*p.C+c], ow, p.Kernel, p.Kernel, p.W*p.C, p.C, p.Stride*p.C, step, scale)
			}
		}
		return
	}
	for y := range p.OutH() {
		for z := range ow {
			out := dst[(y*ow+z)*step:][:p.C]
			for r := range p.Kernel {
				for s := range p.Kernel {
					in := x[((y*p.Stride+r)*p.W+z*p.Stride+s)*p.C:][:len(out)]
					if r == 0 && s == 0 {
						copy(out, in)
						continue
					}
					for i, v := range in {
						out[i] += v
					}
				}
			}
			for i := range out {
				out[i] *= scale
			}
		}
	}
}

// AvgPoolGrad writes to dx, [H,W,C], the gradient of AvgPool for the gradient dy, [OutH,OutW,C], of its result.
func AvgPoolGrad(dx, dy []float32, p Pool) {
	checkLen("AvgPoolGrad", "dy", len(dy), p.OutLen())
	clear(dx)
	AddAvgPoolGrad(dx, dy, p, p.C, 0)
}

// AddAvgPoolGrad adds to dx, [H,W,C], the gradient of AvgPoolPadded for the gradient dy, [OutH,OutW,wide], of its result.
func AddAvgPoolGrad(dx, dy []float32, p Pool, wide, first int) {
	checkLen("AddAvgPoolGrad", "dy", len(dy), p.OutH()*p.OutW()*wide)
	checkLen("AddAvgPoolGrad", "dx", len(dx), p.H*p.W*p.C)
	ow := p.OutW()
	scale := 1 / float32(p.Kernel*p.Kernel)
	if k := active.flat.addAvgPoolGrad; k != nil && p.C%active.lanes == 0 {
		for y := range p.OutH() {
			for c := 0; c < p.C; c += active.lanes {
				k(&dx[y*p.Stride*p.W*p.C+c], &dy[y*ow*wide+first+c], ow, p.Kernel, p.Kernel, p.W*p.C, p.C, p.Stride*p.C, wide, scale)
			}
		}
		return
	}
	for y := range p.OutH() {
		for z := range ow {
			g := dy[(y*ow+z)*wide+first:][:p.C]
			for r := range p.Kernel {
				for s := range p.Kernel {
					out := dx[((y*p.Stride+r)*p.W+z*p.Stride+s)*p.C:][:len(g)]
					for i, v := range g {
						out[i] += float32(scale * v)
					}
				}
			}
		}
	}
}

// MaxPool writes to dst, [OutH,OutW,C], the maximum of each window of x, [H,W,C].
func MaxPool[T int32 | float32](dst, x []T, p Pool) {
	checkLen("MaxPool", "dst", len(dst), p.OutLen())
	checkLen("MaxPool", "x", len(x), p.H*p.W*p.C)
	if counts, ok := any(x).([]int32); ok && active.device.maxPool2.pool(any(dst).([]int32), counts, p, p.C, 0) {
		return
	}
	ow := p.OutW()
	for y := range p.OutH() {
		for z := range ow {
			out := dst[(y*ow+z)*p.C : (y*ow+z+1)*p.C]
			for r := range p.Kernel {
				for s := range p.Kernel {
					in := x[((y*p.Stride+r)*p.W+z*p.Stride+s)*p.C:][:len(out)]
					if r == 0 && s == 0 {
						copy(out, in)
						continue
					}
					for i, v := range in {
						out[i] = max(out[i], v)
					}
				}
			}
		}
	}
}

// PoolBits writes to dst, [OutH,OutW,C], the bits that are set in each word of a window of x, [H,W,C] words, xor flip, [C]
// or nil. It is a max pool ahead of a threshold: the maximum is below a limit where all of the window are.
func PoolBits(dst, x []uint64, p Pool, flip []uint64) {
	checkLen("PoolBits", "dst", len(dst), p.OutLen())
	checkLen("PoolBits", "x", len(x), p.H*p.W*p.C)
	if flip != nil {
		checkLen("PoolBits", "flip", len(flip), p.C)
	}
	ow := p.OutW()
	for y := range p.OutH() {
		for z := range ow {
			out := dst[(y*ow+z)*p.C:][:p.C]
			for c := range out {
				word := ^uint64(0)
				for r := range p.Kernel {
					at := ((y*p.Stride+r)*p.W+z*p.Stride)*p.C + c
					for range p.Kernel {
						word &= x[at]
						at += p.C
					}
				}
				if flip != nil {
					word ^= flip[c]
				}
				out[c] = word
			}
		}
	}
}

// MaxPoolGrad writes to dx, [H,W,C], the gradient of MaxPool for the gradient dy, [OutH,OutW,C], of its result: each
// goes to the first maximum of its window, in the order of rows and columns, as in PyTorch.
func MaxPoolGrad(dx, dy, x []float32, p Pool) {
	checkLen("MaxPoolGrad", "dy", len(dy), p.OutLen())
	checkLen("MaxPoolGrad", "dx", len(dx), p.H*p.W*p.C)
	checkLen("MaxPoolGrad", "x", len(x), p.H*p.W*p.C)
	ow := p.OutW()
	clear(dx)
	for y := range p.OutH() {
		for z := range ow {
			for c := range p.C {
				best := ((y*p.Stride)*p.W+z*p.Stride)*p.C + c
				for r := range p.Kernel {
					for s := range p.Kernel {
						if at := ((y*p.Stride+r)*p.W+z*p.Stride+s)*p.C + c; x[at] > x[best] {
							best = at
						}
					}
				}
				dx[best] += dy[(y*ow+z)*p.C+c]
			}
		}
	}
}

// GlobalAvgPool writes to dst, [C], the mean of each channel of x, [n,C]: the sum over the pixels in ascending
// order, times float32(1)/float32(n).
func GlobalAvgPool(dst, x []float32) {
	c := len(dst)
	checkLen("GlobalAvgPool", "x", len(x)%c, 0)
	if means := active.device.mean; means != nil && c%means[len(means)-1].channels == 0 && len(x) > 0 {
		for i := 0; i < c; {
			k := &means[0]
			for n := 1; k.channels > c-i; n++ {
				k = &means[n]
			}
			k.run(&dst[i], &x[i], len(x)/c, c, 1/float32(len(x)/c))
			i += k.channels
		}
		return
	}
	clear(dst)
	for p := 0; p < len(x); p += c {
		for i, v := range x[p : p+c] {
			dst[i] += v
		}
	}
	scale := 1 / float32(len(x)/c)
	for i := range dst {
		dst[i] *= scale
	}
}

// Flatten writes x, [H,W,C] with hw = H·W, to dst in PyTorch's order [C,H,W].
func Flatten(dst, x []float32, hw int) {
	checkLen("Flatten", "dst", len(dst), len(x))
	c := len(x) / hw
	for p := range hw {
		for i, v := range x[p*c : (p+1)*c] {
			dst[i*hw+p] = v
		}
	}
}

// Unflatten is the inverse of Flatten.
func Unflatten(dst, x []float32, hw int) {
	checkLen("Unflatten", "dst", len(dst), len(x))
	c := len(x) / hw
	for p := range hw {
		out := dst[p*c : (p+1)*c]
		for i := range out {
			out[i] = x[i*hw+p]
		}
	}
}
