package main

import "fmt"

// signRows writes what takes rows of half differences on, as package kernel's rowKernels says, in values of 32 bits.
func (f *file) signRows() {
	f.rowCounts()
	f.spreadRow()
	f.rowBits(64)
	f.rowBits(16)
	for _, tile := range []bool{false, true} {
		for _, channels := range []int{16, 8} {
			for _, add := range []bool{false, true} {
				for _, signs := range []bool{false, true} {
					f.rowFloats(channels, tile, add, signs)
				}
			}
		}
	}
}

func (f *file) rowCounts() {
	f.function("RowCounts", "dst *int32, d *uint8, full, n, pixels, dstPixel, dPixel int",
		[]string{"is dst[p*dstPixel+i] = full - 2*d[p*dPixel+i] for p < pixels and i < n, a multiple of 4."}, func(a *fn) {
			dst, d, pixels, dstPixel, dPixel := a.param("dst"), a.param("d"), a.param("pixels"), a.scaled("dstPixel", 2), a.scaled("dPixel", 2)
			full := a.vec()
			a.op("VDUP", a.param("full"), full.as("S4"))
			a.loop("pixel", pixels, func() {
				to, from, n, v := a.clone(dst), a.clone(d), a.param("n"), a.vec()
				a.op("LSR", imm(2), n, n)
				a.loop("four", n, func() {
					a.loadNext(from, v)
					a.op("VSHL", imm(1), v.as("S4"), v.as("S4"))
					a.op("VSUB", v.as("S4"), full.as("S4"), v.as("S4"))
					a.storeNext(to, v)
				})
				a.add(dstPixel, dst)
				a.add(dPixel, d)
			})
			a.op("RET")
		})
}

func (f *file) spreadRow() {
	f.function("SpreadRow", "dst, d, order *uint8, pixels, dstPixel, dPixel int",
		[]string{"is dst[p*dstPixel+i] = d[p*dPixel+j] for p < pixels and i < 8, where j is value i of order."}, func(a *fn) {
			dst, d, pixels, dstPixel, dPixel := a.param("dst"), a.param("d"), a.param("pixels"), a.scaled("dstPixel", 2), a.scaled("dPixel", 2)
			// The offsets of the bytes of value j are 4j to 4j+3.
			order, four, bytes := a.takeVecs(registers), a.words(0x04040404), a.words(0x03020100)
			a.load(a.param("order"), 0, order...)
			for _, r := range order {
				a.mul4(r, r, four)
				a.op("VADD", bytes.as("B16"), r.as("B16"), r.as("B16"))
			}
			a.loop("pixel", pixels, func() {
				table, v := a.takeVecs(registers), a.takeVecs(registers)
				a.load(d, 0, table...)
				for i, r := range v {
					a.op("VTBL", order[i].as("B16"), fmt.Sprintf("[%s, %s]", table[0].as("B16"), table[1].as("B16")), r.as("B16"))
				}
				a.store(dst, 0, v...)
				a.add(dstPixel, dst)
				a.add(dPixel, d)
			})
			a.op("RET")
		})
}

func (f *file) rowBits(panel int) {
	f.function(fmt.Sprintf("RowBits%d", panel),
		"dst *uint64, d, limits *uint8, pixels, dstPixel, rows, dstRow, perRow int, right, left, keep, old, flip uint64",
		[]string{fmt.Sprintf("writes bits of panels of %d values, bit i of m being d[p*%d+i] < limits[i]:", panel, panel),
			"",
			"\tv = dst[p*dstPixel+r*dstRow]",
			"\tv = v&old | ((m>>(right+r*perRow)&keep)<<left ^ flip)",
			"",
			"for p < pixels and r < rows. Counts are at least 1, and shifts at most 63."}, func(a *fn) {
			dst, d, pixels, dstPixel, dstRow := a.param("dst"), a.param("d"), a.param("pixels"), a.scaled("dstPixel", 3), a.scaled("dstRow", 3)
			right, left, keep, old, flip, perRow := a.param("right"), a.param("left"), a.param("keep"), a.param("old"), a.param("flip"), a.param("perRow")
			limits, weights := a.takeVecs(panel/4), a.byteBits()
			a.load(a.param("limits"), 0, limits...)
			a.loop("pixel", pixels, func() {
				m := a.gp()
				a.below(m, d, limits, weights)
				a.op("LSR", right, m, m)
				to, rows := a.clone(dst), a.param("rows")
				a.loop("row", rows, func() {
					v, o := a.gp(), a.gp()
					a.op("AND", keep, m, v)
					a.op("LSL", left, v, v)
					a.op("EOR", flip, v, v)
					a.op("MOVD", mem(to, 0), o)
					a.op("AND", old, o, o)
					a.op("ORR", o, v, v)
					a.op("MOVD", v, mem(to, 0))
					a.op("LSR", perRow, m, m)
					a.add(dstRow, to)
				})
				a.add(dstPixel, dst)
			})
			a.op("RET")
		})
}

// below gathers in m the bits of the 16 or 64 values at d that are below their limits, and moves d behind them.
func (a *fn) below(m, d gp, limits []vec, weights vec) {
	a.scope(func() {
		compared := func(limits []vec) []vec {
			v := a.takeVecs(4)
			a.loadNext(d, v...)
			for i, r := range v {
				a.cmgt4(r, limits[i], r)
			}
			return v
		}
		if len(limits) == 4 {
			a.op("MOVD", a.gather(weights, compared(limits)), m)
			return
		}
		bytes := a.takeVecs(4)
		for i, r := range bytes {
			a.scope(func() {
				v := compared(limits[4*i:])
				a.maskBytes(weights, v)
				a.move(r, v[0])
			})
		}
		a.op("MOVD", a.gather64(bytes), m)
	})
}
