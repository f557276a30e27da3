package preprocess

import (
	"fmt"
	"image"
	"image/color"

	"golang.org/x/image/draw"
)

// Pixels makes img the picture that the network sees: dst is [H,W,C] bytes 0..255, channels innermost. An img of
// H×W pixels is taken byte for byte. Any other is cut to the largest centred part with the aspect of W:H, which is resized to
// H×W; that is to resize the shorter side to fit and cut the rest off, without ever computing the rest.
//
// The resampling is x/image/draw's BiLinear: a triangle filter as wide as the reduction (so it is antialiased), which
// is what torchvision's Resize does by default. CatmullRom is sharper, but overshoots at edges and is not what published
// networks were trained with.
//
// Three channels are RGB. One channel is the luminance of RGB, (19595·R + 38470·G + 7471·B + 32768) >> 16, as Pillow's
// convert("L") computes it; grey stays itself. It returns an error if img has no pixels and panics if len(dst) is not H·W·C.
func (c Config) Pixels(dst []byte, img image.Image) error {
	if len(dst) != c.Len() {
		panic(fmt.Sprintf("preprocess: Pixels: %d bytes, want %d", len(dst), c.Len()))
	}
	b := img.Bounds()
	if b.Empty() {
		return fmt.Errorf("preprocess: a picture of %dx%d pixels, want at least one", b.Dx(), b.Dy())
	}
	if b.Dx() == c.W && b.Dy() == c.H {
		c.write(dst, opaque(img, b))
		return nil
	}
	part := opaque(img, centre(b, c.W, c.H))
	fit := image.NewRGBA(image.Rect(0, 0, c.W, c.H))
	draw.BiLinear.Scale(fit, fit.Rect, part, part.Rect, draw.Src, nil)
	c.write(dst, fit)
	return nil
}

// write copies img, opaque and H×W, to dst.
func (c Config) write(dst []byte, img *image.RGBA) {
	for y := range c.H {
		row := img.Pix[y*img.Stride:][:4*c.W]
		for x := range c.W {
			r, g, b := row[4*x], row[4*x+1], row[4*x+2]
			if c.C == 1 {
				dst[y*c.W+x] = luminance(r, g, b)
				continue
			}
			o := 3 * (y*c.W + x)
			dst[o], dst[o+1], dst[o+2] = r, g, b
		}
	}
}

func luminance(r, g, b byte) byte {
	return byte((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(b) + 1<<15) >> 16)
}

// centre returns the largest centred part of b with the aspect of w:h, to the nearest pixel and at least one.
func centre(b image.Rectangle, w, h int) image.Rectangle {
	bw, bh := int64(b.Dx()), int64(b.Dy())
	cw, ch := bw, bh
	if bw*int64(h) > bh*int64(w) { // too wide
		cw = max(1, (2*bh*int64(w)+int64(h))/(2*int64(h)))
	} else {
		ch = max(1, (2*bw*int64(h)+int64(w))/(2*int64(w)))
	}
	cw, ch = min(cw, bw), min(ch, bh)
	min := b.Min.Add(image.Pt(int((bw-cw)/2), int((bh-ch)/2)))
	return image.Rectangle{Min: min, Max: min.Add(image.Pt(int(cw), int(ch)))}
}

// opaque returns the part of img as 8-bit RGB with its alpha dropped (set to 255), its corner at (0,0).
func opaque(img image.Image, part image.Rectangle) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, part.Dx(), part.Dy()))
	rgb := reader(img)
	for y := range part.Dy() {
		row := out.Pix[y*out.Stride:][:4*part.Dx()]
		for x := range part.Dx() {
			row[4*x], row[4*x+1], row[4*x+2] = rgb(part.Min.X+x, part.Min.Y+y)
			row[4*x+3] = 255
		}
	}
	return out
}

// reader returns a function that reads one pixel of img. The types that the PNG and JPEG decoders return most are
// read without a color.Color for each pixel.
func reader(img image.Image) func(x, y int) (r, g, b byte) {
	switch m := img.(type) {
	case *image.NRGBA:
		return func(x, y int) (r, g, b byte) {
			p := m.Pix[m.PixOffset(x, y):]
			return p[0], p[1], p[2]
		}
	case *image.Gray:
		return func(x, y int) (r, g, b byte) {
			v := m.Pix[m.PixOffset(x, y)]
			return v, v, v
		}
	case *image.YCbCr:
		return func(x, y int) (r, g, b byte) {
			o := m.COffset(x, y)
			return color.YCbCrToRGB(m.Y[m.YOffset(x, y)], m.Cb[o], m.Cr[o])
		}
	case *image.CMYK:
		return func(x, y int) (r, g, b byte) {
			p := m.Pix[m.PixOffset(x, y):]
			return color.CMYKToRGB(p[0], p[1], p[2], p[3])
		}
	case *image.RGBA:
		return func(x, y int) (r, g, b byte) {
			p := m.Pix[m.PixOffset(x, y):]
			if p[3] == 255 {
				return p[0], p[1], p[2]
			}
			return straight(m.RGBAAt(x, y))
		}
	case *image.NRGBA64:
		return func(x, y int) (r, g, b byte) {
			p := m.Pix[m.PixOffset(x, y):]
			return p[0], p[2], p[4]
		}
	}
	return func(x, y int) (r, g, b byte) { return straight(img.At(x, y)) }
}

// straight returns the colour of c as it was before it was multiplied by its alpha.
func straight(c color.Color) (r, g, b byte) {
	switch c := c.(type) {
	case color.NRGBA:
		return c.R, c.G, c.B
	case color.NRGBA64:
		return byte(c.R >> 8), byte(c.G >> 8), byte(c.B >> 8)
	}
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	return n.R, n.G, n.B
}
