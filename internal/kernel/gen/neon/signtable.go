package main

import "fmt"

// tableEntries are the signed sums of four operands.
const tableEntries = 16

// signTables writes what builds tables of signed sums and adds up their entries.
func (f *file) signTables() {
	for _, vectors := range []int{8, 4, 2, 1} {
		if outputs := 8 / vectors; outputs > 1 {
			f.signSum(outputs, vectors)
		}
		f.signSum(1, vectors)
	}
	f.tableChannels()
	f.tablePixels()
	f.combineColumns()
	f.tableOffsets()
}

func (f *file) signSum(outputs, vectors int) {
	f.function(fmt.Sprintf("SignSum%dx%d", outputs, vectors), "dst, table *float32, offsets *int32, blocks, rows, n, dstStep, tableRow, offsetRow, offsetStep, add int",
		[]string{"adds up entries of a table:",
			"",
			"\tdst[o*dstStep+l] = sum over y < rows, i < n of table[l + y*tableRow + offsets[y*offsetRow+i*offsetStep+o]/4]",
			"",
			fmt.Sprintf("for o < %d*blocks and l < %d, from 0 and in ascending order, then added to what is in dst if add is 1. Offsets count bytes,", outputs, vectors*lanes),
			"strides elements; blocks, rows and n are at least 1."}, func(a *fn) {
			dst, offsets, blocks := a.param("dst"), a.param("offsets"), a.param("blocks")
			dstStep, offsetStep, offsetRow, tableRow := a.scaled("dstStep", 2), a.scaled("offsetStep", 2), a.scaled("offsetRow", 2), a.scaled("tableRow", 2)
			n := vectors * registers
			acc := a.takeVecs(outputs * n)
			a.loop("block", blocks, func() {
				a.zero(acc...)
				table, row, rows := a.param("table"), a.clone(offsets), a.param("rows")
				a.loop("row", rows, func() {
					at, count := a.clone(row), a.param("n")
					a.loop("entry", count, func() {
						entries := make([]gp, outputs)
						for o := range entries {
							entries[o] = a.gp()
							a.op("MOVWU", mem(at, 4*o), entries[o])
						}
						a.add(offsetStep, at)
						v := a.takeVecs(min(8, n*outputs)) // what is loaded ahead of its addition
						for i := 0; i < len(acc); i += registers {
							o, part := i/n, i%n
							if part == 0 {
								a.add(table, entries[o])
							}
							e := v[i%len(v):][:registers]
							a.load(entries[o], 16*part, e...)
							if ahead := len(v) - registers; i >= ahead {
								a.addEntry(acc[i-ahead:], v[(i-ahead)%len(v):])
							}
						}
						for i := max(0, len(acc)-len(v)+registers); i < len(acc); i += registers {
							a.addEntry(acc[i:], v[i%len(v):])
						}
					})
					a.add(tableRow, table)
					a.add(offsetRow, row)
				})
				store := a.label("store")
				a.op("CBZ", a.param("add"), store)
				last := a.clone(dst)
				for o := range outputs {
					for i := 0; i < n; i += 4 {
						a.scope(func() {
							v := a.takeVecs(min(4, n-i))
							a.load(last, 16*i, v...)
							for j, r := range v {
								a.fadd4(acc[o*n+i+j], acc[o*n+i+j], r)
							}
						})
					}
					a.add(dstStep, last)
				}
				a.at(store)
				for o := range outputs {
					a.store(dst, 0, acc[o*n:][:n]...)
					a.add(dstStep, dst)
				}
				a.add(4*outputs, offsets)
			})
			a.op("RET")
		})
}

// addEntry adds a vector of an entry.
func (a *fn) addEntry(acc, v []vec) {
	for i := range registers {
		a.fadd4(acc[i], acc[i], v[i])
	}
}

// entries returns 16 pointers to the entries of a table, or 8 and the distance of the next 8 of them.
type tablePointers struct {
	a    *fn
	at   [tableEntries / 2]gp
	half gp // bytes of eight entries
}

func (a *fn) tablePointers(dst gp, step gp) *tablePointers {
	t := &tablePointers{a: a, half: a.gp()}
	a.op("LSL", imm(3), step, t.half)
	copy(t.at[:], a.pixels(dst, step, len(t.at)))
	return t
}

