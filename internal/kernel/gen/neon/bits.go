package main

// bits writes packing and unpacking of signs.
func (f *file) bits() {
	f.packSigns()
	f.unpackSigns()
}

func (f *file) packSigns() {
	f.function("PackSigns", "dst *uint64, src *float32, words, vectors int",
		[]string{"packs the signs of words·vectors vectors of src into words, each from its lowest bit on; the bits beyond them are clear.",
			"vectors is at least 1 and fills at most a word. Negative values are 1; zeros and NaN are 0."}, func(a *fn) {
			dst, src, words := a.param("dst"), a.param("src"), a.param("words")
			weights := a.signWeights(16)
			// pack writes the bits of n vectors to word from the bit shift on.
			pack := func(n int, word, shift gp) {
				a.scope(func() {
					v := a.takeVecs(n * registers)
					a.loadNext(src, v...)
					for _, r := range v {
						a.fltz4(r, r)
					}
					m := a.gather(v, weights)
					a.op("LSL", shift, m, m)
					a.op("ORR", m, word, word)
					a.add(n*lanes, shift)
				})
			}
			a.loop("word", words, func() {
				word, shift, vectors := a.gp(), a.gp(), a.param("vectors")
				a.op("MOVD", "ZR", word)
				a.op("MOVD", "ZR", shift)
				even, done := a.label("even"), a.label("done")
				a.op("TBZ", imm(0), vectors, even)
				pack(1, word, shift)
				a.at(even)
				a.op("LSR", imm(1), vectors, vectors)
				a.op("CBZ", vectors, done)
				a.loop("pair", vectors, func() { pack(2, word, shift) })
				a.at(done)
				a.op("MOVD.P", word, mem(dst, 8))
			})
			a.op("RET")
		})
}

func (f *file) unpackSigns() {
	f.function("UnpackSigns", "dst *float32, src *uint64, words, vectors int",
		[]string{"is the inverse of PackSigns: -1 for a set bit, +1 for a clear one."}, func(a *fn) {
			dst, src, words := a.param("dst"), a.param("src"), a.param("words")
			weights, one, sign := a.signWeights(lanes), a.words(bitsOne), a.words(1<<31)
			a.loop("word", words, func() {
				word, vectors := a.gp(), a.param("vectors")
				a.op("MOVD.P", mem(src, 8), word)
				a.loop("vector", vectors, func() {
					bits, v := a.vec(), a.takeVecs(registers)
					a.op("VDUP", word, bits.as("S4"))
					for i, r := range v {
						a.op("VCMTST", weights[i].as("S4"), bits.as("S4"), r.as("S4"))
						a.and(r, r, sign)
						a.or(r, r, one)
					}
					a.storeNext(dst, v...)
					a.op("LSR", imm(lanes), word, word)
				})
			})
			a.op("RET")
		})
}
