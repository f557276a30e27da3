package datasets

import (
	"context"
	"errors"
	"io"
	"sync"
)

// ErrClosed is returned by Next after Close.
var ErrClosed = errors.New("datasets: the stream is closed")

// Stream is the batches of one epoch, in order. Next belongs to one goroutine; Close may be called from any.
//
// Batches are made in a ring of slots: batch b in slot b modulo their number. The reader puts the number of a batch into
// todo when its slot is free, a worker takes it, fills the slot and says so in the slot's done. So batches come in
// order whatever the workers' number, and their memory is used again and again.
type Stream struct {
	ctx       context.Context
	batches   int
	next      int // the batch that Next returns next
	first     int
	slots     []slot
	todo      chan int
	err       error // what Next returns from now on
	stop      context.CancelFunc
	workers   sync.WaitGroup
	closeOnce sync.Once
	closed    chan struct{}
}

type slot struct {
	batch Batch
	err   error
	done  chan struct{} // holds one value when batch or err is ready
}

func newStream(ctx context.Context, l *Loader, epoch, first int) *Stream {
	s := &Stream{ctx: ctx, batches: l.Batches(), next: first, first: first, closed: make(chan struct{})}
	left := max(0, s.batches-first)
	var inner context.Context
	inner, s.stop = context.WithCancel(ctx)
	// One slot more than are made ahead: the one whose batch the reader has.
	ahead := min(l.c.Ahead, left)
	s.slots = make([]slot, ahead+1)
	s.todo = make(chan int, len(s.slots))
	for i := range s.slots {
		s.slots[i] = slot{done: make(chan struct{}, 1), batch: Batch{
			Images: make([]float32, l.c.Batch*l.split.h*l.split.w*l.split.c),
			Labels: make([]int32, l.c.Batch),
		}}
	}
	for b := first; b < first+ahead; b++ {
		s.todo <- b
	}
	if left == 0 {
		return s
	}
	order := l.order(epoch)
	for range min(l.c.Workers, ahead) {
		m := newMaker(l)
		s.workers.Go(func() { s.work(inner, m, epoch, order) })
	}
	return s
}

// slot returns the slot of a batch.
func (s *Stream) slot(batch int) *slot { return &s.slots[(batch-s.first)%len(s.slots)] }

// work makes batches until inner ends, which Close and the stream's context do.
func (s *Stream) work(inner context.Context, m *maker, epoch int, order []int32) {
	for {
		select {
		case <-inner.Done():
			return
		case b := <-s.todo:
			slot := s.slot(b)
			slot.err = m.fill(inner, &slot.batch, epoch, b, order)
			slot.done <- struct{}{}
		}
	}
}

// Next returns the next batch, which is valid until the next call of Next or Close. It returns io.EOF after the last
// one; the context's error when that has ended; the error of a record that cannot be decoded in the place of its
// batch; ErrClosed after Close. After an error all goroutines have ended and Next returns the same error again.
func (s *Stream) Next() (*Batch, error) {
	if s.err != nil {
		return nil, s.err
	}
	if err := s.wait(); err != nil {
		s.err = err
		s.Close()
		return nil, err
	}
	slot := s.slot(s.next)
	// The reader is done with the batch before this one: its slot is free for the batch a ring later. (For the first
	// batch that is the one slot which newStream left empty.)
	if b := s.next + len(s.slots) - 1; b < s.batches {
		s.todo <- b // has room: at most len(slots) batches are under way
	}
	s.next++
	return &slot.batch, nil
}

// wait returns when the next batch is ready, or there is none.
func (s *Stream) wait() error {
	if s.isClosed() {
		return ErrClosed
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if s.next >= s.batches {
		return io.EOF
	}
	slot := s.slot(s.next)
	select {
	case <-slot.done:
		if slot.err != nil && s.isClosed() {
			return ErrClosed // not the cancellation that Close stops the workers with
		}
		return slot.err
	case <-s.closed:
		return ErrClosed
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s *Stream) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// Close stops the workers and waits until they have ended. It may be called more than once.
func (s *Stream) Close() {
	s.closeOnce.Do(func() {
		s.stop()
		close(s.closed)
	})
	s.workers.Wait()
}
