package kernel

// A table holds the signed sums of four operands a, b, c, d, each a vector:
//
//	entry e = ((±a ± b) ± c) ± d      bit i of e set: minus for the i-th operand
//
// The operands are four channels of neighbouring pixels (Input) or four pixels of neighbouring channels (Filters).

// tableEntries are the signed sums of four operands.
const tableEntries = 16

// maxTableFilters is a bound on K that keeps the byte offset of an entry in 15 bits, and that of a table in 31.
const maxTableFilters = 4096

// signKernels build tables and sum up their entries, in vectors of lanes elements.
type signKernels struct {
	lanes int
	sums  []signSum // by vectors and then by outputs, the most first
	// channels is dst[e*dstStep+i] = entry e of a[i], b[i], c[i], d[i] for i < vectors·lanes.
	channels func(dst, a, b, c, d *float32, vectors, dstStep int)
}

// signSum sums up entries of a table for blocks of some outputs of some vectors each:
//
//	dst[o*dstStep+l] = sum over y < rows, i < n of table[l + y*tableRow + offsets[y*offsetRow+i*offsetStep+o]/4]
//
// for l < vectors·lanes, from 0 and in ascending order, then added to what is in dst if add is 1; offsets count bytes.
type signSum struct {
	vectors, outputs int
	run              func(dst, table *float32, offsets *int32, blocks, rows, n, dstStep, tableRow, offsetRow, offsetStep, add int)
}

// signLayout are kernels for gradients that do not depend on the vectors' width.
type signLayout struct {
	// pixels is dst[e*dstStep+p] = entry e of src[p*srcStep+0..3] for p < 8·blocks.
	pixels func(dst, src *float32, blocks, srcStep, dstStep int)
	// combine is, for p < pixels <= 8 and c < 8·groups,
	//
	//	dst[p*dstStep+c] = sum over s < columns of planes[s*columnStep+c*planeStep+p] where masks[8*s+p] is not 0
	combine func(dst, planes *float32, masks *int32, groups, columns, pixels, planeStep, columnStep, dstStep int)
	// offsets is, for the bytes of 8 channels of each of vectors planes,
	//
	//	dst[(g*vectors+v)*8+c] = base[g] + entryBytes * (bits c of x[v*plane+4*g+0..3], the first one lowest)
	offsets func(dst *int32, x *byte, base *int32, groups, vectors, plane, entryBytes int)
}

// signsFor returns the active tier's widest kernels whose vectors divide n, else the narrowest.
func signsFor(n int) *signKernels {
	for i := range active.signs {
		if k := &active.signs[i]; n%k.lanes == 0 {
			return k
		}
	}
	return &active.signs[len(active.signs)-1]
}

// sum is signSum for any number of vectors and outputs.
func (k *signKernels) sum(dst, table []float32, offsets []int32, vectors, outputs, rows, n, dstStep, tableRow, offsetRow, offsetStep int, add bool) {
	flag := 0
	if add {
		flag = 1
	}
	for v := 0; v < vectors; {
		width := 0
		for o := 0; o < outputs; {
			s := k.tile(vectors-v, outputs-o)
			blocks := (outputs - o) / s.outputs
			s.run(&dst[o*dstStep+v*k.lanes], &table[v*k.lanes], &offsets[o], blocks, rows, n, dstStep, tableRow, offsetRow, offsetStep, flag)
			o += blocks * s.outputs
			width = s.vectors
		}
		v += width
	}
}

// tile returns the widest tile of at most the given vectors, and of those the one with the most outputs, at most the
// given number.
func (k *signKernels) tile(vectors, outputs int) *signSum {
	for i := range k.sums {
		if s := &k.sums[i]; s.vectors <= vectors && s.outputs <= outputs {
			return s
		}
	}
	panic("kernel: no tile is small enough")
}

// roundUp returns the smallest multiple of m that is at least n.
func roundUp(n, m int) int { return (n + m - 1) / m * m }
