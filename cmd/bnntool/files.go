package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/expert"
)

// What the metadata key "format" says of the program's files.
const (
	checkpointFormat = "bnntool.checkpoint"
	artifactFormat   = "bnntool.artifact"
)

// fileFormat returns which of the program's files path is; a PyTorch checkpoint is a checkpoint. Its tensors are not read.
func fileFormat(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		if _, err := os.Stat(filepath.Join(path, "best.safetensors")); err == nil {
			return "", fmt.Errorf("%s is a run folder: name a file in it, as in %s", path, filepath.Join(path, "best.safetensors"))
		}
		return "", fmt.Errorf("%s is a folder: name a checkpoint or an artifact", path)
	}
	if is, err := isPyTorch(path); is || err != nil {
		return checkpointFormat, err
	}
	f, err := safetensors.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	switch format := f.Metadata()["format"]; format {
	case checkpointFormat, artifactFormat, expert.StoreFormat:
		return format, nil
	default:
		return "", fmt.Errorf("%s: neither a checkpoint nor an artifact: its metadata \"format\" is %q, want %q or %q",
			path, format, checkpointFormat, artifactFormat)
	}
}

// notConverted is the error of a command that takes artifacts, for a checkpoint.
func notConverted(command, path string) error {
	return fmt.Errorf("%s is a checkpoint, %s takes an artifact: bnntool convert %s -o model.bnn makes one", path, command, path)
}

// value returns s as the value of a key=value pair: quoted if it would not end at a space.
func value(s string) string {
	if strings.ContainsAny(s, " \t\n\"'=") {
		return fmt.Sprintf("%q", s)
	}
	return s
}
