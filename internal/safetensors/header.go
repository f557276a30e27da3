package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Info describes one tensor of a file.
type Info struct {
	Name   string
	DType  string // "F32", "I32", "U8", "BF16", …
	Shape  []int  // row-major; empty for a scalar
	Offset int64  // of the first byte in the data section
	Size   int64  // in bytes
}

// metadataName is the one name in a header that is not a tensor's.
const metadataName = "__metadata__"

// header is what the JSON of a file says.
type header struct {
	metadata map[string]string
	infos    []Info
	// sumAt is where in the JSON the digits of the header's checksum start, or -1.
	sumAt int
}

// parseHeader decodes the JSON of a header and checks each tensor by itself.
func parseHeader(raw []byte) (*header, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("the header is not UTF-8")
	}
	p := parser{raw: raw, dec: json.NewDecoder(bytes.NewReader(raw))}
	p.dec.UseNumber()
	h := &header{sumAt: -1}
	err := p.object(func(key string) (err error) {
		if key == metadataName {
			h.metadata, err = p.metadata(h)
			return err
		}
		info, err := p.info(key)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", key, err)
		}
		h.infos = append(h.infos, info)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if rest := bytes.Trim(raw[p.dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes follow the JSON of the header", len(rest))
	}
	return h, nil
}

// parser walks JSON token by token, so that what other readers might read in two ways (a key used twice,
// a number with a fraction) is refused.
type parser struct {
	raw []byte
	dec *json.Decoder
}

func (p *parser) token() (json.Token, error) {
	t, err := p.dec.Token()
	if err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = errors.New("unexpected end")
		}
		return nil, fmt.Errorf("header JSON at byte %d: %w", p.dec.InputOffset(), err)
	}
	return t, nil
}

func (p *parser) delim(want json.Delim) error {
	t, err := p.token()
	if err == nil && t != want {
		err = fmt.Errorf("header JSON at byte %d: found %v, want %v", p.dec.InputOffset(), t, want)
	}
	return err
}

// object calls field for each key of an object; field reads the value.
func (p *parser) object(field func(key string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for p.dec.More() {
		t, err := p.token()
		if err != nil {
			return err
		}
		key := t.(string) // the decoder yields nothing else in this place
		if seen[key] {
			return fmt.Errorf("the header has %q twice", key)
		}
		seen[key] = true
		if err := field(key); err != nil {
			return err
		}
	}
	return p.delim('}')
}

func (p *parser) string() (string, error) {
	t, err := p.token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("header JSON at byte %d: found %v, want a string", p.dec.InputOffset(), t)
	}
	return s, nil
}

// integers reads an array of integers, none negative.
func (p *parser) integers() ([]int64, error) {
	if err := p.delim('['); err != nil {
		return nil, err
	}
	list := []int64{}
	for p.dec.More() {
		t, err := p.token()
		if err != nil {
			return nil, err
		}
		n, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("header JSON at byte %d: found %v, want a number", p.dec.InputOffset(), t)
		}
		v, err := strconv.ParseInt(n.String(), 10, 64)
		if err != nil || v < 0 {
			return nil, fmt.Errorf("header JSON at byte %d: %s is not an integer in 0..2^63-1", p.dec.InputOffset(), n)
		}
		list = append(list, v)
	}
	return list, p.delim(']')
}

func (p *parser) metadata(h *header) (map[string]string, error) {
	m := make(map[string]string)
	err := p.object(func(key string) error {
		value, err := p.string()
		if err != nil {
			return fmt.Errorf("metadata %q: %w", key, err)
		}
		if key == headerKey {
			h.sumAt = int(p.dec.InputOffset()) - 1 - len(zeroDigits)
			if h.sumAt < 0 || !isHexDigits(value) || string(p.raw[h.sumAt:h.sumAt+len(value)]) != value {
				return fmt.Errorf("metadata %q is %q, want 8 hex digits", key, value)
			}
		}
		m[key] = value
		return nil
	})
	return m, err
}

