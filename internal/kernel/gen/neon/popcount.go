package main

import "fmt"

// popcount writes 1-bit convolution by population counts, with a filter in each 32-bit lane and 16 filters in four registers:
//
//	PopcountRowsP	for blocks of P pixels: the sums over a window, for the kernels of signRows
//	PopcountBitsP	the same, compared with thresholds at once
//	Popcount16Rows, Popcount16Bits	for 3x3 windows of at most 16 channels: 144 bits in five words
//	CompactN	words of N channels from words of 64
//
// NEON counts the bits of bytes. Their counts are added up as bytes, which hold those of 31 words, and only then by lane.
func (f *file) popcount() {
	for _, bits := range []bool{false, true} {
		for _, pixels := range []int{4, 2, 1} {
			f.popcountTile(pixels, bits)
		}
		f.popcount16(bits)
	}
	f.compact(16)
	f.compact(32)
	f.zip16()
}

const (
	filters   = 16          // of a tile
	perPixel  = filters / 4 // registers
	byteWords = 31          // words whose bytes' counts fit into a byte
)

// popcountNames are the parts of the name and of the comment in which the two forms of a function differ.
func popcountNames(bits bool) (name, dst, more string, result []string) {
	if bits {
		return "Bits", "*uint16", ", first", []string{
			"\tbit k of dst[p*dstPixel] = start[columns[p]/4+k] < d", "",
			"where first is 1 with the rest of a 64-bit word clear, and where it is 0 with the rest as it was,"}
	}
	return "Rows", "*int32", "", []string{"\tdst[p*dstPixel+k] = start[columns[p]/4+k] + d"}
}

// popcountDst loads a stride of dst in bytes.
func (a *fn) popcountDst(name string, bits bool) gp {
	if bits {
		return a.scaled(name, 1)
	}
	return a.scaled(name, 2)
}

func (f *file) popcountTile(pixels int, bits bool) {
	name, dstType, more, result := popcountNames(bits)
	f.local = 16 * perPixel * pixels
	f.function(fmt.Sprintf("Popcount%s%d", name, pixels),
		"dst "+dstType+", start *int32, columns, x, w *uint32, blocks, rows, run, xRow, xPixel, dstPixel, lines, xLine, dstLine"+more+" int",
		append(append([]string{fmt.Sprintf("computes blocks of %d pixels by 16 filters: with", pixels), "",
			"\td = sum over r < rows, i < run of popcount(x[p*xPixel+r*xRow+i] ^ w[(r*run+i)*16+k])", "", "it is", ""}, result...), "",
			fmt.Sprintf("for p < %d*blocks and k < 16, and that for each of lines rows: xLine words of x and dstLine elements of dst apart.", pixels),
			"Counts are at least 1."), func(a *fn) {
			dst, x, lines, xPixel, dstPixel := a.param("dst"), a.param("x"), a.param("lines"), a.scaled("xPixel", 2), a.popcountDst("dstPixel", bits)
			xRow := a.scaled("xRow", 2)
			// Windows of more words than the bytes' counts can take have their sums in memory.
			long := a.gp()
			a.scope(func() {
				a.op("MUL", a.param("rows"), a.param("run"), long)
				a.op("SUBS", imm(byteWords), long, long)
				a.op("CSINC", "LT", "ZR", "ZR", long)
			})
			room := a.gp()
			a.op("MOVD", fmt.Sprintf("$room-%d(SP)", f.local), room)
			acc := a.takeVecs(perPixel * pixels)
			a.loop("line", lines, func() {
				lineX, lineDst, columns, blocks := a.clone(x), a.clone(dst), a.param("columns"), a.param("blocks")
				a.loop("block", blocks, func() {
					a.zero(acc...)
					short := a.label("short")
					a.op("CBZ", long, short)
					a.store(room, 0, acc...)
					a.at(short)
					a.countWindow(acc, lineX, xPixel, xRow, room, pixels)
					for _, r := range acc {
						a.addBytes(r, r)
						a.addHalves(r, r)
					}
					summed := a.label("summed")
					a.op("CBZ", long, summed)
					for p := range pixels {
						a.scope(func() {
							v := a.takeVecs(perPixel)
							a.load(room, 16*perPixel*p, v...)
							for i, r := range v {
								to := acc[perPixel*p+i].as("S4")
								a.op("VADD", r.as("S4"), to, to)
							}
						})
					}
					a.at(summed)
					var weights *vec
					if bits {
						w := a.byteBits()
						weights = &w
					}
					for p := range pixels {
						a.emit(acc[perPixel*p:][:perPixel], columns, lineDst, weights)
						a.add(dstPixel, lineDst)
						a.add(xPixel, lineX)
					}
				})
				a.scope(func() {
					a.add(a.scaled("xLine", 2), x)
					a.add(a.popcountDst("dstLine", bits), dst)
				})
			})
			a.op("RET")
		})
	f.local = 0
}

