package kernel

import "unsafe"

// hugePage is the size of a large page of memory.
const hugePage = 2 << 20

// Make is make([]T, n) for the maps of a whole batch: where the system can it lays large ones on large pages, since a pass
// over one touches every page once.
func Make[T int16 | uint16 | uint64 | float32](n int) []T {
	s := make([]T, n)
	if n > 0 {
		adviseHuge(unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), n*int(unsafe.Sizeof(s[0]))))
	}
	return s
}

// wholePages returns the part of b that is whole large pages, nil if there is none.
func wholePages(b []byte) []byte {
	before := int(-uintptr(unsafe.Pointer(&b[0])) % hugePage)
	if len(b) < before+hugePage {
		return nil
	}
	b = b[before:]
	return b[:len(b)/hugePage*hugePage]
}
