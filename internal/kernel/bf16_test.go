package kernel

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// bf16Sizes straddle a vector and a group of codes.
var bf16Sizes = []int{0, 1, 7, 31, 32, 33, 63, 64, 65, 127, 255, 256, 257, 287, 288, 511, 512, 513, 1000}

// guarded is n bytes at an offset from an alignment of 64, filled with random bytes, with a guard of random bytes on both
// sides.
type guarded struct {
	b      []byte
	whole  []byte
	before []byte
}

const guardBytes = 64

func newGuarded(rng *rand.Rand, n, offset int) *guarded {
	whole := make([]byte, guardBytes+offset+n+guardBytes)
	fill(rng, whole)
	return &guarded{b: whole[guardBytes+offset:][:n:n], whole: whole, before: bytes.Clone(whole)}
}

// check fails if a guard was written to.
func (g *guarded) check(t *testing.T, what string) {
	t.Helper()
	at := len(g.whole) - guardBytes - len(g.b)
	if !bytes.Equal(g.whole[:at], g.before[:at]) || !bytes.Equal(g.whole[at+len(g.b):], g.before[at+len(g.b):]) {
		t.Fatalf("%s: wrote beside the output", what)
	}
}

func fill(rng *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
}

func TestBF16EveryPattern(t *testing.T) { eachTier(t, testBF16EveryPattern) }

func testBF16EveryPattern(t *testing.T) {
	const n = 1 << 16
	src, exp, sm, back := make([]byte, 2*n), make([]byte, n), make([]byte, n), make([]byte, 2*n)
	for i := range n {
		binary.LittleEndian.PutUint16(src[2*i:], uint16(i))
	}
	SplitBF16(exp, sm, src)
	MergeBF16(back, exp, sm)
	seen := make(map[[2]byte]bool)
	for i := range n {
		if e, s := byte(i>>7), byte(i>>15<<7|i&0x7f); exp[i] != e || sm[i] != s {
			t.Fatalf("pattern %#04x: exponent %#02x and rest %#02x, want %#02x and %#02x", i, exp[i], sm[i], e, s)
		}
		seen[[2]byte{exp[i], sm[i]}] = true
	}
	if len(seen) != n {
		t.Errorf("%d pairs for %d patterns", len(seen), n)
	}
	if !bytes.Equal(back, src) {
		t.Error("patterns do not come back")
	}
}

func TestBF16Sizes(t *testing.T) { eachTier(t, testBF16Sizes) }

func testBF16Sizes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range bf16Sizes {
		for offset := range 4 {
			src, exp, sm, back := newGuarded(rng, 2*n, offset), newGuarded(rng, n, 3*offset), newGuarded(rng, n, 5*offset), newGuarded(rng, 2*n, 7*offset)
			SplitBF16(exp.b, sm.b, src.b)
			for i := range n {
				w := binary.LittleEndian.Uint16(src.b[2*i:])
				if e, s := byte(w>>7), byte(w>>15<<7|w&0x7f); exp.b[i] != e || sm.b[i] != s {
					t.Fatalf("n=%d: element %d, %#04x, became %#02x and %#02x, want %#02x and %#02x", n, i, w, exp.b[i], sm.b[i], e, s)
				}
			}
			MergeBF16(back.b, exp.b, sm.b)
			if !bytes.Equal(back.b, src.b) {
				t.Fatalf("n=%d: numbers do not come back", n)
			}
			for _, g := range []*guarded{src, exp, sm, back} {
				g.check(t, "SplitBF16 and MergeBF16")
			}
		}
	}
}

func TestCode3Layout(t *testing.T) {
	for _, tt := range []struct {
		i    int
		c    byte
		want map[int]byte // bytes of the group that are not 0
	}{
		{0, 3, map[int]byte{0: 3}}, {0, 7, map[int]byte{0: 3, 64: 1}}, {31, 1, map[int]byte{31: 1}}, {32, 2, map[int]byte{0: 8}},
		{127, 5, map[int]byte{31: 0x40, 95: 8}}, {128, 1, map[int]byte{32: 1}}, {255, 7, map[int]byte{63: 0xc0, 95: 0x80}},
	} {
		src := make([]byte, CodeGroup)
		src[tt.i] = tt.c
		got := make([]byte, CodeGroupBytes)
		got[17] = 9 // dirty
		PackCode3(got, src)
		for at, b := range got {
			if b != tt.want[at] {
				t.Errorf("code %d at %d: byte %d is %#x, want %#x", tt.c, tt.i, at, b, tt.want[at])
			}
		}
	}
}

func TestMergeBF16Code3(t *testing.T) { eachTier(t, testMergeBF16Code3) }

