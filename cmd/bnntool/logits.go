package main

import (
	"bufio"
	"fmt"
	"strconv"

	"github.com/bnntool/bnntool/internal/accuracy"
	"github.com/google/renameio/v2"
)

// logitsFile is a CSV file with a line for each image: its index, its label, the class that the network gives it, its
// logits in full precision. The file appears when it is saved, complete.
type logitsFile struct {
	path    string
	pending *renameio.PendingFile
	w       *bufio.Writer
	line    []byte
}

func createLogits(path string, classes int) (*logitsFile, error) {
	pending, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o666), renameio.WithExistingPermissions())
	if err != nil {
		return nil, err
	}
	f := &logitsFile{path: path, pending: pending, w: bufio.NewWriter(pending)}
	f.line = append(f.line, "image,label,class"...)
	for i := range classes {
		f.line = append(f.line, fmt.Sprintf(",logit%d", i)...)
	}
	return f, f.write()
}

func (f *logitsFile) add(image, label int, logits []float32) error {
	f.line = fmt.Appendf(f.line, "%d,%d,%d", image, label, accuracy.Best(logits))
	for _, v := range logits {
		f.line = strconv.AppendFloat(append(f.line, ','), float64(v), 'g', -1, 32)
	}
	return f.write()
}

func (f *logitsFile) write() error {
	f.line = append(f.line, '\n')
	_, err := f.w.Write(f.line)
	f.line = f.line[:0]
	return f.wrap(err)
}

func (f *logitsFile) save() error {
	if err := f.w.Flush(); err != nil {
		return f.wrap(err)
	}
	return f.wrap(f.pending.CloseAtomicallyReplace())
}

// cleanup removes the file if it was not saved.
func (f *logitsFile) cleanup() { f.pending.Cleanup() }

func (f *logitsFile) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", f.path, err)
}
