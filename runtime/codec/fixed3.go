package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/bnntool/bnntool/internal/kernel"
)

// fixed3 is the code
//
//	8 bytes    the exponent of each code
//	4 bytes    m, the number of listed exponents, unsigned
//	m bytes    gaps: each listed exponent stands as many places, 1 to 255, behind the one before it; the first one, behind
//	           the place before the start
//	m bytes    the listed exponents, those that have no code and others where a gap would be too long
//	the rest   a code of 3 bits for each exponent, in groups of 256, as kernel.PackCode3 packs them; that of one without a code is 0
//
// All numbers are first put together from their codes, in vectors, and the listed ones again after that.
type fixed3 struct{}

// fixed3Head is the length of what comes before the gaps, and maxGap the longest gap.
const (
	fixed3Head = 12
	maxGap     = 255
)

func (fixed3) append(e *Encoder, dst, exp []byte) []byte {
	table := frequent(exp)
	var code [256]byte
	var coded [256]bool
	for c, x := range table {
		code[x], coded[x] = byte(c), true
	}
	e.symbols, e.gaps = e.symbols[:0], e.gaps[:0]
	var listed []byte
	last := -1
	for i, x := range exp {
		e.symbols = append(e.symbols, code[x])
		if coded[x] {
			continue
		}
		for ; i-last > maxGap; last += maxGap {
			e.gaps, listed = append(e.gaps, maxGap), append(listed, exp[last+maxGap])
		}
		e.gaps, listed = append(e.gaps, byte(i-last)), append(listed, x)
		last = i
	}
	dst = append(dst, table[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(listed)))
	dst = append(dst, e.gaps...)
	dst = append(dst, listed...)
	start := len(dst)
	dst = append(dst, make([]byte, kernel.Code3Bytes(len(exp)))...)
	kernel.PackCode3(dst[start:], e.symbols)
	return dst
}

// frequent returns the eight most frequent exponents, the most frequent first and smaller ones before larger ones of the same
// frequency.
func frequent(exp []byte) [8]byte {
	count := Histogram(exp)
	var table [8]byte
	for i := range table {
		best := 0
		for x, n := range count {
			if n > count[best] {
				best = x
			}
		}
		table[i] = byte(best)
		count[best] = -1
	}
	return table
}

func (fixed3) merge(_ *Decoder, dst, coded, sm []byte) error {
	if len(coded) < fixed3Head {
		return fmt.Errorf("%d bytes, the head has %d", len(coded), fixed3Head)
	}
	table := (*[8]byte)(coded)
	m, rest := int64(binary.LittleEndian.Uint32(coded[8:])), int64(len(coded)-fixed3Head)
	if want := 2*m + int64(kernel.Code3Bytes(len(sm))); rest != want {
		return fmt.Errorf("%d bytes behind the head, %d listed exponents among %d take %d", rest, m, len(sm), want)
	}
	gaps, listed := coded[fixed3Head:][:m], coded[fixed3Head:][m:2*m]
	if err := paddingClear(coded[fixed3Head+2*m:], len(sm)); err != nil {
		return err
	}
	kernel.MergeBF16Code3(dst, coded[fixed3Head+2*m:], sm, table)
	i := -1
	for j, gap := range gaps {
		i += int(gap)
		if gap == 0 || i >= len(sm) {
			return fmt.Errorf("listed exponent %d stands at %d of %d, %d behind the one before it", j, i, len(sm), gap)
		}
		binary.LittleEndian.PutUint16(dst[2*i:], uint16(sm[i]&0x80)<<8|uint16(listed[j])<<7|uint16(sm[i]&0x7f))
	}
	return nil
}

// paddingClear reports set bits in the codes behind the n-th of a last group.
func paddingClear(packed []byte, n int) error {
	group := packed[len(packed)-kernel.CodeGroupBytes:]
	for at := (n-1)%kernel.CodeGroup + 1; at < kernel.CodeGroup; at++ {
		if group[at/128*32+at%32]>>(at/32%4*2)&3 != 0 || group[64+at%32]>>(at/32)&1 != 0 {
			return fmt.Errorf("code %d behind the last of %d is set", at, n)
		}
	}
	return nil
}
