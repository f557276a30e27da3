package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/bnntool/bnntool/internal/kernel"
)

// Of the decoder's buffer of exponents the first blockSymbols bytes are the block's. Streams that are at their end decode into
// the rest until the others are.
const (
	spareRounds = 64
	spareBytes  = spareRounds*kernel.RoundSymbols + 2
)

func (huffman) merge(d *Decoder, dst, coded, sm []byte) error {
	coded, err := d.book.parse(coded)
	if err != nil {
		return err
	}
	d.load(&d.book)
	buf := d.buffer(blockSymbols + spareBytes)
	for i := 0; len(sm) > 0; i++ {
		n := min(len(sm), blockSymbols)
		if coded, err = d.block(buf, coded, n); err != nil {
			return fmt.Errorf("block %d: %w", i, err)
		}
		kernel.MergeBF16(dst[:2*n], buf[:n], sm[:n])
		dst, sm = dst[2*n:], sm[n:]
	}
	if len(coded) != 0 {
		return fmt.Errorf("%d bytes follow the last block", len(coded))
	}
	return nil
}

// load makes the tables of a code.
func (d *Decoder) load(b *codebook) {
	b.each(func(p *prefix, w word) {
		if p.length > 0 {
			for i := int(p.bits); i < len(d.first); i += 1 << p.length {
				d.first[i] = w
			}
		}
	})
	for i := range d.table {
		// The words that lie wholly within the index, as long as there is room for them.
		var entry, symbols, length uint
		for rest := uint(i); ; {
			w := d.first[rest]
			if length+uint(w.length) > maxLength || symbols+uint(w.symbols) > kernel.EntrySymbols {
				break
			}
			entry |= (uint(w.first) | uint(w.second)<<8) << (8 * symbols)
			symbols += uint(w.symbols)
			length += uint(w.length)
			rest >>= w.length
		}
		d.table[i] = uint64(entry) | uint64(length)<<48 | uint64(symbols)<<56
	}
}

// block decodes the n symbols of a block at the start of src into buf and returns what follows it.
func (d *Decoder) block(buf, src []byte, n int) ([]byte, error) {
	if len(src) < blockHead {
		return nil, fmt.Errorf("%d bytes, the lengths of the streams are %d", len(src), blockHead)
	}
	r := &d.reads
	pos := blockHead
	for s := range streams {
		r.at[s] = 8 * pos
		pos += int(binary.LittleEndian.Uint16(src[2*s:]))
		r.stop[s] = 8 * pos
		r.out[s], r.end[s] = part(s, n)
	}
	if pos > len(src) {
		return nil, fmt.Errorf("the streams end at byte %d of %d", pos, len(src))
	}
	d.rounds(buf, src)
	for s := range streams {
		stop := r.stop[s]
		taken, err := d.tail(buf[r.out[s]:r.end[s]], src, r.at[s], stop)
		if err != nil {
			return nil, fmt.Errorf("stream %d: %w", s, err)
		}
		if taken+7 < stop {
			return nil, fmt.Errorf("stream %d: %d bits follow its words", s, stop-taken)
		}
		if taken < stop && src[taken/8]>>(taken%8) != 0 {
			return nil, fmt.Errorf("stream %d: bits behind its words are set", s)
		}
	}
	return src[pos:], nil
}

// reads is how far the streams of a block are: bits of the coded block and bytes of the decoded one.
type reads struct {
	at, stop [streams]int
	out, end [streams]int
	// What DecodeWords moves.
	moved, to [streams]int
}

// rounds decodes streams until less than a round of each is left, or of src.
func (d *Decoder) rounds(buf, src []byte) {
	r := &d.reads
	// DecodeWords reads 8 bytes from the byte of a stream's bit on.
	last := 8*(len(src)-8) + 7
	for {
		n, awake := math.MaxInt, -1
		var resting [streams]bool
		for s := range streams {
			left, room := (last-r.at[s])/kernel.RoundBits+1, (r.end[s]-r.out[s]-2)/kernel.RoundSymbols
			if resting[s] = last < r.at[s] || room < 1; !resting[s] {
				n, awake = min(n, left, room), s
			}
		}
		if awake < 0 {
			return
		}
		r.moved, r.to = r.at, r.out
		for s, rests := range resting {
			if rests { // it goes along with one that does not
				n = min(n, spareRounds)
				r.moved[s], r.to[s] = r.at[awake], blockSymbols
			}
		}
		kernel.DecodeWords(buf, src, &d.table, &r.moved, &r.to, n)
		for s, rests := range resting {
			if !rests {
				r.at[s], r.out[s] = r.moved[s], r.to[s]
			}
		}
	}
}

var errStream = errors.New("its words do not end where it does")

// tail decodes the last symbols of a stream into dst, from bit at of src up to bit stop at most, and returns the bit behind them.
func (d *Decoder) tail(dst, src []byte, at, stop int) (int, error) {
	for len(dst) > 0 {
		w := d.first[peek(src, at)]
		if at += int(w.length); at > stop || int(w.symbols) > len(dst) {
			return 0, errStream
		}
		dst[0] = w.first
		if w.symbols == 2 {
			dst[1] = w.second
		}
		dst = dst[w.symbols:]
	}
	if at > stop {
		return 0, errStream
	}
	return at, nil
}

// peek returns the bits that index a table, from bit at of src on; behind the end of src they are clear.
func peek(src []byte, at int) int {
	v := 0
	for i, b := range src[min(at/8, len(src)):min(at/8+3, len(src))] {
		v |= int(b) << (8 * i)
	}
	return v >> (at % 8) & (1<<kernel.WordIndexBits - 1)
}
