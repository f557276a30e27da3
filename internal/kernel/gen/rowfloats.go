package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowFloats emits the pass to floats, for one copy of the channels with their scales in registers, or for the copies of a tile,
// whose counts are converted once.
func (t *tier) rowFloats(channels int, tile, add, signs bool) {
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
	t.function(name, "func(dst, shortcut *float32, bits *uint8, d *uint8, scale, bias *float32, clip, full float32, pixels, "+params+"dstPixel, bitsPixel, dPixel int)",
		fmt.Sprintf("is dst[p*dstPixel+%s] = min(clip, max(-clip, scale[%s]*(full - 2*d[p*dPixel+i]) + bias[%s]%s))", at, at, at, value),
		fmt.Sprintf("for p < pixels%s and i < %d, each operation rounded; NaN stays NaN.%s", copies, channels, more))
	dst, d, n := param("dst"), param("d"), param("pixels")
	dPixel := t.values("dPixel")
	vec, vectors := t.vec, channels/t.lanes
	if vectors == 0 { // AVX-512 and 8 channels
		vec, vectors = func() reg.VecVirtual { return YMM() }, 1
	}
	p := rowPass{t: t, vec: vec, vectors: vectors, width: 4 * channels / vectors, add: add, signs: signs, dst: dst}
	if add {
		p.shortcut = param("shortcut")
	}
	if signs {
		p.bits = param("bits")
	}
	p.constants()
	scale, bias := param("scale"), param("bias")
	full, two := p.broadcast("full"), p.vec()
	{
		g, x := GP32(), XMM()
		MOVL(U32(0x40000000), g)
		VMOVD(g, x)
		VPBROADCASTD(x, two)
	}
	kept := make([][2]reg.VecVirtual, vectors) // scale and bias
	if !tile {
		for i := range kept {
			kept[i] = [2]reg.VecVirtual{vec(), vec()}
			VMOVUPS(Mem{Base: scale, Disp: p.width * i}, kept[i][0])
			VMOVUPS(Mem{Base: bias, Disp: p.width * i}, kept[i][1])
		}
	}
	loop("pixel", n, func() {
		counts := make([]reg.VecVirtual, vectors)
		for i := range counts {
			v := vec()
			if t.lanes == 16 {
				VCVTDQ2PS(Mem{Base: d, Disp: p.width * i}, v)
			} else {
				VPMOVSXWD(Mem{Base: d, Disp: p.width / 2 * i}, v)
				VCVTDQ2PS(v, v)
			}
			VFNMADD213PS(full, two, v) // exact
			counts[i] = v
		}
		if !tile {
			p.channels(nil, p.bits, func(i int) reg.VecVirtual {
				VMULPS(kept[i][0], counts[i], counts[i])
				VADDPS(kept[i][1], counts[i], counts[i])
				return counts[i]
			})
		} else {
			at, copies, step := GP64(), param("copies"), bytes("copyStep")
			XORQ(at, at)
			var bits reg.GPVirtual
			if signs {
				bits = clone(p.bits)
			}
			loop("copy", copies, func() {
				p.channels(at, bits, func(i int) reg.VecVirtual {
					v := vec()
					VMULPS(Mem{Base: scale, Index: at, Scale: 1, Disp: p.width * i}, counts[i], v)
					VADDPS(Mem{Base: bias, Index: at, Scale: 1, Disp: p.width * i}, v, v)
					return v
				})
				ADDQ(step, at)
				if signs {
					bitsStep := param("copyStep")
					SHRQ(Imm(3), bitsStep)
					ADDQ(bitsStep, bits)
				}
			})
		}
		dstPixel := bytes("dstPixel")
		if add {
			ADDQ(dstPixel, p.shortcut)
		}
		if signs {
			bitsPixel, err := Param("bitsPixel").Resolve()
			if err != nil {
				panic(err)
			}
			ADDQ(bitsPixel.Addr, p.bits)
		}
		ADDQ(dstPixel, dst)
		ADDQ(dPixel, d)
	})
	VZEROUPPER()
	RET()
}

// rowPass emits what follows a scaled and biased count.
type rowPass struct {
	t                   *tier
	vec                 func() reg.VecVirtual
	vectors, width      int // width is the bytes of a vector
	add, signs          bool
	dst, shortcut, bits reg.GPVirtual
	high, low, zero     reg.VecVirtual
}

// broadcast fills a register with a float32 parameter.
func (p *rowPass) broadcast(name string) reg.VecVirtual {
	m, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := p.vec()
	VBROADCASTSS(m.Addr, v)
	return v
}

func (p *rowPass) constants() {
	p.high, p.low, p.zero = p.broadcast("clip"), p.vec(), p.vec()
	VXORPS(p.zero, p.zero, p.zero)
	VSUBPS(p.high, p.zero, p.low)
}

// channels adds the shortcut to each vector of value, clips and stores it, at bytes behind the pointers unless at is nil,
// and stores their signs.
func (p *rowPass) channels(at reg.Register, bits reg.GPVirtual, value func(i int) reg.VecVirtual) {
	where := func(base reg.Register, i int) Mem {
		m := Mem{Base: base, Disp: p.width * i}
		if at != nil {
			m.Index, m.Scale = at, 1
		}
		return m
	}
	masks := make([]reg.GPVirtual, p.vectors)
	for i := range p.vectors {
		v := value(i)
		if p.add {
			VADDPS(where(p.shortcut, i), v, v)
		}
		VMAXPS(v, p.low, v) // of a NaN, the first operand here is the result
		VMINPS(v, p.high, v)
		VMOVUPS(v, where(p.dst, i))
		if !p.signs {
			continue
		}
		masks[i] = GP64()
		if p.t.lanes == 16 {
			k := K()
			VCMPPS(Imm(1), p.zero, v, k)
			KMOVW(k, masks[i].As32())
		} else {
			VCMPPS(Imm(1), p.zero, v, v)
			VMOVMSKPS(v, masks[i].As32())
		}
	}
	if !p.signs {
		return
	}
	if p.vectors == 2 {
		SHLQ(Imm(8), masks[1])
		ORQ(masks[1], masks[0])
	}
	if p.vectors*p.width == 64 {
		MOVW(masks[0].As16(), Mem{Base: bits})
	} else {
		MOVB(masks[0].As8(), Mem{Base: bits})
	}
}