func (p *parser) info(name string) (Info, error) {
	info := Info{Name: name}
	var shape, offsets []int64
	err := p.object(func(key string) (err error) {
		switch key {
		case "dtype":
			info.DType, err = p.string()
		case "shape":
			shape, err = p.integers()
		case "data_offsets":
			offsets, err = p.integers()
		default:
			return fmt.Errorf("unknown key %q", key)
		}
		return err
	})
	switch {
	case err != nil:
		return info, err
	case info.DType == "" || shape == nil || offsets == nil:
		return info, errors.New("dtype, shape or data_offsets is missing")
	case len(offsets) != 2 || offsets[0] > offsets[1]:
		return info, fmt.Errorf("data_offsets are %v, want a begin and an end not before it", offsets)
	}
	for _, d := range shape {
		if int64(int(d)) != d {
			return info, fmt.Errorf("shape %v does not fit into this machine's int", shape)
		}
		info.Shape = append(info.Shape, int(d))
	}
	want, err := byteSize(info.DType, info.Shape)
	if err != nil {
		return info, err
	}
	info.Offset, info.Size = offsets[0], offsets[1]-offsets[0]
	if info.Size != want {
		return info, fmt.Errorf("%s %v needs %d bytes, data_offsets %v are %d", info.DType, shape, want, offsets, info.Size)
	}
	return info, nil
}

// checkLayout sorts the tensors by offset and checks that they fill a data section of size bytes.
func (h *header) checkLayout(size int64) error {
	slices.SortStableFunc(h.infos, func(a, b Info) int {
		if a.Offset != b.Offset {
			return int(min(max(a.Offset-b.Offset, -1), 1))
		}
		return int(min(max(a.Size-b.Size, -1), 1))
	})
	end := int64(0)
	for _, info := range h.infos {
		switch {
		case info.Offset > end:
			return fmt.Errorf("tensor %q starts at byte %d of the data, leaving a hole from %d", info.Name, info.Offset, end)
		case info.Offset < end:
			return fmt.Errorf("tensor %q starts at byte %d of the data, inside the one before it, which ends at %d", info.Name, info.Offset, end)
		case info.Size > size-end:
			return fmt.Errorf("tensor %q ends at byte %d of the data, the file has %d: it is truncated", info.Name, end+info.Size, size)
		}
		end += info.Size
	}
	if end != size {
		return fmt.Errorf("the data has %d bytes, the tensors %d", size, end)
	}
	return nil
}

// checkSums verifies the header's own checksum and returns the tensors' by name, or nil if the file
// has none.
func (h *header) checkSums(length, raw []byte) (map[string]string, error) {
	expected, ok := h.metadata[headerKey]
	list, listed := h.metadata[tensorsKey]
	if ok != listed {
		return nil, fmt.Errorf("metadata has only one of %q and %q: the file is damaged", tensorsKey, headerKey)
	}
	if !ok {
		return nil, nil
	}
	sum := crc32.Update(0, castagnoli, length)
	sum = crc32.Update(sum, castagnoli, raw[:h.sumAt])
	sum = crc32.Update(sum, castagnoli, []byte(zeroDigits))
	sum = crc32.Update(sum, castagnoli, raw[h.sumAt+len(zeroDigits):])
	if found := hexDigits(sum); found != expected {
		return nil, fmt.Errorf("header: %w", mismatch(expected, found))
	}
	var sums map[string]string
	if err := json.Unmarshal([]byte(list), &sums); err != nil {
		return nil, fmt.Errorf("metadata %q: %w", tensorsKey, err)
	}
	for _, info := range h.infos {
		if !isHexDigits(sums[info.Name]) {
			return nil, fmt.Errorf("metadata %q has %q for tensor %q, want 8 hex digits", tensorsKey, sums[info.Name], info.Name)
		}
	}
	if len(sums) != len(h.infos) {
		return nil, fmt.Errorf("metadata %q has %d entries for %d tensors", tensorsKey, len(sums), len(h.infos))
	}
	return sums, nil
}
