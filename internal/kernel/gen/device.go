package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// device emits what only inference uses: the first convolution with what follows it, pools, the classifier.
func (t *tier) device() {
	for _, shape := range t.flatShapes {
		t.flatConv(shape[0], shape[1])
	}
	for _, vectors := range []int{4, 2, 1} { // sums wait for one another: several run side by side
		t.meanPixels(vectors)
		t.dense(vectors)
	}
	t.avgPool()
	t.pool("AvgPool2", "float32", "the sum, times scale,", func(m Mem, acc reg.VecVirtual) { VADDPS(m, acc, acc) }, func(acc reg.VecVirtual) {
		scale := t.vec()
		VBROADCASTSS(floatParam("scale"), scale)
		VMULPS(scale, acc, acc)
	})
	t.pool("MaxPool2", "int32", "the maximum", func(m Mem, acc reg.VecVirtual) { VPMAXSD(m, acc, acc) }, func(reg.VecVirtual) {})
	t.activation()
}

// floatParam is the memory operand of a float32 parameter.
func floatParam(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// negative writes the bits v < 0 to the low lanes of m: zeros and NaN are not negative. v keeps its value.
func (t *tier) negative(m reg.GPVirtual, v, zero reg.VecVirtual) {
	if t.lanes == 16 {
		k := K()
		VCMPPS(Imm(1), zero, v, k)
		KMOVW(k, m.As32())
		return
	}
	less := t.vec()
	VCMPPS(Imm(1), zero, v, less)
	VMOVMSKPS(less, m.As32())
}

func (t *tier) flatConv(vectors, pixels int) {
	name, channels := fmt.Sprintf("FlatConvTile%dx%d", vectors, pixels), vectors*t.lanes
	t.function(name, "func(dst *float32, signs *uint8, x, w, scale, bias *float32, blocks, rows, run, xRow, xPixel, wStep, dstPixel, signsPixel, copies, copyStep int, low, high float32)",
		fmt.Sprintf("computes blocks of %d pixels by %d channels of a convolution and what follows it:", pixels, channels),
		"",
		"\tsum = sum over r < rows, i < run of x[p*xPixel+r*xRow+i] * w[(r*run+i)*wStep+c], in ascending order, from 0",
		"\ty   = min(high, max(low, sum*scale[c] + bias[c]))",
		"\tdst[p*dstPixel+j*copyStep+c] = y for j < copies, unless dst is nil",
		"\tbit c of the bytes from signs[p*signsPixel+j*copyStep/8] on = y < 0, unless signs is nil",
		"",
		fmt.Sprintf("for p < %d*blocks and c < %d. Products are rounded before they are added; NaN stays NaN. Strides count elements, that of a", pixels, channels),
		"nil is 0; blocks, rows, run and copies are at least 1.")
	dst, signs, x, blocks := param("dst"), param("signs"), param("x"), param("blocks")
	at, advance := t.pixels(bytes("xPixel"), pixels)
	loop("block", blocks, func() {
		acc := t.vecs(vectors * pixels)
		for _, a := range acc {
			t.zero(a)
		}
		row, w, rows := clone(x), param("w"), param("rows")
		wStep := bytes("wStep")
		loop("row", rows, func() {
			s, run := clone(row), param("run")
			loop("run", run, func() {
				wv := t.vecs(vectors)
				for i, r := range wv {
					VMOVUPS(t.at(w, i), r)
				}
				for i := range pixels {
					t.multiplyAdd(at(s, i), wv, acc[i*vectors:(i+1)*vectors])
				}
				ADDQ(wStep, w)
				ADDQ(Imm(4), s)
			})
			xRow := bytes("xRow")
			ADDQ(xRow, row)
		})
		t.finish(acc, vectors, dst, signs)
		advance(x)
	})
	VZEROUPPER()
	RET()
}

// finish emits what follows the sums of a block of flatConv, and moves dst and signs on by it.
func (t *tier) finish(acc []reg.VecVirtual, vectors int, dst, signs reg.GPVirtual) {
	low, high, zero := t.vec(), t.vec(), t.vec()
	VBROADCASTSS(floatParam("low"), low)
	VBROADCASTSS(floatParam("high"), high)
	t.zero(zero)
	scale, bias := param("scale"), param("bias")
	for i, a := range acc {
		VMULPS(t.at(scale, i%vectors), a, a)
		VADDPS(t.at(bias, i%vectors), a, a)
		VMAXPS(a, low, a) // of a NaN, the first operand here is the result
		VMINPS(a, high, a)
	}
	for p := range len(acc) / vectors {
		y := acc[p*vectors:][:vectors]
		noFloats, noSigns := fmt.Sprintf("noFloats%d", p), fmt.Sprintf("noSigns%d", p)
		TESTQ(dst, dst)
		JZ(LabelRef(noFloats))
		{
			d, copies, step := clone(dst), param("copies"), bytes("copyStep")
			loop(fmt.Sprintf("floats%d", p), copies, func() {
				for i, v := range y {
					VMOVUPS(v, t.at(d, i))
				}
				ADDQ(step, d)
			})
		}
		Label(noFloats)
		TESTQ(signs, signs)
		JZ(LabelRef(noSigns))
		{
			mask := GP64()
			t.negative(mask, y[0], zero)
			for i, v := range y[1:] {
				m := GP64()
				t.negative(m, v, zero)
				SHLQ(Imm(uint64(t.lanes*(i+1))), m)
				ORQ(m, mask)
			}
			d, copies, step := clone(signs), param("copies"), param("copyStep")
			SHRQ(Imm(3), step)
			loop(fmt.Sprintf("signs%d", p), copies, func() {
				switch t.lanes * vectors {
				case 8:
					MOVB(mask.As8(), Mem{Base: d})
				case 16:
					MOVW(mask.As16(), Mem{Base: d})
				default:
					MOVL(mask.As32(), Mem{Base: d})
				}
				ADDQ(step, d)
			})
		}
		Label(noSigns)
		dstPixel, signsPixel := bytes("dstPixel"), param("signsPixel")
		ADDQ(dstPixel, dst)
		ADDQ(signsPixel, signs)
	}
}

func (t *tier) meanPixels(vectors int) {
	t.function(fmt.Sprintf("MeanPixels%d", vectors), "func(dst, x *float32, pixels, step int, scale float32)",
		fmt.Sprintf("is dst[c] = scale * sum over p < pixels of x[p*step+c], in ascending order, from 0, for %d channels c. pixels is at least 1.", vectors*t.lanes))
	dst, x, pixels, step := param("dst"), param("x"), param("pixels"), bytes("step")
	acc := t.vecs(vectors)
	for _, a := range acc {
		t.zero(a)
	}
	loop("pixel", pixels, func() {
		for i, a := range acc {
			VADDPS(t.at(x, i), a, a)
		}
		ADDQ(step, x)
	})
	s := t.vec()
	VBROADCASTSS(floatParam("scale"), s)
	for i, a := range acc {
		VMULPS(s, a, a)
		VMOVUPS(a, t.at(dst, i))
	}
	VZEROUPPER()
	RET()
}

func (t *tier) dense(vectors int) {
	t.function(fmt.Sprintf("Dense%d", vectors), "func(dst, x, w, bias *float32, depth, wStep int)",
		fmt.Sprintf("is dst[o] = bias[o] + sum over i < depth of w[i*wStep+o]*x[i], in ascending order, from 0, the bias last, for %d outputs o.", vectors*t.lanes),
		"Products are rounded before they are added. depth is at least 1.")
	dst, x, w, bias, depth, step := param("dst"), param("x"), param("w"), param("bias"), param("depth"), bytes("wStep")
	acc := t.vecs(vectors)
	for _, a := range acc {
		t.zero(a)
	}
	loop("input", depth, func() {
		b := t.vec()
		VBROADCASTSS(Mem{Base: x}, b)
		for i, a := range acc {
			p := t.vec()
			VMULPS(t.at(w, i), b, p)
			VADDPS(p, a, a)
		}
		ADDQ(step, w)
		ADDQ(Imm(4), x)
	})
	for i, a := range acc {
		VADDPS(t.at(bias, i), a, a)
		VMOVUPS(a, t.at(dst, i))
	}
	VZEROUPPER()
	RET()
}

func (t *tier) avgPool() {
	t.function("AvgPool", "func(dst, x *float32, pixels, rows, taps, xRow, xTap, xPixel, dstPixel int, scale float32)",
		"is, over the tier's lanes of channels c and pixels p, at least 1,",
		"",
		"\tdst[p*dstPixel+c] = scale * sum over r < rows, s < taps of x[p*xPixel+r*xRow+s*xTap+c]",
		"",
		"in ascending order, beginning with the first.")
	dst, x, pixels := param("dst"), param("x"), param("pixels")
	xRow, xTap, xPixel, dstPixel := bytes("xRow"), bytes("xTap"), bytes("xPixel"), bytes("dstPixel")
	scale, minusZero := t.vec(), t.constant(1<<31)
	VBROADCASTSS(floatParam("scale"), scale)
	loop("pixel", pixels, func() {
		acc := t.vec()
		VMOVAPS(minusZero, acc) // adds nothing, not even to a sum of -0
		row, rows := clone(x), param("rows")
		loop("row", rows, func() {
			s, taps := clone(row), param("taps")
			loop("tap", taps, func() {
				VADDPS(Mem{Base: s}, acc, acc)
				ADDQ(xTap, s)
			})
			ADDQ(xRow, row)
		})
		VMULPS(scale, acc, acc)
		VMOVUPS(acc, Mem{Base: dst})
		ADDQ(xPixel, x)
		ADDQ(dstPixel, dst)
	})
	VZEROUPPER()
	RET()
}

// pool emits a pass over windows of 2x2: combine takes the next of a window to what the ones before have given.
func (t *tier) pool(name, element, doc string, combine func(m Mem, acc reg.VecVirtual), finish func(acc reg.VecVirtual)) {
	t.function(name, "func(dst, x *"+element+", pixels, xRow, xTap, xPixel, dstPixel int, scale float32)",
		"is, over the tier's lanes of channels c and pixels p, at least 1, "+doc,
		"of x[p*xPixel+c], x[p*xPixel+xTap+c], x[p*xPixel+xRow+c], x[p*xPixel+xRow+xTap+c], in this order, to dst[p*dstPixel+c].")
	dst, x, pixels := param("dst"), param("x"), param("pixels")
	xRow, xTap, xPixel, dstPixel := bytes("xRow"), bytes("xTap"), bytes("xPixel"), bytes("dstPixel")
	below := GP64()
	LEAQ(Mem{Base: xRow, Index: xTap, Scale: 1}, below)
	loop("pixel", pixels, func() {
		acc := t.vec()
		VMOVUPS(Mem{Base: x}, acc)
		combine(Mem{Base: x, Index: xTap, Scale: 1}, acc)
		combine(Mem{Base: x, Index: xRow, Scale: 1}, acc)
		combine(Mem{Base: x, Index: below, Scale: 1}, acc)
		finish(acc)
		VMOVUPS(acc, Mem{Base: dst})
		ADDQ(xPixel, x)
		ADDQ(dstPixel, dst)
	})
	VZEROUPPER()
	RET()
}

func (t *tier) activation() {
	t.function("Activation", "func(dst *float32, signs *uint8, x, params *float32, pixels, vectors, dstPixel, signsPixel, xPixel int)",
		"computes, for vectors of the tier's lanes of channels c and pixels p, at least 1,",
		"",
		"\tu = x[p*xPixel+c]*params[0] + params[1];  u = u where u > 0, else u*params[2]",
		"\tdst[p*dstPixel+c] = v = u*params[3] + params[4]",
		"\tbit c of the bytes from signs[p*signsPixel] on = v*params[5] + params[6] < 0, unless signs is nil",
		"",
		"where params[i] is that of the channel: a vector of each for every vector of channels. Products are rounded before they are",
		"added. dst may be x. Strides of floats count elements.")
	dst, signs, x, pixels := param("dst"), param("signs"), param("x"), param("pixels")
	dstPixel, signsPixel, xPixel := bytes("dstPixel"), param("signsPixel"), bytes("xPixel")
	zero := t.vec()
	t.zero(zero)
	loop("pixel", pixels, func() {
		d, s, from, params, n := clone(dst), clone(signs), clone(x), param("params"), param("vectors")
		loop("vector", n, func() {
			u, negative := t.vec(), t.vec()
			VMULPS(Mem{Base: params}, t.load(from), u)
			VADDPS(t.at(params, 1), u, u)
			VMULPS(t.at(params, 2), u, negative)
			t.wherePositive(u, negative, zero)
			VMULPS(t.at(params, 3), u, u)
			VADDPS(t.at(params, 4), u, u)
			VMOVUPS(u, Mem{Base: d})
			t.next(from, d)
			TESTQ(signs, signs)
			JZ(LabelRef("noSigns"))
			{
				VMULPS(t.at(params, 5), u, u)
				VADDPS(t.at(params, 6), u, u)
				mask := GP64()
				t.negative(mask, u, zero)
				if t.lanes == 8 {
					MOVB(mask.As8(), Mem{Base: s})
				} else {
					MOVW(mask.As16(), Mem{Base: s})
				}
				ADDQ(Imm(uint64(t.lanes/8)), s)
			}
			Label("noSigns")
			ADDQ(U32(7*4*t.lanes), params)
		})
		ADDQ(dstPixel, dst)
		ADDQ(signsPixel, signs)
		ADDQ(xPixel, x)
	})
	VZEROUPPER()
	RET()
}

// load loads a vector into a new register.
func (t *tier) load(p reg.Register) reg.VecVirtual {
	v := t.vec()
	VMOVUPS(Mem{Base: p}, v)
	return v
}

// wherePositive sets u to other where it is not positive: NaN is not.
func (t *tier) wherePositive(u, other, zero reg.VecVirtual) {
	if t.lanes == 16 {
		k := K()
		VCMPPS(Imm(1), u, zero, k) // 0 < u
		VBLENDMPS(u, other, k, u)
		return
	}
	positive := t.vec()
	VCMPPS(Imm(1), u, zero, positive)
	VBLENDVPS(positive, u, other, u)
}
