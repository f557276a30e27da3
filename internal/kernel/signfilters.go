package kernel

// SignFilters are the packed signs of a convolution's filters, prepared for the active tier. They serve any number of
// goroutines between two calls of Pack.
type SignFilters struct {
	g     Geometry
	words []uint64  // [K,R,S,Words(C/G)], what BinConv takes
	rows  *signRows // nil in plain Go
}

// NewSignFilters allocates filters for g.
func NewSignFilters(g Geometry) *SignFilters {
	g.Check()
	return &SignFilters{g: g, words: make([]uint64, g.FilterWords()), rows: newSignRows(g)}
}

// Pack takes over the signs of w, [K,C/G,R,S] in PyTorch's order.
func (f *SignFilters) Pack(w []float32) {
	PackFilters(f.words, w, f.g)
	f.arrange()
}

// Load takes over filters that are packed, [K,R,S,Words(C/G)] as PackFilters packs them.
func (f *SignFilters) Load(words []uint64) {
	checkLen("Load", "words", len(words), len(f.words))
	copy(f.words, words)
	f.arrange()
}

func (f *SignFilters) arrange() {
	if f.rows != nil {
		f.rows.arrange(f.words)
	}
}

// Kernel names what Convolve runs.
func (f *SignFilters) Kernel() string {
	if f.rows == nil {
		return "popcount"
	}
	return f.rows.engine.name()
}

// Scratch returns the elements that Convolve needs as scratch.
func (f *SignFilters) Scratch() int {
	if f.rows == nil {
		return 0
	}
	return f.rows.scratch()
}

// Convolve is BinConv with these filters. scratch has at least Scratch elements, whose values neither matter nor survive.
func (f *SignFilters) Convolve(dst []int32, x, scratch []uint64) {
	if f.rows == nil {
		BinConv(dst, x, f.words, f.g)
		return
	}
	checkLen("Convolve", "dst", len(dst), f.g.OutLen())
	checkLen("Convolve", "x", len(x), f.g.InWords())
	checkLen("Convolve", "scratch", min(len(scratch), f.Scratch()), f.Scratch())
	f.rows.convolve(dst, x, scratch)
}
