package train

import (
	"sync"
	"sync/atomic"
)

// chunksPerBatch is the number of chunks that a batch is cut into. It is fixed, so that the order in which partial
// sums are added does not depend on the number of threads.
const chunksPerBatch = 16

// machine is what the operations of one graph share: its capacity, the state of the current step, the worker
// goroutines and scratch memory. One operation runs at a time.
type machine struct {
	capacity int     // images a batch can have: the B of every buffer
	images   int     // images of the current batch, 1..capacity
	tau      float64 // ReCU's τ in this epoch
	workers  *workers
	partial  []float32 // partial sums by chunk, for one operation at a time
	// times, if not nil, receives the time spent in each kind of operation.
	times map[string]*OperationTime
}

func newMachine(capacity int, w *workers) *machine {
	return &machine{capacity: capacity, images: capacity, tau: 1, workers: w}
}

// chunkImages returns the images of one chunk.
func (m *machine) chunkImages() int { return (m.capacity + chunksPerBatch - 1) / chunksPerBatch }

// chunks returns the number of chunks of the current batch.
func (m *machine) chunks() int { return (m.images + m.chunkImages() - 1) / m.chunkImages() }

// span returns the images [lo,hi) of a chunk.
func (m *machine) span(chunk int) (lo, hi int) {
	n := m.chunkImages()
	return chunk * n, min((chunk+1)*n, m.images)
}

// each calls fn for every chunk of the current batch, in parallel. fn(worker, chunk) may use what belongs to its
// worker or to its chunk. To keep steps free of allocations fn is a function made once, not a closure.
func (m *machine) each(fn func(worker, chunk int)) { m.workers.run(m.chunks(), fn) }

// needPartial makes room for n partial sums in each chunk.
func (m *machine) needPartial(n int) {
	if n *= chunksPerBatch; len(m.partial) < n {
		m.partial = make([]float32, n)
	}
}

// workers runs loops on a fixed number of goroutines. A loop's results may not depend on which worker ran which item.
type workers struct {
	n     int
	start []chan struct{}
	done  sync.WaitGroup
	next  atomic.Int64
	count int
	fn    func(worker, item int)
}

// newWorkers starts n-1 goroutines beside the caller's, as many at most as a batch has chunks. close stops them.
func newWorkers(n int) *workers {
	w := &workers{n: min(max(1, n), chunksPerBatch)}
	for i := 1; i < w.n; i++ {
		c := make(chan struct{}, 1)
		w.start = append(w.start, c)
		go func() {
			for range c {
				w.loop(i)
				w.done.Done()
			}
		}()
	}
	return w
}

// close stops the goroutines. No run may be in progress.
func (w *workers) close() {
	for _, c := range w.start {
		close(c)
	}
	w.start = nil
}

// run calls fn(worker, item) for every item of 0..count-1 and returns when all are done.
func (w *workers) run(count int, fn func(worker, item int)) {
	w.count, w.fn = count, fn
	w.next.Store(0)
	helpers := min(len(w.start), count-1)
	for i := range helpers {
		w.done.Add(1)
		w.start[i] <- struct{}{}
	}
	w.loop(0)
	w.done.Wait()
	w.fn = nil
}

func (w *workers) loop(worker int) {
	for {
		i := int(w.next.Add(1)) - 1
		if i >= w.count {
			return
		}
		w.fn(worker, i)
	}
}

// perWorker allocates one scratch slice of n elements for each worker.
func (w *workers) perWorker(n int) [][]float32 {
	s := make([][]float32, w.n)
	for i := range s {
		s[i] = make([]float32, n)
	}
	return s
}
