package preprocess

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"math/bits"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

func testPicture() *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, 20, 12))
	for i := range 240 {
		img.SetNRGBA(i%20, i/20, color.NRGBA{byte(i), byte(3 * i), byte(7 * i), 255})
	}
	return img
}

func pngFile(t testing.TB, img image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegFile(t testing.TB, img image.Image) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecode(t *testing.T) {
	want := pixels(t, config(12, 20, 3), testPicture())
	img, err := Decode(bytes.NewReader(pngFile(t, testPicture())))
	if err != nil {
		t.Fatal(err)
	}
	if got := pixels(t, config(12, 20, 3), img); !bytes.Equal(got, want) {
		t.Error("a PNG did not come back byte for byte")
	}
	img, err = Decode(bytes.NewReader(jpegFile(t, testPicture())))
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Bounds().Size(); got != image.Pt(20, 12) {
		t.Errorf("the JPEG has %v pixels, want (20,12)", got)
	}
}

// cmykJPEG returns a JPEG of 8x8 equal pixels as Adobe's programs write them: four components, stored inverted. Each
// is one block of a DC coefficient only, whose quantiser of 8 makes it the component less 128.
func cmykJPEG(c, m, y, k byte) []byte {
	b := []byte("\xff\xd8\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00")
	b = append(b, "\xff\xdb\x00\x43\x00"...) // one table of 64 quantisers
	b = append(b, bytes.Repeat([]byte{8}, 64)...)
	b = append(b, "\xff\xc0\x00\x14\x08\x00\x08\x00\x08\x04\x01\x11\x00\x02\x11\x00\x03\x11\x00\x04\x11\x00"...)
	// DC: the sizes 0..8 have the codes 0000..1000. AC: end of block has the code 0.
	b = append(b, "\xff\xc4\x00\x1c\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08"...)
	b = append(b, "\xff\xc4\x00\x14\x10\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	b = append(b, "\xff\xda\x00\x0e\x04\x01\x00\x02\x00\x03\x00\x04\x00\x00\x3f\x00"...)
	code := ""
	for _, v := range []byte{c, m, y, k} {
		diff := 255 - int(v) - 128 // to the block before of the same component, of which there is none
		size := bits.Len(uint(max(diff, -diff)))
		if diff < 0 {
			diff += 1<<size - 1
		}
		code += fmt.Sprintf("%04b", size)
		if size > 0 {
			code += fmt.Sprintf("%0*b", size, diff)
		}
		code += "0"
	}
	for code += "1111111"; len(code) >= 8; code = code[8:] {
		v, _ := strconv.ParseUint(code[:8], 2, 8)
		if b = append(b, byte(v)); v == 0xff {
			b = append(b, 0)
		}
	}
	return append(b, "\xff\xd9"...)
}

func TestDecodeCMYK(t *testing.T) {
	for _, tt := range []struct{ c, m, y, k byte }{{0, 0, 0, 0}, {0, 0, 0, 255}, {255, 0, 0, 0}, {10, 100, 200, 50}, {3, 2, 1, 77}} {
		img, err := Decode(bytes.NewReader(cmykJPEG(tt.c, tt.m, tt.y, tt.k)))
		if err != nil {
			t.Fatalf("%+v: %v", tt, err)
		}
		got := pixels(t, config(8, 8, 3), img)[:3]
		for i, ink := range []byte{tt.c, tt.m, tt.y} {
			if want := (255 - int(ink)) * (255 - int(tt.k)) / 255; int(got[i]) < want-1 || int(got[i]) > want+1 {
				t.Errorf("%+v: channel %d is %d, want %d", tt, i, got[i], want)
			}
		}
	}
}

// header returns a PNG that is nothing but a header for w×h pixels of 8-bit RGB.
func header(w, h uint32) []byte {
	b := []byte(pngMagic + "\x00\x00\x00\x0dIHDR")
	b = binary.BigEndian.AppendUint32(b, w)
	b = binary.BigEndian.AppendUint32(b, h)
	b = append(b, 8, 2, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

func TestDecodeErrors(t *testing.T) {
	p, j := pngFile(t, testPicture()), jpegFile(t, testPicture())
	flipped := bytes.Clone(p)
	flipped[len(p)/2] ^= 1
	for _, tt := range []struct {
		name, want string
		r          io.Reader
	}{
		{"empty", "is empty", strings.NewReader("")},
		{"text", "neither a PNG nor a JPEG: the file starts with 68 65", strings.NewReader("hello, world")},
		{"half a PNG", "damaged PNG: png: invalid format: not enough pixel data", bytes.NewReader(p[:len(p)/2])},
		{"half a JPEG", "JPEG cut short after", bytes.NewReader(j[:len(j)/2])},
		{"only a PNG's magic", "PNG cut short", strings.NewReader(pngMagic)},
		{"flipped bit", "damaged PNG", bytes.NewReader(flipped)},
		{"huge PNG", "PNG of 65536x65536 pixels", bytes.NewReader(header(1<<16, 1<<16))},
		{"PNG without data", "4096x4096 pixels in 33 bytes", bytes.NewReader(header(1<<12, 1<<12))},
		{"failing reader", "bad disk", iotest.ErrReader(errors.New("bad disk"))},
	} {
		if _, err := Decode(tt.r); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

// The densest files that the encoders make are still within what a file of their length is believed to hold.
func TestDecodeDense(t *testing.T) {
	img := image.NewPaletted(image.Rect(0, 0, 4096, 4096), color.Palette{color.Black, color.White})
	for name, file := range map[string][]byte{"PNG": pngFile(t, img), "JPEG": jpegFile(t, image.NewGray(image.Rect(0, 0, 2048, 2048)))} {
		if _, err := Decode(bytes.NewReader(file)); err != nil {
			t.Errorf("%s of one colour in %d bytes: %v", name, len(file), err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(pngFile(f, testPicture()))
	f.Add(jpegFile(f, testPicture()))
	f.Add(header(3, 3))
	c := config(4, 4, 3)
	f.Fuzz(func(t *testing.T, data []byte) {
		img, err := Decode(bytes.NewReader(data))
		if err != nil {
			return
		}
		if err := c.Pixels(make([]byte, c.Len()), img); err != nil {
			t.Errorf("a decoded picture was refused: %v", err)
		}
	})
}
