package convert

import (
	"context"
	"errors"

	"github.com/bnntool/bnntool/runtime/codec"
	"github.com/bnntool/bnntool/runtime/expert"
)

// HubOptions say how a folder of the hub becomes a store of experts. The zero value is ready but for Code.
type HubOptions struct {
	Code    codec.Code // of exponents; Raw leaves them as they are
	Workers int        // that encode at the same time, each with an expert in memory; 0: as many as processors
	// Commit is how many bytes are written before they count when the conversion is ended; 0: 256 MiB.
	Commit int64
	// Progress, if not nil, is told how many bytes of the source are done, and how many of them an earlier run has done.
	Progress func(done, total, resumed int64)
}

// HubReport says what a store takes, and in words what of it is not compressed.
type HubReport struct {
	expert.BuildReport
	Layers int
	Notes  []string
}

// ConvertHub writes a store of the experts of the model in the folder dir, and of its other weights, to path. It reads piece by
// piece; one that was ended goes on where it was, see expert.Build.
func ConvertHub(ctx context.Context, dir, path string, o HubOptions) (report *HubReport, err error) {
	hub, err := OpenHub(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, hub.Close()) }()
	plan, notes, err := hub.Plan(ctx)
	if err != nil {
		return nil, err
	}
	built, err := expert.Build(ctx, path, plan, hub, expert.BuildOptions{Code: o.Code, Uncompressed: o.Code == codec.Raw, Workers: o.Workers,
		Commit: o.Commit, Progress: o.Progress})
	if err != nil {
		return nil, err
	}
	return &HubReport{BuildReport: *built, Layers: len(plan.Layers), Notes: notes}, nil
}
