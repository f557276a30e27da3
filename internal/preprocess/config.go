// Package preprocess is how a picture becomes a network's input, written once for training, evaluation and the device.
package preprocess

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