func testMergeBF16Code3(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range bf16Sizes {
		for offset := range 4 {
			symbols := make([]byte, n)
			var table [8]byte
			fill(rng, table[:])
			for i := range symbols {
				symbols[i] = byte(rng.IntN(8))
			}
			codes, sm, dst := newGuarded(rng, Code3Bytes(n), offset), newGuarded(rng, n, 3*offset), newGuarded(rng, 2*n, 5*offset)
			PackCode3(codes.b, symbols)
			MergeBF16Code3(dst.b, codes.b, sm.b, &table)
			for i, c := range symbols {
				s := uint16(sm.b[i])
				want := s>>7<<15 | uint16(table[c])<<7 | s&0x7f
				if got := binary.LittleEndian.Uint16(dst.b[2*i:]); got != want {
					t.Fatalf("n=%d: element %d is %#04x, want %#04x", n, i, got, want)
				}
			}
			for _, g := range []*guarded{codes, sm, dst} {
				g.check(t, "MergeBF16Code3")
			}
		}
	}
}

// randomWords returns a table of random entries that DecodeWords may have to deal with.
func randomWords(rng *rand.Rand) *WordTable {
	table := new(WordTable)
	for i := range table {
		table[i] = rng.Uint64()&(1<<48-1) | uint64(rng.IntN(WordIndexBits+1))<<48 | uint64(rng.IntN(EntrySymbols+1))<<56
	}
	return table
}

// decodeBitByBit is DecodeWords for one stream, the bits taken one by one.
func decodeBitByBit(src []byte, table *WordTable, at, lookups int) (symbols []byte, end int) {
	for range lookups {
		index := 0
		for b := range WordIndexBits {
			if i := at + b; i/8 < len(src) {
				index |= int(src[i/8]>>(i%8)&1) << b
			}
		}
		e := table[index]
		for i := range e >> 56 {
			symbols = append(symbols, byte(e>>(8*i)))
		}
		at += int(e >> 48 & 0xff)
	}
	return symbols, at
}

func TestDecodeWords(t *testing.T) { eachTier(t, testDecodeWords) }

func testDecodeWords(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, rounds := range []int{0, 1, 2, 3, 17} {
		for range 20 {
			checkDecodeWords(t, rng, rounds)
		}
	}
}

func checkDecodeWords(t *testing.T, rng *rand.Rand, rounds int) {
	t.Helper()
	table := randomWords(rng)
	var at, out [WordStreams]int
	room := rounds*RoundSymbols + 2 + 3
	src := newGuarded(rng, (rounds*RoundBits+7)/8+rng.IntN(9)+8, rng.IntN(8))
	dst := newGuarded(rng, WordStreams*room, rng.IntN(8))
	starts := 8*(len(src.b)-8) + 8 - max(rounds-1, 0)*RoundBits // bits that DecodeWords may start at
	for s := range at {
		at[s] = rng.IntN(starts)
		out[s] = s*room + rng.IntN(4)
	}
	first, from := at, out
	DecodeWords(dst.b, src.b, table, &at, &out, rounds)
	for s := range at {
		want, end := decodeBitByBit(src.b, table, first[s], rounds*RoundLookups)
		if at[s] != end || out[s] != from[s]+len(want) {
			t.Fatalf("%d rounds, stream %d: at bit %d and byte %d, want %d and %d", rounds, s, at[s], out[s], end, from[s]+len(want))
		}
		// The next stream may have written over the symbols behind its start; there are none.
		if got := dst.b[from[s]:out[s]]; !bytes.Equal(got, want) {
			t.Fatalf("%d rounds, stream %d: symbols\n%v, want\n%v", rounds, s, got, want)
		}
	}
	src.check(t, "DecodeWords")
	dst.check(t, "DecodeWords")
}

func FuzzDecodeWords(f *testing.F) {
	f.Add(uint64(1), uint8(1))
	f.Add(uint64(2), uint8(9))
	f.Fuzz(func(t *testing.T, seed uint64, rounds uint8) {
		before := active
		defer func() { active = before }()
		for _, tier := range available {
			active = tier
			checkDecodeWords(t, rand.New(rand.NewPCG(seed, 7)), int(rounds%40))
		}
	})
}

