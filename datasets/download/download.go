// Package download fetches files over HTTP: it goes on where an earlier download ended and keeps nothing that fails
// its checksum.
//
//	o := datasets.Options{CacheDir: dir, Fetch: download.Client{}.Fetch}
//
// It is a package of its own so that what reads data sets, such as the program for devices, need not link HTTP and TLS.
package download

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// partSuffix ends the name of a file whose download is not complete. Package datasets knows it by that name.
const partSuffix = ".part"

const (
	maxDownload     = 1 << 30          // bytes
	downloadTries   = 4                // connections in a row that bring nothing
	downloadStalled = 60 * time.Second // fetch.patience
)

// Client fetches files. The zero value is ready to use.
type Client struct {
	// HTTP is the HTTP client, nil = http.DefaultClient.
	HTTP *http.Client
	// Progress, if not nil, is called while a download runs, from the goroutine of Fetch: the last element of the URL, done
	// bytes of total, -1 if the server does not say.
	Progress func(name string, done, total int64)
}

// Fetch downloads the file at url to dst, whose folder it makes if there is none. It goes by way of dst.part: what an
// earlier download left there is not fetched again. Only a whole file whose md5 is sum, in hex, becomes dst. Two downloads
// to one dst at the same time spoil each other, which the checksum finds.
//
// Its errors name the URL and say what the user can do; the end of ctx is returned as it is, and keeps what has come.
func (c Client) Fetch(ctx context.Context, url, sum, dst string) error {
	if err := os.MkdirAll(filepath.Dir(dst), 0o777); err != nil {
		return err
	}
	part, err := os.OpenFile(dst+partSuffix, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer part.Close()
	f := fetch{client: c, url: url, name: path.Base(url), part: part, patience: downloadStalled}
	for {
		kept, err := f.size()
		if err != nil {
			return err
		}
		if err := f.whole(ctx); err != nil {
			return err
		}
		got, err := checksum(ctx, part)
		if err != nil {
			return err
		}
		if got == sum {
			break
		}
		if err := part.Truncate(0); err != nil {
			return err
		}
		if kept == 0 {
			return fmt.Errorf("%s: the downloaded file's md5 is %s, the official file's is %s: it was deleted; try again later, or download %s by other means and name it as the data",
				f.url, got, sum, f.name)
		}
		// What an earlier download left belongs to another file than what came now: once more from the start.
	}
	if err := part.Sync(); err != nil {
		return err
	}
	if err := part.Close(); err != nil {
		return err
	}
	return os.Rename(dst+partSuffix, dst)
}

// fetch is the download of one file.
type fetch struct {
	client    Client
	url, name string
	part      *os.File
	patience  time.Duration // without a byte, after which a connection is given up
}

// size returns how many bytes of the file are there.
func (f *fetch) size() (int64, error) {
	info, err := f.part.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// whole connects until the file is there, as long as connections bring something.
func (f *fetch) whole(ctx context.Context) error {
	for try := 1; ; try++ {
		before, err := f.size()
		if err != nil {
			return err
		}
		err = f.connect(ctx, before)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		after, sizeErr := f.size()
		if sizeErr != nil {
			return sizeErr
		}
		if after > before {
			try = 0
		}
		var final *finalError
		if errors.As(err, &final) || try == downloadTries {
			hint := "download " + f.name + " by other means and name it as the data"
			if after > 0 {
				hint = fmt.Sprintf("run it again to go on after the %d bytes that are there, or %s", after, hint)
			}
			return fmt.Errorf("%s: %w: %s", f.url, err, hint)
		}
	}
}

// finalError is an error after which another connection is of no use.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// connect asks for what follows the first have bytes and appends it. It returns nil when the file is whole.
func (f *fetch) connect(ctx context.Context, have int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(f.patience, func() { cancel(fmt.Errorf("nothing came for %v", f.patience)) })
	defer stalled.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return &finalError{err}
	}
	req.Header.Set("Accept-Encoding", "identity") // the file's own bytes
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	client := f.client.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return cause(ctx, err)
	}
	defer resp.Body.Close()
	from, total := int64(0), int64(-1)
	switch resp.StatusCode {
	case http.StatusOK: // the whole file, asked for or not
		total = resp.ContentLength
	case http.StatusPartialContent:
		var ok bool
		if from, total, ok = contentRange(resp.Header.Get("Content-Range")); !ok || from != have {
			// The server has its own idea of what was asked for: ask for everything.
			return f.again(fmt.Errorf("the server answers %q to a request from byte %d", resp.Header.Get("Content-Range"), have))
		}
	case http.StatusRequestedRangeNotSatisfiable:
		if _, total, ok := contentRange(resp.Header.Get("Content-Range")); ok && total == have {
			return nil
		}
		return f.again(fmt.Errorf("the server has no bytes from %d on", have))
	default:
		return &finalError{fmt.Errorf("the server answers %s", resp.Status)}
	}
	if total > maxDownload {
		return &finalError{fmt.Errorf("the server has a file of %d bytes, want at most %d", total, maxDownload)}
	}
	if err := f.part.Truncate(from); err != nil {
		return &finalError{err}
	}
	return cause(ctx, f.copy(resp.Body, from, total, func() { stalled.Reset(f.patience) }))
}

// again drops what is there, so that the next connection starts from the first byte.
func (f *fetch) again(why error) error {
	if err := f.part.Truncate(0); err != nil {
		return &finalError{err}
	}
	return why
}

// copy appends body to the file, which has done bytes, until total bytes are there; alive is called when some came.
func (f *fetch) copy(body io.Reader, done, total int64, alive func()) error {
	report := func() {
		if f.client.Progress != nil {
			f.client.Progress(f.name, done, total)
		}
	}
	report()
	buf := make([]byte, 1<<18)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			alive()
			if done+int64(n) > maxDownload {
				return &finalError{fmt.Errorf("the server sends more than %d bytes", maxDownload)}
			}
			if _, err := f.part.WriteAt(buf[:n], done); err != nil {
				return &finalError{err}
			}
			done += int64(n)
			report()
		}
		if err == io.EOF && total >= 0 && done != total {
			err = io.ErrUnexpectedEOF
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the connection ended after byte %d of %d: %w", done, total, err)
		}
	}
}

// cause replaces the error of a connection that was given up by the reason.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// contentRange parses "bytes 5-9/10" or "bytes */10". from is -1 for the latter, total -1 for "bytes 5-9/*".
func contentRange(h string) (from, total int64, ok bool) {
	h, ok = strings.CutPrefix(h, "bytes ")
	span, size, slash := strings.Cut(h, "/")
	if !ok || !slash {
		return 0, 0, false
	}
	from, total = -1, -1
	var err error
	if size != "*" {
		if total, err = strconv.ParseInt(size, 10, 64); err != nil || total < 0 {
			return 0, 0, false
		}
	}
	if span != "*" {
		first, _, dash := strings.Cut(span, "-")
		if from, err = strconv.ParseInt(first, 10, 64); err != nil || from < 0 || !dash {
			return 0, 0, false
		}
	}
	return from, total, true
}

// checksum returns the md5 of the file's bytes, in hex.
func checksum(ctx context.Context, f *os.File) (string, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	h, buf := md5.New(), make([]byte, 1<<18)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}
