//go:build !device

package main

import (
	"context"
	"errors"

	"github.com/bnntool/bnntool/convert"
	"github.com/bnntool/bnntool/runtime/expert"
	"github.com/urfave/cli/v2"
)

// sourceFlags are the flags of inspect for what a store was made of.
func sourceFlags() []cli.Flag {
	return []cli.Flag{&cli.StringFlag{Name: "source", Usage: "with --verify of a store of experts: compare with the folder that it was made of, not with checksums alone"}}
}

// openSource opens a folder of the hub.
func openSource(dir string) (func(name string, dst []byte, at int64) error, func(), error) {
	hub, err := convert.OpenHub(dir)
	if err != nil {
		return nil, nil, err
	}
	return hub.ReadAt, func() { hub.Close() }, nil
}

// inspectFolder describes a folder of the hub, if that is what it is.
func (e *env) inspectFolder(ctx context.Context, dir string, f inspectFlags) (done bool, err error) {
	if !isHub(dir) {
		return false, nil
	}
	if f.verify || f.beta != 0 {
		return true, usagef("--verify and --beta do not go with a folder of the hub")
	}
	hub, err := convert.OpenHub(dir)
	if err != nil {
		return true, err
	}
	defer func() { err = errors.Join(err, hub.Close()) }()
	plan, notes, err := hub.Plan(ctx)
	if err != nil {
		return true, err
	}
	d := &storeJSON{Kind: "hub", Layers: len(plan.Layers), Notes: notes}
	for i := range plan.Layers {
		l := &plan.Layers[i]
		d.Experts += l.Experts
		d.ExpertBytes += int64(l.Experts) * l.FullBytes()
	}
	for _, p := range plan.Dense {
		size, err := p.Size()
		if err != nil {
			return true, err
		}
		d.DenseBytes += size
	}
	if err := d.survey(ctx, plan.Layers, expert.SourceWeights(plan.Layers, hub)); err != nil {
		return true, err
	}
	return true, e.printStore(d, f)
}
