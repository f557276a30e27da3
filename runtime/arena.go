package runtime

import "slices"

// slab names the memory that a buffer lies in.
type slab uint8

const (
	imageSlab  slab = iota // the caller's image, read only
	logitsSlab             // the caller's logits
	floatSlab
	countSlab
	wordSlab
	slabs int = iota
)

// elemBytes are the bytes of an element of each slab.
var elemBytes = [slabs]int{4, 4, 4, 4, 8}

// lineBytes is the alignment of buffers within a slab.
const lineBytes = 64

// buffer is the place of one value in an arena: elements [at, at+n) of its slab.
type buffer struct {
	slab  slab
	n, at int
	last  int // index of the last step that reads the buffer
}

// end returns the element behind those of b.
func (b *buffer) end() int { return b.at + b.n }

// arena is the working memory of one image. Buffers whose lives do not meet share its elements.
type arena struct {
	image, logits []float32 // set for each inference
	floats        []float32
	counts        []int32
	words         []uint64
	scratch       []uint64    // of one step at a time
	list          [][]float32 // of floatsOf
}

// float returns the elements of b, which holds floats; nil for nil.
func (a *arena) float(b *buffer) []float32 {
	switch {
	case b == nil:
		return nil
	case b.slab == imageSlab:
		return a.image
	case b.slab == logitsSlab:
		return a.logits
	}
	return a.floats[b.at : b.at+b.n]
}

// floatsOf returns the elements of each of list, until its next call.
func (a *arena) floatsOf(list []*buffer) [][]float32 {
	a.list = a.list[:0]
	for _, b := range list {
		a.list = append(a.list, a.float(b))
	}
	return a.list
}

// count returns the elements of b, which holds counts.
func (a *arena) count(b *buffer) []int32 { return a.counts[b.at : b.at+b.n] }

// word returns the elements of b, which holds packed signs; nil for nil.
func (a *arena) word(b *buffer) []uint64 {
	if b == nil {
		return nil
	}
	return a.words[b.at : b.at+b.n]
}

// memory lays the buffers of one slab out. Buffers are placed and released in the order of execution.
type memory struct {
	live []*buffer // sorted by at, not overlapping
	size int       // elements needed so far
	line int       // elements of one line
}

// place puts b into the smallest gap between the live buffers that takes it, else behind them.
func (m *memory) place(b *buffer) {
	best, bestGap, slot := -1, 0, 0
	end := 0
	for i, l := range m.live {
		if gap := l.at - end; gap >= b.n && (best < 0 || gap < bestGap) {
			best, bestGap, slot = end, gap, i
		}
		end = m.align(l.end())
	}
	if best < 0 {
		best, slot = end, len(m.live)
	}
	b.at = best
	m.live = slices.Insert(m.live, slot, b)
	m.size = max(m.size, m.align(b.end()))
}

// replace gives b the place of old, which is not live any more.
func (m *memory) replace(old, b *buffer) {
	b.at = old.at
	m.live[slices.Index(m.live, old)] = b
}

// release ends the life of b.
func (m *memory) release(b *buffer) {
	if i := slices.Index(m.live, b); i >= 0 {
		m.live = slices.Delete(m.live, i, i+1)
	}
}

func (m *memory) align(n int) int { return (n + m.line - 1) / m.line * m.line }
