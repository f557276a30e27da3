package convert

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/bnntool/bnntool/runtime"
	"github.com/bnntool/bnntool/runtime/artifact"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
)

// Options says how a network is converted and verified. The zero value is the default.
type Options struct {
	// Leftovers says in how many bits floats are held. Empty means Float32.
	Leftovers Leftovers
	// Score counts the images of a test set that an engine classifies right, of how many. Leftovers in fewer bits
	// are verified by it.
	Score func(ctx context.Context, e *runtime.Engine) (correct, images int, err error)
	// Strict makes an error of what the report else calls a fallback: a layer that could be binary and is not, a tensor
	// that needs more bits than Leftovers asks for.
	Strict bool

	// Images are normalised images, each [H,W,C] float32, that are compared in addition to the random ones.
	Images [][]float32
	// RandomImages is the number of images of standard normal values that are compared. 0 means 4, negative none.
	RandomImages int
	// Tolerance is the largest difference of a logit that is accepted with float32 leftovers. 0, the default, asks for
	// equality, which is what the passes promise.
	Tolerance float64
}

func (o *Options) validate(n *model.Net) error {
	if !(o.Tolerance >= 0) {
		return fmt.Errorf("convert: Tolerance is %v, want 0 or more", o.Tolerance)
	}
	switch o.Leftovers {
	case "":
		o.Leftovers = Float32
	case Float32, Auto:
	case Half, Byte:
		if o.Score == nil {
			return fmt.Errorf("convert: leftovers in %s bits need a test set to verify the accuracy on", o.Leftovers)
		}
	default:
		return fmt.Errorf("convert: leftovers %q, want %s, %s, %s or %s", o.Leftovers, Float32, Half, Byte, Auto)
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
	images := append(randomImages(max(o.RandomImages, 0), ck.Net.Input.Len()), o.Images...)
	s := &stages{packed: m, reduced: m}
	l, err := o.leftovers(ctx, s, f, g, images)
	if err != nil {
		return nil, err
	}
	s.coded = s.reduced.CodePatterns(minSaving)
	r := newReport(f, tensors, g, s)
	r.Images, r.Leftovers, r.Accuracy, r.Note = len(images), o.Leftovers, l.accuracy, l.note
	r.addWide(g, s.reduced, l.wide)
	if o.Strict {
		if err := r.strict(); err != nil {
			return nil, err
		}
	}
	if err := o.write(ctx, r, s, f, g, images, path); err != nil {
		return nil, err
	}
	return r, nil
}

// write writes the artifact, opens it, compares it with the oracle and gives it its name.
func (o *Options) write(ctx context.Context, r *Report, s *stages, f *model.Frozen, g *graph, images [][]float32, path string) error {
	temporary, err := writeBeside(path, s.coded)
	if err != nil {
		return err
	}
	defer os.Remove(temporary) // fails after the rename, as it should
	e, err := runtime.Open(temporary, runtime.Options{Threads: 1})
	if err != nil {
		return fmt.Errorf("convert: the artifact just written: %w", err)
	}
	r.ArtifactBytes = e.Info().FileBytes
	tolerance := o.Tolerance
	if s.reduced != s.packed {
		tolerance = math.Inf(1) // what is allowed is measured in accuracy
	}
	if r.MaxDiff, err = verify(ctx, e, f, g, images, tolerance); err != nil {
		return err
	}
	if err := r.layerDiffs(ctx, e, f, g, images[:min(len(images), tracedImages)]); err != nil {
		return err
	}
	if a := r.Accuracy; a != nil {
		correct, _, err := o.Score(ctx, e)
		if err != nil {
			return fmt.Errorf("convert: the accuracy of the artifact just written: %w", err)
		}
		if correct != a.Reduced {
			return fmt.Errorf("convert: the artifact just written has %d correct images, the network in memory has %d", correct, a.Reduced)
		}
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return nil
}

// minSaving is the share of its size that a tensor of filters must save for being coded. The others stay as they are: a device
// can use them where the file is mapped.
const minSaving = 0.03

// tracedImages is on how many images each layer is compared with the oracle.
const tracedImages = 4

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
