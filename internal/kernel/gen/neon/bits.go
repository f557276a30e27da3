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
			weights := a.byteBits()
			// pack writes the bits of n vectors to word from the bit shift on.
			pack := func(n int, word, shift gp) {
				a.scope(func() {
					v := a.takeVecs(n * registers)
					a.loadNext(src, v...)
					for _, r := range v {
						a.fltz4(r, r)
					}
					m := a.gather(weights, v)
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
			weights, one, sign := a.laneBits(lanes), a.words(bitsOne), a.words(1<<31)
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

// laneBits are registers whose lanes hold the bits of n elements: element i is bit i. A word in all lanes tests them.
func (a *fn) laneBits(n int) []vec {
	w := a.takeVecs(n / 4)
	a.op("VMOVQ", "$0x0000000200000001", "$0x0000000800000004", w[0])
	for i := range w[1:] {
		a.op("VSHL", imm(4), w[i].as("S4"), w[i+1].as("S4"))
	}
	return w
}

// byteBits is a register whose byte i holds bit i%8: the weights of gather.
func (a *fn) byteBits() vec {
	w := a.vec()
	a.op("VMOVQ", "$0x8040201008040201", "$0x8040201008040201", w)
	return w
}

// gather moves one bit for each lane of 2 or 4 masks to a new general register, the first one lowest. Lanes of masks are all
// ones or zero. It overwrites the masks.
func (a *fn) gather(weights vec, masks []vec) gp {
	a.maskBytes(weights, masks)
	for range 3 {
		a.addPairs(masks[0], masks[0])
	}
	r := a.gp()
	a.op("VMOV", masks[0].as(map[int]string{2: "B[0]", 4: "H[0]"}[len(masks)]), r)
	return r
}

// gather64 is gather of four results of maskBytes of 16 lanes each.
func (a *fn) gather64(bytes []vec) gp {
	a.addPairs(bytes[0], bytes[1])
	a.addPairs(bytes[2], bytes[3])
	a.addPairs(bytes[0], bytes[2])
	a.addPairs(bytes[0], bytes[0])
	r := a.gp()
	a.op("VMOV", bytes[0].as("D[0]"), r)
	return r
}

// maskBytes leaves in the first mask a byte for each lane, with the lane's bit among eight.
func (a *fn) maskBytes(weights vec, masks []vec) {
	for i := 0; i < len(masks); i += 2 {
		a.op("VUZP1", masks[i+1].as("H8"), masks[i].as("H8"), masks[i/2].as("H8"))
	}
	a.op("VUZP1", masks[len(masks)/2-1].as("B16"), masks[0].as("B16"), masks[0].as("B16"))
	a.and(masks[0], masks[0], weights)
}

// addPairs makes sixteen sums of neighbouring bytes: those of d and then those of n.
func (a *fn) addPairs(d, n vec) { a.op("VADDP", n.as("B16"), d.as("B16"), d.as("B16")) }
