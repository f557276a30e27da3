//go:build device

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"
)

// commands returns the commands of this build.
func (e *env) commands() []*cli.Command {
	return []*cli.Command{e.evalCommand(), e.predictCommand(), e.inspectCommand(), e.benchCommand(), e.doctorCommand(), e.versionCommand()}
}

// openCheckpoint refuses: a checkpoint needs what this build leaves out.
func openCheckpoint(path string, _ int, _ origin) (*classifier, error) {
	return nil, notInThisBuild(path)
}

// originFlags are none: a PyTorch checkpoint is no artifact.
func originFlags() []cli.Flag { return nil }

func originOf(*cli.Context) origin { return origin{} }

// sourceFlags are none: what stores are made of is not part of this build.
func sourceFlags() []cli.Flag { return nil }

// openSource refuses.
func openSource(dir string) (func(name string, dst []byte, at int64) error, func(), error) {
	return nil, nil, notInThisBuild(dir)
}

// inspectFolder knows no folders.
func (e *env) inspectFolder(context.Context, string, inspectFlags) (bool, error) { return false, nil }

// isPyTorch knows artifacts only.
func isPyTorch(string) (bool, error) { return false, nil }

// inspectNamed knows no names: recipes and networks are not part of this build.
func (e *env) inspectNamed(string, inspectFlags) (bool, error) { return false, nil }

// inspectCheckpoint refuses.
func (e *env) inspectCheckpoint(path string, _ inspectFlags) error { return notInThisBuild(path) }

// unknownThing is the error for a file that does not exist.
func unknownThing(what string) error { return fmt.Errorf("%s: there is no such file", what) }

func notInThisBuild(what string) error {
	return fmt.Errorf("%s is no artifact, and this bnntool is built for a device: it takes artifacts only", what)
}

// excerpt returns nothing: no error of this build is about a place in a text.
func excerpt(error) string { return "" }

const downloads, benchUsage = "", ""

// benchMore returns nothing: training steps are not part of this build.
func (e *env) benchMore() []*cli.Command { return nil }

// fetcher returns nothing: this build downloads nothing.
func fetcher(func(name string, done, total int64)) func(ctx context.Context, url, sum, dst string) error {
	return nil
}

// bar draws nothing in this build.
type bar struct{}

func (*env) newBar(string) *bar { return nil }

func (*bar) update(stage, note string, done, total int64) {}

func (*bar) clear() {}
