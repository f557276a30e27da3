package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// toBF16 returns x rounded to bfloat16, to nearest even.
func toBF16(x float64) uint16 {
	b := math.Float32bits(float32(x))
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// draw returns n bfloat16 numbers, little endian.
func draw(n int, next func() uint16) []byte {
	b := make([]byte, 2*n)
	for i := range n {
		binary.LittleEndian.PutUint16(b[2*i:], next())
	}
	return b
}

// gaussian returns n weights of N(0, 0.02²).
func gaussian(n int) []byte {
	rng := rand.New(rand.NewPCG(20261124, 1))
	return draw(n, func() uint16 { return toBF16(0.02 * rng.NormFloat64()) })
}

// fixtureWeights is the number of weights in a tensor of an expert of Qwen1.5-MoE and DeepSeek-V2-Lite.
const fixtureWeights = 1408 * 2048

// hostile returns tensors that codes must keep too.
func hostile(n int) map[string][]byte {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	i := 0
	return map[string][]byte{
		"zero":      make([]byte, 2*n),
		"constant":  draw(n, func() uint16 { return 0x3c91 }),
		"random":    draw(n, func() uint16 { return uint16(rng.Uint32()) }),
		"every":     draw(n, func() uint16 { i++; return uint16(i * 40503) }),
		"nan":       draw(n, func() uint16 { return 0x7f80 | uint16(rng.IntN(128)) | uint16(rng.IntN(2))<<15 }),
		"subnormal": draw(n, func() uint16 { return uint16(rng.IntN(128)) }),
		"two":       draw(n, func() uint16 { return uint16(120+rng.IntN(2)) << 7 }),
		"gaussian":  draw(n, func() uint16 { return toBF16(0.02 * rng.NormFloat64()) }),
		"laplace":   draw(n, func() uint16 { return toBF16(0.02 * rng.ExpFloat64() * float64(1-2*rng.IntN(2))) }),
		"half":      draw(n, func() uint16 { return uint16(rng.IntN(2))<<15 | uint16(8+rng.IntN(8))<<10 | uint16(rng.IntN(1024)) }),
		"drifting":  draw(n, func() uint16 { i++; return toBF16(math.Exp(-4*float64(i%(n+1))/float64(n+1)) * rng.NormFloat64()) }),
		"sorted": func() []byte {
			w := make([]uint16, n)
			for i := range w {
				w[i] = toBF16(0.02 * rng.NormFloat64())
			}
			slices.SortFunc(w, func(a, b uint16) int { return int(a&0x7fff) - int(b&0x7fff) })
			j := -1
			return draw(n, func() uint16 { j++; return w[j] })
		}(),
	}
}

// split returns the parts of bf16.
func split(bf16 []byte) (exp, sm []byte) {
	exp, sm = make([]byte, len(bf16)/2), make([]byte, len(bf16)/2)
	Split(exp, sm, bf16)
	return exp, sm
}

// lengths straddle vectors, groups of codes, parts of blocks and blocks.
var lengths = []int{0, 1, 2, 5, 6, 7, 12, 13, 31, 255, 256, 257, 1000, 6*32 + 1, 65536, 131071, 131072, 131073, 2*131072 + 17}

func TestEveryCodeKeepsEverything(t *testing.T) {
	var e Encoder
	var d Decoder
	for _, n := range lengths {
		for name, bf16 := range hostile(n) {
			exp, sm := split(bf16)
			for _, c := range Codes() {
				if c > Fixed3 && n > 1000 {
					continue // the libraries' codes do not change with the length, and take long
				}
				coded, used := e.Append([]byte("before"), c, exp)
				if string(coded[:6]) != "before" {
					t.Fatalf("%v, %d %s: what was in dst is gone", c, n, name)
				}
				coded = coded[6:]
				if len(coded) > len(exp) || used != c && (used != Raw || !bytes.Equal(coded, exp)) {
					t.Fatalf("%v, %d %s: %d bytes in %v", c, n, name, len(coded), used)
				}
				got := make([]byte, 2*n)
				if err := d.Merge(got, used, coded, sm); err != nil {
					t.Fatalf("%v, %d %s: %v", c, n, name, err)
				}
				if !bytes.Equal(got, bf16) {
					t.Fatalf("%v, %d %s: the numbers do not come back", c, n, name)
				}
			}
		}
	}
}

func TestEveryPatternInEveryCode(t *testing.T) {
	for _, c := range Codes() {
		rng := rand.New(rand.NewPCG(3, 4))
		i := -1
		// Every pattern once, among weights that make it worth coding.
		bf16 := draw(1<<20, func() uint16 {
			if i++; i%16 == 0 {
				return uint16(i / 16)
			}
			return toBF16(0.02 * rng.NormFloat64())
		})
		exp, sm := split(bf16)
		var e Encoder
		coded, used := e.Append(nil, c, exp)
		if used != c {
			t.Errorf("%v was not worth it", c)
		}
		got := make([]byte, len(bf16))
		var d Decoder
		if err := d.Merge(got, used, coded, sm); err != nil || !bytes.Equal(got, bf16) {
			t.Errorf("%v: error %v, equal: %v", c, err, bytes.Equal(got, bf16))
		}
	}
}

// TestSizes compares what a tensor of normal weights takes with what the codes must reach.
func TestSizes(t *testing.T) {
	exp, _ := split(gaussian(fixtureWeights))
	entropy := Entropy(Histogram(exp))
	if ideal := Ideal(entropy); math.Abs(ideal-0.659) > 0.0005 {
		t.Errorf("the entropy is %.4f bits, the ideal size %.4f, want 0.659", entropy, ideal)
	}
	for c, most := range map[Code]float64{Raw: 1, Huffman: 0.661, Fixed3: 0.7, Zstd: 0.72, LZ4HC: 0.76} {
		var e Encoder
		coded, used := e.Append(nil, c, exp)
		size := (1 + float64(len(coded))/float64(len(exp))) / 2
		t.Logf("%-8v %.3f %%", c, 100*size)
		if used != c || size > most {
			t.Errorf("%v: %.4f of the size in %v, want at most %.4f", c, size, used, most)
		}
	}
}

func TestSameBytes(t *testing.T) {
	exp, _ := split(gaussian(200_000))
	for _, c := range Codes() {
		var a, b Encoder
		b.Append(nil, c, exp[:1000]) // what an encoder did before does not matter
		x, _ := a.Append(nil, c, exp)
		y, _ := b.Append(nil, c, exp)
		if !bytes.Equal(x, y) {
			t.Errorf("%v: different bytes", c)
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	exp, sm := split(gaussian(70_000))
	exp[len(exp)-1] = 77 // so that no code takes it for padding
	var d Decoder
	dst := make([]byte, 2*len(sm))
	for _, c := range Codes() {
		var e Encoder
		coded, _ := e.Append(nil, c, exp)
		for name, bad := range map[string][]byte{"empty": {}, "one byte": coded[:1], "cut": coded[:len(coded)-1], "half": coded[:len(coded)/2], "longer": append(bytes.Clone(coded), 0)} {
			if err := d.Merge(dst, c, bad, sm); err == nil || !strings.HasPrefix(err.Error(), "codec: "+c.String()+": ") {
				t.Errorf("%v, %s: error %v, want one of this code", c, name, err)
			}
		}
		if err := d.Merge(dst[:2*len(sm)-2], c, coded, sm[1:]); err == nil {
			t.Errorf("%v: a number less is decoded", c)
		}
		if err := d.Merge(nil, c, coded, nil); err == nil {
			t.Errorf("%v: nothing is decoded from something", c)
		}
	}
	if err := d.Merge(dst, codes, exp, sm); err == nil || !strings.Contains(err.Error(), "codec: there is no Code(5)") {
		t.Errorf("error %v, want one of the code", err)
	}
}

// TestHuffmanRefuses has one fault of the code or the streams each.
func TestHuffmanRefuses(t *testing.T) {
	// Exponents 5 and 9 of one bit each, no pairs; six parts of one symbol.
	good := []byte{1, 0, 5, 9, 0x11, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1}
	sm := make([]byte, 6)
	var d Decoder
	dst := make([]byte, 12)
	if err := d.Merge(dst, Huffman, good, sm); err != nil {
		t.Fatal(err)
	}
	if want := draw(6, func() func() uint16 { i := 0; return func() uint16 { i++; return []uint16{9 << 7, 5 << 7}[i%2] } }()); !bytes.Equal(dst, want) {
		t.Errorf("decoded %v, want %v", dst, want)
	}
	for _, tt := range []struct {
		name string
		at   int
		to   byte
		want string
	}{
		{"pairs of another kind", 1, 2, "the code says 2 for pairs, want 0 or 1"},
		{"not in order", 3, 5, "not in order: 5 before 5"},
		{"too long", 4, 0x1c, "a code of 12 bits for exponent 5, at most 11 are allowed"},
		{"incomplete", 4, 0x12, "take 1536/2048 of all codes"},
		{"too many", 4, 0x10, "take 1024/2048 of all codes"},
		{"fewer symbols", 0, 0, "take 4/2048 of all codes"},
		{"a stream without bits", 5, 0, "stream 0: its words do not end where it does"},
		{"a stream of two bytes", 15, 2, "the streams end at byte 19 of 18"},
		{"bits behind a stream", 17, 2, "stream 0: bits behind its words are set"},
	} {
		bad := bytes.Clone(good)
		bad[tt.at] = tt.to
		if err := d.Merge(dst, Huffman, bad, sm); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestFixed3Refuses(t *testing.T) {
	var e Encoder
	exp := append(bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 64), bytes.Repeat([]byte{1}, 300)...)
	exp[0], exp[811] = 99, 98
	coded, _ := e.Append(nil, Fixed3, exp)
	sm, dst := make([]byte, len(exp)), make([]byte, 2*len(exp))
	var d Decoder
	if err := d.Merge(dst, Fixed3, coded, sm); err != nil {
		t.Fatal(err)
	}
	if m := coded[8]; m != 1+4 { // 811 = 3·255 + 46
		t.Fatalf("%d exponents are listed, want 5", m)
	}
	for _, tt := range []struct {
		name string
		at   int
		to   byte
		want string
	}{
		{"more are listed", 8, 6, "6 listed exponents among 812 take"},
		{"a gap of nothing", 13, 0, "listed exponent 1 stands at 0 of 812, 0 behind"},
		{"beyond the end", 16, 47, "listed exponent 4 stands at 812 of 812, 47 behind"},
	} {
		bad := bytes.Clone(coded)
		bad[tt.at] = tt.to
		if err := d.Merge(dst, Fixed3, bad, sm); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestMergeAllocatesNothing(t *testing.T) {
	exp, sm := split(gaussian(200_000))
	dst := make([]byte, 2*len(sm))
	for _, c := range []Code{Raw, Huffman, Fixed3, LZ4HC} {
		var e Encoder
		var d Decoder
		coded, _ := e.Append(nil, c, exp)
		if n := testing.AllocsPerRun(5, func() {
			if err := d.Merge(dst, c, coded, sm); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations, want none", c, n)
		}
	}
}

func FuzzMerge(f *testing.F) {
	exp, _ := split(gaussian(3000))
	var e Encoder
	for _, c := range Codes() {
		coded, used := e.Append(nil, c, exp)
		f.Add(uint8(used), coded, uint32(len(exp)))
		f.Add(uint8(used), coded[:len(coded)/2], uint32(len(exp)))
	}
	var d Decoder
	f.Fuzz(func(t *testing.T, c uint8, coded []byte, n uint32) {
		n %= 200_000
		sm := make([]byte, n)
		buf := make([]byte, 2*n+64)
		for i := range 64 {
			buf[int(2*n)+i] = 0xa5
		}
		err := d.Merge(buf[:2*n:2*n], Code(c), coded, sm)
		for _, b := range buf[2*n:] {
			if b != 0xa5 {
				t.Fatal("wrote behind the output")
			}
		}
		if err != nil {
			return
		}
		// What is accepted survives coding.
		exp, _ := split(buf[:2*n])
		var e Encoder
		again, used := e.Append(nil, Code(c), exp)
		got := make([]byte, 2*n)
		if err := d.Merge(got, used, again, sm); err != nil || !bytes.Equal(got, buf[:2*n]) {
			t.Fatalf("decoded numbers do not survive coding: %v", err)
		}
	})
}

func FuzzCodes(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6}, uint16(3))
	f.Add(gaussian(100), uint16(2000))
	f.Fuzz(func(t *testing.T, bf16 []byte, repeat uint16) {
		bf16 = bytes.Repeat(bf16[:len(bf16)/2*2], int(repeat%64)+1)
		exp, sm := split(bf16)
		var e Encoder
		var d Decoder
		for _, c := range Codes() {
			coded, used := e.Append(nil, c, exp)
			got := make([]byte, len(bf16))
			if err := d.Merge(got, used, coded, sm); err != nil || !bytes.Equal(got, bf16) || len(coded) > len(exp) {
				t.Fatalf("%v: %d bytes of %d, error %v", c, len(coded), len(exp), err)
			}
		}
	})
}

// BenchmarkMerge has a tensor of an expert, out of the caches, in chunks of a third; copying as many bytes is the limit.
func BenchmarkMerge(b *testing.B) {
	bf16 := gaussian(fixtureWeights)
	exp, sm := split(bf16)
	dst := make([]byte, len(bf16))
	b.Run("copy", func(b *testing.B) {
		b.SetBytes(int64(len(bf16)))
		for b.Loop() {
			copy(dst, bf16)
		}
	})
	const chunks = 3
	n := (len(sm) + chunks - 1) / chunks
	for _, c := range Codes() {
		var e Encoder
		var coded [chunks][]byte
		var used [chunks]Code
		for i := range coded {
			coded[i], used[i] = e.Append(nil, c, exp[i*n:min((i+1)*n, len(exp))])
		}
		b.Run(c.String(), func(b *testing.B) {
			b.SetBytes(int64(len(bf16)))
			var d Decoder
			for b.Loop() {
				for i := range coded {
					part := sm[i*n : min((i+1)*n, len(sm))]
					if err := d.Merge(dst[2*i*n:][:2*len(part)], used[i], coded[i], part); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	exp, _ := split(gaussian(1 << 20))
	for _, c := range Codes() {
		b.Run(c.String(), func(b *testing.B) {
			b.SetBytes(int64(len(exp)))
			var e Encoder
			var dst []byte
			for b.Loop() {
				dst, _ = e.Append(dst[:0], c, exp)
			}
		})
	}
}

func ExampleDecoder_Merge() {
	weights := gaussian(100_000)
	exp, sm := make([]byte, 100_000), make([]byte, 100_000)
	Split(exp, sm, weights)
	var e Encoder
	coded, code := e.Append(nil, Huffman, exp)
	var d Decoder
	back := make([]byte, len(weights))
	err := d.Merge(back, code, coded, sm)
	fmt.Println(code, len(coded)*8 < 3*len(exp), bytes.Equal(back, weights), err)
	// Output: huffman true true <nil>
}