// store stores n registers of entry e, at some bytes from its beginning.
func (t *tablePointers) store(e, offset int, v ...vec) {
	if e < len(t.at) {
		t.a.store(t.at[e], offset, v...)
		return
	}
	t.a.scope(func() {
		p := t.a.gp()
		t.a.op("ADD", t.half, t.at[e-len(t.at)], p)
		t.a.store(p, offset, v...)
	})
}

// storeEntries writes the entries of the operands x, each of one vector. Half of the entries are the negatives of others.
func (t *tablePointers) storeEntries(x [4][registers]vec) {
	a := t.a
	signed := func(minus int, x, y [registers]vec) (v [registers]vec) {
		for i := range v {
			v[i] = a.vec()
			if minus == 1 {
				a.fsub4(v[i], x[i], y[i])
			} else {
				a.fadd4(v[i], x[i], y[i])
			}
		}
		return v
	}
	for i := range 2 {
		a.scope(func() {
			two := signed(i, x[0], x[1])
			for j := range 2 {
				a.scope(func() {
					three := signed(j, two, x[2])
					for k := range 2 {
						a.scope(func() {
							four := signed(k, three, x[3])
							e := i<<1 | j<<2 | k<<3
							t.store(e, 0, four[:]...)
							for _, r := range four {
								a.fneg4(r, r)
							}
							t.store(tableEntries-1-e, 0, four[:]...)
						})
					}
				})
			}
		})
	}
	a.add(4*lanes, t.at[:]...)
}

func (f *file) tableChannels() {
	f.function("TableChannels", "dst, a, b, c, d *float32, vectors, dstStep int",
		[]string{"is dst[e*dstStep+i] = ((±a[i] ± b[i]) ± c[i]) ± d[i] for e < 16 over vectors of 8, at least 1; minus where the bit of e is set,",
			"the lowest for a."}, func(a *fn) {
			var p [4]gp
			for i, name := range []string{"a", "b", "c", "d"} {
				p[i] = a.param(name)
			}
			vectors, t := a.param("vectors"), a.tablePointers(a.param("dst"), a.scaled("dstStep", 2))
			a.loop("vector", vectors, func() {
				var x [4][registers]vec
				for i := range x {
					copy(x[i][:], a.takeVecs(registers))
					a.loadNext(p[i], x[i][:]...)
				}
				t.storeEntries(x)
			})
			a.op("RET")
		})
}

// columns loads four rows of four elements each, step bytes apart, and returns their columns. It moves p on by the rows.
func (a *fn) columns(p, step gp) []vec {
	c := a.takeVecs(4)
	for _, v := range c {
		a.load(p, 0, v)
		a.add(step, p)
	}
	a.transpose(c)
	return c
}

// transpose replaces the rows of a 4x4 matrix by its columns.
func (a *fn) transpose(m []vec) {
	a.scope(func() {
		r := a.takeVecs(4)
		for i := range 2 { // 2x2 blocks
			a.op("VTRN1", m[2*i+1].as("S4"), m[2*i].as("S4"), r[2*i].as("S4"))
			a.op("VTRN2", m[2*i+1].as("S4"), m[2*i].as("S4"), r[2*i+1].as("S4"))
		}
		for i := range 2 {
			a.op("VTRN1", r[2+i].as("D2"), r[i].as("D2"), m[i].as("D2"))
			a.op("VTRN2", r[2+i].as("D2"), r[i].as("D2"), m[2+i].as("D2"))
		}
	})
}

func (f *file) tablePixels() {
	f.function("TablePixels", "dst, src *float32, blocks, srcStep, dstStep int",
		[]string{"is dst[e*dstStep+p] = ((±a ± b) ± c) ± d for e < 16 and p < 8*blocks, where a, b, c, d are src[p*srcStep] and the three elements",
			"behind it; minus where the bit of e is set, the lowest for a. blocks is at least 1."}, func(a *fn) {
			src, blocks, srcStep := a.param("src"), a.param("blocks"), a.scaled("srcStep", 2)
			t := a.tablePointers(a.param("dst"), a.scaled("dstStep", 2))
			a.loop("block", blocks, func() {
				var x [4][registers]vec
				for i := range registers {
					for j, v := range a.columns(src, srcStep) {
						x[j][i] = v
					}
				}
				t.storeEntries(x)
			})
			a.op("RET")
		})
}

