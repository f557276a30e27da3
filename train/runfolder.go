package train

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
)

// runFolder is the folder of one training run, held by a lock while it is open.
type runFolder struct {
	dir  string
	lock *flock.Flock
}

// openRunFolder creates or opens a run folder and locks it. A folder that holds a run is opened only to resume, and one
// that holds none only not to.
func openRunFolder(dir string, resume bool) (*runFolder, error) {
	f := &runFolder{dir: dir, lock: flock.New(filepath.Join(dir, ".lock"))}
	_, err := os.Stat(f.last())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("train: run folder: %w", err)
	}
	if exists := err == nil; resume && !exists {
		return nil, fmt.Errorf("train: %s holds no run to resume: there is no %s", dir, filepath.Base(f.last()))
	} else if !resume && exists {
		return nil, fmt.Errorf("train: %s already holds a run: resume it, or choose another folder", dir)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("train: run folder: %w", err)
	}
	ok, err := f.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("train: lock of run folder %s: %w", dir, err)
	}
	if !ok {
		return nil, fmt.Errorf("train: another process is training in %s: wait for it, or choose another folder", dir)
	}
	return f, nil
}

func (f *runFolder) close() error { return f.lock.Unlock() }

func (f *runFolder) path(name string) string { return filepath.Join(f.dir, name) }

// last is the checkpoint that a run is resumed from.
func (f *runFolder) last() string { return f.path("last.safetensors") }

// best is the checkpoint of the best test accuracy.
func (f *runFolder) best() string { return f.path("best.safetensors") }

// write replaces a file of the folder atomically.
func (f *runFolder) write(name string, data []byte) error {
	if err := renameio.WriteFile(f.path(name), data, 0o666); err != nil {
		return fmt.Errorf("train: %s: %w", f.path(name), err)
	}
	return nil
}
