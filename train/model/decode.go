package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Decode reads a network from JSON, as json.Marshal writes it. The text must be one JSON value without unknown
// fields, and describe a classifier: a network whose last layer is flat. The error says what is wrong and where; the work and
// memory are bounded by the length of data.
func Decode(data []byte) (*Net, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	n := &Net{}
	if err := d.Decode(n); err != nil {
		return nil, fmt.Errorf("model: network description, byte %d: %w", d.InputOffset(), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("model: network description, byte %d: more text behind the network", d.InputOffset())
	}
	for i := range n.Layers {
		if len(n.Layers[i].Inputs) == 0 {
			n.Layers[i].Inputs = nil
		}
	}
	if _, err := n.Classes(); err != nil {
		return nil, err
	}
	return n, nil
}
