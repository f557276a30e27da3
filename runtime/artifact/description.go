package artifact

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/internal/safetensors"
)

// The identification of the format.
const (
	formatName = "bnntool.artifact"
	version1   = "1" // read only
	version2   = "2"
)

// The metadata keys of every version, besides the checksums.
const (
	formatKey  = "format"
	versionKey = "version"
)

// description is a Model without its tensors. In version 2 the fields of an Op that name tensors hold the tensors' codings,
// and inputs are left out where they are the operation before alone.
type description struct {
	Name       string            `json:"name"`
	Input      []int             `json:"input"` // H, W, C
	Classes    []string          `json:"classes"`
	Preprocess preprocess.Config `json:"preprocess"`
	Source     map[string]string `json:"source,omitempty"`
	Ops        opList            `json:"ops"`
}

// model returns the Model that d describes, without tensors.
func (d *description) model() (*Model, error) {
	if len(d.Input) != 3 {
		return nil, fmt.Errorf("input is %v, want height, width and channels", d.Input)
	}
	return &Model{Name: d.Name, Input: [3]int(d.Input), Classes: d.Classes, Preprocess: d.Preprocess, Source: d.Source, Ops: d.Ops}, nil
}

// maxText bounds the JSON of a description, of which MaxOps operations need a third.
const maxText = 1 << 24

// opList is a model's operations in JSON. It stops decoding at one too many, since an operation of 3 bytes in a file
// takes a hundred times as much memory.
type opList []Op

// UnmarshalJSON decodes an array of at most MaxOps operations without unknown fields.
func (l *opList) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return errors.New("ops are not an array")
	}
	*l = nil
	for dec.More() {
		if len(*l) == MaxOps {
			return fmt.Errorf("more than %d operations", MaxOps)
		}
		var o Op
		if err := dec.Decode(&o); err != nil {
			return err
		}
		*l = append(*l, o)
	}
	return nil
}

// decodeJSON decodes text of at most maxText bytes, one JSON value without unknown fields, into dst.
func decodeJSON(text string, dst any) error {
	if len(text) > maxText {
		return fmt.Errorf("%d bytes, at most %d are allowed", len(text), maxText)
	}
	return safetensors.DecodeText(text, dst)
}

// A compressed description may become maxRatio times as long, and freeText bytes more.
const (
	maxRatio = 64
	freeText = 1 << 16
)

// inflatedLimit returns how long a description of n compressed bytes may be.
func inflatedLimit(n int) int { return min(maxText, freeText+maxRatio*n) }

// deflate returns text as a zlib stream that inflate takes: uncompressed if it would become too small.
func deflate(text []byte) ([]byte, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the description has %d bytes of JSON, at most %d are allowed", len(text), maxText)
	}
	for _, level := range []int{zlib.BestCompression, zlib.NoCompression} {
		var b bytes.Buffer
		w, err := zlib.NewWriterLevel(&b, level)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(text); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		if len(text) <= inflatedLimit(b.Len()) {
			return b.Bytes(), nil
		}
	}
	return nil, errors.New("the description cannot be stored") // a stream of stored blocks is no shorter than its text
}

// inflate returns the text of a zlib stream and nothing behind it. It counts the text before it makes room for it.
func inflate(b []byte) (string, error) {
	in := bytes.NewReader(b)
	r, err := zlib.NewReader(in)
	if err != nil {
		return "", err
	}
	limit := int64(inflatedLimit(len(b)))
	n, err := io.Copy(io.Discard, io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return "", err
	case n > limit:
		return "", fmt.Errorf("%d bytes become more than %d", len(b), limit)
	case in.Len() > 0:
		return "", fmt.Errorf("%d bytes follow the zlib stream", in.Len())
	}
	if r, err = zlib.NewReader(bytes.NewReader(b)); err != nil {
		return "", err
	}
	var text strings.Builder
	text.Grow(int(n))
	if _, err := io.Copy(&text, r); err != nil {
		return "", err
	}
	return text.String(), nil
}
