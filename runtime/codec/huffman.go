package codec

import (
	"encoding/binary"
	"math/bits"

	"github.com/bnntool/bnntool/internal/kernel"
)

// huffman is a prefix code of words: each exponent is a word, and where that pays, the most frequent exponent and the one
// behind it are one word together. The exponents of weights need it: their entropy is 2.5 to 2.7 bits, the most frequent ones
// are worth less than two bits, and a code of single exponents cannot say so.
//
//	code      the words and the lengths of their codes, see codebook
//	blocks    of 131072 exponents, the last one of what is left
//
// A block of n exponents is cut into six parts of ⌈n/6⌉, the last ones shorter or empty, so that six streams can be decoded at
// once. It is 6 lengths of 2 bytes, then the streams. A stream is its part's words, the code of the first in the lowest bits of its first byte;
// the bits behind the last are clear. A pair of exponents does not reach over the end of a part.
type huffman struct{}

const (
	blockSymbols = 1 << 17
	streams      = kernel.WordStreams
	blockHead    = 2 * streams
)

// part returns where part s of a block of n symbols starts and ends.
func part(s, n int) (start, end int) {
	size := (n + streams - 1) / streams
	return min(s*size, n), min((s+1)*size, n)
}

// eachPart calls f with each part of exp, block by block.
func eachPart(exp []byte, f func(part []byte)) {
	for len(exp) > 0 {
		block := exp[:min(len(exp), blockSymbols)]
		for s := range streams {
			start, end := part(s, len(block))
			f(block[start:end])
		}
		exp = exp[len(block):]
	}
}

func (huffman) append(e *Encoder, dst, exp []byte) []byte {
	book := e.words.choose(exp)
	dst = book.append(dst)
	for len(exp) > 0 {
		block := exp[:min(len(exp), blockSymbols)]
		head := len(dst)
		dst = append(dst, make([]byte, blockHead)...)
		for s := range streams {
			start, end := part(s, len(block))
			before := len(dst)
			dst = book.encode(dst, block[start:end])
			binary.LittleEndian.PutUint16(dst[head+2*s:], uint16(len(dst)-before))
		}
		exp = exp[len(block):]
	}
	return dst
}

// encode appends the stream of one part.
func (b *codebook) encode(dst, exp []byte) []byte {
	var acc uint64
	var n uint
	for i := 0; i < len(exp); i++ {
		c := b.single[exp[i]]
		if int(exp[i]) == b.lead && i+1 < len(exp) {
			i++
			c = b.pair[exp[i]]
		}
		acc |= uint64(c.bits) << n
		if n += uint(c.length); n >= 32 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(acc))
			acc >>= 32
			n -= 32
		}
	}
	for ; n > 0; n -= min(n, 8) {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// wordCounts counts words, and finds the best code for them.
type wordCounts struct {
	single, pair [256]int
	lengths      lengthFinder
}

// choose returns the code that takes the fewest bits for exp: one with pairs, or one without.
func (w *wordCounts) choose(exp []byte) *codebook {
	w.single, w.pair = Histogram(exp), [256]int{}
	lead, symbols := 0, 0
	for x, n := range w.single {
		if n > w.single[lead] {
			lead = x
		}
		if n > 0 {
			symbols++
		}
	}
	plain, plainBits := &codebook{lead: -1}, 0
	if symbols > 1 {
		plainBits = w.lengths.find(plain, w.single[:], nil)
	}
	eachPart(exp, func(part []byte) {
		for i := 0; i+1 < len(part); i++ {
			if int(part[i]) == lead {
				i++
				w.pair[part[i]]++
				w.single[part[i]]--
				w.single[lead]--
			}
		}
	})
	// Two words at least, whatever exp is, so that the code is complete.
	w.single[lead], w.pair[lead] = max(w.single[lead], 1), max(w.pair[lead], 1)
	pairs := &codebook{lead: lead}
	if pairBits := w.lengths.find(pairs, w.single[:], w.pair[:]); symbols > 1 && plainBits <= pairBits {
		pairs = plain
	}
	pairs.assign()
	return pairs
}

// prefix is the code of a word, its first bit lowest.
type prefix struct {
	bits   uint16
	length uint8 // 0: the word has no code
}

// codebook is a code.
type codebook struct {
	lead         int // the exponent that pairs start with, -1 without pairs
	single, pair [256]prefix
}

// assign gives the words codes of their lengths: ascending ones, the shorter before the longer, of one length those of single exponents
// before pairs and small exponents before large ones.
func (b *codebook) assign() {
	var next [maxLength + 2]uint16
	b.each(func(p *prefix, _ word) { next[p.length+1]++ })
	next[1] = 0
	for l := 1; l < len(next); l++ {
		next[l] = (next[l-1] + next[l]) << 1
	}
	b.each(func(p *prefix, _ word) {
		if p.length > 0 {
			p.bits = bits.Reverse16(next[p.length]) >> (16 - p.length)
			next[p.length]++
		}
	})
}

// word is what a code stands for.
type word struct {
	first, second byte
	symbols       uint8 // 1 or 2
	length        uint8 // of its code
}

// each calls f with every word: single exponents and then pairs, in ascending order.
func (b *codebook) each(f func(p *prefix, w word)) {
	for x := range b.single {
		p := &b.single[x]
		f(p, word{first: byte(x), symbols: 1, length: p.length})
	}
	if b.lead < 0 {
		return
	}
	for x := range b.pair {
		p := &b.pair[x]
		f(p, word{first: byte(b.lead), second: byte(x), symbols: 2, length: p.length})
	}
}
