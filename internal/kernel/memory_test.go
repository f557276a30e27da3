package kernel

import (
	"testing"
	"unsafe"
)

func TestMake(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 3 << 20} {
		s := Make[float32](n)
		if len(s) != n {
			t.Errorf("%d elements, want %d", len(s), n)
		}
		for i, v := range s {
			if v != 0 {
				t.Fatalf("%d: element %d is %v", n, i, v)
			}
		}
	}
	b := make([]byte, 5*hugePage)
	for _, n := range []int{1, hugePage - 1, hugePage, 2*hugePage - 1, 2 * hugePage, 5 * hugePage} {
		p := wholePages(b[:n])
		if len(p)%hugePage != 0 || len(p) < n-2*hugePage+2 || len(p) > n {
			t.Errorf("%d bytes: %d in whole pages", n, len(p))
		}
		if len(p) > 0 && uintptr(unsafe.Pointer(&p[0]))%hugePage != 0 {
			t.Errorf("%d bytes: not at a page", n)
		}
	}
}
