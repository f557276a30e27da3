package expert

import (
	"fmt"
	"math"
)

// Timeline says how long a layer's step took on the virtual clock, and how long its parts were busy, in microseconds.
type Timeline struct {
	Micros  float64 // until the last expert is computed
	Disk    float64
	Workers float64 // the sum of all workers
	Compute float64
	Reads   int
}

// Clock runs the jobs of a layer's step on a virtual device: a disk that reads in order, with several reads under way, workers that
// decode, and a stream of products. A resource that has something to do never waits: a free worker takes the ready chunk of
// the first job in the order, the disk reads the next part as soon as the job has its places in staging, and the products are
// computed as experts become ready.
//
// A Clock keeps its memory between runs. It is not safe for concurrent use.
type Clock struct {
	costs    Costs
	jobs     []Job
	order    []int
	state    []jobState // by place in the order
	reads    []readOp
	next     int // of reads, to be issued
	flying   int // reads under way
	disk     float64
	free     Staging
	idle     int // workers
	ready    queue[workOp]
	computes []int // places whose experts are ready to be computed, or -1 for what is computed besides
	busy     bool  // with products
	events   queue[event]
	made     int // events
	now      float64
	line     Timeline
}

// jobState is how far a job is.
type jobState struct {
	leased bool
	signs  int // tensors whose signs and mantissas are there
	exps   bool
	split  bool // the slot of its weights is free
	handed int  // tensors whose chunks have been handed to the workers
	left   int  // chunks to be decoded
	queued bool // to be computed
}

// readOp is a read: of a job's exponents (tensor -1), or of the signs and mantissas of a tensor.
type readOp struct{ place, tensor int }

// workOp is work for a worker: a chunk of a tensor, or, with tensor -1, a split. Splits come first.
type workOp struct{ place, tensor, chunk int }

// workBefore reports whether a free worker takes a before b.
func workBefore(a, b workOp) bool {
	switch {
	case (a.tensor < 0) != (b.tensor < 0):
		return a.tensor < 0
	case a.place != b.place:
		return a.place < b.place
	case a.tensor != b.tensor:
		return a.tensor < b.tensor
	}
	return a.chunk < b.chunk
}

// event is the end of something.
type event struct {
	at     float64
	number int // of events at the same time the first that was made comes first
	kind   int8
	place  int
	tensor int
}

const (
	readEnds int8 = iota
	workEnds
	computeEnds
)

// eventBefore reports whether a comes before b.
func eventBefore(a, b event) bool { return a.at < b.at || a.at == b.at && a.number < b.number }

// Run runs the jobs in the order of their indexes that order gives. staging are the places that there are. It panics if the
// order is none of the jobs, or if a job needs more places than there are.
func (k *Clock) Run(jobs []Job, order []int, c Costs, staging Staging) Timeline {
	k.reset(jobs, order, c, staging)
	for k.start(); len(k.events.heap) > 0; k.start() {
		e := k.events.pop()
		k.now = e.at
		k.end(e)
		for len(k.events.heap) > 0 && k.events.heap[0].at == k.now {
			k.end(k.events.pop())
		}
	}
	for place, s := range k.state {
		if !s.queued {
			panic(fmt.Sprintf("expert: job %d never ends: it needs %+v of %+v", order[place], jobs[order[place]].Staging, staging))
		}
	}
	k.line.Micros = k.now
	return k.line
}

func (k *Clock) reset(jobs []Job, order []int, c Costs, staging Staging) {
	if len(order) != len(jobs) {
		panic(fmt.Sprintf("expert: an order of %d jobs for %d", len(order), len(jobs)))
	}
	*k = Clock{costs: c, jobs: jobs, order: order, free: staging, idle: c.Workers, state: k.state[:0], reads: k.reads[:0],
		ready: queue[workOp]{k.ready.heap[:0], workBefore}, computes: k.computes[:0], events: queue[event]{k.events.heap[:0], eventBefore}, disk: math.Inf(-1)}
	for place, i := range order {
		j := jobs[i]
		k.state = append(k.state, jobState{exps: !j.State.ReadsExponents(), split: !j.Split})
		s := &k.state[place]
		if !j.State.ReadsSignMantissa() {
			s.signs = c.Tensors
		}
		if j.State.Decodes() {
			s.left = c.Tensors * c.Chunks
		}
		if j.Split {
			k.ready.push(workOp{place, -1, 0})
		}
		if !s.exps && !c.WorkersRead {
			k.reads = append(k.reads, readOp{place, -1})
		}
		for t := s.signs; t < c.Tensors; t++ {
			k.reads = append(k.reads, readOp{place, t})
		}
	}
	if c.Beside > 0 {
		k.computes = append(k.computes, -1)
	}
}

