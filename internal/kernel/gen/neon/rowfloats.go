package main

import "fmt"

// rowFloats writes the pass to floats, for one copy of the channels with their scales in registers, or for the copies of a
// tile, whose counts are converted once.
func (f *file) rowFloats(channels int, tile, add, signs bool) {
	name, params, at, value, more := fmt.Sprintf("RowFloats%d", channels), "", "i", "", ""
	copies := ""
	if tile {
		name, params, at = fmt.Sprintf("RowTile%d", channels), "copies, copyStep, ", "r*copyStep+i"
		copies = ", r < copies"
	}
	if add {
		name += "Add"
		value = " + shortcut[p*dstPixel+" + at + "]"
	}
	if signs {
		name += "Signs"
		more = fmt.Sprintf(" Their signs are %d bits at byte p*bitsPixel of bits", channels)
		if tile {
			more += ", and at each copyStep/8 bytes on from there"
		}
		more += "."
	}
	f.function(name, "dst, shortcut *float32, bits *uint8, d *uint8, scale, bias *float32, clip, full float32, pixels, "+params+"dstPixel, bitsPixel, dPixel int",
		[]string{fmt.Sprintf("is dst[p*dstPixel+%s] = min(clip, max(-clip, scale[%s]*(full - 2*d[p*dPixel+i]) + bias[%s]%s))", at, at, at, value),
			fmt.Sprintf("for p < pixels%s and i < %d, each operation rounded; NaN stays NaN.%s", copies, channels, more)}, func(a *fn) {
			dst, d, pixels, dstPixel, dPixel := a.param("dst"), a.param("d"), a.param("pixels"), a.scaled("dstPixel", 2), a.scaled("dPixel", 2)
			scale, bias, full := a.param("scale"), a.param("bias"), a.broadcast("full")
			p := rowPass{a: a, n: channels / 4, add: add, signs: signs}
			p.constants()
			s, b := a.takeVecs(p.n), a.takeVecs(p.n)
			if !tile {
				a.load(scale, 0, s...)
				a.load(bias, 0, b...)
			}
			a.loop("pixel", pixels, func() {
				v := a.takeVecs(p.n)
				a.load(d, 0, v...)
				for _, r := range v {
					a.op("VSHL", imm(1), r.as("S4"), r.as("S4"))
				}
				for _, r := range v {
					a.scvtf4(r, r)
				}
				for _, r := range v {
					a.fsub4(r, full, r) // exact
				}
				if !tile {
					for i, r := range v {
						a.fmul4(r, r, s[i])
					}
					p.channels(v, b, dst, p.shortcut, p.bits)
				} else {
					to, from, bits, scales, biases, copies := a.clone(dst), a.gp(), a.gp(), a.clone(scale), a.clone(bias), a.param("copies")
					step, bitsStep := a.scaled("copyStep", 2), a.param("copyStep")
					a.op("LSR", imm(3), bitsStep, bitsStep)
					if add {
						a.op("MOVD", p.shortcut, from)
					}
					if signs {
						a.op("MOVD", p.bits, bits)
					}
					a.loop("copy", copies, func() {
						y := a.takeVecs(p.n)
						a.load(scales, 0, s...)
						a.load(biases, 0, b...)
						a.add(step, scales, biases)
						for i, r := range y {
							a.fmul4(r, v[i], s[i])
						}
						p.channels(y, b, to, from, bits)
						a.add(step, to)
						if add {
							a.add(step, from)
						}
						if signs {
							a.add(bitsStep, bits)
						}
					})
				}
				a.add(dstPixel, dst)
				if add {
					a.add(dstPixel, p.shortcut)
				}
				if signs {
					a.add(p.bitsPixel, p.bits)
				}
				a.add(dPixel, d)
			})
			a.op("RET")
		})
}

// rowPass writes what follows a scaled count.
type rowPass struct {
	a                         *fn
	n                         int // registers
	add, signs                bool
	shortcut, bits, bitsPixel gp // if there are any
	high, low, weights        vec
}

func (p *rowPass) constants() {
	p.high, p.low = p.a.broadcast("clip"), p.a.vec()
	p.a.fneg4(p.low, p.high)
	if p.add {
		p.shortcut = p.a.param("shortcut")
	}
	if p.signs {
		p.bits, p.bitsPixel, p.weights = p.a.param("bits"), p.a.param("bitsPixel"), p.a.byteBits()
	}
}

// channels adds the bias and the shortcut to the channels of v, which it overwrites, clips and stores them and their signs.
func (p *rowPass) channels(v, bias []vec, dst, shortcut, bits gp) {
	a := p.a
	for i, r := range v {
		a.fadd4(r, r, bias[i])
	}
	if p.add {
		a.scope(func() {
			s := a.takeVecs(p.n)
			a.load(shortcut, 0, s...)
			for i, r := range v {
				a.fadd4(r, r, s[i])
			}
		})
	}
	for _, r := range v {
		a.fmax4(r, r, p.low)
	}
	for _, r := range v {
		a.fmin4(r, r, p.high)
	}
	a.store(dst, 0, v...)
	if p.signs {
		a.scope(func() {
			for _, r := range v {
				a.fltz4(r, r)
			}
			a.op(storeBits(p.n), a.gather(p.weights, v), mem(bits, 0))
		})
	}
}
