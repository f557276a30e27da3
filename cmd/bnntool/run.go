package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// The exit codes.
const (
	exitDone        = 0
	exitFault       = 1 // the data, a file or the machine
	exitUsage       = 2
	exitInterrupted = 130
)

// env is what the commands know of the world.
type env struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	// terminal says that stderr is one: progress is drawn, and a fault in a recipe is shown where it is.
	terminal bool
	// dataURL replaces the official address of the data sets, in tests.
	dataURL string
	now     func() time.Time
}

// run is the program: it runs the command that args (with the program's name first) say, and returns the exit code. ctx
// ends when the user interrupts.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now}
	if f, ok := stderr.(*os.File); ok {
		e.terminal = term.IsTerminal(int(f.Fd()))
	}
	return e.run(ctx, args)
}

func (e *env) run(ctx context.Context, args []string) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &output{w: e.stdout, failed: cancel}
	e.stdout = out
	if _, err := kernel.Tier(); err != nil {
		return e.exit(err)
	}
	app := e.app()
	err := app.RunContext(ctx, flagsFirst(app, args))
	if out.err != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = fmt.Errorf("standard output: %w", out.err)
	}
	return e.exit(err)
}

// app returns the program's commands and flags.
func (e *env) app() *cli.App {
	app := &cli.App{
		Name:                      "bnntool",
		Usage:                     "train binary neural networks, convert them for the device and run them there",
		Version:                   version(),
		HideVersion:               true, // there is a command
		Writer:                    e.stdout,
		ErrWriter:                 e.stderr,
		Reader:                    e.stdin,
		Commands:                  e.commands(),
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {}, // exit does it
		OnUsageError:              usageFault,
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return usagef("unknown command %q: want one of %s", name, strings.Join(commandNames(c.App), ", "))
			}
			cli.HelpPrinter(e.stderr, cli.AppHelpTemplate, c.App)
			return &usageError{}
		},
	}
	for _, c := range app.Commands {
		c.HideHelpCommand = true
		for _, sub := range c.Subcommands {
			sub.HideHelpCommand = true
		}
		c.OnUsageError = usageFault
	}
	return app
}

func commandNames(app *cli.App) []string {
	var names []string
	for _, c := range app.VisibleCommands() {
		names = append(names, c.Name)
	}
	return names
}

// usageError is a fault in the command line. Without text, what there is to say has been printed.
type usageError struct{ text string }

func (u *usageError) Error() string { return u.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// usageFault makes a usageError of what the flag parser says.
func usageFault(c *cli.Context, err error, _ bool) error {
	name := c.App.Name
	if c.Command != nil && c.Command.HelpName != "" {
		name = c.Command.HelpName
	}
	return usagef("%v: see %s --help", err, name)
}

// interrupted is the end of a command by the user. how says how to go on.
type interrupted struct{ how string }

func (i *interrupted) Error() string { return i.how }

// exit prints an error, in one line, and returns the exit code for it.
func (e *env) exit(err error) int {
	var usage *usageError
	var stopped *interrupted
	code := exitFault
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		code = exitUsage
		if usage.text == "" {
			return code
		}
	case errors.As(err, &stopped):
		code = exitInterrupted
	case errors.Is(err, context.Canceled):
		code, err = exitInterrupted, errors.New("interrupted")
	case errors.Is(err, syscall.EPIPE):
		return code // the reader of our output has gone, and knows
	}
	fmt.Fprintf(e.stderr, "bnntool: %s\n", oneLine(err.Error()))
	if e.terminal {
		fmt.Fprint(e.stderr, excerpt(err))
	}
	return code
}

// oneLine joins the lines of a text.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// output is standard output. After an error it drops what comes and lets the command end.
type output struct {
	w      io.Writer
	err    error
	failed context.CancelFunc
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	if err != nil {
		o.err = err
		o.failed()
	}
	return n, err
}