func TestDecodeWordsStaysInside(t *testing.T) {
	const rounds = 3
	src, dst := make([]byte, 2*RoundBits/8+8), make([]byte, rounds*RoundSymbols+2)
	for name, change := range map[string]func(at, out *[WordStreams]int) (dst, src []byte){
		"source too short":      func(_, _ *[WordStreams]int) ([]byte, []byte) { return dst, src[1:] },
		"start too late":        func(at, _ *[WordStreams]int) ([]byte, []byte) { at[2] = 8; return dst, src },
		"start before":          func(at, _ *[WordStreams]int) ([]byte, []byte) { at[3] = -1; return dst, src },
		"destination too short": func(_, _ *[WordStreams]int) ([]byte, []byte) { return dst[1:], src },
		"output too late":       func(_, out *[WordStreams]int) ([]byte, []byte) { out[1] = 1; return dst, src },
		"output before":         func(_, out *[WordStreams]int) ([]byte, []byte) { out[0] = -1; return dst, src },
	} {
		t.Run(name, func(t *testing.T) {
			var at, out [WordStreams]int
			DecodeWords(dst, src, new(WordTable), &at, &out, rounds) // as it is, it fits
			dst, src := change(&at, &out)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			DecodeWords(dst, src, new(WordTable), &at, &out, rounds)
		})
	}
}

func FuzzBF16(f *testing.F) {
	f.Add(uint16(300), uint8(3), uint64(1))
	f.Fuzz(func(t *testing.T, n uint16, offset uint8, seed uint64) {
		before := active
		defer func() { active = before }()
		rng := rand.New(rand.NewPCG(seed, 8))
		codes := make([]byte, n)
		for i := range codes {
			codes[i] = byte(rng.IntN(8))
		}
		packed := make([]byte, Code3Bytes(int(n)))
		PackCode3(packed, codes)
		var table [8]byte
		fill(rng, table[:])
		src := newGuarded(rng, 2*int(n), int(offset%64))
		var want [4][]byte
		for _, tier := range available {
			active = tier
			exp, sm, merged, coded := newGuarded(rng, int(n), 1), newGuarded(rng, int(n), 2), newGuarded(rng, 2*int(n), 3), newGuarded(rng, 2*int(n), 4)
			SplitBF16(exp.b, sm.b, src.b)
			MergeBF16(merged.b, exp.b, sm.b)
			MergeBF16Code3(coded.b, packed, sm.b, &table)
			got := [4][]byte{exp.b, sm.b, merged.b, coded.b}
			if tier.name == Generic {
				want = got
			}
			for i := range got {
				if !bytes.Equal(got[i], want[i]) {
					t.Fatalf("%s: result %d differs from that of plain Go", tier.name, i)
				}
			}
			for _, g := range []*guarded{exp, sm, merged, coded} {
				g.check(t, tier.name)
			}
		}
		if !bytes.Equal(want[2], src.b) {
			t.Fatal("numbers do not come back")
		}
	})
}

// BenchmarkBF16 has the passes in the second level cache and out of it; copying so many bytes is the limit.
func BenchmarkBF16(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"64Ki", 1 << 16}, {"8Mi", 1 << 23}} {
		n := size.n
		rng := rand.New(rand.NewPCG(9, 10))
		src, exp, sm, codes := make([]byte, 2*n), make([]byte, n), make([]byte, n), make([]byte, Code3Bytes(n))
		fill(rng, src)
		fill(rng, codes)
		table := [8]byte{121, 120, 119, 122, 118, 117, 116, 115}
		for name, call := range map[string]func(){
			"split": func() { SplitBF16(exp, sm, src) }, "merge": func() { MergeBF16(src, exp, sm) },
			"code3": func() { MergeBF16Code3(src, codes, sm, &table) },
		} {
			b.Run(name+"/"+size.name, func(b *testing.B) {
				b.SetBytes(int64(2 * n))
				for b.Loop() {
					call()
				}
			})
		}
		dst := make([]byte, 2*n)
		b.Run("copy/"+size.name, func(b *testing.B) {
			b.SetBytes(int64(2 * n))
			for b.Loop() {
				copy(dst, src)
			}
		})
	}
}

// BenchmarkDecodeWords has 18.5 symbols of a stream in a round, as exponents of weights have; bytes are symbols.
func BenchmarkDecodeWords(b *testing.B) {
	rng := rand.New(rand.NewPCG(11, 12))
	table := new(WordTable)
	for i := range table {
		table[i] = rng.Uint64()&(1<<48-1) | uint64(8+rng.IntN(4))<<48 | uint64(2+rng.IntN(4))<<56
	}
	const rounds = 100
	src := make([]byte, WordStreams*(rounds*RoundBits/8+16))
	fill(rng, src)
	room := rounds*RoundSymbols + 2 + 3
	dst := make([]byte, WordStreams*room)
	var out [WordStreams]int
	for b.Loop() {
		var at [WordStreams]int
		for s := range at {
			at[s], out[s] = s*len(src)/WordStreams*8, s*room
		}
		DecodeWords(dst, src, table, &at, &out, rounds)
	}
	symbols := 0
	for s := range out {
		symbols += out[s] - s*room
	}
	b.SetBytes(int64(symbols))
}