func (f *file) combineColumns() {
	f.function("CombineColumns", "dst, planes *float32, masks *int32, groups, columns, pixels, planeStep, columnStep, dstStep int",
		[]string{"is dst[p*dstStep+c] = sum over s < columns, from 0 and in ascending order, of planes[s*columnStep+c*planeStep+p] where masks[8*s+p]",
			"is -1 and of 0 where it is 0, for p < pixels and c < 8*groups. groups and columns are at least 1, pixels is 1 to 8. It reads eight",
			"elements of every plane."}, func(a *fn) {
			dst, planes, groups := a.param("dst"), a.param("planes"), a.param("groups")
			planeStep, columnStep, dstStep := a.scaled("planeStep", 2), a.scaled("columnStep", 2), a.scaled("dstStep", 2)
			low, high := a.takeVecs(8), a.takeVecs(8) // four pixels each, by channel
			a.loop("group", groups, func() {
				a.zero(low...)
				a.zero(high...)
				at, masks, columns := a.clone(planes), a.param("masks"), a.param("columns")
				a.loop("column", columns, func() {
					m, plane := a.takeVecs(registers), a.clone(at)
					a.loadNext(masks, m...)
					for c := range low {
						a.scope(func() {
							v := a.takeVecs(registers)
							a.load(plane, 0, v...)
							a.add(planeStep, plane)
							a.and(v[0], v[0], m[0])
							a.and(v[1], v[1], m[1])
							a.fadd4(low[c], low[c], v[0])
							a.fadd4(high[c], high[c], v[1])
						})
					}
					a.add(columnStep, at)
				})
				out, left, stored := a.clone(dst), a.param("pixels"), a.label("stored")
				for _, m := range [][]vec{low, high} {
					a.transpose(m[:4])
					a.transpose(m[4:])
					for i := range 4 {
						a.store(out, 0, m[i], m[4+i])
						a.add(dstStep, out)
						a.op("SUBS", imm(1), left, left)
						a.op("BEQ", stored)
					}
				}
				a.at(stored)
				a.add(4*lanes, dst)
				a.op("ADD", fmt.Sprintf("%v<<3", planeStep), planes, planes)
			})
			a.op("RET")
		})
}

func (f *file) tableOffsets() {
	f.function("TableOffsets", "dst *int32, x *byte, base *int32, groups, vectors, plane, entryBytes int",
		[]string{"is dst[(g*vectors+v)*8+c] = base[g] + entryBytes*e for g < groups, v < vectors and c < 8, with the bits of e those at c of the",
			"bytes x[v*plane+4*g] to x[v*plane+4*g+3], the first one lowest. entryBytes is below 2^15; groups and vectors are at least 1."}, func(a *fn) {
			dst, x, base, groups, plane := a.param("dst"), a.param("x"), a.param("base"), a.param("groups"), a.param("plane")
			lowest, weights, scale := a.words(0x01010101), a.words(0x01020408), a.vec()
			a.op("VDUP", a.param("entryBytes"), scale.as("S4"))
			// Lane c is shifted to the right by c.
			shifts := a.takeVecs(2)
			a.op("VMOVQ", "$0xffffffff00000000", "$0xfffffffdfffffffe", shifts[0])
			a.op("VMOVQ", "$0xfffffffbfffffffc", "$0xfffffff9fffffffa", shifts[1])
			a.loop("group", groups, func() {
				first, at, n := a.vec(), a.clone(x), a.param("vectors")
				a.op("VLD1R.P", mem(base, 4), "["+first.as("S4")+"]")
				a.loop("vector", n, func() {
					bytes, e := a.vec(), a.takeVecs(2)
					a.op("VLD1R", mem(at, 0), "["+bytes.as("S4")+"]")
					a.add(plane, at)
					v := a.takeVecs(2)
					for i := range e {
						a.ushl4(e[i], bytes, shifts[i])
						a.and(e[i], e[i], lowest)
						a.mul4(e[i], e[i], weights) // gathers the bits in the top byte
						a.op("VUSHR", imm(24), e[i].as("S4"), e[i].as("S4"))
						a.move(v[i], first)
						a.mla4(v[i], e[i], scale)
					}
					a.storeNext(dst, v...)
				})
				a.add(4, x)
			})
			a.op("RET")
		})
}
