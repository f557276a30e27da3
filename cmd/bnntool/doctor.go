package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/bnntool/bnntool/internal/kernel"
	"github.com/bnntool/bnntool/internal/machine"
	"github.com/urfave/cli/v2"
)

func (e *env) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "what this machine offers, which kernels are in use and why, and whether they compute what they should",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "text", Usage: "text or json"},
			&cli.BoolFlag{Name: "quiet", Usage: "print the closing line only"},
		},
		Action: e.doctor,
	}
}

// doctorJSON is what doctor --format json prints.
type doctorJSON struct {
	Version   string          `json:"version"`
	OS        string          `json:"os"`
	Arch      string          `json:"arch"`
	Processor string          `json:"processor,omitempty"`
	CPUs      int             `json:"processors"`
	Threads   int             `json:"threads"`
	Caches    []machine.Cache `json:"caches,omitempty"`
	Features  map[string]bool `json:"features"`
	PageBytes int             `json:"page_bytes"`
	HugeBytes int64           `json:"huge_page_bytes,omitempty"`
	HugePages string          `json:"huge_pages,omitempty"`
	Memory    int64           `json:"memory_bytes,omitempty"`
	Available int64           `json:"available_bytes,omitempty"`
	Limit     int64           `json:"memory_limit_bytes,omitempty"`
	Kernels   string          `json:"kernels"`
	Why       string          `json:"why"`
	Tiers     []tierJSON      `json:"tiers"`
	Checks    []checkJSON     `json:"checks"`
	Failed    int             `json:"failed"`
}

type tierJSON struct {
	Name    string   `json:"name"`
	Uses    string   `json:"uses"`
	Missing []string `json:"missing"`
	Active  bool     `json:"active"`
}

type checkJSON struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"`
}

func (e *env) doctor(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if f := c.String("format"); f != "text" && f != jsonFormat {
		return usagef("--format is %q, want text or json", f)
	}
	m := machine.Describe(os.DirFS("/"))
	d := diagnose(m)
	var err error
	switch {
	case c.String("format") == jsonFormat:
		err = printJSON(e.stdout, d)
	default:
		if !c.Bool("quiet") {
			e.printDoctor(d, m)
		}
		_, err = fmt.Fprintf(e.stdout, "kernels=%s checks=%d failed=%d\n", d.Kernels, len(d.Checks), d.Failed)
	}
	if err == nil && d.Failed > 0 {
		return fmt.Errorf("%d of %d checks of the %s kernels failed: this machine, or this build, computes wrong results with them; BNNTOOL_KERNELS=generic chooses plain Go",
			d.Failed, len(d.Checks), d.Kernels)
	}
	return err
}

// diagnose collects what doctor prints.
func diagnose(m machine.Machine) *doctorJSON {
	d := &doctorJSON{Version: version(), OS: m.OS, Arch: m.Arch, Processor: m.Processor, CPUs: m.Processors, Threads: m.Threads, Caches: m.Caches,
		Features: map[string]bool{}, PageBytes: m.PageSize, HugeBytes: m.HugePageSize, HugePages: m.HugePages, Memory: m.Memory,
		Available: m.Available, Limit: m.MemoryLimit}
	for _, f := range kernel.Features() {
		d.Features[f.Name] = f.Has
	}
	best := ""
	for _, t := range kernel.Describe() {
		d.Tiers = append(d.Tiers, tierJSON{t.Name, t.Uses, t.Missing, t.Active})
		if len(t.Missing) == 0 {
			best = t.Name
		}
		if t.Active {
			d.Kernels, d.Why = t.Name, "the best that this machine has"
			if t.Asked {
				d.Why = "BNNTOOL_KERNELS asks for them"
			}
		}
	}
	if best != d.Kernels {
		d.Why += fmt.Sprintf("; the best that this machine has are %s", best)
	}
	for _, check := range kernel.SelfTest() {
		j := checkJSON{Name: check.Name}
		if check.Err != nil {
			j.Error = check.Err.Error()
			d.Failed++
		}
		d.Checks = append(d.Checks, j)
	}
	return d
}

// printDoctor prints d for people.
func (e *env) printDoctor(d *doctorJSON, m machine.Machine) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(e.stdout, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("bnntool", "%s", d.Version)
	line("processor", "%s; %d processors, %d threads", known(d.Processor), d.CPUs, d.Threads)
	var caches, has, lacks []string
	for _, c := range d.Caches {
		caches = append(caches, strings.TrimSuffix(fmt.Sprintf("L%d %s %s", c.Level, strings.ToLower(c.Type), c.Size), " "))
	}
	line("caches", "%s", known(strings.Join(caches, ", ")))
	for _, f := range kernel.Features() {
		if f.Has {
			has = append(has, f.Name)
		} else {
			lacks = append(lacks, f.Name)
		}
	}
	line("features", "%s", known(strings.Join(has, " ")))
	if len(lacks) > 0 {
		line("missing", "%s", strings.Join(lacks, " "))
	}
	memory := known("")
	if d.Memory > 0 {
		memory = fmt.Sprintf("%s, %s available", megabytes(d.Memory), megabytes(d.Available))
	}
	if d.Limit > 0 {
		memory += fmt.Sprintf(", limited to %s", megabytes(d.Limit))
	}
	line("memory", "%s; this program has used up to %s", memory, megabytes(m.MaxMemoryUsed))
	pages := fmt.Sprintf("%d bytes", d.PageBytes)
	if d.HugeBytes > 0 {
		pages += fmt.Sprintf("; large ones of %d KB, given: %s", d.HugeBytes>>10, known(d.HugePages))
	}
	line("pages", "%s", pages)
	line("kernels", "%s: %s", d.Kernels, d.Why)
	for _, t := range d.Tiers {
		mark, note := " ", t.Uses
		if t.Active {
			mark = "*"
		}
		if len(t.Missing) > 0 {
			note += "; not on this machine, which lacks " + strings.Join(t.Missing, ", ")
		}
		fmt.Fprintf(e.stdout, "  %s %-8s %s\n", mark, t.Name, note)
	}
	line("self test", "the %s kernels beside plain Go on random work", d.Kernels)
	for _, c := range d.Checks {
		if c.Error == "" {
			fmt.Fprintf(e.stdout, "  ok       %s\n", c.Name)
			continue
		}
		fmt.Fprintf(e.stdout, "  WRONG    %s: %s\n", c.Name, c.Error)
	}
}

// known returns s, or that it is not known.
func known(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", n>>20) }
