package kernel

import "unsafe"

// SignGradients computes the two gradients of a convolution of ±1 maps with ±1 filters. One operand of every product is
// ±1, so that each gradient is a sum of signed elements of dy, and four elements have only 16 signed sums: where the
// tier has vectors, the sums of four elements are taken from tables (the "method of four Russians"), at a quarter of the
// additions. Plain Go adds them up one by one, in the same order, to the same bits.
//
// It serves any number of goroutines between two calls of Pack, each with its own SignGradScratch. All values must be
// finite.
type SignGradients struct {
	g     Geometry
	signs []float32 // the filters as ±1, [C,R',S',K/G] with the taps reversed: what plain Go reads
	input *inputTables
	dw    *filterTables
}

// SignGradScratch is the working memory of one goroutine for one SignGradients.
type SignGradScratch struct {
	floats []float32
	offs   []int32
	bytes  []byte
}

// filtersPerSum and groupsPerSum bound the partial sums of the gradients: Input adds up blocks of 16 filters, Filters
// bands of rows of about 16 groups of four pixels.
const (
	filtersPerSum = 16
	groupsPerSum  = 16
)

// NewSignGradients prepares for g.
func NewSignGradients(g Geometry) *SignGradients {
	g.Check()
	f := &SignGradients{g: g}
	if g.Groups == 1 && len(active.signs) > 0 && g.K <= maxTableFilters {
		f.input, f.dw = newInputTables(g), newFilterTables(g)
	} else {
		f.signs = make([]float32, g.FilterLen())
	}
	return f
}

// Pack takes over the signs of the filters w, [K,C/G,R,S] in PyTorch's order, which Input multiplies with.
func (f *SignGradients) Pack(w []float32) {
	checkLen("SignGradients.Pack", "w", len(w), f.g.FilterLen())
	if f.input != nil {
		f.input.pack(w)
		return
	}
	FiltersForGradInput(f.signs, w, f.g)
	for i, v := range f.signs {
		f.signs[i] = 1
		if v < 0 {
			f.signs[i] = -1
		}
	}
}

// NewScratch returns working memory for one goroutine.
func (f *SignGradients) NewScratch() *SignGradScratch {
	if f.input == nil {
		return &SignGradScratch{floats: make([]float32, f.FiltersLen())}
	}
	return &SignGradScratch{
		floats: make([]float32, f.input.floats+f.dw.floats),
		offs:   make([]int32, f.dw.offsets),
		bytes:  make([]byte, f.dw.bytes),
	}
}

// Input writes to dx, [H,W,C], the gradient of the convolution by its input, for the gradient dy, [OutH,OutW,K], of its
// result. With p the padded dy (paddedOut) and w' the filters with reversed taps, all ±1, it is
//
//	dx[y,z,c] = Σ_s Σ_b Σ_r Σ_q (((±p[..,k] ± p[..,k+1]) ± p[..,k+2]) ± p[..,k+3])     p[..] = p[y+r,z+s], ± = w'[r,s,..,c]
//
// over the columns s of the taps, the blocks b of 16 filters, the rows r of the taps and the groups q of four filters of
// the block, k the first of them: one sum over rows and groups for each block, which is added to the column's, and the
// columns are added up; each from 0 and in ascending order.
func (f *SignGradients) Input(dx, dy []float32, scratch *SignGradScratch) {
	g := f.g
	checkLen("SignGradients.Input", "dx", len(dx), g.InLen())
	checkLen("SignGradients.Input", "dy", len(dy), g.OutLen())
	if f.input != nil {
		f.input.run(dx, dy, scratch.floats[:f.input.floats])
		return
	}
	for y := range g.H {
		for z := range g.W {
			for c := range g.C {
				dx[(y*g.W+z)*g.C+c] = f.inputElement(dy, y, z, c)
			}
		}
	}
}

func (f *SignGradients) inputElement(dy []float32, y, z, c int) float32 {
	g := f.g
	oh, ow, gk, rs, off := g.OutH(), g.OutW(), g.K/g.Groups, g.Kernel*g.Kernel, g.Kernel-1-g.Pad
	firstFilter := c / g.GroupC() * gk
	var total float32
	for s := range g.Kernel {
		oz := z + s - off
		if oz < 0 || oz%g.Stride != 0 || oz/g.Stride >= ow {
			continue
		}
		var column float32
		for block := 0; block < gk; block += filtersPerSum {
			end := min(block+filtersPerSum, gk)
			var sum float32
			for r := range g.Kernel {
				oy := y + r - off
				if oy < 0 || oy%g.Stride != 0 || oy/g.Stride >= oh {
					continue
				}
				d := dy[(oy/g.Stride*ow+oz/g.Stride)*g.K+firstFilter:][:gk]
				w := f.signs[(c*rs+r*g.Kernel+s)*gk:][:gk]
				for k := block; k < end; k += 4 {
					var four float32
					for i := k; i < min(k+4, end); i++ {
						four += float32(w[i] * d[i])
					}
					sum += four
				}
			}
			column += sum
		}
		total += column
	}
	return total
}

