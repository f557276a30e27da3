package safetensors

import (
	"errors"
	"fmt"
	"hash/crc32"
)

// ErrChecksum is returned, wrapped, when data does not have the checksum that the file records for it.
var ErrChecksum = errors.New("checksum mismatch")

// The metadata keys that hold the checksums.
const (
	tensorsKey = "crc32c"
	headerKey  = "crc32c.header"
)

// zeroDigits stands for the header's checksum while it is computed.
const zeroDigits = "00000000"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// hexDigits formats a checksum as files hold it.
func hexDigits(sum uint32) string { return fmt.Sprintf("%08x", sum) }

// isHexDigits reports whether s is a checksum as hexDigits writes it.
func isHexDigits(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == len(zeroDigits)
}

// mismatch returns the error of data whose checksum differs from the recorded one.
func mismatch(expected, found string) error {
	return fmt.Errorf("%w: expected crc32c %s, found %s: the file is damaged, restore it from a copy or make it again",
		ErrChecksum, expected, found)
}
