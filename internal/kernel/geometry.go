package kernel

import "fmt"

// Geometry describes the convolution of one [H,W,C] image with K filters of Kernel x Kernel taps, at Stride, with Pad
// rows and columns of zeros on every side, in Groups groups of channels (1 for an ordinary convolution).
type Geometry struct {
	H, W, C, K, Kernel, Stride, Pad, Groups int
}

// Check panics unless g describes a convolution with at least one output pixel.
func (g Geometry) Check() {
	if g.H < 1 || g.W < 1 || g.C < 1 || g.K < 1 || g.Kernel < 1 || g.Stride < 1 || g.Pad < 0 || g.Groups < 1 ||
		g.C%g.Groups != 0 || g.K%g.Groups != 0 || g.H+2*g.Pad < g.Kernel || g.W+2*g.Pad < g.Kernel {
		panic(fmt.Sprintf("kernel: not a convolution: %+v", g))
	}
}

// OutH returns the rows of the result.
func (g Geometry) OutH() int { return (g.H+2*g.Pad-g.Kernel)/g.Stride + 1 }

// OutW returns the columns of the result.
func (g Geometry) OutW() int { return (g.W+2*g.Pad-g.Kernel)/g.Stride + 1 }

// InLen returns the elements of one input image.
func (g Geometry) InLen() int { return g.H * g.W * g.C }

// OutLen returns the elements of one output image.
func (g Geometry) OutLen() int { return g.OutH() * g.OutW() * g.K }

// GroupC returns the input channels of one group.
func (g Geometry) GroupC() int { return g.C / g.Groups }

// FilterLen returns the elements of all filters.
func (g Geometry) FilterLen() int { return g.K * g.Kernel * g.Kernel * g.GroupC() }

// InWords returns the words of one packed input image.
func (g Geometry) InWords() int { return g.H * g.W * g.Groups * Words(g.GroupC()) }

// FilterWords returns the words of all packed filters.
func (g Geometry) FilterWords() int { return g.K * g.Kernel * g.Kernel * Words(g.GroupC()) }

// taps returns the half-open range of the taps of one axis that fall into the image at output position o: the
// input position of tap t is o·stride - pad + t.
func taps(o, stride, pad, kernel, extent int) (first, end int) {
	start := o*stride - pad
	return max(0, -start), min(kernel, extent-start)
}

// FiltersToHWI reorders weights from PyTorch's [K,C/G,R,S] to [K,R,S,C/G].
func FiltersToHWI(dst, src []float32, g Geometry) {
	checkLen("FiltersToHWI", "dst", len(dst), g.FilterLen())
	checkLen("FiltersToHWI", "src", len(src), g.FilterLen())
	c, rs := g.GroupC(), g.Kernel*g.Kernel
	for k := range g.K {
		in, out := src[k*c*rs:(k+1)*c*rs], dst[k*c*rs:(k+1)*c*rs]
		for i := range c {
			for t := range rs {
				out[t*c+i] = in[i*rs+t]
			}
		}
	}
}

// FiltersToOIHW is the inverse of FiltersToHWI.
func FiltersToOIHW(dst, src []float32, g Geometry) {
	checkLen("FiltersToOIHW", "dst", len(dst), g.FilterLen())
	checkLen("FiltersToOIHW", "src", len(src), g.FilterLen())
	c, rs := g.GroupC(), g.Kernel*g.Kernel
	for k := range g.K {
		in, out := src[k*c*rs:(k+1)*c*rs], dst[k*c*rs:(k+1)*c*rs]
		for t := range rs {
			for i := range c {
				out[i*rs+t] = in[t*c+i]
			}
		}
	}
}
