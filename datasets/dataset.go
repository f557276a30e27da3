package datasets

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bnntool/bnntool/internal/preprocess"
)

// The names of the data sets, for Config.Name.
const (
	Digits      = "digits"
	CIFAR10     = "cifar10"
	CIFAR100    = "cifar100"
	ImageFolder = "imagefolder"
)

// Names returns the names of all data sets.
func Names() []string { return []string{Digits, CIFAR10, CIFAR100, ImageFolder} }

// Config says which data set and how much of it.
type Config struct {
	// Name is one of Names().
	Name string `yaml:"name"`
	// Dir is where the user keeps it: a folder or an archive, see each data set. Empty: the copy in
	// Options.CacheDir. The digits have none.
	Dir string `yaml:"-"`
	// Size is the height and width of imagefolder's pictures in pixels, 0 = 32. The other data sets have their own
	// size and take only 0 or that.
	Size int `yaml:"size,omitempty"`
	// LimitTrain and LimitTest take only the first n records of a split, 0 = all, more than there are = all.
	LimitTrain int `yaml:"limit_train,omitempty"`
	LimitTest  int `yaml:"limit_test,omitempty"`
}

// maxSize bounds Config.Size.
const maxSize = 4096

// Validate returns an error that names the first field that cannot be used, nil if there is none. It looks at no file.
func (c Config) Validate() error {
	if !slices.Contains(Names(), c.Name) {
		return fmt.Errorf("datasets: unknown data set %q, want one of %s", c.Name, strings.Join(Names(), ", "))
	}
	own := 32
	if c.Name == Digits {
		own = 8
	}
	if c.Name == ImageFolder {
		if c.Size < 0 || c.Size > maxSize {
			return fmt.Errorf("datasets: size is %d, want 1 to %d pixels (0 is 32)", c.Size, maxSize)
		}
	} else if c.Size != 0 && c.Size != own {
		return fmt.Errorf("datasets: size is %d, but the pictures of %s have %d pixels a side: leave it out", c.Size, c.Name, own)
	}
	if c.LimitTrain < 0 || c.LimitTest < 0 {
		return fmt.Errorf("datasets: limit_train %d, limit_test %d: want 0 (all) or more", c.LimitTrain, c.LimitTest)
	}
	return nil
}

// Options are what opening a data set needs besides its Config: where copies are kept and how to fetch one. The zero
// value never touches the network.
type Options struct {
	// Fetch, if not nil, downloads the file at url, whose md5 is sum in hex, to dst, for a data set that has an official
	// address, if Config.Dir is empty and CacheDir has no copy. What has come of a file that is not whole is in dst.part.
	// Package download has one.
	Fetch func(ctx context.Context, url, sum, dst string) error
	// CacheDir is the folder of downloaded copies. It is made when needed.
	CacheDir string
	// BaseURL replaces the official address up to the file's name, for a mirror or a test.
	BaseURL string
}

const officialURL = "https://www.cs.toronto.edu/~kriz/"

func (o Options) baseURL() string {
	if o.BaseURL == "" {
		return officialURL
	}
	return strings.TrimSuffix(o.BaseURL, "/") + "/"
}

// Dataset is an open data set.
type Dataset struct {
	Name    string
	Classes []string // a class's label is its index
	// Preprocess is the data set's own size, mean and std: the default for a NewLoader.
	Preprocess  preprocess.Config
	Train, Test *Split
	// Notes are what the user should know and the log should say, such as that the files could not be verified.
	Notes []string

	close func() error
}

// Close closes the files that the splits read from, after which only splits in memory can be used. An imagefolder
// in a zip keeps one open; it is also closed when the Dataset is no longer reachable.
func (d *Dataset) Close() error {
	if d.close == nil {
		return nil
	}
	return d.close()
}

// Open finds, checks and opens a data set. It downloads only if o allows it, c.Dir is empty and o.CacheDir has no
// copy. Errors name the file, the record and what was expected; ctx ends a download or the reading of the files.
func Open(ctx context.Context, c Config, o Options) (*Dataset, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var d *Dataset
	var err error
	switch c.Name {
	case Digits:
		d, err = openDigits(c)
	case CIFAR10:
		d, err = openCIFAR(ctx, &cifar10, c, o)
	case CIFAR100:
		d, err = openCIFAR(ctx, &cifar100, c, o)
	case ImageFolder:
		d, err = openImageFolder(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("datasets: %s: %w", c.Name, err)
	}
	d.Name = c.Name
	d.Train.limit(c.LimitTrain)
	d.Test.limit(c.LimitTest)
	return d, nil
}

// imageNet is the normalisation that ReCU's CIFAR recipe uses too, for training and test.
func imageNet(size int) preprocess.Config {
	return preprocess.Config{H: size, W: size, C: 3,
		Mean: []float32{0.485, 0.456, 0.406}, Std: []float32{0.229, 0.224, 0.225}}
}
