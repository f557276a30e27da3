package preprocess

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
)

// maxFile bounds the bytes of a picture file: MaxPixels of four 16-bit samples, stored without compression, and some.
const maxFile = MaxPixels*8 + 1<<20

// Densest known compression: deflate emits at most 1032 bytes for each byte it reads, and a JPEG spends at least one
// bit on the DC coefficient of each 8x8 block. A file that promises more pixels than that cannot keep the promise,
// and is refused before the pixels are allocated.
const (
	pngBytesPerByte   = 1032
	jpegPixelsPerByte = 8 * 64
)

const (
	pngMagic  = "\x89PNG\r\n\x1a\n"
	jpegMagic = "\xff\xd8\xff"
)

// Decode reads a PNG or JPEG file from r, to its end. What it is, is found by its first bytes, not by its name. It
// returns an error if the file is neither, is damaged or cut short, or has more than [MaxPixels] pixels; nothing
// of the picture's size is allocated before the header has been found plausible for the length of the file.
func Decode(r io.Reader) (image.Image, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("preprocess: reading a picture: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("preprocess: the picture file has more than %d bytes", maxFile)
	}
	var kind string
	var config func(io.Reader) (image.Config, error)
	var decode func(io.Reader) (image.Image, error)
	switch {
	case bytes.HasPrefix(data, []byte(pngMagic)):
		kind, config, decode = "PNG", png.DecodeConfig, png.Decode
	case bytes.HasPrefix(data, []byte(jpegMagic)):
		kind, config, decode = "JPEG", jpeg.DecodeConfig, jpeg.Decode
	case len(data) == 0:
		return nil, fmt.Errorf("preprocess: the picture file is empty, want a PNG or JPEG")
	default:
		return nil, fmt.Errorf("preprocess: neither a PNG nor a JPEG: the file starts with % x", data[:min(8, len(data))])
	}
	fail := func(err error) error {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return fmt.Errorf("preprocess: %s cut short after %d bytes", kind, len(data))
		}
		return fmt.Errorf("preprocess: damaged %s: %w", kind, err)
	}
	c, err := config(bytes.NewReader(data))
	if err != nil {
		return nil, fail(err)
	}
	if c.Width < 1 || c.Height < 1 || c.Height > MaxPixels/c.Width {
		return nil, fmt.Errorf("preprocess: %s of %dx%d pixels, want 1 to %d pixels", kind, c.Width, c.Height, MaxPixels)
	}
	if most := mostPixels(kind, data); int64(c.Width)*int64(c.Height) > most {
		return nil, fmt.Errorf("preprocess: damaged %s: %dx%d pixels in %d bytes, of which %d pixels at most can come",
			kind, c.Width, c.Height, len(data), most)
	}
	img, err := decode(bytes.NewReader(data))
	if err != nil {
		return nil, fail(err)
	}
	return img, nil
}

// mostPixels returns how many pixels a file of the kind, with a valid header, can hold.
func mostPixels(kind string, data []byte) int64 {
	if kind == "JPEG" {
		return int64(len(data)) * jpegPixelsPerByte
	}
	// The header follows the magic: length, "IHDR", width, height, then bits of a sample and the kind of colour.
	bits := int64(data[24])
	switch data[25] {
	case 2: // RGB
		bits *= 3
	case 4: // grey and alpha
		bits *= 2
	case 6: // RGB and alpha
		bits *= 4
	}
	return int64(len(data)) * pngBytesPerByte * 8 / bits
}
