package convert

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
)

// Options says how a conversion is verified. The zero value is the default.
type Options struct {
	// Images are normalised images, each [H,W,C] float32, that are compared in addition to the random ones.
	Images [][]float32
	// RandomImages is the number of images of standard normal values that are compared. 0 means 4, negative none.
	RandomImages int
	// Tolerance is the largest difference of a logit that is accepted. 0, the default, asks for equality, which is
	// what the passes promise.
	Tolerance float64
}

func (o *Options) validate(n *model.Net) error {
	if !(o.Tolerance >= 0) {
		return fmt.Errorf("convert: Tolerance is %v, want 0 or more", o.Tolerance)
	}
	if o.RandomImages == 0 {
		o.RandomImages = 4
	}
	for i, image := range o.Images {
		if len(image) != n.Input.Len() {
			return fmt.Errorf("convert: image %d has %d elements, network %q takes %v (%d)", i, len(image), n.Name, n.Input, n.Input.Len())
		}
	}
	return nil
}

// Convert writes the artifact of a checkpoint to path, verifies it, and reports. The file appears complete and
// verified or not at all: it is written beside path under a temporary name, opened again through package runtime and
// compared with the oracle, and only then renamed. Whatever was at path before stays if anything fails.
func Convert(ctx context.Context, ck *checkpoint.Checkpoint, path string, o Options) (*Report, error) {
	if err := o.validate(ck.Net); err != nil {
		return nil, err
	}
	f, g, m, err := build(ck)
	if err != nil {
		return nil, err
	}
	tensors, err := ck.Net.Tensors()
	if err != nil {
		return nil, err
	}
	r := newReport(f, tensors, g, m)

	temporary, err := writeBeside(path, m)
	if err != nil {
		return nil, err
	}
	defer os.Remove(temporary) // fails after the rename, as it should
	e, err := runtime.Open(temporary, runtime.Options{Threads: 1})
	if err != nil {
		return nil, fmt.Errorf("convert: the artifact just written: %w", err)
	}
	r.ArtifactBytes = e.Info().FileBytes
	images := append(randomImages(max(o.RandomImages, 0), ck.Net.Input.Len()), o.Images...)
	r.Images = len(images)
	if r.MaxDiff, err = verify(ctx, e, f, g, images, o.Tolerance); err != nil {
		return nil, err
	}
	if err := os.Rename(temporary, path); err != nil {
		return nil, fmt.Errorf("convert: %w", err)
	}
	return r, nil
}

// Lower returns the checkpoint's network as the device runs it, without verifying it. The error names the layer or
// tensor that has no form on the device.
func Lower(ck *checkpoint.Checkpoint) (*artifact.Model, error) {
	_, _, m, err := build(ck)
	return m, err
}

// build runs all passes.
func build(ck *checkpoint.Checkpoint) (*model.Frozen, *graph, *artifact.Model, error) {
	f, err := model.Freeze(ck.Net, ck.Weights)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("convert: %w", err)
	}
	g, err := passes(f)
	if err != nil {
		return nil, nil, nil, err
	}
	m := emit(g, ck)
	if classes := f.Nodes[len(f.Nodes)-1].Shape.C; len(m.Classes) != classes {
		return nil, nil, nil, fmt.Errorf("convert: the checkpoint names %d classes, network %q has %d logits", len(m.Classes), ck.Net.Name, classes)
	}
	return f, g, m, nil
}

// writeBeside writes m to a new file in the folder of path and returns the file's name.
func writeBeside(path string, m *artifact.Model) (string, error) {
	t, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", fmt.Errorf("convert: %w", err)
	}
	name := t.Name()
	t.Close()
	os.Remove(name) // so that the artifact gets the permissions of a new file
	if err := artifact.Write(name, m); err != nil {
		os.Remove(name)
		return "", fmt.Errorf("convert: %s was not written: %w", path, err)
	}
	return name, nil
}
