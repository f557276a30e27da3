package kernel

import (
	"encoding/binary"
	"fmt"
)

// The decoding of words: variable-length codes that each stand for one or more symbols, looked up several at a time.
const (
	// WordStreams is the number of streams that DecodeWords reads at once.
	WordStreams = 6
	// WordIndexBits is the number of bits that index a table of words.
	WordIndexBits = 11
	// EntrySymbols is the most symbols of a table's entry.
	EntrySymbols = 6
	// RoundLookups is the number of lookups of a round in each stream.
	RoundLookups = 5
	// RoundSymbols is the most symbols of a round.
	RoundSymbols = RoundLookups * EntrySymbols
	// RoundBits is the most bits of a round.
	RoundBits = RoundLookups * WordIndexBits
)

// WordTable says what the next WordIndexBits bits of a stream, the first one lowest, stand for. An entry holds
//
//	bytes 0 to 5  its symbols, the first one lowest
//	byte 6        the bits that they take, at most WordIndexBits
//	byte 7        the number of symbols, at most EntrySymbols
type WordTable [1 << WordIndexBits]uint64

// DecodeWords decodes rounds of RoundLookups lookups from each of the streams in src. Stream s goes on at bit at[s] of src (bit i
// is bit i%8 of byte i/8) and at byte out[s] of dst; both are moved on:
//
//	for each stream s, rounds times RoundLookups times:
//	    e = table[the WordIndexBits bits of src from at[s] on]
//	    dst[out[s] : out[s]+8] = the 8 bytes of e     of which the next entry overwrites all but the symbols
//	    at[s] += byte 6 of e
//	    out[s] += byte 7 of e
//
// It panics unless src has 8 bytes from the byte of each stream's bit on in the last round too, and dst the room of
// RoundSymbols bytes a round and 2 more. dst and src do not overlap.
func DecodeWords(dst, src []byte, table *WordTable, at, out *[WordStreams]int, rounds int) {
	if rounds <= 0 {
		return
	}
	for s := range at {
		read, written := (at[s]+(rounds-1)*RoundBits)/8+8, out[s]+rounds*RoundSymbols+8-EntrySymbols
		if at[s] < 0 || out[s] < 0 || read > len(src) || written > len(dst) {
			panic(fmt.Sprintf("kernel: DecodeWords: stream %d at bit %d and byte %d: %d rounds may take %d of %d bytes and fill %d of %d",
				s, at[s], out[s], rounds, read, len(src), written, len(dst)))
		}
	}
	if k := active.bf16; k != nil {
		k.words(&dst[0], &src[0], &table[0], &at[0], &out[0], rounds)
		return
	}
	for s := range at {
		pos, to := at[s], out[s]
		for range rounds {
			bits := binary.LittleEndian.Uint64(src[pos/8:]) >> (pos % 8)
			for range RoundLookups {
				e := table[bits%uint64(len(table))]
				binary.LittleEndian.PutUint64(dst[to:], e)
				bits >>= e >> 48 & 63
				pos += int(e >> 48 & 63)
				to += int(e >> 56)
			}
		}
		at[s], out[s] = pos, to
	}
}
