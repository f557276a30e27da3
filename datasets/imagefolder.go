package datasets

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bnntool/bnntool/internal/preprocess"
)

const (
	maxPictureFile = 1 << 26 // bytes of one PNG or JPEG file, unpacked
	maxNesting     = 8       // folders in a class's folder
)

// openImageFolder opens a folder or .zip that has train/CLASS/* and test/CLASS/* (or val/ for test/), itself or
// in its only folder. The classes are train's folders in the order of their names; test must have the same. Pictures are
// the files .png, .jpg and .jpeg in a class's folder and the folders in it; other files are ignored with a note, names that
// start with a dot, and __MACOSX, without one. Records go round the classes (the first picture of each class, then the
// second, …), so that the first n of them are of all classes. Nothing is decoded until it is read.
//
// Links in a folder are followed. A zip's must not be there, nor names that lead out of it.
func openImageFolder(ctx context.Context, c Config) (*Dataset, error) {
	if c.Dir == "" {
		return nil, errors.New("no data: give a folder or .zip with train/CLASS/* and test/CLASS/*")
	}
	size := c.Size
	if size == 0 {
		size = 32
	}
	d := &Dataset{Preprocess: imageNet(size)}
	info, err := os.Stat(c.Dir)
	if err != nil {
		return nil, err
	}
	scan := pictures{ctx: ctx, path: c.Dir}
	switch {
	case info.IsDir():
		scan.fsys = os.DirFS(c.Dir)
	case info.Mode().IsRegular():
		if scan.fsys, d.close, err = openZip(c.Dir); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%s: neither a folder nor a .zip", c.Dir)
	}
	if err := scan.dataset(d); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// openZip opens an archive whose names all lead into it.
func openZip(file string) (fs.FS, func() error, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, err
	}
	fail := func(format string, args ...any) (fs.FS, func() error, error) {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", file, fmt.Errorf(format, args...))
	}
	info, err := f.Stat()
	if err != nil {
		return fail("%w", err)
	}
	z, err := zip.NewReader(f, info.Size())
	if errors.Is(err, zip.ErrFormat) {
		return fail("not a .zip, or cut short: %w", err)
	}
	if err != nil {
		return fail("%w", err)
	}
	seen := make(map[string]bool, len(z.File))
	for i, e := range z.File {
		if !fs.ValidPath(strings.TrimSuffix(e.Name, "/")) || strings.Contains(e.Name, `\`) {
			return fail("entry %d: the name %q leads out of the archive or is not a path", i, e.Name)
		}
		if seen[e.Name] {
			return fail("entry %d: a second %q", i, e.Name)
		}
		seen[e.Name] = true
		if e.UncompressedSize64 > maxPictureFile && isPicture(e.Name) {
			return fail("entry %d: %s unpacks to %d bytes, want at most %d", i, e.Name, e.UncompressedSize64, maxPictureFile)
		}
	}
	return z, f.Close, nil
}

// isPicture reports whether the file's name says that it is a PNG or JPEG.
func isPicture(name string) bool {
	return slices.Contains([]string{".png", ".jpg", ".jpeg"}, strings.ToLower(path.Ext(name)))
}

// hidden reports whether a name is one that file managers and archivers leave behind.
func hidden(name string) bool { return strings.HasPrefix(name, ".") || name == "__MACOSX" }

// pictures is the scan of a folder or zip.
type pictures struct {
	ctx     context.Context
	path    string // what errors call fsys
	fsys    fs.FS
	ignored []string
}

// name is what errors and notes call a file of fsys.
func (p *pictures) name(file string) string { return filepath.Join(p.path, filepath.FromSlash(file)) }

func (p *pictures) dataset(d *Dataset) error {
	root, test, err := p.root()
	if err != nil {
		return err
	}
	var trainFiles, testFiles [][]string
	if d.Classes, trainFiles, err = p.split(path.Join(root, "train")); err != nil {
		return err
	}
	classes, testFiles, err := p.split(path.Join(root, test))
	if err != nil {
		return err
	}
	for _, c := range classes {
		if !slices.Contains(d.Classes, c) {
			return fmt.Errorf("%s: train has no such class, want the same classes in both", p.name(path.Join(root, test, c)))
		}
	}
	for _, c := range d.Classes {
		if !slices.Contains(classes, c) {
			return fmt.Errorf("%s: missing, want the same classes as in train", p.name(path.Join(root, test, c)))
		}
	}
	d.Train = p.lazy(trainFiles, d.Preprocess)
	d.Test = p.lazy(testFiles, d.Preprocess)
	if n := len(p.ignored); n > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("ignored %d files that are not .png, .jpg or .jpeg: %s", n, strings.Join(p.ignored[:min(n, 3)], ", ")))
	}
	return nil
}

// root returns the folder that has train, and the name of the test folder in it.
func (p *pictures) root() (root, test string, err error) {
	root = "."
	for range 2 {
		entries, err := fs.ReadDir(p.fsys, root)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", p.path, err)
		}
		var folders []string
		for _, e := range entries {
			if kind, err := p.kind(root, e); err == nil && kind.IsDir() && !hidden(e.Name()) {
				folders = append(folders, e.Name())
			}
		}
		if slices.Contains(folders, "train") {
			for _, test := range []string{"test", "val"} {
				if slices.Contains(folders, test) {
					return root, test, nil
				}
			}
			return "", "", fmt.Errorf("%s: train/ is there, but neither test/ nor val/", p.name(root))
		}
		if len(folders) != 1 {
			break
		}
		root = path.Join(root, folders[0])
	}
	return "", "", fmt.Errorf("%s: no train/, want train/CLASS/* and test/CLASS/*", p.path)
}

// kind returns what an entry of a folder is, a link being what it leads to.
func (p *pictures) kind(dir string, e fs.DirEntry) (fs.FileMode, error) {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.Type(), nil
	}
	info, err := fs.Stat(p.fsys, path.Join(dir, e.Name()))
	if err != nil {
		return 0, err
	}
	return info.Mode().Type(), nil
}

// split returns the classes in dir and each one's files.
func (p *pictures) split(dir string) (classes []string, files [][]string, err error) {
	entries, err := fs.ReadDir(p.fsys, dir) // sorted by name
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.path, err)
	}
	for _, e := range entries {
		if hidden(e.Name()) {
			continue
		}
		name := path.Join(dir, e.Name())
		kind, err := p.kind(dir, e)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", p.path, err)
		}
		if !kind.IsDir() {
			p.ignored = append(p.ignored, name)
			continue
		}
		in, err := p.class(name, nil, maxNesting)
		if err != nil {
			return nil, nil, err
		}
		if len(in) == 0 {
			return nil, nil, fmt.Errorf("%s: an empty class, want at least one .png, .jpg or .jpeg", p.name(name))
		}
		classes, files = append(classes, e.Name()), append(files, in)
	}
	if len(classes) == 0 {
		return nil, nil, fmt.Errorf("%s: no classes, want a folder for each", p.name(dir))
	}
	return classes, files, nil
}

// class appends the pictures in dir and in up to depth folders in it, in the order of their names.
func (p *pictures) class(dir string, files []string, depth int) ([]string, error) {
	if err := p.ctx.Err(); err != nil {
		return nil, err
	}
	if depth == 0 {
		return nil, fmt.Errorf("%s: more than %d folders in one another: does a link lead back?", p.name(dir), maxNesting)
	}
	entries, err := fs.ReadDir(p.fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	for _, e := range entries {
		if hidden(e.Name()) {
			continue
		}
		name := path.Join(dir, e.Name())
		kind, err := p.kind(dir, e)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", p.path, err)
		case kind.IsDir():
			if files, err = p.class(name, files, depth-1); err != nil {
				return nil, err
			}
		case !isPicture(name):
			p.ignored = append(p.ignored, name)
		case kind != 0:
			return nil, fmt.Errorf("%s: not a regular file", p.name(name))
		default:
			files = append(files, name)
		}
	}
	return files, nil
}

// lazy is the split of each class's files, taken in turns.
func (p *pictures) lazy(classes [][]string, c preprocess.Config) *Split {
	s := &Split{h: c.H, w: c.W, c: c.C}
	var files []string
	for i, more := 0, true; more; i++ {
		more = false
		for label, in := range classes {
			if i < len(in) {
				files, s.labels, more = append(files, in[i]), append(s.labels, int32(label)), true
			}
		}
	}
	s.read = func(i int, dst []byte) error {
		if err := p.decode(files[i], c, dst); err != nil {
			return fmt.Errorf("datasets: %s (record %d): %w", p.name(files[i]), i, err)
		}
		return nil
	}
	return s
}

func (p *pictures) decode(file string, c preprocess.Config, dst []byte) error {
	f, err := p.fsys.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	in := &io.LimitedReader{R: f, N: maxPictureFile + 1}
	img, err := preprocess.Decode(in)
	if in.N == 0 {
		return fmt.Errorf("the file has more than %d bytes", maxPictureFile)
	}
	if err != nil {
		return err
	}
	return c.Pixels(dst, img)
}
