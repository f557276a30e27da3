package datasets

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// partSuffix ends the name of a file whose download is not complete: see Options.Fetch.
const partSuffix = ".part"

// maxArchive bounds the bytes of an unpacked archive; the official ones have 184 MB and 185 MB.
const maxArchive = 1 << 30

// openCIFAR opens a set from c.Dir: the official .tar.gz, a plain .tar, the unpacked folder or a folder that holds
// one of these. Without c.Dir it is the copy in o.CacheDir, which is downloaded first if there is none and o allows it.
func openCIFAR(ctx context.Context, k *cifar, c Config, o Options) (*Dataset, error) {
	if c.Dir != "" {
		found, err := k.find(c.Dir)
		if err != nil {
			return nil, err
		}
		return k.open(ctx, found, false)
	}
	if o.CacheDir == "" {
		return nil, fmt.Errorf("no data: give the folder or the %s of %s", k.archive, k.title)
	}
	cached := filepath.Join(o.CacheDir, k.archive)
	if found, err := k.find(o.CacheDir); err == nil {
		return k.open(ctx, found, found == cached)
	}
	url := o.baseURL() + k.archive
	if o.Fetch == nil {
		return nil, fmt.Errorf("no copy in %s: download %s of %s from %s and give it, or its folder, as the data",
			o.CacheDir, k.archive, k.title, url)
	}
	if err := o.Fetch(ctx, url, k.md5, cached); err != nil {
		return nil, err
	}
	return k.open(ctx, cached, true)
}

// find returns the file or the folder of records at or in dir.
func (k *cifar) find(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if info.Mode().IsRegular() {
		return dir, nil
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s: neither a file nor a folder", dir)
	}
	for _, folder := range []string{dir, filepath.Join(dir, k.folder)} {
		for _, name := range append([]string{k.test}, k.train...) {
			if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
				return folder, nil
			}
		}
	}
	for _, name := range []string{k.archive, strings.TrimSuffix(k.archive, ".gz")} {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	if _, err := os.Stat(filepath.Join(dir, k.archive+partSuffix)); err == nil {
		return "", fmt.Errorf("%s: %s is only half downloaded: download it to its end", dir, k.archive)
	}
	return "", fmt.Errorf("%s: neither %s nor %s nor %s is in this folder", dir, k.train[0], k.folder, k.archive)
}

// open reads a file or folder that find returned. If strict, a file that is not the official one is an error, else a note.
func (k *cifar) open(ctx context.Context, found string, strict bool) (*Dataset, error) {
	info, err := os.Stat(found)
	if err != nil {
		return nil, err
	}
	s := &cifarSet{kind: k}
	if info.IsDir() {
		err = s.readFolder(ctx, found)
	} else {
		err = s.readArchive(ctx, found, strict)
	}
	if err != nil {
		return nil, err
	}
	return s.dataset(found)
}

func (s *cifarSet) readFolder(ctx context.Context, dir string) error {
	s.notes = append(s.notes, "unverified: unpacked folder")
	for _, name := range append([]string{s.kind.test, s.kind.namesFile}, s.kind.train...) {
		if err := s.readFile(ctx, dir, name); err != nil {
			return err
		}
	}
	return nil
}

// readFile reads one file of a folder. That a file is missing is found when the files are joined.
func (s *cifarSet) readFile(ctx context.Context, dir, name string) error {
	file := filepath.Join(dir, name)
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.add(ctx, name, file, f, info.Size())
}

// readArchive reads a .tar.gz or .tar in one pass, which also makes its checksum.
func (s *cifarSet) readArchive(ctx context.Context, file string, strict bool) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := md5.New()
	in := bufio.NewReaderSize(contextReader{ctx, io.TeeReader(f, sum)}, 1<<18)
	if err := s.readTar(ctx, file, in); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// Whether the file is the right one says what to do about an error in it.
		if _, rest := io.Copy(io.Discard, in); rest == nil && hex.EncodeToString(sum.Sum(nil)) != s.kind.md5 {
			return fmt.Errorf("%w (its md5 is %x, the official %s has %s: download it again)", err, sum.Sum(nil), s.kind.archive, s.kind.md5)
		}
		return err
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != s.kind.md5 {
		if strict {
			return fmt.Errorf("%s: its md5 is %s, the official file's is %s: delete it to download it again, or name it as the data to use it unverified",
				file, got, s.kind.md5)
		}
		s.notes = append(s.notes, fmt.Sprintf("unverified: md5 is %s, the official file's is %s", got, s.kind.md5))
	}
	return nil
}

// readTar reads the members that are wanted, whatever folder they are in, and all the rest to the end.
func (s *cifarSet) readTar(ctx context.Context, file string, in *bufio.Reader) error {
	start, _ := in.Peek(512)
	damaged := func(err error) error {
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%s: the archive is cut short: it was not copied or downloaded to its end", file)
		case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.Is(err, tar.ErrHeader):
			return fmt.Errorf("%s: damaged archive: %w", file, err)
		}
		return fmt.Errorf("%s: %w", file, err)
	}
	var all io.Reader = in
	switch {
	case len(start) >= 2 && start[0] == 0x1f && start[1] == 0x8b:
		z, err := gzip.NewReader(in)
		if err != nil {
			return damaged(err)
		}
		all = z
	case len(start) == 512 && string(start[257:262]) == "ustar":
	case len(start) == 0:
		return fmt.Errorf("%s: the file is empty", file)
	default:
		return fmt.Errorf("%s: neither a .tar.gz nor a .tar: it starts with % x", file, start[:min(8, len(start))])
	}
	limited := &io.LimitedReader{R: all, N: maxArchive}
	members := tar.NewReader(limited)
	for limited.N > 0 {
		h, err := members.Next()
		if err == io.EOF {
			break
		}
		if err != nil && limited.N > 0 {
			return damaged(err)
		}
		if err == nil && h.Typeflag == tar.TypeReg && s.wants(path.Base(h.Name)) {
			if err := s.add(ctx, path.Base(h.Name), file+": "+h.Name, members, h.Size); err != nil {
				return err
			}
		}
	}
	if _, err := io.Copy(io.Discard, limited); err != nil { // to the checksum at the end
		return damaged(err)
	}
	if limited.N == 0 {
		return fmt.Errorf("%s: the archive unpacks to more than %d bytes: not %s", file, maxArchive, s.kind.title)
	}
	return nil
}

// contextReader ends reading with the context's error.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
