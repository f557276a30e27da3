package model

import (
	"fmt"
	"math"
	"slices"
)

// Frozen is a network with its weights in evaluation form, ready to be computed layer by layer: latent
// weights replaced by what they multiply with, batch norm by one scale and one bias for each channel. Everything
// that evaluates a network (the oracle Forward, the evaluation graph of package train, package convert) starts from
// Freeze, so that they agree bit for bit on every value a sign is taken of.
//
// The arithmetic of a frozen network is float32 with every product rounded before it is added:
//
//	y = float32(Scale*x) + Bias
//
// Sums run in ascending order: a convolution over rows, columns and channels of its window, a linear layer over its
// inputs (the bias is added last), a pool over rows and columns (then times float32(1)/float32(n)). A 1-bit
// convolution's sum is an exact integer.
type Frozen struct {
	Net   *Net
	Nodes []FrozenNode // one for each layer, in the order of Net.Layers
}

// FrozenNode is one layer of a Frozen network.
type FrozenNode struct {
	Node
	// Filters are a Conv's weights [K,C/g,R,S] or a Linear's [Out,In]. Quantised weights are exactly -1 or +1.
	Filters []float32
	// Scale and Bias have one entry for each output channel, or are nil where they do nothing.
	//
	//   Conv       Scale: alpha times the quantiser's scale, unless the batch norm behind it has taken it over
	//   Linear     Bias
	//   BatchNorm  Scale = a·gamma/√(var+1e-5), Bias = delta - mean·gamma/√(var+1e-5), computed in float64 and
	//              rounded once; a is the scale taken over from the convolution before it
	//   Bias       Bias
	//
	// A convolution's scale is taken over by the batch norm that follows it with nothing but Tile and MaxPool in
	// between, each the only consumer of its input. Where the scale is negative the filter's signs are flipped
	// and its absolute value is taken over, so that MaxPool commutes with it.
	Scale, Bias []float32
	// Slope is a PReLU's, one entry for each channel.
	Slope []float32
}

// bnEpsilon is added to every variance before its root is taken.
const bnEpsilon = 1e-5

// Freeze brings a network's weights into evaluation form. w must hold exactly the tensors of n; it is copied, so
// that later changes to it do not reach the result. The error names the tensor or layer at fault: one missing, of another
// size, with a value that is not finite, or a batch norm whose variance is negative or whose scale does not
// fit into a float32.
func Freeze(n *Net, w Weights) (*Frozen, error) {
	nodes, err := n.Nodes()
	if err != nil {
		return nil, err
	}
	if err := w.Check(n); err != nil {
		return nil, err
	}
	if err := w.checkFinite(nodes); err != nil {
		return nil, err
	}
	f := &Frozen{Net: n.Clone(), Nodes: make([]FrozenNode, len(nodes))}
	consumers, _ := Consumers(nodes)
	taken := make(map[int][]float64, len(nodes)) // BatchNorm's index: the scales it takes over
	for i := range nodes {
		node := FrozenNode{Node: nodes[i]}
		switch node.Op {
		case Conv:
			filters, scale := freezeFilters(&node.Node, w)
			if bn, source := scaleTaker(nodes, consumers, i); scale != nil && bn >= 0 {
				flipNegative(filters, scale)
				taken[bn] = gather(scale, source)
				scale = nil
			}
			node.Filters = filters
			if node.Scale, err = round32(scale); err != nil {
				return nil, fmt.Errorf("model: layer %q: scale of filter %w", node.Name, err)
			}
		case Linear:
			node.Filters = slices.Clone(w[node.Name+".weight"])
			node.Bias = slices.Clone(w[node.Name+".bias"])
		case BatchNorm:
			if node.Scale, node.Bias, err = foldBatchNorm(node.Name, w, taken[i]); err != nil {
				return nil, err
			}
		case Bias:
			node.Bias = slices.Clone(w[node.Name+".bias"])
		case PReLU:
			node.Slope = slices.Clone(w[node.Name+".weight"])
		}
		f.Nodes[i] = node
	}
	return f, nil
}

func (w Weights) checkFinite(nodes []Node) error {
	for i := range nodes {
		for _, t := range nodes[i].tensors(i) {
			for j, v := range w[t.Name] {
				if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
					return fmt.Errorf("model: tensor %q: element %d is %v, want a finite number", t.Name, j, v)
				}
			}
		}
	}
	return nil
}

