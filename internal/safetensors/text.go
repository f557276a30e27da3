package safetensors

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// DecodeText decodes text, a metadata value that is one JSON value, into dst. No value, more than one and a field that dst does not
// have are errors.
func DecodeText(text string, dst any) error {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(dst); err != nil {
		if err == io.EOF {
			err = errors.New("no JSON")
		}
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}
