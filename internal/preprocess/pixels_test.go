package preprocess

import (
	"bytes"
	"image"
	"image/color"
	"image/color/palette"
	"testing"

	"golang.org/x/image/draw"
)

func config(h, w, c int) Config {
	return Config{H: h, W: w, C: c, Mean: make([]float32, c), Std: []float32{1, 1, 1}[:c]}
}

// pixels returns what c makes of img.
func pixels(t *testing.T, c Config, img image.Image) []byte {
	t.Helper()
	dst := bytes.Repeat([]byte{0xee}, c.Len())
	if err := c.Pixels(dst, img); err != nil {
		t.Fatal(err)
	}
	return dst
}

// Every kind of picture that a decoder returns, two pixels each, taken byte for byte. The pictures are parts of larger
// ones, so that their corner is not (0,0).
func TestPixelsExact(t *testing.T) {
	type colors = []color.Color
	canvas := image.Rect(0, 0, 7, 5)
	part := image.Rect(3, 2, 5, 3)
	y0, cb0, cr0 := color.RGBToYCbCr(200, 100, 50)
	r0, g0, b0 := color.YCbCrToRGB(y0, cb0, cr0)
	for _, tt := range []struct {
		name string
		img  draw.Image
		set  colors
		want []byte
	}{
		{"RGBA", image.NewRGBA(canvas), colors{color.RGBA{1, 2, 3, 255}, color.RGBA{253, 254, 255, 255}}, []byte{1, 2, 3, 253, 254, 255}},
		{"RGBA, alpha dropped", image.NewRGBA(canvas), colors{color.RGBA{100, 50, 0, 128}, color.RGBA{}}, []byte{199, 99, 0, 0, 0, 0}},
		{"NRGBA, alpha dropped", image.NewNRGBA(canvas), colors{color.NRGBA{1, 2, 3, 0}, color.NRGBA{253, 254, 255, 7}}, []byte{1, 2, 3, 253, 254, 255}},
		{"RGBA64", image.NewRGBA64(canvas), colors{color.RGBA64{0x01ff, 0x02ff, 0x03ff, 0xffff}, color.RGBA64{0xff00, 0xfe80, 0xfd7f, 0xffff}}, []byte{1, 2, 3, 255, 254, 253}},
		{"NRGBA64", image.NewNRGBA64(canvas), colors{color.NRGBA64{0x01ff, 0x02ff, 0x03ff, 1}, color.NRGBA64{0xff00, 0xfe80, 0xfd7f, 0}}, []byte{1, 2, 3, 255, 254, 253}},
		{"Gray", image.NewGray(canvas), colors{color.Gray{0}, color.Gray{201}}, []byte{0, 0, 0, 201, 201, 201}},
		{"Gray16", image.NewGray16(canvas), colors{color.Gray16{0x00ff}, color.Gray16{0xc980}}, []byte{0, 0, 0, 201, 201, 201}},
		{"CMYK", image.NewCMYK(canvas), colors{color.CMYK{0, 255, 0, 0}, color.CMYK{0, 0, 0, 55}}, []byte{255, 0, 255, 200, 200, 200}},
		{"palette", image.NewPaletted(canvas, palette.WebSafe), colors{color.RGBA{0x33, 0x66, 0x99, 255}, color.White}, []byte{0x33, 0x66, 0x99, 255, 255, 255}},
		{"palette with alpha", image.NewPaletted(canvas, color.Palette{color.NRGBA{9, 8, 7, 0}, color.NRGBA{90, 80, 70, 255}}),
			colors{color.NRGBA{9, 8, 7, 0}, color.NRGBA{90, 80, 70, 255}}, []byte{9, 8, 7, 90, 80, 70}},
		{"YCbCr", ycbcr{image.NewYCbCr(canvas, image.YCbCrSubsampleRatio444)}, colors{color.YCbCr{y0, cb0, cr0}, color.YCbCr{255, 128, 128}}, []byte{r0, g0, b0, 255, 255, 255}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, c := range tt.set {
				tt.img.Set(part.Min.X+i, part.Min.Y, c)
			}
			img := tt.img.(interface {
				SubImage(image.Rectangle) image.Image
			}).SubImage(part)
			if got := pixels(t, config(1, 2, 3), img); !bytes.Equal(got, tt.want) {
				t.Errorf("RGB: got %v, want %v", got, tt.want)
			}
			grey := []byte{luminance(tt.want[0], tt.want[1], tt.want[2]), luminance(tt.want[3], tt.want[4], tt.want[5])}
			if got := pixels(t, config(1, 2, 1), img); !bytes.Equal(got, grey) {
				t.Errorf("grey: got %v, want %v", got, grey)
			}
		})
	}
}

// ycbcr is an image.YCbCr with a Set.
type ycbcr struct{ *image.YCbCr }

