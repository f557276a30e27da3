package artifact

import (
	"encoding/binary"
	"fmt"
)

// packBits appends rows of n bits, each of words(n) words, to dst without the bits past their ends: bit i of all rows
// together is bit i%8 of byte i/8. The bits of the last byte past the end are clear.
func packBits(dst []byte, rows []uint64, n int) []byte {
	var acc uint64 // the next bits of dst
	held := 0      // how many
	for len(rows) > 0 {
		for left := n; left > 0; left -= wordBits {
			w, bits := rows[0], min(left, wordBits)
			rows = rows[1:]
			acc |= w << held
			if held+bits < wordBits {
				held += bits
				continue
			}
			dst = binary.LittleEndian.AppendUint64(dst, acc)
			// A shift by wordBits, where nothing was held, gives 0.
			acc, held = w>>(wordBits-held), held+bits-wordBits
		}
	}
	for ; held > 0; held -= 8 {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// unpackBits is the inverse of packBits: it fills rows of n bits from src, which has denseBytes(len(rows)/words(n), n)
// bytes.
func unpackBits(rows []uint64, src []byte, n int) error {
	at := 0 // bit of src
	for i := 0; i < len(rows); {
		for left := n; left > 0; left -= wordBits {
			bits := min(left, wordBits)
			rows[i] = bitsAt(src, at) & (^uint64(0) >> (wordBits - bits))
			at += bits
			i++
		}
	}
	if rest := at % 8; rest != 0 && src[at/8]>>rest != 0 {
		return fmt.Errorf("the last byte is %#x: the bits past the %d of the tensor must be clear", src[at/8], at)
	}
	return nil
}

// bitsAt returns the 64 bits of src from bit at on; what lies past the end of src is clear.
func bitsAt(src []byte, at int) uint64 {
	src, shift := src[at/8:], at%8
	if len(src) > 8 {
		return binary.LittleEndian.Uint64(src)>>shift | uint64(src[8])<<(wordBits-shift)
	}
	var b [8]byte
	copy(b[:], src)
	return binary.LittleEndian.Uint64(b[:]) >> shift
}

// denseBytes returns the bytes that hold rows of n bits without gaps.
func denseBytes(rows, n int) int { return int((int64(rows)*int64(n) + 7) / 8) }