// start begins whatever can begin now.
func (k *Clock) start() {
	for place := range k.state {
		if !k.lease(place) {
			break
		}
	}
	for k.next < len(k.reads) && k.flying < max(1, k.costs.Depth) && k.state[k.reads[k.next].place].leased {
		k.read(k.reads[k.next])
		k.next++
	}
	for k.idle > 0 && len(k.ready.heap) > 0 {
		k.work(k.ready.pop())
	}
	if !k.busy && len(k.computes) > 0 {
		place, micros := k.computes[0], k.costs.Beside
		k.computes = k.computes[:copy(k.computes, k.computes[1:])]
		if place >= 0 {
			micros = k.jobs[k.order[place]].Tokens * k.costs.Compute
		}
		k.busy = true
		k.line.Compute += micros
		k.push(k.now+micros, computeEnds, place, 0)
	}
}

// lease takes a job's places in staging, and hands on what is in memory. It reports whether the job has its places.
func (k *Clock) lease(place int) bool {
	s, need := &k.state[place], k.jobs[k.order[place]].Staging
	if s.leased {
		return true
	}
	if need.Records > k.free.Records || need.Fulls > k.free.Fulls {
		return false
	}
	k.free.Records -= need.Records
	k.free.Fulls -= need.Fulls
	s.leased = true
	k.progress(place)
	return true
}

// read issues a read.
func (k *Clock) read(r readOp) {
	micros := k.costs.ReadSign
	if r.tensor < 0 {
		micros = float64(k.costs.Tensors*k.costs.Chunks) * k.costs.ReadChunk
	}
	k.disk = max(k.now+k.costs.Latency, k.disk) + micros
	k.flying++
	k.line.Reads++
	k.line.Disk += micros
	k.push(k.disk, readEnds, r.place, r.tensor)
}

// work gives an operation to a worker.
func (k *Clock) work(op workOp) {
	micros := k.costs.Decode
	if op.tensor < 0 {
		micros = k.costs.Split
	} else if k.costs.WorkersRead && k.jobs[k.order[op.place]].State.ReadsExponents() {
		micros += k.costs.ReadChunk
	}
	k.idle--
	k.line.Workers += micros
	k.push(k.now+micros, workEnds, op.place, op.tensor)
}

func (k *Clock) push(at float64, kind int8, place, tensor int) {
	k.made++
	k.events.push(event{at, k.made, kind, place, tensor})
}

// end takes note of an event.
func (k *Clock) end(e event) {
	switch e.kind {
	case readEnds:
		k.flying--
		if e.tensor < 0 {
			k.state[e.place].exps = true
		} else {
			k.state[e.place].signs++
		}
	case workEnds:
		k.idle++
		if e.tensor < 0 {
			k.state[e.place].split = true
		} else {
			k.state[e.place].left--
		}
	case computeEnds:
		k.busy = false
		if e.place < 0 {
			return
		}
		n := k.jobs[k.order[e.place]].Staging
		k.free.Records += n.Records
		k.free.Fulls += n.Fulls
		return
	}
	k.progress(e.place)
}

// progress hands the chunks of a job that can be decoded to the workers, and the job to be computed when all is done.
func (k *Clock) progress(place int) {
	s, c := &k.state[place], k.costs
	if !s.leased || s.queued {
		return
	}
	can := 0 // tensors whose chunks can be decoded
	switch {
	case !s.split || !k.jobs[k.order[place]].State.Decodes():
	case c.WorkersRead:
		can = c.Tensors
	case s.exps:
		can = s.signs
	}
	for ; s.handed < can; s.handed++ {
		for chunk := range c.Chunks {
			k.ready.push(workOp{place, s.handed, chunk})
		}
	}
	if s.left == 0 && s.signs == c.Tensors && s.split {
		s.queued = true
		k.computes = append(k.computes, place)
	}
}