// freezeFilters returns the weights that a convolution multiplies with, [K,C/g,R,S], and the scale of each
// filter's result, or nil if there is none.
func freezeFilters(node *Node, w Weights) (filters []float32, scale []float64) {
	filters = slices.Clone(w[node.Name+".weight"])
	if node.Alpha || node.WeightQuant == ScaledSignWeight {
		scale = make([]float64, node.Out)
		for k := range scale {
			scale[k] = 1
		}
	}
	size := len(filters) / node.Out
	for k := range node.Out {
		filter := filters[k*size : (k+1)*size]
		switch node.WeightQuant {
		case ReCUWeight:
			mean := 0.0
			for _, v := range filter {
				mean += float64(v)
			}
			mean /= float64(size)
			for i, v := range filter {
				filter[i] = sign(float64(v) - mean)
			}
		case ScaledSignWeight:
			sum := 0.0
			for i, v := range filter {
				sum += math.Abs(float64(v))
				filter[i] = sign(v)
			}
			scale[k] = sum / float64(size)
		}
	}
	if node.Alpha {
		for k, a := range w[node.Name+".alpha"] {
			scale[k] *= float64(a)
		}
	}
	return filters, scale
}

// scaleTaker returns the index of the batch norm that can take over the scale of the convolution nodes[conv], with
// the filter from which each of its channels comes, or -1 if there is none.
func scaleTaker(nodes []Node, consumers [][]int, conv int) (bn int, source []int) {
	source = make([]int, nodes[conv].Out)
	for k := range source {
		source[k] = k
	}
	for at := conv; len(consumers[at]) == 1; {
		at = consumers[at][0]
		switch nodes[at].Op {
		case BatchNorm:
			return at, source
		case MaxPool:
		case Tile:
			wide := make([]int, nodes[at].Shape.C)
			for j := range wide {
				wide[j] = source[nodes[at].TileSource(j)]
			}
			source = wide
		default:
			return -1, nil
		}
	}
	return -1, nil
}

// TileSource returns the input channel that a Tile copies to its output channel j.
func (nd *Node) TileSource(j int) int {
	if nd.Interleave {
		return j / nd.Factor
	}
	return j % nd.In[0].C
}

// flipNegative makes every scale non-negative by changing the sign of the filter whose scale is not.
func flipNegative(filters []float32, scale []float64) {
	size := len(filters) / len(scale)
	for k, s := range scale {
		if s < 0 {
			scale[k] = -s
			for i := k * size; i < (k+1)*size; i++ {
				filters[i] = -filters[i]
			}
		}
	}
}

// foldBatchNorm returns a batch norm as y = scale·x + bias, with x the convolution's result before its scale a is
// applied, or the plain input where a is nil.
func foldBatchNorm(name string, w Weights, a []float64) (scale, bias []float32, err error) {
	gamma, delta := w[name+".weight"], w[name+".bias"]
	mean, variance := w[name+".running_mean"], w[name+".running_var"]
	scale64, bias64 := make([]float64, len(gamma)), make([]float64, len(gamma))
	for c := range gamma {
		if variance[c] < 0 {
			return nil, nil, fmt.Errorf("model: tensor %q: element %d is %v, a variance cannot be negative", name+".running_var", c, variance[c])
		}
		g := float64(gamma[c]) / math.Sqrt(float64(variance[c])+bnEpsilon)
		scale64[c] = g
		if a != nil {
			scale64[c] = a[c] * g
		}
		// The conversion rounds the product, so that no architecture fuses it with the subtraction.
		bias64[c] = float64(delta[c]) - float64(float64(mean[c])*g)
	}
	if scale, err = round32(scale64); err != nil {
		return nil, nil, fmt.Errorf("model: layer %q: scale of channel %w", name, err)
	}
	if bias, err = round32(bias64); err != nil {
		return nil, nil, fmt.Errorf("model: layer %q: bias of channel %w", name, err)
	}
	return scale, bias, nil
}

// round32 rounds v to float32, nil for nil. The error begins with the index of the value that does not fit.
func round32(v []float64) ([]float32, error) {
	if v == nil {
		return nil, nil
	}
	r := make([]float32, len(v))
	for i, x := range v {
		r[i] = float32(x)
		if math.IsInf(float64(r[i]), 0) {
			return nil, fmt.Errorf("%d is %g, which does not fit into a float32", i, x)
		}
	}
	return r, nil
}

func gather(v []float64, index []int) []float64 {
	r := make([]float64, len(index))
	for j, i := range index {
		r[j] = v[i]
	}
	return r
}

// sign returns -1 for x < 0 and +1 for everything else, 0 and NaN among it.
func sign[T float32 | float64](x T) float32 {
	if x < 0 {
		return -1
	}
	return 1
}
