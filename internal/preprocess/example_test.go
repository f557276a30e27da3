package preprocess_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"github.com/bnntool/bnntool/internal/preprocess"
)

// A photograph on its way into a network: decoded, cut and resized to 2x2, and normalised.
func Example() {
	photo := image.NewNRGBA(image.Rect(0, 0, 300, 200))
	for i := range 300 * 200 {
		photo.SetNRGBA(i%300, i/300, color.NRGBA{R: 255, G: 51, A: 255})
	}
	var file bytes.Buffer
	if err := png.Encode(&file, photo); err != nil {
		panic(err)
	}

	c := preprocess.Config{H: 2, W: 2, C: 3, Mean: []float32{0.5, 0.5, 0.5}, Std: []float32{0.25, 0.25, 0.25}}
	img, err := preprocess.Decode(&file)
	if err != nil {
		panic(err)
	}
	pixels := make([]byte, c.Len())
	if err := c.Pixels(pixels, img); err != nil {
		panic(err)
	}
	input := make([]float32, c.Len())
	c.Normalize(input, pixels)
	fmt.Println(pixels[:3], input[:3])
	// Output: [255 51 0] [2 -1.2 -2]
}
