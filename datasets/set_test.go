package datasets

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bnntool/bnntool/internal/preprocess"
)

// file is a member of an archive or folder.
type file struct {
	name string
	data []byte
}

// records returns n valid records of a CIFAR file, other ones for every seed: label i%classes, pixels by seed.
func (k *cifar) makeRecords(n int, seed uint64) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed)})
	var out []byte
	for i := range n {
		for _, most := range k.labels {
			out = append(out, byte(i%most))
		}
		pixels := make([]byte, cifarPixels)
		r.Read(pixels)
		out = append(out, pixels...)
	}
	return out
}

// makeFiles returns a small valid set: n records a file.
func (k *cifar) makeFiles(n int) []file {
	var files []file
	for i, name := range append([]string{k.test}, k.train...) {
		files = append(files, file{name, k.makeRecords(n, uint64(i))})
	}
	return append(files, file{k.namesFile, []byte(strings.Join(k.names, "\n") + "\n\n")}, file{"readme.html", []byte("<html>")})
}

// writeFolder writes files to the folder dir, which it makes.
func writeFolder(t testing.TB, dir string, files []file) string {
	t.Helper()
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// writeFile writes data to a new file of a temporary folder.
func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	return filepath.Join(writeFolder(t, t.TempDir(), []file{{name, data}}), name)
}

func makeTar(t testing.TB, folder string, files []file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: folder + "/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		h := &tar.Header{Name: folder + "/" + f.name, Size: int64(len(f.data)), Mode: 0o644, ModTime: time.Unix(1e9, 0)}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func makeGzip(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sumOf returns the md5 of data in hex.
func sumOf(data []byte) string { return fmt.Sprintf("%x", md5.Sum(data)) }

func newBuffered(data []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(data)) }

// memorySplit returns n pictures of random bytes in memory.
func memorySplit(n int, p preprocess.Config, seed byte) *Split {
	s := &Split{h: p.H, w: p.W, c: p.C}
	r := rand.NewChaCha8([32]byte{seed})
	for i := range n {
		b := make([]byte, p.Len())
		r.Read(b)
		s.records, s.labels = append(s.records, b), append(s.labels, int32(i%10))
	}
	return s
}

// mustOpen opens a set that must be right.
func mustOpen(t testing.TB, c Config, o Options) *Dataset {
	t.Helper()
	d, err := Open(context.Background(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// wantError checks that err has all the parts, separated by "|", in its text.
func wantError(t *testing.T, name string, err error, parts string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one with %q", name, parts)
		return
	}
	for _, part := range strings.Split(parts, "|") {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got error %q, want %q in it", name, err, part)
		}
	}
}
