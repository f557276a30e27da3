package codec_test

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/runtime/codec"
)

// skewed returns n patterns of which few are frequent, as training leaves them.
func skewed(n int) []uint16 {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	kernels := make([]uint16, n)
	for i := range kernels {
		kernels[i] = uint16(512 * rng.Float64() * rng.Float64() * rng.Float64())
	}
	return kernels
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 255, 256, 4096, 65535, 65536, 70000} {
		kernels := skewed(n)
		coded := codec.AppendPatterns([]byte("before"), kernels)
		if !bytes.HasPrefix(coded, []byte("before")) {
			t.Fatalf("%d kernels: what was in dst is gone", n)
		}
		size := len(coded) - len("before")
		coded = append(coded, "after"...)
		got := make([]uint16, n)
		taken, err := codec.DecodePatterns(got, coded[len("before"):])
		if err != nil || taken != size || !slices.Equal(got, kernels) {
			t.Errorf("%d kernels: took %d of %d bytes, error %v, kernels equal: %v", n, taken, size, err, slices.Equal(got, kernels))
		}
	}
}

func TestEveryPattern(t *testing.T) {
	kernels := make([]uint16, 512)
	for i := range kernels {
		kernels[i] = uint16(i)
	}
	got := make([]uint16, len(kernels))
	if _, err := codec.DecodePatterns(got, codec.AppendPatterns(nil, kernels)); err != nil || !slices.Equal(got, kernels) {
		t.Errorf("error %v, patterns %v", err, got)
	}
}

// TestSaves compares the size with what the frequencies allow: the last taps, the entropy of the other eight, Huffman's
// loss and the table. A symbol takes at least one bit.
func TestSaves(t *testing.T) {
	random := make([]uint16, 1<<16)
	rng := rand.New(rand.NewPCG(2, 3))
	for i := range random {
		random[i] = uint16(rng.IntN(512))
	}
	for name, kernels := range map[string][]uint16{
		"one pattern": slices.Repeat([]uint16{0x155}, 1<<16), "skewed": skewed(1 << 16), "random": random,
	} {
		var count [256]float64
		for _, p := range kernels {
			if p > 255 {
				p = ^p
			}
			count[byte(p)]++
		}
		bits := 0.0
		for _, c := range count {
			if c > 0 {
				bits += c * max(1, math.Log2(float64(len(kernels))/c))
			}
		}
		got, most := len(codec.AppendPatterns(nil, kernels)), float64(len(kernels))/8+1.01*bits/8+400
		if float64(got) > most {
			t.Errorf("%s: %d bytes for %d packed ones, want at most %.0f", name, got, len(kernels)*codec.PatternBits/8, most)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	stream := func(symbols int) []byte {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.HuffmanOnly)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(make([]byte, symbols))
		w.Close()
		return b.Bytes()
	}
	good := codec.AppendPatterns(nil, skewed(9))
	for _, tt := range []struct {
		name string
		src  []byte
		want string
	}{
		{"nothing", nil, "codec: 0 bytes, the last taps of 9 kernels are 2"},
		{"no stream", good[:2], "codec: the patterns of 9 kernels: unexpected EOF"},
		{"cut", good[:len(good)-1], "unexpected EOF"},
		{"set bits behind the last tap", append([]byte{0, 2}, stream(9)...), "codec: the last taps end in 0x2: the bits past 9 kernels must be clear"},
		{"too few", append([]byte{0, 0}, stream(8)...), "codec: the patterns of 9 kernels: unexpected EOF"},
		{"too many", append([]byte{0, 0}, stream(10)...), "codec: the patterns do not end after 9 kernels"},
		{"no DEFLATE", []byte{0, 0, 7}, "codec: the patterns of 9 kernels: flate: corrupt input before offset"},
	} {
		_, err := codec.DecodePatterns(make([]uint16, 9), tt.src)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestAppendPanics(t *testing.T) {
	defer func() {
		if got, want := fmt.Sprint(recover()), "codec: AppendPatterns: kernel 1 is 0x200, a pattern has 9 bits"; got != want {
			t.Errorf("panic %q, want %q", got, want)
		}
	}()
	codec.AppendPatterns(nil, []uint16{511, 512})
}

// TestBytes pins the format: the stream is plain DEFLATE for everybody.
func TestBytes(t *testing.T) {
	kernels := []uint16{0x000, 0x1ff, 0x101, 0x0fe}
	coded := codec.AppendPatterns(nil, kernels)
	symbols, err := io.ReadAll(flate.NewReader(bytes.NewReader(coded[1:])))
	if err != nil || coded[0] != 0b0110 || !bytes.Equal(symbols, []byte{0x00, 0x00, 0xfe, 0xfe}) {
		t.Errorf("coded as %s, symbols %x, %v", hex.EncodeToString(coded), symbols, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(codec.AppendPatterns(nil, skewed(100)), uint16(100))
	f.Add(codec.AppendPatterns(nil, skewed(9)), uint16(9))
	f.Add([]byte{0, 7}, uint16(1))
	f.Fuzz(func(t *testing.T, src []byte, n uint16) {
		kernels := make([]uint16, n)
		taken, err := codec.DecodePatterns(kernels, src)
		if err != nil {
			return
		}
		if taken > len(src) {
			t.Fatalf("took %d of %d bytes", taken, len(src))
		}
		again := make([]uint16, n)
		if _, err := codec.DecodePatterns(again, codec.AppendPatterns(nil, kernels)); err != nil || !slices.Equal(again, kernels) {
			t.Errorf("decoded kernels do not survive coding: %v", err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	kernels := skewed(512 * 512)
	coded := codec.AppendPatterns(nil, kernels)
	b.SetBytes(int64(len(coded)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.DecodePatterns(kernels, coded); err != nil {
			b.Fatal(err)
		}
	}
}

func Example() {
	kernels := []uint16{0b000_010_000, 0b111_101_111} // a blob and its negative share a symbol
	coded := codec.AppendPatterns(nil, kernels)
	decoded := make([]uint16, len(kernels))
	if _, err := codec.DecodePatterns(decoded, coded); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%09b\n", decoded)
	// Output: [000010000 111101111]
}