// countWindow adds to the bytes of acc the counts of the windows of pixels, and before they overflow to the sums in room.
func (a *fn) countWindow(acc []vec, x, xPixel, xRow, room gp, pixels int) {
	a.scope(func() {
		row, w, rows, run, left := a.clone(x), a.param("w"), a.param("rows"), a.gp(), a.gp()
		a.op("MOVD", imm(byteWords), left)
		a.loop("row", rows, func() {
			s := a.pixels(row, xPixel, pixels)
			a.op("MOVD", a.place("run"), run)
			part, next := a.label("part"), a.label("next")
			a.at(part)
			n := a.gp() // words that still fit
			a.op("CMP", left, run)
			a.op("CSEL", "LT", run, left, n)
			a.op("SUB", n, left, left)
			a.op("SUB", n, run, run)
			a.loop("word", n, func() {
				words, wv := a.takeVecs(pixels), a.takeVecs(perPixel)
				for p, r := range s {
					a.op("VLD1R.P", mem(r, 4), "["+words[p].as("S4")+"]")
				}
				a.loadNext(w, wv...)
				// The counts of one pixel are added after those of the next are on their way.
				d := [2][]vec{a.takeVecs(perPixel)}
				if pixels > 1 {
					d[1] = a.takeVecs(perPixel)
				}
				for p, word := range words {
					a.count(d[p%2], wv, word)
					if p > 0 {
						a.addCounts(acc[perPixel*(p-1):], d[(p-1)%2])
					}
				}
				a.addCounts(acc[perPixel*(pixels-1):], d[(pixels-1)%2])
			})
			a.op("CBNZ", left, next)
			a.scope(func() {
				v := a.takeVecs(perPixel)
				for i := 0; i < len(acc); i += len(v) {
					a.load(room, 16*i, v...)
					for j, r := range v {
						a.addBytes(acc[i+j], acc[i+j])
						a.addHalvesTo(r, acc[i+j])
					}
					a.store(room, 16*i, v...)
				}
				a.zero(acc...)
			})
			a.op("MOVD", imm(byteWords), left)
			a.at(next)
			a.op("CBNZ", run, part)
			a.add(xRow, row)
		})
	})
}

// count is the counts of the bytes in which word, the same in all lanes, differs from w.
func (a *fn) count(d, w []vec, word vec) {
	for i, r := range d {
		a.eor(r, w[i], word)
	}
	for _, r := range d {
		a.op("VCNT", r.as("B16"), r.as("B16"))
	}
}

// addCounts adds counts of bytes.
func (a *fn) addCounts(acc, d []vec) {
	for i, r := range d {
		a.op("VADD", r.as("B16"), acc[i].as("B16"), acc[i].as("B16"))
	}
}

// emit writes what becomes of the sums of a pixel, which it overwrites, and moves columns on. weights, for bits, are those
// of gather.
func (a *fn) emit(d []vec, columns, dst gp, weights *vec) {
	a.scope(func() {
		from := a.gp()
		a.op("MOVWU.P", mem(columns, 4), from)
		a.add(a.param("start"), from)
		for i := 0; i < len(d); i += 2 {
			a.scope(func() {
				v := a.takeVecs(2)
				a.load(from, 16*i, v...)
				for j, r := range d[i : i+2] {
					if weights == nil {
						a.op("VADD", v[j].as("S4"), r.as("S4"), r.as("S4"))
					} else {
						a.cmgt4(r, r, v[j])
					}
				}
			})
		}
		if weights == nil {
			a.store(dst, 0, d...)
			return
		}
		m, beside, done := a.gather(*weights, d), a.label("beside"), a.label("done")
		a.op("CBZ", a.param("first"), beside)
		a.op("MOVD", m, mem(dst, 0))
		a.op("JMP", done)
		a.at(beside)
		a.op("MOVH", m, mem(dst, 0))
		a.at(done)
	})
}

