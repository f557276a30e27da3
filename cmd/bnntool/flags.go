package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst returns args with the flags of the command before its arguments. The flag parser stops at the first
// argument; people do not. What follows "--" are arguments. A flag that the command does not have keeps its place among
// the flags, for the parser to refuse.
func flagsFirst(app *cli.App, args []string) []string {
	at, command := findCommand(app, args)
	if command == nil {
		return args
	}
	var flags, arguments []string
	for rest := args[at+1:]; len(rest) > 0; rest = rest[1:] {
		a := rest[0]
		if a == "--" {
			arguments = append(arguments, rest[1:]...)
			break
		}
		if len(a) < 2 || a[0] != '-' {
			arguments = append(arguments, a)
			continue
		}
		flags = append(flags, a)
		name, _, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(a, "-"), "-"), "=")
		if !hasValue && takesValue(command, name) && len(rest) > 1 {
			flags = append(flags, rest[1])
			rest = rest[1:]
		}
	}
	sorted := append([]string{}, args[:at+1]...)
	sorted = append(sorted, flags...)
	if len(arguments) > 0 {
		sorted = append(sorted, "--")
	}
	return append(sorted, arguments...)
}

// findCommand returns the command that args name, and where; nil if they name none. Of a command with subcommands it
// returns the subcommand, if there is one.
func findCommand(app *cli.App, args []string) (int, *cli.Command) {
	at, command := 0, (*cli.Command)(nil)
	commands := app.Commands
	for i := 1; i < len(args) && len(commands) > 0; i++ {
		if strings.HasPrefix(args[i], "-") {
			continue
		}
		found := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[i]) })
		if found < 0 {
			break
		}
		at, command = i, commands[found]
		commands = command.Subcommands
	}
	return at, command
}

// takesValue reports whether the command has a flag of that name that is followed by a value.
func takesValue(c *cli.Command, name string) bool {
	for _, f := range c.Flags {
		for _, n := range f.Names() {
			if n == name {
				d, ok := f.(cli.DocGenerationFlag)
				return ok && d.TakesValue()
			}
		}
	}
	return false
}
