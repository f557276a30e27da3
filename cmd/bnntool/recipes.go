//go:build !device

package main

import (
	"fmt"
	"strings"

	"github.com/bnntool/bnntool/configs"
	"github.com/urfave/cli/v2"
)

func (e *env) recipesCommand() *cli.Command {
	return &cli.Command{
		Name:      "recipes",
		Usage:     "list the recipes that are part of the program, or print one",
		ArgsUsage: "[RECIPE]",
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return usagef("recipes takes one recipe, got %d arguments", c.NArg())
			}
			if name := c.Args().First(); name != "" {
				text, err := configs.Text(name)
				fmt.Fprint(e.stdout, text)
				return err
			}
			for _, name := range configs.Names() {
				text, err := configs.Text(name)
				if err != nil {
					return err
				}
				what, _, _ := strings.Cut(text, "\n")
				fmt.Fprintf(e.stdout, "%-26s %s\n", name, strings.TrimPrefix(what, "# "))
			}
			return nil
		},
	}
}