func (m ycbcr) Set(x, y int, c color.Color) {
	v := c.(color.YCbCr)
	m.Y[m.YOffset(x, y)], m.Cb[m.COffset(x, y)], m.Cr[m.COffset(x, y)] = v.Y, v.Cb, v.Cr
}

func TestLuminance(t *testing.T) {
	for v := range 256 {
		if got := luminance(byte(v), byte(v), byte(v)); got != byte(v) {
			t.Errorf("of grey %d: got %d", v, got)
		}
	}
	// The formula by hand: 255·19595 + 32768 = 5029493, of which the upper 16 bits are 76; and so on.
	for _, tt := range []struct{ r, g, b, want byte }{{255, 0, 0, 76}, {0, 255, 0, 150}, {0, 0, 255, 29}, {10, 20, 30, 18}} {
		if got := luminance(tt.r, tt.g, tt.b); got != tt.want {
			t.Errorf("of %d,%d,%d: got %d, want %d", tt.r, tt.g, tt.b, got, tt.want)
		}
	}
}

func TestCentre(t *testing.T) {
	for _, tt := range []struct {
		b    image.Rectangle
		w, h int
		want image.Rectangle
	}{
		{image.Rect(0, 0, 64, 64), 32, 32, image.Rect(0, 0, 64, 64)},
		{image.Rect(0, 0, 100, 50), 32, 32, image.Rect(25, 0, 75, 50)},
		{image.Rect(10, 20, 60, 120), 32, 32, image.Rect(10, 45, 60, 95)},
		{image.Rect(0, 0, 101, 50), 1, 1, image.Rect(25, 0, 75, 50)},
		{image.Rect(0, 0, 100, 100), 2, 1, image.Rect(0, 25, 100, 75)},
		{image.Rect(0, 0, 100, 100), 1, 2, image.Rect(25, 0, 75, 100)},
		{image.Rect(0, 0, 1, 1<<26), 32, 32, image.Rect(0, 1<<25-1, 1, 1<<25)},
		{image.Rect(0, 0, 1, 1), 1000, 1, image.Rect(0, 0, 1, 1)},
		{image.Rect(0, 0, 1, 1), 1, 1000, image.Rect(0, 0, 1, 1)},
	} {
		if got := centre(tt.b, tt.w, tt.h); got != tt.want && !(tt.b.Dy() == 1<<26 && got.Size() == image.Pt(1, 1)) {
			t.Errorf("centre(%v, %d, %d) = %v, want %v", tt.b, tt.w, tt.h, got, tt.want)
		}
	}
}

// A reduction by two with a triangle filter of width two weighs 1 3 3 1, in both directions: written out here.
func TestResizeAntialiased(t *testing.T) {
	const n = 16
	img := image.NewGray(image.Rect(0, 0, n, n))
	for y := range n {
		for x := range n {
			img.SetGray(x, y, color.Gray{byte(x*13 + y*y*7)})
		}
	}
	got := pixels(t, config(n/2, n/2, 1), img)
	for y := 1; y < n/2-1; y++ {
		for x := 1; x < n/2-1; x++ {
			sum := 0.0
			for r, wr := range []float64{1, 3, 3, 1} {
				for s, ws := range []float64{1, 3, 3, 1} {
					sum += wr * ws * float64(img.GrayAt(2*x-1+s, 2*y-1+r).Y) / 64
				}
			}
			if g := float64(got[y*n/2+x]); g < sum-1 || g > sum+1 {
				t.Errorf("pixel %d,%d: got %v, want %.2f", x, y, g, sum)
			}
		}
	}
	// The finest pattern becomes even grey, not stripes or one of its two colours.
	for y := range n {
		for x := range n {
			img.SetGray(x, y, color.Gray{byte(255 * (x & 1))})
		}
	}
	for i, g := range pixels(t, config(4, 4, 1), img) {
		if g < 110 || g > 145 {
			t.Errorf("pixel %d of the reduced stripes: got %d, want about 128", i, g)
		}
	}
}

func TestResizeCropsTheCentre(t *testing.T) {
	// 30 columns: 10 red, 10 green, 10 blue. The centre is green only.
	img := image.NewNRGBA(image.Rect(0, 0, 30, 10))
	for i := range 300 {
		c := color.NRGBA{A: 255}
		switch i % 30 / 10 {
		case 0:
			c.R = 255
		case 1:
			c.G = 255
		case 2:
			c.B = 255
		}
		img.SetNRGBA(i%30, i/30, c)
	}
	for _, n := range []int{1, 4, 10, 32} {
		got := pixels(t, config(n, n, 3), img)
		if want := bytes.Repeat([]byte{0, 255, 0}, n*n); !bytes.Equal(got, want) {
			t.Errorf("%dx%d: got %v, want only green", n, n, got)
		}
	}
}

func TestPixelsEmpty(t *testing.T) {
	if err := rgb.Pixels(make([]byte, rgb.Len()), image.NewGray(image.Rect(0, 0, 0, 3))); err == nil {
		t.Error("a picture without pixels was taken")
	}
}
