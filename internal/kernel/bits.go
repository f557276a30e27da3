package kernel

import "fmt"

// WordBits is the number of elements in one packed word.
const WordBits = 64

// Words returns the number of words that hold n elements.
func Words(n int) int { return (n + WordBits - 1) / WordBits }

// PackSigns packs the signs of src, [rows,c], into dst, [rows,Words(c)]. A negative value packs as 1; zero, minus
// zero and NaN pack as 0, that is as +1.
func PackSigns(dst []uint64, src []float32, rows, c int) {
	wd := Words(c)
	checkLen("PackSigns", "dst", len(dst), rows*wd)
	checkLen("PackSigns", "src", len(src), rows*c)
	if v := active.vectorsPerWord(c); v > 0 && rows > 0 {
		active.packSigns(&dst[0], &src[0], rows*wd, v)
		return
	}
	for row := range rows {
		in := src[row*c : (row+1)*c]
		out := dst[row*wd : (row+1)*wd]
		for i := range out {
			part := in[i*WordBits : min((i+1)*WordBits, c)]
			var word uint64
			for j, v := range part {
				var bit uint64
				if v < 0 {
					bit = 1
				}
				word |= bit << (j & (WordBits - 1))
			}
			out[i] = word
		}
	}
}

// UnpackSigns is the inverse of PackSigns: it writes -1 or +1 to dst, [rows,c], for the bits of src, [rows,Words(c)].
func UnpackSigns(dst []float32, src []uint64, rows, c int) {
	wd := Words(c)
	checkLen("UnpackSigns", "dst", len(dst), rows*c)
	checkLen("UnpackSigns", "src", len(src), rows*wd)
	if v := active.vectorsPerWord(c); v > 0 && rows > 0 {
		active.unpackSigns(&dst[0], &src[0], rows*wd, v)
		return
	}
	for row := range rows {
		out := dst[row*c : (row+1)*c]
		in := src[row*wd : (row+1)*wd]
		for j := range out {
			out[j] = float32(1 - 2*int32(in[j/WordBits]>>(j%WordBits)&1))
		}
	}
}

func checkLen(fn, name string, got, want int) {
	if got != want {
		panic(fmt.Sprintf("kernel: %s: len(%s) is %d, want %d", fn, name, got, want))
	}
}
