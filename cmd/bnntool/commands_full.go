//go:build !device

package main

import (
	"context"
	"errors"

	"github.com/bnntool/bnntool/configs"
	"github.com/bnntool/bnntool/datasets/download"
	"github.com/urfave/cli/v2"
)

// commands returns the commands of this build.
func (e *env) commands() []*cli.Command {
	return []*cli.Command{
		e.trainCommand(), e.evalCommand(), e.convertCommand(), e.predictCommand(), e.inspectCommand(), e.recipesCommand(),
		e.benchCommand(), e.expertsCommand(), e.doctorCommand(), e.versionCommand(),
	}
}

// excerpt returns the lines of a recipe around the place that err is about, if it is about one.
func excerpt(err error) string {
	var at *configs.Error
	if errors.As(err, &at) {
		return at.Excerpt
	}
	return ""
}

// downloads tells in the help that a data set is downloaded.
const downloads = ", downloaded if there is none"

// fetcher returns what downloads data sets.
func fetcher(progress func(name string, done, total int64)) func(ctx context.Context, url, sum, dst string) error {
	return download.Client{Progress: progress}.Fetch
}