// popcount16 is for 3x3 windows of pixels of 16 bits. The taps, by row and column, are in five words:
//
//	00 01, 10 11, 20 21	two neighbours each
//	02 12	from a map that has the pixel below each in its upper half
//	22	the lower half of a word
func (f *file) popcount16(bits bool) {
	name, dstType, more, result := popcountNames(bits)
	f.function("Popcount16"+name,
		"dst "+dstType+", start *int32, columns *uint32, x *uint16, zip, w *uint32, pixels, xRow, xPixel, dstPixel, lines, xLine, dstLine"+more+" int",
		append(append([]string{"compares the 3x3 windows of pixels of 16 bits, xRow apart, with 16 filters:", ""}, result...), "",
			"for p < pixels and k < 16, and that for each of lines rows: xLine elements of x and dstLine of dst apart. zip[i] has x[i] in its",
			"lower half and x[i+xRow] in its upper one. d is the number of bits in which the window at x[p*xPixel] differs from the filter,",
			"w[i*16+k] for i < 5: taps 00 01, 10 11, 20 21, 02 12 and 22, the upper half of which does not count. Counts are at least 1."), func(a *fn) {
			dst, x, zip, lines := a.param("dst"), a.param("x"), a.param("zip"), a.param("lines")
			xRow, xPixel, zipPixel, dstPixel := a.scaled("xRow", 1), a.scaled("xPixel", 1), a.scaled("xPixel", 2), a.popcountDst("dstPixel", bits)
			w := a.takeVecs(5 * perPixel)
			a.load(a.param("w"), 0, w...)
			var weights *vec
			if bits {
				w := a.byteBits()
				weights = &w
			}
			low := a.words(0xffff)
			a.loop("line", lines, func() {
				row0, lineZip, lineDst, columns, pixels := a.clone(x), a.clone(zip), a.clone(dst), a.param("columns"), a.param("pixels")
				a.add(8, lineZip) // two pixels on
				row1, row2 := a.gp(), a.gp()
				a.op("ADD", xRow, row0, row1)
				a.op("ADD", xRow, row1, row2)
				a.loop("pixel", pixels, func() {
					acc := a.takeVecs(perPixel)
					for i, from := range []gp{row0, row1, row2, lineZip, row2} {
						a.scope(func() {
							word, d := a.vec(), acc
							if i == 4 {
								last := a.gp()
								a.op("ADD", imm(4), from, last)
								a.op("VLD1R", mem(last, 0), "["+word.as("S4")+"]")
								a.and(word, word, low)
							} else {
								a.op("VLD1R", mem(from, 0), "["+word.as("S4")+"]")
							}
							if i > 0 {
								d = a.takeVecs(perPixel)
							}
							a.count(d, w[i*perPixel:][:perPixel], word)
							if i > 0 {
								a.addCounts(acc, d)
							}
						})
					}
					for _, r := range acc {
						a.addBytes(r, r)
					}
					for _, r := range acc {
						a.addHalves(r, r)
					}
					a.add(xPixel, row0, row1, row2)
					a.add(zipPixel, lineZip)
					a.emit(acc, columns, lineDst, weights)
					a.add(dstPixel, lineDst)
				})
				a.scope(func() {
					a.add(a.scaled("xLine", 1), x)
					a.add(a.scaled("xLine", 2), zip)
					a.add(a.popcountDst("dstLine", bits), dst)
				})
			})
			a.op("RET")
		})
}

func (f *file) compact(width int) {
	lanes, store := "S4", "MOVW.P"
	if width == 16 {
		lanes, store = "H8", "MOVH.P"
	}
	f.function(fmt.Sprintf("Compact%d", width), fmt.Sprintf("dst *uint%d, src *uint64, rows, n, dstRow int", width),
		[]string{fmt.Sprintf("writes the lowest %d bits of the words of src to dst: of each of rows rows n words, to elements dstRow apart. Counts are at", width),
			"least 1."}, func(a *fn) {
			first, src, rows, dstRow := a.param("dst"), a.param("src"), a.param("rows"), a.param("dstRow")
			a.op("LSL", imm(map[int]int{16: 1, 32: 2}[width]), dstRow, dstRow)
			a.loop("row", rows, func() {
				dst, n, word := a.clone(first), a.param("n"), a.gp()
				a.add(dstRow, first)
				eight, tail, done := a.label("eight"), a.label("tail"), a.label("done")
				a.at(eight)
				a.op("SUBS", imm(8), n, n)
				a.op("BLT", tail)
				v := a.takeVecs(4)
				a.loadNext(src, v...)
				for i := range 2 {
					a.op("VUZP1", v[2*i+1].as(lanes), v[2*i].as(lanes), v[i].as(lanes))
				}
				if width == 16 {
					a.op("VUZP1", v[1].as(lanes), v[0].as(lanes), v[0].as(lanes))
					a.storeNext(dst, v[0])
				} else {
					a.storeNext(dst, v[:2]...)
				}
				a.op("JMP", eight)
				a.at(tail)
				a.op("ADDS", imm(8), n, n)
				a.op("BEQ", done)
				a.loop("word", n, func() {
					a.op("MOVD.P", mem(src, 8), word)
					a.op(store, word, mem(dst, width/8))
				})
				a.at(done)
			})
			a.op("RET")
		})
}

func (f *file) zip16() {
	f.function("Zip16", "dst *uint32, x, y *uint16, n int",
		[]string{"is dst[i] = x[i] | y[i]<<16 for i < n, rounded up to a multiple of 16."}, func(a *fn) {
			dst, x, y, n := a.param("dst"), a.param("x"), a.param("y"), a.param("n")
			top := a.label("sixteen")
			a.at(top)
			low, high, out := a.takeVecs(2), a.takeVecs(2), a.takeVecs(4)
			a.loadNext(x, low...)
			a.loadNext(y, high...)
			for i := range low {
				a.op("VZIP1", high[i].as("H8"), low[i].as("H8"), out[2*i].as("H8"))
				a.op("VZIP2", high[i].as("H8"), low[i].as("H8"), out[2*i+1].as("H8"))
			}
			a.storeNext(dst, out...)
			a.op("SUBS", imm(16), n, n)
			a.op("BGT", top)
			a.op("RET")
		})
}
