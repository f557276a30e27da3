package main

import (
	"slices"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestFlagsFirst(t *testing.T) {
	app := &cli.App{Commands: []*cli.Command{{Name: "do", Aliases: []string{"d"}, Flags: []cli.Flag{
		&cli.StringFlag{Name: "out", Aliases: []string{"o"}},
		&cli.IntFlag{Name: "n"},
		&cli.StringSliceFlag{Name: "set"},
		&cli.BoolFlag{Name: "quick"},
	}}}}
	for _, tt := range []struct{ args, want []string }{
		{nil, nil},
		{[]string{"p"}, []string{"p"}},
		{[]string{"p", "--help"}, []string{"p", "--help"}},
		{[]string{"p", "other", "x", "--out", "y"}, []string{"p", "other", "x", "--out", "y"}},
		{[]string{"p", "do"}, []string{"p", "do"}},
		{[]string{"p", "do", "a", "b"}, []string{"p", "do", "--", "a", "b"}},
		{[]string{"p", "do", "a", "--out", "b"}, []string{"p", "do", "--out", "b", "--", "a"}},
		{[]string{"p", "d", "a", "-o", "b"}, []string{"p", "d", "-o", "b", "--", "a"}},
		{[]string{"p", "do", "a", "-o=b", "c"}, []string{"p", "do", "-o=b", "--", "a", "c"}},
		{[]string{"p", "do", "a", "--quick", "b"}, []string{"p", "do", "--quick", "--", "a", "b"}},
		{[]string{"p", "do", "a", "--n", "-3"}, []string{"p", "do", "--n", "-3", "--", "a"}},
		{[]string{"p", "do", "--set", "a=1", "x", "--set=b=2"}, []string{"p", "do", "--set", "a=1", "--set=b=2", "--", "x"}},
		{[]string{"p", "do", "a", "--", "--out", "b"}, []string{"p", "do", "--", "a", "--out", "b"}},
		{[]string{"p", "do", "-", "--quick"}, []string{"p", "do", "--quick", "--", "-"}},
		{[]string{"p", "do", "a", "--unknown", "b"}, []string{"p", "do", "--unknown", "--", "a", "b"}},
		{[]string{"p", "do", "a", "--out"}, []string{"p", "do", "--out", "--", "a"}},
		{[]string{"p", "do", "a", "--help"}, []string{"p", "do", "--help", "--", "a"}},
		{[]string{"p", "do", ""}, []string{"p", "do", "--", ""}},
	} {
		before := slices.Clone(tt.args)
		if got := flagsFirst(app, tt.args); !slices.Equal(got, tt.want) {
			t.Errorf("flagsFirst(%q) = %q, want %q", tt.args, got, tt.want)
		}
		if !slices.Equal(tt.args, before) {
			t.Errorf("flagsFirst changed its argument %q to %q", before, tt.args)
		}
	}
}
