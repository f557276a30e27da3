package artifact

import (
	"bytes"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// Encode returns the bytes that Write puts into a file.
func Encode(m *Model) ([]byte, error) {
	tensors, o, err := m.encode()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = safetensors.Write(&b, tensors, o)
	return b.Bytes(), err
}
