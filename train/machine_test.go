package train

import (
	"encoding/binary"
	"hash/crc32"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"testing"
)

// TestTrainingIsTheSameOnEveryMachine: the weights after 12 steps and what the solver keeps have a checksum that depends on
// neither the processor, nor the kernels, nor the number of threads. It is that of the plain Go kernels on amd64.
func TestTrainingIsTheSameOnEveryMachine(t *testing.T) {
	dir := t.TempDir()
	o := digitsOptions(t, dir)
	o.Threads = 2
	mustTrain(t, o)
	c := load(t, filepath.Join(dir, "last.safetensors"))
	h := crc32.NewIEEE()
	for _, tensors := range []map[string][]float32{c.Weights, c.Solver} {
		for _, name := range slices.Sorted(maps.Keys(tensors)) {
			h.Write([]byte(name))
			for _, v := range tensors[name] {
				h.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
			}
		}
	}
	const want = 0xc5b7fe38
	if got := h.Sum32(); got != want {
		t.Errorf("checksum %08x, want %08x", got, want)
	}
}
