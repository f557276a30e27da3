package model

import (
	"fmt"
	"slices"
)

// Forward computes the network for one image [H,W,C] and returns the last layer's output, [H,W,C] as well: the logits
// of a classifier. It is the oracle: the loops that the fast paths are compared with, in the order that Frozen
// documents. It returns an error if the image has another size than the network's input.
func (f *Frozen) Forward(image []float32) ([]float32, error) {
	var last []float32
	err := f.Trace(image, func(layer int, out []float32) { last = out })
	return last, err
}

// Trace computes the network like Forward and calls visit after each layer with the layer's index and output [H,W,C].
// visit may keep out but must not change it, since later layers read it. The output of a convolution whose scale was
// taken over is the sum alone.
func (f *Frozen) Trace(image []float32, visit func(layer int, out []float32)) error {
	if len(image) != f.Net.Input.Len() {
		return fmt.Errorf("model: network %q: the image has %d elements, want %v (%d)",
			f.Net.Name, len(image), f.Net.Input, f.Net.Input.Len())
	}
	outs := make([][]float32, len(f.Nodes))
	for i := range f.Nodes {
		node := &f.Nodes[i]
		in := make([][]float32, len(node.From))
		for j, from := range node.From {
			if in[j] = image; from >= 0 {
				in[j] = outs[from]
			}
		}
		outs[i] = node.Eval(in)
		visit(i, outs[i])
	}
	return nil
}

// Eval computes one layer. in holds its inputs, each [H,W,C] as node.In says; the result is [H,W,C] as node.Shape
// says, newly allocated.
func (node *FrozenNode) Eval(in [][]float32) []float32 {
	x := in[0]
	y := make([]float32, node.Shape.Len())
	c := node.Shape.C
	switch node.Op {
	case Conv:
		node.conv(y, x)
	case Linear:
		for k := range y {
			acc := float32(0)
			for i, v := range x {
				acc += float32(node.Filters[k*len(x)+i] * v)
			}
			y[k] = acc + node.Bias[k]
		}
	case BatchNorm:
		for i, v := range x {
			y[i] = float32(node.Scale[i%c]*v) + node.Bias[i%c]
		}
	case Hardtanh:
		for i, v := range x {
			y[i] = min(1, max(-1, v))
		}
	case Bias:
		for i, v := range x {
			y[i] = v + node.Bias[i%c]
		}
	case PReLU:
		for i, v := range x {
			if y[i] = v; !(v > 0) {
				y[i] = node.Slope[i%c] * v
			}
		}
	case Add:
		for i, v := range x {
			y[i] = v + in[1][i]
		}
	case Concat:
		at := 0
		for j, part := range in {
			copyChannels(y, c, at, part, node.In[j].C)
			at += node.In[j].C
		}
	case Tile:
		for i := range y {
			y[i] = x[i/c*node.In[0].C+node.TileSource(i%c)]
		}
	case PadChannels:
		copyChannels(y, c, (c-node.In[0].C)/2, x, node.In[0].C)
	case TakeChannels:
		for i := range y {
			y[i] = x[i/c*node.In[0].C+i%c]
		}
	case AvgPool, MaxPool:
		node.pool(y, x)
	case GlobalAvgPool:
		pixels := len(x) / c
		for ch := range y {
			acc := float32(0)
			for p := range pixels {
				acc += x[p*c+ch]
			}
			y[ch] = acc * (float32(1) / float32(pixels))
		}
	case Flatten:
		for i, v := range x {
			y[node.FlattenTarget(i)] = v
		}
	default:
		panic(fmt.Sprintf("model: layer %q: unknown op %q", node.Name, node.Op))
	}
	return y
}

// FlattenTarget returns where a Flatten puts element i of its input [H,W,C].
func (nd *Node) FlattenTarget(i int) int {
	x := nd.In[0]
	pixel, c := i/x.C, i%x.C
	return c*x.H*x.W + pixel
}

// copyChannels copies the channels of src [pixels,srcC] to the channels from at on of dst [pixels,dstC].
func copyChannels(dst []float32, dstC, at int, src []float32, srcC int) {
	for p := range len(src) / srcC {
		copy(dst[p*dstC+at:], src[p*srcC:(p+1)*srcC])
	}
}

// conv computes y[h,w,k] = Scale[k] · Σ filter[k,c,r,s]·x[h·Stride+r-Pad, w·Stride+s-Pad, group(k)·C/g+c] over the taps
// that lie in the image. x is replaced by its signs where the layer has an input quantiser. A 1-bit convolution is
// summed in integers, which is exact.
func (node *FrozenNode) conv(y, x []float32) {
	if node.InputQuant != RealInput {
		x = slices.Clone(x)
		for i, v := range x {
			x[i] = sign(v)
		}
	}
	in, out := node.In[0], node.Shape
	perGroup, filtersPerGroup := in.C/node.GroupCount(), node.Out/node.GroupCount()
	taps := node.Kernel * node.Kernel
	for i := range y {
		k, w, h := i%out.C, i/out.C%out.W, i/out.C/out.W
		filter := node.Filters[k*perGroup*taps : (k+1)*perGroup*taps]
		first := k / filtersPerGroup * perGroup
		acc, count := float32(0), 0
		for r := range node.Kernel {
			for s := range node.Kernel {
				row, col := h*node.Stride+r-node.Pad, w*node.Stride+s-node.Pad
				if row < 0 || row >= in.H || col < 0 || col >= in.W {
					continue
				}
				pixel := x[(row*in.W+col)*in.C+first:][:perGroup]
				tap := r*node.Kernel + s
				if node.Binary() {
					for c, v := range pixel {
						count += int(filter[c*taps+tap] * v)
					}
					continue
				}
				for c, v := range pixel {
					acc += float32(filter[c*taps+tap] * v)
				}
			}
		}
		if node.Binary() {
			acc = float32(count)
		}
		if node.Scale != nil {
			acc *= node.Scale[k]
		}
		y[i] = acc
	}
}

// pool computes the mean or the maximum of each window. Windows lie in the image entirely.
func (node *FrozenNode) pool(y, x []float32) {
	in, out := node.In[0], node.Shape
	inverse := float32(1) / float32(node.Kernel*node.Kernel)
	for i := range y {
		c, w, h := i%out.C, i/out.C%out.W, i/out.C/out.W
		sum, largest := float32(0), x[(h*node.Stride*in.W+w*node.Stride)*in.C+c]
		for r := range node.Kernel {
			for s := range node.Kernel {
				v := x[((h*node.Stride+r)*in.W+w*node.Stride+s)*in.C+c]
				sum += v
				largest = max(largest, v)
			}
		}
		if y[i] = largest; node.Op == AvgPool {
			y[i] = sum * inverse
		}
	}
}
