//go:build !device

package main

import (
	"fmt"

	"github.com/bnntool/bnntool/convert"
	"github.com/urfave/cli/v2"
)

// expertsCommand has what is done with mixtures of experts.
func (e *env) expertsCommand() *cli.Command {
	return &cli.Command{
		Name:         "experts",
		Usage:        "mixtures of experts that are larger than memory",
		Subcommands:  []*cli.Command{e.expertsSynthCommand()},
		OnUsageError: usageFault,
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usagef("experts has no command %q: want synth", c.Args().First())
			}
			return cli.ShowSubcommandHelp(c)
		},
	}
}

func (e *env) expertsSynthCommand() *cli.Command {
	return &cli.Command{
		Name:  "synth",
		Usage: "write a folder of the hub with a published model's names and shapes and random weights like trained ones",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "qwen (Qwen1.5-MoE-A2.7B), deepseek (DeepSeek-V2-Lite) or switch (Switch-Large-128)"},
			&cli.IntFlag{Name: "layers", Usage: "the model's first N layers; of switch, blocks of the encoder and as many of the decoder"},
			&cli.StringFlag{Name: "o", Aliases: []string{"output"}, Usage: "the folder to make"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "of the weights"},
			&cli.IntFlag{Name: "shrink", Value: 1, Usage: "divide every width by N, for tests"},
			&cli.BoolFlag{Name: "quiet", Usage: "print the closing line only"},
		},
		Action:       e.expertsSynth,
		OnUsageError: usageFault,
	}
}

func (e *env) expertsSynth(c *cli.Context) error {
	switch {
	case c.NArg() != 0:
		return usagef("experts synth takes no arguments, got %q", c.Args().First())
	case c.String("model") == "":
		return usagef("experts synth needs --model: qwen, deepseek or switch")
	case c.String("o") == "":
		return usagef("experts synth needs -o, the folder to make")
	case c.Int("layers") < 1:
		return usagef("--layers is %d, want 1 or more", c.Int("layers"))
	case c.Int("shrink") < 1 || c.Int("shrink") > 64:
		return usagef("--shrink is %d, want 1 to 64", c.Int("shrink"))
	}
	p := e.newTransfer("writing", c.Bool("quiet"))
	start := e.now()
	r, err := convert.Synthesize(c.Context, c.String("o"), convert.SynthOptions{Model: c.String("model"), Layers: c.Int("layers"), Seed: c.Uint64("seed"),
		Shrink: c.Int("shrink"), Progress: p.update})
	p.clear()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "folder=%s tensors=%d files=%d bytes=%d seed=%d seconds=%.1f\n", value(c.String("o")), r.Tensors, r.Files, r.Bytes,
		c.Uint64("seed"), e.now().Sub(start).Seconds())
	return err
}
