//go:build !device

package main

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// build builds the program with the given tags and returns its path.
func build(t *testing.T, tags string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bnntool")
	cmd := exec.Command("go", "build", "-tags", tags, "-trimpath", "-ldflags=-s -w", "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

// TestBinaryStarts builds and starts the program. A package below Gorgonia panics at the start with a Go version that it
// does not know, unless go.mod pins a later one.
func TestBinaryStarts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	out, err := exec.Command(build(t, ""), "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "bnntool ") {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestDeviceBuild builds the program for a device: it computes what the whole one computes, and knows nothing else.
func TestDeviceBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	device := build(t, "device")
	const most = 7 << 20
	info, err := os.Stat(device)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > most {
		t.Errorf("the program for a device has %d bytes, want at most %d", info.Size(), most)
	}
	t.Chdir(t.TempDir())
	var want, stderr bytes.Buffer
	if code := run(context.Background(), append([]string{"bnntool", "train", "--quiet", "--run", "r"}, small...), nil, &want, &stderr); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	want.Reset()
	if code := run(context.Background(), []string{"bnntool", "eval", "r/model.bnn", "--logits", "want.csv"}, nil, &want, &stderr); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 300, 200)), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("photo.jpg", photo.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"predict", "r/model.bnn", "photo.jpg", "--top", "1"}, exitDone, "photo.jpg\n  "},
		{[]string{"eval", "r/model.bnn", "--logits", "got.csv"}, exitDone, "engine=runtime\n"},
		{[]string{"inspect", "r/model.bnn", "--verify"}, exitDone, "no bit differs"},
		{[]string{"eval", "r/best.safetensors"}, exitFault, "r/best.safetensors is no artifact, and this bnntool is built for a device"},
		{[]string{"inspect", "r/best.safetensors"}, exitFault, "is no artifact"},
		{[]string{"inspect", "digits"}, exitFault, "digits: there is no such file"},
		{[]string{"predict", "r/best.safetensors", "x"}, exitFault, "is a checkpoint"},
		{[]string{"bench", "r/model.bnn", "--time", "1ms"}, exitDone, "peer=bnntool "},
		{[]string{"doctor"}, exitDone, "failed=0\n"},
		{[]string{"bench", "kernels", "--format", "csv"}, exitDone, "h,w,cin,cout,kernel,min_us,median_us,gmacs\n"},
		{[]string{"bench", "train"}, exitFault, "train: no such file"},
		{[]string{"train"}, exitUsage, `unknown command "train"`},
		{[]string{"version"}, exitDone, "tags device"},
	} {
		cmd := exec.Command(device, tt.args...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.Contains(string(out), tt.want) {
			t.Errorf("%q: exit code %d, want %d with %q:\n%s", tt.args, code, tt.code, tt.want, out)
		}
	}
	got, err := os.ReadFile("got.csv")
	if err != nil {
		t.Fatal(err)
	}
	if whole, err := os.ReadFile("want.csv"); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("the device's logits differ from those of the whole program (error %v)", err)
	}
}

// TestSmallerDeviceBuild: the tag that leaves the writer of manual pages out, as README has it, saves something.
func TestSmallerDeviceBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	size := func(tags string) int64 {
		info, err := os.Stat(build(t, tags))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if whole, smaller := size("device"), size("device,urfave_cli_no_docs"); smaller >= whole {
		t.Errorf("%d bytes, without manual pages %d: want fewer", whole, smaller)
	}
}
