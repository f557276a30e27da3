package download

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// server serves one file as an http.FileServer does, with what a test changes.
type server struct {
	*httptest.Server
	data     []byte
	cut      []int // the n-th answer ends after cut[n] bytes of its body, -1 = whole
	noRange  bool
	status   int // answer nothing but this, 0 = the file
	requests []string
}

func newServer(t *testing.T, data []byte) *server {
	s := &server{data: data}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests = append(s.requests, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
	if s.status != 0 {
		w.WriteHeader(s.status)
		return
	}
	if s.noRange {
		r.Header.Del("Range")
	}
	if n := len(s.requests) - 1; n < len(s.cut) && s.cut[n] >= 0 {
		w = &cutWriter{w, s.cut[n]}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.data))
}

// cutWriter drops the connection after some bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) <= w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	w.ResponseWriter.Write(p[:w.left])
	w.ResponseWriter.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func sumOf(data []byte) string { return fmt.Sprintf("%x", md5.Sum(data)) }

// writePart writes what an earlier download of dst left.
func writePart(t *testing.T, dst string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(dst), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dst+".part", data, 0o666); err != nil {
		t.Fatal(err)
	}
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

func TestFetch(t *testing.T) {
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i * i >> 8)
	}
	old := bytes.Repeat([]byte("another file"), 1000)
	for _, tt := range []struct {
		name     string
		part     []byte // of an earlier download
		change   func(s *server)
		sum      string // "" = that of data
		want     string // error; "" = none
		left     int    // bytes of the .part after an error, -1 = no .part
		requests string
	}{
		{name: "from nothing", requests: "/f"},
		{name: "the rest", part: data[:1000], requests: "/f bytes=1000-"},
		{name: "the rest is nothing", part: data, requests: fmt.Sprintf("/f bytes=%d-", len(data))},
		{name: "no ranges", part: data[:1000], change: func(s *server) { s.noRange = true }, requests: "/f bytes=1000-"},
		{name: "cut once", change: func(s *server) { s.cut = []int{5000} }, requests: "/f|/f bytes=5000-"},
		{name: "cut often", change: func(s *server) { s.cut = []int{10, 10, 10, 10, 10, 10} },
			requests: "/f|/f bytes=10-|/f bytes=20-|/f bytes=30-|/f bytes=40-|/f bytes=50-|/f bytes=60-"},
		{name: "cut without ranges", change: func(s *server) { s.noRange, s.cut = true, []int{5000} }, requests: "/f|/f bytes=5000-"},
		{name: "the part is too long", part: append(bytes.Clone(data), 1), requests: fmt.Sprintf("/f bytes=%d-|/f", len(data)+1)},
		{name: "the part is of another file", part: old, requests: fmt.Sprintf("/f bytes=%d-|/f", len(old))},
		{name: "always cut", part: data[:7], change: func(s *server) { s.cut = []int{0, 0, 0, 0, 0, 0, 0, 0} }, left: 7,
			want:     "/f: the connection ended after byte 7 of 1048576: unexpected EOF: run it again to go on after the 7 bytes",
			requests: "/f bytes=7-|/f bytes=7-|/f bytes=7-|/f bytes=7-"},
		{name: "wrong md5", sum: strings.Repeat("0", 32), left: 0,
			want:     "/f: the downloaded file's md5 is " + sumOf(data) + ", the official file's is 00000",
			requests: "/f"},
		{name: "wrong md5 after a part", part: data[:10], sum: strings.Repeat("0", 32), left: 0, want: "md5 is " + sumOf(data), requests: "/f bytes=10-|/f"},
		{name: "404", change: func(s *server) { s.status = 404 }, want: "/f: the server answers 404 Not Found: download f by other means", left: 0, requests: "/f"},
		{name: "503 keeps the part", part: data[:10], change: func(s *server) { s.status = 503 }, want: "503 Service Unavailable: run it again", left: 10, requests: "/f bytes=10-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			goroutinesSettle(t)
			s := newServer(t, data)
			if tt.change != nil {
				tt.change(s)
			}
			dst := filepath.Join(t.TempDir(), "cache", "f")
			if tt.part != nil {
				writePart(t, dst, tt.part)
			}
			sum := tt.sum
			if sum == "" {
				sum = sumOf(data)
			}
			last := int64(-1)
			err := Client{HTTP: s.Client(), Progress: func(name string, done, total int64) {
				if name != "f" || total != int64(len(data)) {
					t.Errorf("progress of %q, total %d, want f and %d", name, total, len(data))
				}
				last = done
			}}.Fetch(context.Background(), s.URL+"/f", sum, dst)
			if got := strings.Join(s.requests, "|"); got != tt.requests {
				t.Errorf("requests %q, want %q", got, tt.requests)
			}
			_, statErr := os.Stat(dst)
			part, partErr := os.ReadFile(dst + ".part")
			if tt.want != "" {
				wantError(t, "fetch", err, tt.want)
				if !errors.Is(statErr, os.ErrNotExist) {
					t.Errorf("after an error %s is there", dst)
				}
				if partErr != nil || len(part) != tt.left {
					t.Errorf("the part has %d bytes (%v), want %d", len(part), partErr, tt.left)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(dst); err != nil || !bytes.Equal(got, data) {
				t.Errorf("the file has %d bytes (%v), not those of the server", len(got), err)
			}
			if !errors.Is(partErr, os.ErrNotExist) {
				t.Error("the part is still there")
			}
			if last != int64(len(data)) && len(tt.part) != len(data) {
				t.Errorf("the last progress was %d, want %d", last, len(data))
			}
		})
	}
}

