package model

// Count is what a layer or a network holds and does for one image.
//
// Operations are multiply-accumulates of convolutions and linear layers, counted as if every tap lay in the image; batch
// norms, activations, pools and sums are not counted, as in the papers.
type Count struct {
	// Params1 are the 1-bit parameters: the latent weights, each one bit in evaluation.
	Params1 int64
	// Params32 are the other parameters, 32 bits each. A batch norm's running mean and variance are not
	// parameters.
	Params32 int64
	// BOPs are the operations of convolutions whose weights and inputs are both ±1.
	BOPs int64
	// FLOPs are all other operations.
	FLOPs int64
}

// Params returns the number of all parameters, the papers' count.
func (c Count) Params() int64 { return c.Params1 + c.Params32 }

// OPs returns BOPs/64 + FLOPs, the papers' measure of work: 64 1-bit operations count as one.
func (c Count) OPs() float64 { return float64(c.BOPs)/64 + float64(c.FLOPs) }

// Bytes returns the memory of the parameters with the 1-bit ones packed eight to a byte. In evaluation a batch norm is one
// scale and one bias for each channel, which take the memory of its two parameters.
func (c Count) Bytes() int64 { return (c.Params1+7)/8 + 4*c.Params32 }

// Bytes32 returns the memory of the parameters at 32 bits each.
func (c Count) Bytes32() int64 { return 4 * c.Params() }

func (c *Count) add(d Count) {
	c.Params1 += d.Params1
	c.Params32 += d.Params32
	c.BOPs += d.BOPs
	c.FLOPs += d.FLOPs
}

// Counts is the Count of each layer, in the order of Net.Layers, and their sum.
type Counts struct {
	Layers []Count
	Total  Count
}

// Count counts the parameters and operations of every layer. It returns an error if n is not a network.
func (n *Net) Count() (Counts, error) {
	nodes, err := n.Nodes()
	if err != nil {
		return Counts{}, err
	}
	counts := Counts{Layers: make([]Count, len(nodes))}
	for i := range nodes {
		counts.Layers[i] = nodes[i].count(i)
		counts.Total.add(counts.Layers[i])
	}
	return counts, nil
}

func (nd *Node) count(layer int) Count {
	var c Count
	for _, t := range nd.tensors(layer) {
		switch {
		case t.Buffer:
		case t.Binary:
			c.Params1 += int64(t.Len())
		default:
			c.Params32 += int64(t.Len())
		}
	}
	switch nd.Op {
	case Conv:
		perOutput := int64(nd.Kernel) * int64(nd.Kernel) * int64(nd.In[0].C/nd.GroupCount())
		macs := perOutput * int64(nd.Shape.Len())
		if nd.Binary() {
			c.BOPs = macs
		} else {
			c.FLOPs = macs
		}
	case Linear:
		c.FLOPs = int64(nd.In[0].C) * int64(nd.Out)
	}
	return c
}
