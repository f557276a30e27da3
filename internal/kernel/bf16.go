package kernel

import "encoding/binary"

// bf16Kernels are the passes over bfloat16 numbers; the functions of the same names say what they compute.
type bf16Kernels struct {
	split  func(exp, sm, src *byte, vectors int)         // of 32 numbers
	merge  func(dst, exp, sm *byte, vectors int)         // of 32 numbers
	merge3 func(dst, codes, sm, table *byte, groups int) // of CodeGroup numbers
	words  func(dst, src *byte, table *uint64, at, out *int, rounds int)
}

// bf16Vector is the number of elements in a vector of bf16Kernels.
const bf16Vector = 32

// SplitBF16 takes bfloat16 numbers, src, [2n] bytes, little endian, apart into exponents and the rest, exp and sm, [n] each:
//
//	exp[i] = bits 14 to 7 of element i
//	sm[i]  = its sign in bit 7 and its mantissa in bits 6 to 0
//
// Every pattern of 16 bits has its own pair, so MergeBF16 restores NaNs, infinities and whatever else src may hold. The three
// do not overlap.
func SplitBF16(exp, sm, src []byte) {
	n := len(sm)
	checkLen("SplitBF16", "exp", len(exp), n)
	checkLen("SplitBF16", "src", len(src), 2*n)
	done := 0
	if k := active.bf16; k != nil && n >= bf16Vector {
		done = n / bf16Vector * bf16Vector
		k.split(&exp[0], &sm[0], &src[0], n/bf16Vector)
	}
	exp, sm, src = exp[done:], sm[done:], src[2*done:]
	for i := range sm {
		w := binary.LittleEndian.Uint16(src[2*i:])
		exp[i] = byte(w >> 7)
		sm[i] = byte(w>>8)&0x80 | byte(w)&0x7f
	}
}

// MergeBF16 is the inverse of SplitBF16: dst, [2n] bytes, becomes the numbers with exponents exp and signs and mantissas
// sm, [n] each. The three do not overlap.
func MergeBF16(dst, exp, sm []byte) {
	n := len(sm)
	checkLen("MergeBF16", "dst", len(dst), 2*n)
	checkLen("MergeBF16", "exp", len(exp), n)
	done := 0
	if k := active.bf16; k != nil && n >= bf16Vector {
		done = n / bf16Vector * bf16Vector
		k.merge(&dst[0], &exp[0], &sm[0], n/bf16Vector)
	}
	dst, exp, sm = dst[2*done:], exp[done:], sm[done:]
	for i := range sm {
		binary.LittleEndian.PutUint16(dst[2*i:], joinBF16(exp[i], sm[i]))
	}
}

// joinBF16 returns the bits of one number.
func joinBF16(exp, sm byte) uint16 {
	return uint16(sm&0x80)<<8 | uint16(exp)<<7 | uint16(sm&0x7f)
}

// CodeGroup is the number of 3-bit codes that lie together, and CodeGroupBytes what they take.
const (
	CodeGroup      = 256
	CodeGroupBytes = 3 * CodeGroup / 8
)

// Code3Bytes returns the bytes of n codes of 3 bits: whole groups.
func Code3Bytes(n int) int { return (n + CodeGroup - 1) / CodeGroup * CodeGroupBytes }

// PackCode3 packs the codes src, [n], of 3 bits each into dst, [Code3Bytes(n)]. A group of 256 codes is 96 bytes. The low two
// bits of code i = 128·h + 32·g + j, j < 32, lie in bits 2g and 2g+1 of byte 32h+j; the high bit of code i = 32·g + j lies
// in bit g of byte 64+j. Codes past the last are 0.
func PackCode3(dst, src []byte) {
	checkLen("PackCode3", "dst", len(dst), Code3Bytes(len(src)))
	clear(dst)
	for i, c := range src {
		group, at := dst[i/CodeGroup*CodeGroupBytes:], i%CodeGroup
		group[at/128*32+at%32] |= c & 3 << (at / 32 % 4 * 2)
		group[64+at%32] |= c >> 2 & 1 << (at / 32)
	}
}

// MergeBF16Code3 is MergeBF16 of the exponents exp[i] = table[code i], where codes, [Code3Bytes(n)], is as PackCode3 leaves it. dst
// is [2n] bytes and sm [n]. They do not overlap.
func MergeBF16Code3(dst, codes, sm []byte, table *[8]byte) {
	n := len(sm)
	checkLen("MergeBF16Code3", "dst", len(dst), 2*n)
	checkLen("MergeBF16Code3", "codes", len(codes), Code3Bytes(n))
	done := 0
	if k := active.bf16; k != nil && n >= CodeGroup {
		done = n / CodeGroup * CodeGroup
		k.merge3(&dst[0], &codes[0], &sm[0], &table[0], n/CodeGroup)
	}
	for i := done; i < n; i++ {
		group, at := codes[i/CodeGroup*CodeGroupBytes:], i%CodeGroup
		low := group[at/128*32+at%32] >> (at / 32 % 4 * 2) & 3
		high := group[64+at%32] >> (at / 32) & 1
		binary.LittleEndian.PutUint16(dst[2*i:], joinBF16(table[high<<2|low], sm[i]))
	}
}
