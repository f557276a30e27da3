package datasets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// goroutines fails the test if more goroutines run at its end than now.
func goroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		// A goroutine that has said its last word is still counted for a moment.
		for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if after := runtime.NumGoroutine(); after > before {
			stack := make([]byte, 1<<16)
			t.Errorf("%d goroutines, before the test %d:\n%s", after, before, stack[:runtime.Stack(stack, true)])
		}
	})
}

// failing returns a split whose records are decoded one by one; those for which bad is true cannot be.
func failing(n int, bad func(i int) bool) *Split {
	s := memorySplit(n, tiny, 5)
	records := s.records
	s.records = nil
	s.read = func(i int, dst []byte) error {
		if bad(i) {
			return fmt.Errorf("record %d is bad", i)
		}
		copy(dst, records[i])
		return nil
	}
	return s
}

func never(int) bool { return false }

// Decoded and in memory give the same.
func TestStreamDecoded(t *testing.T) {
	goroutines(t)
	c := LoaderConfig{Batch: 4, Shuffle: true, Augment: Augment{PadCrop: 2, Flip: true}, Workers: 3}
	check(t, "decoded", epoch(t, NewLoader(failing(50, never), tiny, c), 1, 0), epoch(t, NewLoader(memorySplit(50, tiny, 5), tiny, c), 1, 0))
}

// The error of a record comes in the place of its batch, whatever was ready before, and stays.
func TestStreamError(t *testing.T) {
	for _, workers := range []int{1, 3} {
		goroutines(t)
		s := failing(40, func(i int) bool { return i == 14 || i == 13 || i == 30 })
		st := NewLoader(s, tiny, LoaderConfig{Batch: 4, Workers: workers, Ahead: 8}).Epoch(context.Background(), 0, 0)
		for b := range 3 {
			if _, err := st.Next(); err != nil {
				t.Fatalf("batch %d: %v", b, err)
			}
		}
		for range 2 {
			_, err := st.Next()
			wantError(t, "batch 3", err, "record 13 is bad")
		}
		st.Close()
	}
}

func TestStreamClose(t *testing.T) {
	goroutines(t)
	l := NewLoader(failing(1000, never), tiny, LoaderConfig{Batch: 4, Workers: 4, Ahead: 6})
	for reads := range 4 {
		st := l.Epoch(context.Background(), 0, 0)
		for range reads {
			if _, err := st.Next(); err != nil {
				t.Fatal(err)
			}
		}
		st.Close()
		st.Close()
		for range 2 {
			if _, err := st.Next(); err != ErrClosed {
				t.Errorf("Next after Close: got %v, want ErrClosed", err)
			}
		}
	}
}

// Close wakes a Next that waits in another goroutine.
func TestStreamCloseDuringNext(t *testing.T) {
	goroutines(t)
	reading, release := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	s := failing(8, func(int) bool {
		if once.CompareAndSwap(false, true) {
			close(reading)
		}
		<-release
		return false
	})
	st := NewLoader(s, tiny, LoaderConfig{Batch: 4}).Epoch(context.Background(), 0, 0)
	got := make(chan error)
	go func() {
		_, err := st.Next()
		got <- err
	}()
	<-reading
	go func() {
		time.Sleep(10 * time.Millisecond)
		close(release)
	}()
	st.Close()
	if err := <-got; err != ErrClosed {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestStreamEnd(t *testing.T) {
	goroutines(t)
	st := NewLoader(memorySplit(10, tiny, 1), tiny, LoaderConfig{Batch: 4, Workers: 2}).Epoch(context.Background(), 0, 0)
	for {
		_, err := st.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := st.Next(); err != io.EOF { // without a Close: the goroutines have ended by themselves
		t.Errorf("after the end: got %v, want io.EOF", err)
	}
}

func TestStreamContext(t *testing.T) {
	goroutines(t)
	l := NewLoader(failing(1000, never), tiny, LoaderConfig{Batch: 4, Workers: 2})
	ctx, cancel := context.WithCancel(context.Background())
	st := l.Epoch(ctx, 0, 0)
	if _, err := st.Next(); err != nil {
		t.Fatal(err)
	}
	cancel()
	for range 2 {
		if _, err := st.Next(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	}
	if _, err := l.Epoch(ctx, 0, 0).Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("a stream of an ended context: got %v, want context.Canceled", err)
	}
}

func TestStreamAllocs(t *testing.T) {
	p := imageNet(32)
	l := NewLoader(memorySplit(2000, p, 1), p, LoaderConfig{Batch: 8, Shuffle: true, Augment: Augment{PadCrop: 4, Flip: true}, Workers: 2})
	st := l.Epoch(context.Background(), 0, 0)
	defer st.Close()
	next := func() {
		if _, err := st.Next(); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		next()
	}
	if n := testing.AllocsPerRun(200, next); n != 0 {
		t.Errorf("%v allocations a batch, want 0", n)
	}
}

func BenchmarkLoader(b *testing.B) {
	p := imageNet(32)
	s := memorySplit(2560, p, 1)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("batch=256/workers=%d", workers), func(b *testing.B) {
			l := NewLoader(s, p, LoaderConfig{Batch: 256, Shuffle: true, Augment: Augment{PadCrop: 4, Flip: true}, Workers: workers})
			b.SetBytes(int64(256 * p.Len())) // of pixels
			b.ReportAllocs()
			var st *Stream
			for i := range b.N {
				if i%l.Batches() == 0 {
					if st != nil {
						st.Close()
					}
					st = l.Epoch(context.Background(), i, 0)
				}
				if _, err := st.Next(); err != nil {
					b.Fatal(err)
				}
			}
			st.Close()
		})
	}
}
