package expert

import (
	"cmp"
	"slices"
)

// Job is the work on one expert of a layer's step.
type Job struct {
	State  State   // whose parts are in memory
	Tokens float64 // that the expert computes; its products take Costs.Compute for each
	// Split says that a victim's weights must be taken apart before the expert's can be made: see [Split].
	Split bool
	// Staging are the places that the job takes from its first operation to its last.
	Staging Staging
}

// outcome counts the jobs by state.
func outcome(jobs []Job) Outcome {
	var o Outcome
	for _, j := range jobs {
		o[j.State]++
	}
	return o
}

// Affinity returns the order of the cache-affinity schedule of ZipMoE: blocks, each opened by an expert of which signs and mantissas must
// be read, so that the disk is never idle, and filled with experts of which they are there, while the workers have less to do
// than the disk. Both kinds come by their products, longest first, and equal ones in the given order. Experts that are full
// come before all.
func Affinity(jobs []Job, c Costs) []int {
	var full, first, second []int // first: to be read; second: there
	for i, j := range jobs {
		switch {
		case j.State == Full:
			full = append(full, i)
		case j.State.ReadsSignMantissa():
			first = append(first, i)
		default:
			second = append(second, i)
		}
	}
	for _, list := range [][]int{full, first, second} {
		slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(jobs[b].Tokens, jobs[a].Tokens) })
	}
	order := full
	io, ops := 0.0, 0       // of one tensor of each expert
	longer := func() bool { // whether the workers have more to do than the disk
		chunk := c.Decode
		if c.WorkersRead {
			chunk += c.ReadChunk
		}
		return float64(ops)*chunk/float64(c.Workers) > io
	}
	take := func(list *[]int) {
		i := (*list)[0]
		order, *list = append(order, i), (*list)[1:]
		io += c.IO(outcome(jobs[i:i+1])) / float64(c.Tensors)
		ops += c.Chunks
	}
	for len(first)+len(second) > 0 {
		end := false
		if len(first) > 0 {
			take(&first)
			end = longer()
		}
		for len(second) > 0 && !end {
			take(&second)
			end = longer()
		}
	}
	return order
}

// Johnson returns the order of Johnson's rule for the relaxation in which an expert is first read, and then decoded by all workers
// together and computed: those that take longer to decode than to read come first, the shortest reads first, then the others,
// the longest to decode first.
func Johnson(jobs []Job, c Costs) []int {
	read, work := make([]float64, len(jobs)), make([]float64, len(jobs))
	order := make([]int, len(jobs))
	for i, j := range jobs {
		o := outcome(jobs[i : i+1])
		order[i], read[i], work[i] = i, c.IO(o), c.CPU(o)+float64(j.Tokens*c.Compute)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		early, later := read[a] < work[a], read[b] < work[b]
		switch {
		case early && later:
			return cmp.Compare(read[a], read[b])
		case early:
			return -1
		case later:
			return 1
		}
		return cmp.Compare(work[b], work[a])
	})
	return order
}

// LongestTail returns the order in which those that take longest from being read to being computed come first, and of equals
// those with the shortest reads.
func LongestTail(jobs []Job, c Costs) []int {
	read, work := make([]float64, len(jobs)), make([]float64, len(jobs))
	order := make([]int, len(jobs))
	for i, j := range jobs {
		o := outcome(jobs[i : i+1])
		order[i], read[i], work[i] = i, c.IO(o), c.CPU(o)+float64(j.Tokens*c.Compute)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if d := cmp.Compare(work[b], work[a]); d != 0 {
			return d
		}
		return cmp.Compare(read[a], read[b])
	})
	return order
}

// Schedule returns the best of three orders on the virtual clock, which it uses: Johnson, LongestTail and Affinity; of equally
// good ones the first.
func Schedule(k *Clock, jobs []Job, c Costs, staging Staging) ([]int, Timeline) {
	var best []int
	var line Timeline
	for _, rule := range []func([]Job, Costs) []int{Johnson, LongestTail, Affinity} {
		order := rule(jobs, c)
		if slices.Equal(order, best) {
			continue
		}
		if t := k.Run(jobs, order, c, staging); best == nil || t.Micros < line.Micros {
			best, line = order, t
		}
	}
	return best, line
}

// Bound returns a time in which no schedule can do the jobs: the longest of
//
//   - all reads, with the shortest tail behind a last one,
//   - all decoding by all workers, with the shortest products,
//   - the reads, a last chunk and the products of one expert, or its decoding by all workers and its products,
//   - all products, behind the shortest way to a first one.
func Bound(jobs []Job, c Costs) float64 {
	if len(jobs) == 0 {
		return c.Beside
	}
	o := outcome(jobs)
	products, longest := c.Beside, 0.0
	tail, product, head := -1.0, -1.0, -1.0 // the shortest
	least := func(a *float64, b float64) {
		if *a < 0 || b < *a {
			*a = b
		}
	}
	rounds := float64((c.Tensors*c.Chunks + c.Workers - 1) / c.Workers) // of chunks of one expert
	for _, j := range jobs {
		p := j.Tokens * c.Compute
		products += p
		one := outcome([]Job{j})
		io, ready, after := c.IO(one), 0.0, 0.0
		if j.State.Decodes() {
			chunk := c.Decode
			if c.WorkersRead && j.State.ReadsExponents() {
				chunk += c.ReadChunk
			}
			ready = rounds * chunk
			if !c.WorkersRead && io > 0 {
				after = c.Decode
			}
			ready = max(ready, io+after)
			least(&product, p)
		}
		if io > 0 {
			least(&tail, after+p)
		}
		least(&head, ready)
		longest = max(longest, ready+p)
	}
	if c.Beside > 0 {
		head = 0
	}
	bound := max(longest, products+head)
	if io := c.IO(o); io > 0 {
		bound = max(bound, io+tail)
	}
	if cpu := c.CPU(o); cpu > 0 {
		bound = max(bound, cpu+product)
	}
	return bound
}
