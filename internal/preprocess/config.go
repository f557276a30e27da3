// Package preprocess is how a picture becomes a network's input, written once for training, evaluation and the device.
//
// A [Config] travels in every checkpoint and artifact. [Decode] reads a PNG or JPEG file, [Config.Pixels] makes it
// bytes of the network's extent, [Config.Normalize] makes those numbers:
//
//	file → image.Image → [H,W,C] bytes, 0..255 → [H,W,C] float32, (p/255-mean)/std
//
// Caveats: alpha is dropped, not blended, as Pillow's convert("RGB") drops it. Of 16-bit samples the upper 8 bits
// are taken. Orientation marks (Exif) are not obeyed, nor are colour profiles. A resized picture can differ by one
// grey level between processor architectures, since the resampling is floating point; a picture that already has the
// network's extent is the same everywhere.
package preprocess

import (
	"fmt"
	"math"
)

// MaxPixels bounds the pixels of a picture that is decoded, and of a network's input.
const MaxPixels = 1 << 26

// Config says what a network's input is: its extent and the normalisation of its pixels. It is part of every
// checkpoint and artifact, as JSON.
type Config struct {
	H int `json:"h"` // rows
	W int `json:"w"` // columns
	C int `json:"c"` // channels: 1 (grey) or 3 (RGB)
	// Mean and Std have one entry for each channel and act on pixels scaled to 0..1: (p/255-mean)/std.
	Mean []float32 `json:"mean"`
	Std  []float32 `json:"std"`
}

// Len returns the number of bytes, and of float32, of one input: H·W·C.
func (c Config) Len() int { return c.H * c.W * c.C }

// Validate returns an error that names the first field that cannot be used, nil if there is none. The other methods
// may be called only on a Config for which it returns nil.
func (c Config) Validate() error {
	if c.H < 1 || c.W < 1 || c.H > MaxPixels/c.W {
		return fmt.Errorf("preprocess: h %d, w %d: want a picture of 1 to %d pixels", c.H, c.W, MaxPixels)
	}
	if c.C != 1 && c.C != 3 {
		return fmt.Errorf("preprocess: c is %d, want 1 (grey) or 3 (RGB)", c.C)
	}
	if len(c.Mean) != c.C || len(c.Std) != c.C {
		return fmt.Errorf("preprocess: mean has %d entries and std %d, want one for each of %d channels", len(c.Mean), len(c.Std), c.C)
	}
	for i := range c.C {
		if m := float64(c.Mean[i]); math.IsNaN(m) || math.IsInf(m, 0) {
			return fmt.Errorf("preprocess: mean of channel %d is %v, want a finite number", i, c.Mean[i])
		}
		if s := float64(c.Std[i]); !(s > 0) || math.IsInf(s, 0) {
			return fmt.Errorf("preprocess: std of channel %d is %v, want a finite number above 0", i, c.Std[i])
		}
		// The extremes of the channel: a tiny std or a huge mean must not make an infinite input.
		for _, p := range []byte{0, 255} {
			if x := float64(normal(p, c.Mean[i], c.Std[i])); math.IsInf(x, 0) {
				return fmt.Errorf("preprocess: channel %d: mean %v and std %v make %v of the pixel %d, want a finite number",
					i, c.Mean[i], c.Std[i], x, p)
			}
		}
	}
	return nil
}

// Normalize makes numbers of bytes: for each pixel p of channel i it is
//
//	v := float32(p) / 255
//	dst = (v - Mean[i]) / Std[i]
//
// in float32. pixels and dst are [H,W,C], channels innermost. It panics if a length is not H·W·C.
func (c Config) Normalize(dst []float32, pixels []byte) {
	if len(dst) != c.Len() || len(pixels) != c.Len() {
		panic(fmt.Sprintf("preprocess: Normalize: %d numbers of %d pixels, want both %d", len(dst), len(pixels), c.Len()))
	}
	for i := 0; i < len(pixels); i += c.C {
		for ch := range c.C {
			dst[i+ch] = normal(pixels[i+ch], c.Mean[ch], c.Std[ch])
		}
	}
}

// Table returns what Normalize makes of each byte in each channel, [C][256]: a picture is normalised faster by
// looking up than by dividing, and with the same numbers.
func (c Config) Table() [][256]float32 {
	t := make([][256]float32, c.C)
	for ch := range t {
		for p := range t[ch] {
			t[ch][p] = normal(byte(p), c.Mean[ch], c.Std[ch])
		}
	}
	return t
}

// normal is the one place where a pixel becomes a number.
func normal(p byte, mean, std float32) float32 {
	v := float32(p) / 255
	return (v - mean) / std
}
