package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bnntool/bnntool/datasets"
	"github.com/urfave/cli/v2"
)

// dataFlags are the flags of every command that reads a data set.
func dataFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "data", Usage: "where the data is: a folder, .tar.gz or .zip (default: the copy in --cache" + downloads + ")"},
		&cli.StringFlag{Name: "cache", Usage: "folder of downloaded data sets (default: bnntool in the user's cache folder)"},
	}
}

// openData opens a data set as the flags of c say, with a progress bar for a download.
func (e *env) openData(ctx context.Context, c *cli.Context, config datasets.Config) (*datasets.Dataset, error) {
	config.Dir = c.String("data")
	o := datasets.Options{CacheDir: c.String("cache"), BaseURL: e.dataURL}
	if o.CacheDir == "" {
		if dir, err := os.UserCacheDir(); err == nil {
			o.CacheDir = filepath.Join(dir, "bnntool")
		}
	}
	bar := e.newBar("bytes")
	if c.Bool("quiet") {
		bar = nil
	}
	o.Fetch = fetcher(func(name string, done, total int64) { bar.update("downloading "+name, "", done, total) })
	d, err := datasets.Open(ctx, config, o)
	bar.clear()
	if err == nil || ctx.Err() != nil || errors.Is(err, fs.ErrPermission) {
		return d, err
	}
	if config.Dir == "" && config.Name != datasets.Digits {
		return nil, fmt.Errorf("%w: --data names it", err)
	}
	return nil, err
}
