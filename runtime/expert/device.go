package expert

import (
	"fmt"
	"math"
)

// Device is what a machine can do with experts. `bnntool experts calibrate` measures it.
type Device struct {
	Disk        float64 `json:"disk_bytes_per_second"`    // of reads as large as an expert's parts, several at once
	DiskLatency float64 `json:"disk_latency_micros"`      // of a read, besides its bytes
	DiskDepth   int     `json:"disk_depth"`               // reads at once
	Workers     int     `json:"workers"`                  // cores that decode
	Copy        float64 `json:"copy_bytes_per_second"`    // that one core copies in memory
	Compute     float64 `json:"compute_bytes_per_second"` // of weights that the products with one token take
	Coders      []Coder `json:"coders"`
}

// Coder is a way to store exponents.
type Coder struct {
	Name   string  `json:"name"`
	Ratio  float64 `json:"ratio"`                   // coded bytes of a byte of exponents
	Decode float64 `json:"decode_bytes_per_second"` // exponents that one core decodes and merges
}

// Validate returns an error that names what of d cannot be.
func (d Device) Validate() error {
	for _, f := range []struct {
		name  string
		value float64
	}{{"disk_bytes_per_second", d.Disk}, {"copy_bytes_per_second", d.Copy}, {"compute_bytes_per_second", d.Compute}} {
		if !(f.value > 0) || math.IsInf(f.value, 0) {
			return fmt.Errorf("expert: device: %s is %v, want a number above 0", f.name, f.value)
		}
	}
	switch {
	case !(d.DiskLatency >= 0) || math.IsInf(d.DiskLatency, 0):
		return fmt.Errorf("expert: device: disk_latency_micros is %v, want 0 or more", d.DiskLatency)
	case d.DiskDepth < 1 || d.DiskDepth > 1024:
		return fmt.Errorf("expert: device: disk_depth is %d, want 1 to 1024", d.DiskDepth)
	case d.Workers < 1 || d.Workers > 1024:
		return fmt.Errorf("expert: device: workers is %d, want 1 to 1024", d.Workers)
	}
	for _, c := range d.Coders {
		if !(c.Ratio > 0 && c.Ratio < 2) || !(c.Decode > 0) || math.IsInf(c.Decode, 0) {
			return fmt.Errorf("expert: device: coder %q: ratio %v, %v bytes a second, want a ratio in (0, 2) and a speed above 0", c.Name, c.Ratio, c.Decode)
		}
	}
	return nil
}

// Costs are how long the operations on an expert take, in microseconds, and on how many cores.
type Costs struct {
	Tensors, Chunks int     // of an expert, of a tensor's exponents
	Workers         int     // L: cores that decode
	ReadSign        float64 // u: to read signs and mantissas of a tensor
	ReadChunk       float64 // v: to read a chunk of exponents
	Decode          float64 // c: to decode a chunk and merge it, on one core
	Split           float64 // to take the weights of an expert apart, on one core
	Compute         float64 // p: the products of an expert with its tokens, one expert after another
	Beside          float64 // what a layer computes besides its experts while they are loaded
	Latency         float64 // of a read, before its bytes flow; the next reads' latencies pass meanwhile
	Depth           int     // reads that are under way at once; 0 is 1
	// WorkersRead says that each worker reads the chunks that it decodes, and that signs and mantissas are merged when
	// the expert is computed: ZipMoE's way. Else all is read in order, and a chunk is merged as it is decoded, when the
	// signs and mantissas of its tensor are there.
	WorkersRead bool
}

// Costs returns how long it takes on d to use an expert of m, with exponents in chunks chunks a tensor, for one token.
func (d Device) Costs(m Model, c Coder, chunks int) Costs {
	n := float64(m.Elements)
	return Costs{
		Tensors: m.Tensors, Chunks: chunks, Workers: d.Workers,
		ReadSign:  1e6 * n / d.Disk,
		ReadChunk: 1e6 * n * c.Ratio / float64(chunks) / d.Disk,
		Decode:    1e6 * n / float64(chunks) / c.Decode,
		Split:     1e6 * 2 * n * float64(m.Tensors) / d.Copy,
		Compute:   1e6 * 2 * n * float64(m.Tensors) / d.Compute,
		Latency:   d.DiskLatency, Depth: d.DiskDepth,
	}
}

// RawCosts returns how long it takes to use an expert that is stored as it is computed with: its weights are read, and
// nothing is decoded.
func (d Device) RawCosts(m Model) Costs {
	c := d.Costs(m, Coder{Ratio: 1, Decode: math.Inf(1)}, 1)
	c.ReadSign, c.ReadChunk, c.Decode = 2*c.ReadSign, 0, 0
	return c
}

// Outcome are the experts of a step by the state in which it finds them.
type Outcome [NumStates]int

// IO returns how long the disk is busy with an outcome. What workers read is not part of it.
func (c Costs) IO(o Outcome) float64 {
	t := float64(c.Tensors)
	io := t * c.ReadSign * float64(o[Exponents]+o[Miss])
	if !c.WorkersRead {
		io += float64(t * float64(c.Chunks) * c.ReadChunk * float64(o[SignMantissa]+o[Miss]))
	}
	return io
}

// CPU returns how long the workers are busy, all together.
func (c Costs) CPU(o Outcome) float64 {
	chunks := float64(c.Tensors * c.Chunks)
	work := chunks * c.Decode * float64(o[Miss]+o[Exponents]+o[SignMantissa]+o[Compressed])
	if c.WorkersRead {
		work += float64(chunks * c.ReadChunk * float64(o[Miss]+o[SignMantissa]))
	}
	return work / float64(c.Workers)
}

// Layer returns how long a layer takes for an outcome if nothing waits that need not: the longest of the disk's work with a
// last decoding and the products of a last expert behind it, of the workers' with the products of one, and of all products
// with what else the layer computes.
func (c Costs) Layer(o Outcome) float64 {
	experts := o[Full]
	for s := Miss; s < Full; s++ {
		experts += o[s]
	}
	longest := c.Beside + float64(float64(experts)*c.Compute)
	if io := c.IO(o); io > 0 {
		longest = max(longest, io+c.Decode+c.Compute)
	}
	if cpu := c.CPU(o); cpu > 0 {
		longest = max(longest, cpu+c.Compute)
	}
	return longest
}
