package model

import "fmt"

// Role says what a parameter or buffer is to its layer.
type Role string

// The roles, each with its tensor's name suffix and shape. K filters, C input channels, R S taps, g groups.
const (
	Weight      Role = "weight"       // Conv [K,C/g,R,S]; Linear [Out,In]
	Alpha       Role = "alpha"        // Conv [K,1,1]
	LinearBias  Role = "bias"         // Linear [Out]
	Gamma       Role = "gamma"        // BatchNorm ".weight" [C]
	Delta       Role = "delta"        // BatchNorm ".bias" [C]
	Shift       Role = "shift"        // Bias ".bias" [1,C,1,1]
	Slope       Role = "slope"        // PReLU ".weight" [C]
	RunningMean Role = "running_mean" // BatchNorm [C], a buffer
	RunningVar  Role = "running_var"  // BatchNorm [C], a buffer
)

// Tensor describes one tensor that a network needs: a parameter, which is learned, or a buffer, which is measured.
type Tensor struct {
	Name  string // the layer's name and a suffix, as in the reference implementations: "bn1.weight"
	Shape []int  // row-major, PyTorch's order; convolution weights are OIHW
	Role  Role
	Layer int // index in Net.Layers
	// Binary reports that the tensor holds latent weights, which become one bit each in evaluation (and one
	// scale for each filter, with ScaledSignWeight).
	Binary bool
	// Buffer reports that the tensor is not learned.
	Buffer bool

	fanIn int // LinearBias: the layer's inputs
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Weights holds a network's tensors by name, parameters and buffers alike, each row-major in PyTorch's order.
type Weights map[string][]float32

// Tensors lists the tensors of the network, layer by layer, parameters before buffers within a layer.
func (n *Net) Tensors() ([]Tensor, error) {
	nodes, err := n.Nodes()
	if err != nil {
		return nil, err
	}
	var list []Tensor
	for i := range nodes {
		list = append(list, nodes[i].tensors(i)...)
	}
	return list, nil
}

func (nd *Node) tensors(layer int) []Tensor {
	c := nd.In[0].C
	name := func(suffix string) string { return nd.Name + "." + suffix }
	switch nd.Op {
	case Conv:
		list := []Tensor{{Name: name("weight"), Shape: []int{nd.Out, c / nd.GroupCount(), nd.Kernel, nd.Kernel},
			Role: Weight, Layer: layer, Binary: nd.WeightQuant != RealWeight}}
		if nd.Alpha {
			list = append(list, Tensor{Name: name("alpha"), Shape: []int{nd.Out, 1, 1}, Role: Alpha, Layer: layer})
		}
		return list
	case Linear:
		return []Tensor{
			{Name: name("weight"), Shape: []int{nd.Out, c}, Role: Weight, Layer: layer},
			{Name: name("bias"), Shape: []int{nd.Out}, Role: LinearBias, Layer: layer, fanIn: c},
		}
	case BatchNorm:
		return []Tensor{
			{Name: name("weight"), Shape: []int{c}, Role: Gamma, Layer: layer},
			{Name: name("bias"), Shape: []int{c}, Role: Delta, Layer: layer},
			{Name: name("running_mean"), Shape: []int{c}, Role: RunningMean, Layer: layer, Buffer: true},
			{Name: name("running_var"), Shape: []int{c}, Role: RunningVar, Layer: layer, Buffer: true},
		}
	case Bias:
		return []Tensor{{Name: name("bias"), Shape: []int{1, c, 1, 1}, Role: Shift, Layer: layer}}
	case PReLU:
		return []Tensor{{Name: name("weight"), Shape: []int{c}, Role: Slope, Layer: layer}}
	}
	return nil
}

// Check returns an error that names the first tensor of n that w lacks or holds with another number of
// elements, or that w holds beyond those of n.
func (w Weights) Check(n *Net) error {
	list, err := n.Tensors()
	if err != nil {
		return err
	}
	for _, t := range list {
		v, ok := w[t.Name]
		if !ok {
			return fmt.Errorf("model: network %q needs the tensor %q, which is missing", n.Name, t.Name)
		}
		if len(v) != t.Len() {
			return fmt.Errorf("model: tensor %q has %d elements, network %q wants %v (%d)", t.Name, len(v), n.Name, t.Shape, t.Len())
		}
	}
	if len(w) > len(list) {
		known := make(map[string]bool, len(list))
		for _, t := range list {
			known[t.Name] = true
		}
		extra := ""
		for name := range w {
			if !known[name] && (extra == "" || name < extra) {
				extra = name
			}
		}
		return fmt.Errorf("model: tensor %q does not belong to network %q", extra, n.Name)
	}
	return nil
}

// HasTensors reports whether the layer's operation needs tensors: parameters or buffers.
func (l *Layer) HasTensors() bool {
	switch l.Op {
	case Conv, Linear, BatchNorm, Bias, PReLU:
		return true
	}
	return false
}
