package kernel

import "golang.org/x/sys/unix"

// adviseHuge asks for large pages below b. It is advice: an error, such as from a kernel that has none, changes nothing.
func adviseHuge(b []byte) {
	if b = wholePages(b); b != nil {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	}
}
