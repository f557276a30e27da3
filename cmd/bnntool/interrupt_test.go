//go:build !device && unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
)

// TestSecondInterrupt: the first Ctrl-C lets a command come to an end of its own, the next one ends it at once.
func TestSecondInterrupt(t *testing.T) {
	if testing.Short() {
		t.Skip("computes a large network slowly")
	}
	net, err := model.New("recu-vggsmall", model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	weights, err := net.InitWeights(1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ck := &checkpoint.Checkpoint{Net: net, Weights: weights, Dataset: "cifar10", Classes: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
		Preprocess: preprocess.Config{H: 32, W: 32, C: 3, Mean: []float32{0, 0, 0}, Std: []float32{1, 1, 1}}}
	if err := checkpoint.Save(filepath.Join(dir, "ck"), ck); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bnntool", "convert", "ck", "-o", "out", "--images", "1000") // an image takes half a second
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for tries, started := 0, false; !started; time.Sleep(10 * time.Millisecond) {
		if tries++; tries > 2000 {
			cmd.Process.Kill()
			t.Fatal("the conversion did not begin")
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		started = len(entries) > 1 // the checkpoint and the artifact that is verified
	}
	time.Sleep(200 * time.Millisecond) // so that the comparison has begun
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	begin := time.Now()
	for running := true; running; {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
			running = false
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(begin) > 20*time.Second {
			cmd.Process.Kill()
		}
	}
	if code := cmd.ProcessState.ExitCode(); code != -1 {
		t.Errorf("exit code %d after %v, want the end by the signal", code, time.Since(begin))
	}
}
