//go:build !device

package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newEnv returns an env that writes to the buffers.
func newEnv(terminal bool) (e *env, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	now := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	return &env{stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, terminal: terminal, now: now}, stdout, stderr
}

// small are the flags of a training of half a second.
var small = []string{"--set", "model.width=4", "--set", "dataset.limit_train=64", "--set", "dataset.limit_test=20", "--epochs", "2"}

func TestTerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	e, stdout, stderr := newEnv(true)
	if code := e.run(context.Background(), append([]string{"bnntool", "train"}, small...)); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"epoch 1/2  train", "epoch 2/2  test", "loss ", "top-1 ", "(0/64, 0 images/"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in the progress:\n%q", want, stderr)
		}
	}
	if !strings.Contains(stdout.String(), "\nepoch 2/2 ") || !strings.HasSuffix(stdout.String(), " run=runs/digits-20260102-030405\n") {
		t.Errorf("output:\n%s", stdout)
	}

	// The second run of the same second gets a folder of its own. Quiet is quiet on a terminal too.
	e, stdout, stderr = newEnv(true)
	if code := e.run(context.Background(), append([]string{"bnntool", "train", "--quiet"}, small...)); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if stderr.Len() != 0 || strings.Count(stdout.String(), "\n") != 1 || !strings.HasSuffix(stdout.String(), "-030405-2\n") {
		t.Errorf("with --quiet: stdout %q, stderr %q", stdout, stderr)
	}
}

// TestExcerpt: on a terminal a fault in a recipe is shown where it is, elsewhere it is one line.
func TestExcerpt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.yaml")
	if err := os.WriteFile(file, []byte("train:\n  lr: fast\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, terminal := range []bool{false, true} {
		e, _, stderr := newEnv(terminal)
		if code := e.run(context.Background(), []string{"bnntool", "train", file}); code != exitFault {
			t.Errorf("exit code %d, want %d", code, exitFault)
		}
		if lines := strings.Split(strings.TrimSpace(stderr.String()), "\n"); (len(lines) > 1) != terminal || strings.Contains(stderr.String(), "^") != terminal {
			t.Errorf("terminal %v: %s", terminal, stderr)
		}
	}
}

// TestDownload: a data set that is not there is asked for at its address, and the fault of the server is told.
func TestDownload(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		w.Header().Set("Content-Length", "4")
		w.Write([]byte("none"))
	}))
	defer server.Close()
	t.Chdir(t.TempDir())
	e, _, stderr := newEnv(true)
	e.dataURL = server.URL
	code := e.run(context.Background(), []string{"bnntool", "train", "cifar10-recu-resnet20", "--cache", "cache"})
	if code != exitFault || len(asked) != 1 || asked[0] != "/cifar-10-binary.tar.gz" {
		t.Errorf("exit code %d after asking for %q, want %d after one file", code, asked, exitFault)
	}
	for _, want := range []string{"downloading cifar-10-binary.tar.gz", "md5", "--data names it\n"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
	if _, err := os.Stat("runs"); err == nil {
		t.Error("a run folder was made")
	}
}

// failingWriter fails from the second write on.
type failingWriter struct {
	writes int
	err    error
}

func (f *failingWriter) Write(p []byte) (int, error) {
	if f.writes++; f.writes > 1 {
		return 0, f.err
	}
	return len(p), nil
}

func TestOutputFails(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{syscall.EPIPE, ""},
		{errors.New("no space left"), "bnntool: standard output: no space left\n"},
	} {
		e, _, stderr := newEnv(false)
		e.stdout = &failingWriter{err: tt.err}
		if code := e.run(context.Background(), []string{"bnntool", "recipes"}); code != exitFault || stderr.String() != tt.want {
			t.Errorf("%v: exit code %d, stderr %q, want %d, %q", tt.err, code, stderr, exitFault, tt.want)
		}
	}
	// A training is interrupted and saved.
	t.Chdir(t.TempDir())
	e, _, stderr := newEnv(false)
	e.stdout = &failingWriter{err: syscall.EPIPE}
	code := e.run(context.Background(), append([]string{"bnntool", "train", "--run", "it's"}, small...))
	if want := `go on with: bnntool train --resume 'it'\''s'` + "\n"; code != exitInterrupted || !strings.HasSuffix(stderr.String(), want) {
		t.Errorf("exit code %d, stderr %q, want %d, %q", code, stderr, exitInterrupted, want)
	}
}

func TestInterruptBeforeTheStart(t *testing.T) {
	t.Chdir(t.TempDir())
	if code := run(context.Background(), []string{"bnntool", "train", "--fast-dev-run", "--quiet", "--run", "r"}, nil, &bytes.Buffer{}, &bytes.Buffer{}); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range [][]string{{"eval", "r/best.safetensors"}, {"eval", "r/model.bnn"}, {"convert", "r/best.safetensors", "-o", "x"}} {
		var stdout, stderr bytes.Buffer
		code := run(ctx, append([]string{"bnntool"}, args...), nil, &stdout, &stderr)
		if code != exitInterrupted || stderr.String() != "bnntool: interrupted\n" {
			t.Errorf("%q: exit code %d, stderr %q, want %d", args, code, &stderr, exitInterrupted)
		}
	}
	if _, err := os.Stat("x"); err == nil {
		t.Error("an interrupted conversion left its artifact")
	}
}

func TestOneLine(t *testing.T) {
	if got := oneLine("a\nb\r\n\nc\n"); got != "a; b; c" {
		t.Errorf("oneLine = %q", got)
	}
}

func TestWords(t *testing.T) {
	for _, tt := range []struct{ s, shell, pair string }{
		{"runs/a-1.b", "runs/a-1.b", "runs/a-1.b"},
		{"", "''", ""},
		{"a b", "'a b'", `"a b"`},
		{"$x", "'$x'", "$x"},
		{"a=b", "'a=b'", `"a=b"`},
		{"é", "'é'", "é"},
	} {
		if got := shellWord(tt.s); got != tt.shell {
			t.Errorf("shellWord(%q) = %s, want %s", tt.s, got, tt.shell)
		}
		if got := value(tt.s); got != tt.pair {
			t.Errorf("value(%q) = %s, want %s", tt.s, got, tt.pair)
		}
	}
}

// TestMinute: without a terminal a long epoch says once a minute how far it is.
func TestMinute(t *testing.T) {
	t.Chdir(t.TempDir())
	e, stdout, stderr := newEnv(false)
	at := e.now()
	e.now = func() time.Time { at = at.Add(40 * time.Second); return at }
	args := append([]string{"bnntool", "train", "--set", "train.batch=8"}, small...)
	if code := e.run(context.Background(), args); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	// Steps of 8 images come 40 s apart; the first says where the epoch begins, then every second one is a minute on.
	for _, want := range []string{"\nepoch 1/2  24 of 64 images  loss ", "  0 images/s  3m20s left of the epoch\n", "\nepoch 2/2  56 of 64 images  loss "} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if n := strings.Count(stdout.String(), " of 64 images"); n != 6 {
		t.Errorf("%d lines of progress, want 3 an epoch:\n%s", n, stdout)
	}
}
