//go:build linux || darwin

package checkpoint_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bnntool/bnntool/train/checkpoint"
)

// diskFullFile names, to a child of the test, the checkpoint to overwrite.
const diskFullFile = "CHECKPOINT_TEST_DISK_FULL"

// TestDiskFull saves over a checkpoint in a process that may not write files beyond a limit, for limits that fall
// into the header and into the tensors, and expects an error and the old checkpoint.
func TestDiskFull(t *testing.T) {
	path := save(t, sample())
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestDiskFullChild$", "-test.v")
	child.Env = append(os.Environ(), diskFullFile+"="+path)
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestDiskFullChild") {
		t.Fatalf("child: %v\n%s", err, out)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(after, before) {
		t.Errorf("the old checkpoint is not what it was (error %v)", err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (error %v), want only the checkpoint", entries, err)
	}
}

// TestDiskFullChild is the child of TestDiskFull.
func TestDiskFullChild(t *testing.T) {
	path := os.Getenv(diskFullFile)
	if path == "" {
		return // not the child
	}
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	c := sample()
	c.Weights["fc.bias"][0] = 77
	for _, limit := range []int64{0, 1, 100, stat.Size() / 2, stat.Size() - 1} {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(limit), Max: old.Max}); err != nil {
			t.Fatal(err)
		}
		err := checkpoint.Save(path, c)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
		if err == nil || !strings.Contains(err.Error(), path+" is unchanged") {
			t.Errorf("limit %d: error %v, want one that says the file is unchanged", limit, err)
		}
		if _, err := checkpoint.Load(path); err != nil {
			t.Errorf("limit %d: the old checkpoint does not load: %v", limit, err)
		}
	}
}