// goroutinesSettle fails the test if more goroutines run at its end than now, when its own server and client have ended.
func goroutinesSettle(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		// A goroutine that has said its last word is still counted for a moment.
		for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if after := runtime.NumGoroutine(); after > before {
			stack := make([]byte, 1<<16)
			t.Errorf("%d goroutines, before the test %d:\n%s", after, before, stack[:runtime.Stack(stack, true)])
		}
	})
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
}

// A cancelled download keeps what came, and the next one goes on from there.
func TestFetchCancel(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	s := newServer(t, data)
	dst := filepath.Join(t.TempDir(), "f")
	ctx, cancel := context.WithCancel(context.Background())
	err := Client{Progress: func(name string, done, total int64) {
		if done > 0 {
			cancel()
		}
	}}.Fetch(ctx, s.URL+"/f", sumOf(data), dst)
	if err != context.Canceled {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	part, err := os.ReadFile(dst + ".part")
	if err != nil || len(part) == 0 || !bytes.HasPrefix(data, part) {
		t.Fatalf("%d bytes are kept (%v), want some of the file's first", len(part), err)
	}
	if err := (Client{}).Fetch(context.Background(), s.URL+"/f", sumOf(data), dst); err != nil {
		t.Fatal(err)
	}
	if got, want := s.requests[len(s.requests)-1], fmt.Sprintf("/f bytes=%d-", len(part)); got != want {
		t.Errorf("the last request was %q, want %q", got, want)
	}
}

// Servers that answer something else than was asked for.
func TestFetchOddServers(t *testing.T) {
	data := []byte("0123456789")
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter, ranged bool)
		want   string
	}{
		{"another range", func(w http.ResponseWriter, ranged bool) {
			if ranged {
				w.Header().Set("Content-Range", "bytes 0-9/10")
				w.WriteHeader(http.StatusPartialContent)
			}
			w.Write(data)
		}, ""},
		{"no Content-Range", func(w http.ResponseWriter, ranged bool) {
			if ranged {
				w.WriteHeader(http.StatusPartialContent)
			}
			w.Write(data)
		}, ""},
		{"always 416", func(w http.ResponseWriter, ranged bool) { w.WriteHeader(416) }, "the server has no bytes from"},
		{"unknown length", func(w http.ResponseWriter, ranged bool) {
			w.Write(data[:5])
			w.(http.Flusher).Flush()
			w.Write(data[5:])
		}, ""},
		{"endless", func(w http.ResponseWriter, ranged bool) { w.Header().Set("Content-Length", "2000000000") }, "a file of 2000000000 bytes, want at most"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tt.answer(w, r.Header.Get("Range") != "") }))
		dst := filepath.Join(t.TempDir(), "f")
		writePart(t, dst, []byte("xyz"))
		err := Client{}.Fetch(context.Background(), srv.URL+"/f", sumOf(data), dst)
		srv.Close()
		if tt.want != "" {
			wantError(t, tt.name, err, tt.want)
			continue
		}
		if got, _ := os.ReadFile(dst); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: got %q and %v, want the file", tt.name, got, err)
		}
	}
	// No server at all.
	srv := httptest.NewServer(nil)
	srv.Close()
	err := Client{}.Fetch(context.Background(), srv.URL+"/f", sumOf(data), filepath.Join(t.TempDir(), "f"))
	wantError(t, "no server", err, "/f: |connection refused|download f by other means and name it as the data")
}

func TestContentRange(t *testing.T) {
	for _, tt := range []struct {
		h           string
		from, total int64
		ok          bool
	}{
		{"bytes 5-9/10", 5, 10, true}, {"bytes 5-9/*", 5, -1, true}, {"bytes */10", -1, 10, true},
		{"", 0, 0, false}, {"bytes", 0, 0, false}, {"bytes 5-9", 0, 0, false}, {"bytes x-9/10", 0, 0, false}, {"bytes 5/10", 0, 0, false},
		{"bytes 5-9/x", 0, 0, false}, {"bytes -5-9/10", 0, 0, false}, {"items 5-9/10", 0, 0, false}, {"bytes 5-9/-1", 0, 0, false},
	} {
		from, total, ok := contentRange(tt.h)
		if ok != tt.ok || ok && (from != tt.from || total != tt.total) {
			t.Errorf("%q: got %d, %d, %v, want %d, %d, %v", tt.h, from, total, ok, tt.from, tt.total, tt.ok)
		}
	}
}

// A connection on which nothing comes is given up.
func TestFetchStalls(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "some")
		w.(http.Flusher).Flush()
		<-release
	}))
	defer srv.Close()
	defer close(release)
	part, err := os.Create(filepath.Join(t.TempDir(), "f.part"))
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	f := fetch{url: srv.URL, name: "f", part: part, patience: 50 * time.Millisecond}
	wantError(t, "stalled", f.connect(context.Background(), 0), "nothing came for 50ms")
}