// FiltersLen returns the elements of the gradient by the filters as Filters lays it out.
func (f *SignGradients) FiltersLen() int {
	if f.dw != nil {
		return f.dw.length()
	}
	return f.g.FilterLen()
}

// Filters adds to dw, FiltersLen elements of the tier's own order, the gradient of the convolution by its filters, for
// the packed signs x, [H,W,G,Words(C/G)], of its input and the gradient dy, [OutH,OutW,K], of its result. For each
// weight it is
//
//	Σ_b Σ_y Σ_q (((±dy[y,z] ± dy[y,z+1]) ± dy[y,z+2]) ± dy[y,z+3])
//
// over the bands b of rows, the rows y of a band and the groups q of four pixels of a row, z the first of them; ± is the
// sign of x at the tap, and elements whose tap falls outside of x are 0. A band has max(1, 16/⌈OutW/4⌉) rows; its sum
// is taken from 0 and then added to dw; all in ascending order.
func (f *SignGradients) Filters(dw, dy []float32, x []uint64, scratch *SignGradScratch) {
	g := f.g
	checkLen("SignGradients.Filters", "dw", len(dw), f.FiltersLen())
	checkLen("SignGradients.Filters", "dy", len(dy), g.OutLen())
	checkLen("SignGradients.Filters", "x", len(x), g.InWords())
	if f.dw != nil {
		f.dw.run(dw, dy, x, scratch.floats[f.input.floats:], scratch.offs, scratch.bytes)
		return
	}
	sum := scratch.floats[:len(dw)]
	for y0 := 0; y0 < g.OutH(); y0 += bandRows(g) {
		clear(sum)
		for y := y0; y < min(y0+bandRows(g), g.OutH()); y++ {
			for z := 0; z < g.OutW(); z += 4 {
				addFour(sum, dy, x, y, z, g)
			}
		}
		Add(dw, dw, sum)
	}
}

func bandRows(g Geometry) int { return max(1, groupsPerSum/((g.OutW()+3)/4)) }

// addFour adds the signed sums of the output pixels (y,z) to (y,z+3) to sum, [R,S,C/G,K].
func addFour(sum, dy []float32, x []uint64, y, z int, g Geometry) {
	gc, gk, wd, ow := g.GroupC(), g.K/g.Groups, Words(g.GroupC()), g.OutW()
	for t := range g.Kernel * g.Kernel {
		iy := y*g.Stride - g.Pad + t/g.Kernel
		if iy < 0 || iy >= g.H {
			continue
		}
		for q := range g.Groups {
			for i := range gc {
				out := sum[(t*gc+i)*g.K+q*gk:][:gk]
				var sign [4]float32 // 0 where the tap is outside, or the pixel
				var d [4][]float32
				for j := range 4 {
					iz := (z+j)*g.Stride - g.Pad + t%g.Kernel
					d[j] = out
					if z+j >= ow || iz < 0 || iz >= g.W {
						continue
					}
					d[j] = dy[(y*ow+z+j)*g.K+q*gk:][:gk]
					sign[j] = 1 - 2*float32(x[((iy*g.W+iz)*g.Groups+q)*wd+i/WordBits]>>(i%WordBits)&1)
				}
				for k, v := range out {
					four := float32(sign[0]*d[0][k]) + float32(sign[1]*d[1][k])
					four += float32(sign[2] * d[2][k])
					four += float32(sign[3] * d[3][k])
					out[k] = v + four
				}
			}
		}
	}
}

// ToOIHW writes the gradient dw that Filters has summed up to dst, [K,C/G,R,S].
func (f *SignGradients) ToOIHW(dst, dw []float32) {
	g := f.g
	checkLen("SignGradients.ToOIHW", "dst", len(dst), g.FilterLen())
	checkLen("SignGradients.ToOIHW", "dw", len(dw), f.FiltersLen())
	gc, rs, step := g.GroupC(), g.Kernel*g.Kernel, g.K
	if f.dw != nil {
		step = f.dw.filters
	}
	for k := range g.K {
		for i := range gc {
			for t := range rs {
				dst[(k*gc+i)*rs+t] = dw[(t*gc+i)*step+k]
			}
		}
	}
}

// wordBytes views words as bytes, little end first.
func wordBytes(words []uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 8*len(words))
}
