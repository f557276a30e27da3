package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/bnntool/bnntool/runtime/expert"
	"github.com/urfave/cli/v2"
)

// inspectFlags are the flags of inspect.
type inspectFlags struct {
	origin
	beta   int // 0: as it is
	json   bool
	verify bool
	source string // what --verify of a store compares with, "" for checksums alone
}

func (e *env) inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "layers, parameters, operations and bytes of a recipe, checkpoint, artifact or network, or what a store of experts or a folder of the hub holds; of an artifact, whose checksums are verified, also the kernels that compute it here",
		ArgsUsage: "FILE|RECIPE|NETWORK",
		Flags: append(append(originFlags(), sourceFlags()...),
			&cli.IntFlag{Name: "beta", Usage: "replicate a recipe's network, or a network, by this factor"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.BoolFlag{Name: "verify", Usage: "of an artifact: compute an image by its kernels and operation by operation, and compare every bit; of a store: decode every expert and compare it with its source"},
		),
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() != 1:
				return usagef("inspect takes one file, recipe or network, got %d arguments", c.NArg())
			case c.IsSet("source") && !c.Bool("verify"):
				return usagef("--source goes with --verify")
			case c.Int("beta") < 0 || c.IsSet("beta") && c.Int("beta") == 0:
				return usagef("--beta is %d, want 1 or more", c.Int("beta"))
			}
			return e.inspect(c.Context, c.Args().First(), inspectFlags{origin: originOf(c), beta: c.Int("beta"), json: c.Bool("json"), verify: c.Bool("verify"), source: c.String("source")})
		},
	}
}

func (e *env) inspect(ctx context.Context, what string, f inspectFlags) error {
	if done, err := e.inspectNamed(what, f); done {
		if f.verify && err == nil {
			return usagef("--verify does not go with a recipe or a network: it takes an artifact")
		}
		return err
	}
	if done, err := e.inspectFolder(ctx, what, f); done {
		return err
	}
	format, err := fileFormat(what)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unknownThing(what)
	case err != nil:
		return err
	case format == expert.StoreFormat:
		return e.inspectStore(ctx, what, f)
	case f.source != "":
		return usagef("--source goes with a store of experts")
	case format == checkpointFormat && f.verify:
		return usagef("--verify does not go with a checkpoint: it takes an artifact")
	case format == checkpointFormat:
		return e.inspectCheckpoint(what, f)
	case f.beta != 0:
		return usagef("--beta does not go with an artifact: its network is what it is")
	}
	return e.inspectArtifact(ctx, what, f)
}

// cell writes a number of a table, nothing for 0.
func cell(v int64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprint(v)
}

func kilobytes(v int64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", float64(v)/1024)
}

func printJSON(w io.Writer, v any) error {
	j := json.NewEncoder(w)
	j.SetIndent("", "  ")
	return j.Encode(v)
}
