package safetensors

import (
	"fmt"
	"math/bits"
)

// dtypeSize returns the bytes of one element, or 0 for a type that is not known.
func dtypeSize(dtype string) int64 {
	switch dtype {
	case "BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0":
		return 1
	case "U16", "I16", "F16", "BF16":
		return 2
	case "U32", "I32", "F32":
		return 4
	case "U64", "I64", "F64", "C64":
		return 8
	}
	return 0
}

// byteSize returns the bytes of a tensor.
func byteSize(dtype string, shape []int) (int64, error) {
	size := dtypeSize(dtype)
	if size == 0 {
		return 0, fmt.Errorf("unknown dtype %q", dtype)
	}
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative extent", shape)
		}
		hi, lo := bits.Mul64(uint64(size), uint64(d))
		if hi != 0 || lo > 1<<62 {
			return 0, fmt.Errorf("shape %v of %s does not fit into 62 bits of bytes", shape, dtype)
		}
		size = int64(lo)
	}
	return size, nil
}
