package expert

// queue is a heap: pop returns the element that is before all others.
type queue[T any] struct {
	heap   []T
	before func(a, b T) bool
}

func (q *queue[T]) push(x T) {
	q.heap = append(q.heap, x)
	h := q.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.before(h[i], h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (q *queue[T]) pop() T {
	h := q.heap
	first, n := h[0], len(h)-1
	h[0] = h[n]
	q.heap = h[:n]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < n; child++ {
			if q.before(h[child], h[least]) {
				least = child
			}
		}
		if least == i {
			return first
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
