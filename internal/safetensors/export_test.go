package safetensors

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Reseal returns a copy of a file that Write made whose header was changed, with the header's length and checksum
// made right again. The data's place is found by the padding, so the JSON must keep its length.
func Reseal(file []byte) []byte {
	file = bytes.Clone(file)
	head := file[:8+binary.LittleEndian.Uint64(file)]
	key := []byte(`"` + headerKey + `":"`)
	digits := head[bytes.Index(head, key)+len(key):][:len(zeroDigits)]
	copy(digits, zeroDigits)
	copy(digits, hexDigits(crc32.Checksum(head, castagnoli)))
	return file
}
