package convert_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/convert"
	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/codec"
	"github.com/bnntool/bnntool/runtime/expert"
)

// toStore converts a folder and opens the store.
func toStore(t *testing.T, dir string, o convert.HubOptions) (*expert.Store, *convert.HubReport) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.moe")
	report, err := convert.ConvertHub(context.Background(), dir, path, o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := expert.OpenStore(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, report
}

// sameAsHub compares all of a store with the folder that it was made of.
func sameAsHub(t *testing.T, s *expert.Store, dir string) {
	t.Helper()
	hub, err := convert.OpenHub(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	r := s.NewReader()
	for i, l := range s.Layers() {
		for x := range l.Experts {
			if err := r.Verify(i, x, func(name string, dst []byte) error { return hub.ReadAt(name, dst, 0) }); err != nil {
				t.Error(err)
			}
		}
	}
	for _, info := range s.Dense() {
		if err := s.VerifyDense(context.Background(), info, hub.ReadAt); err != nil {
			t.Error(err)
		}
	}
}

func TestConvertHubGolden(t *testing.T) {
	dir := os.Getenv("BNNTOOL_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "golden")
	}
	dir = filepath.Join(dir, "moe")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no golden models: set BNNTOOL_GOLDEN to their folder: %v", err)
	}
	for _, tt := range []struct {
		model            string
		layers, experts  int
		tensors          int // in all, of the source
		first, firstRole string
		number           int // of the last layer
	}{
		{"qwen2_moe", 3, 12, 153, "model.layers.0.mlp", "gate_proj.weight", 2},
		{"qwen3_moe", 3, 12, 138, "model.layers.0.mlp", "gate_proj.weight", 2},
		{"deepseek_v2", 2, 12, 107, "model.layers.1.mlp", "gate_proj.weight", 2},
		{"olmoe", 3, 16, 174, "model.layers.0.mlp", "gate_proj.weight", 2},
		{"mixtral", 3, 8, 96, "model.layers.0.block_sparse_moe", "w1.weight", 2},
		{"switch", 4, 8, 152, "encoder.block.1.layer.1.mlp", "wi.weight", 3},
	} {
		t.Run(tt.model, func(t *testing.T) {
			folder := filepath.Join(dir, tt.model)
			s, report := toStore(t, folder, convert.HubOptions{Code: codec.Huffman})
			layers := s.Layers()
			first, last := layers[0], layers[len(layers)-1]
			tensors := len(s.Dense()) + report.Experts*len(first.Tensors)
			if len(layers) != tt.layers || first.Experts != tt.experts || tensors != tt.tensors || first.Name() != tt.first ||
				first.Tensors[0].Role != tt.firstRole || last.Number != tt.number {
				t.Errorf("%d layers of %d experts, %d tensors, first %s %s, last number %d, want %+v",
					len(layers), first.Experts, tensors, first.Name(), first.Tensors[0].Role, last.Number, tt)
			}
			if len(report.Notes) != 0 {
				t.Errorf("notes %q, want none", report.Notes)
			}
			config, err := os.ReadFile(filepath.Join(folder, "config.json"))
			if err != nil || s.Config() != string(config) {
				t.Errorf("config.json is not kept: %v", err)
			}
			sameAsHub(t, s, folder)
		})
	}
}

// hubFolder writes a folder with one layer of two experts, their tensors of a type, in two shards.
func hubFolder(t *testing.T, dtype string, fill func(i int) uint32) string {
	t.Helper()
	dir := t.TempDir()
	width := map[string]int{"BF16": 2, "F16": 2, "F32": 4, "F8_E4M3": 1}[dtype]
	index := make(map[string]string)
	for shard := range 2 {
		name := fmt.Sprintf("model-%d.safetensors", shard)
		var tensors []safetensors.Tensor
		add := func(tensor, dtype string, width, n int, fill func(i int) uint32) {
			data := make([]byte, 0, width*n)
			for i := range n {
				data = append(data, binary.LittleEndian.AppendUint32(nil, fill(i))[:width]...)
			}
			tensors = append(tensors, safetensors.Tensor{Name: tensor, DType: dtype, Shape: []int{n / 8, 8}, Data: data})
			index[tensor] = name
		}
		add(fmt.Sprintf("model.norm%d.weight", shard), "BF16", 2, 8, func(i int) uint32 { return 0x3f80 })
		for _, role := range []string{"up", "down", "gate"} {
			add(fmt.Sprintf("model.layers.7.mlp.experts.%d.%s_proj.weight", shard, role), dtype, width, 1024, fill)
		}
		if err := safetensors.WriteFile(filepath.Join(dir, name), tensors, safetensors.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	writeIndex(t, dir, index)
	return dir
}

func writeIndex(t *testing.T, dir string, m map[string]string) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"metadata": map[string]int{"total_size": 1}, "weight_map": m})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestConvertHubTypes(t *testing.T) {
	pattern := func(i int) uint32 { return uint32(0x3c00+i%700) << 16 } // the upper half of F32
	for _, tt := range []struct {
		name, dtype string
		fill        func(i int) uint32
		coded       bool
		inMemory    string
		note        string
	}{
		{"BF16", "BF16", func(i int) uint32 { return pattern(i) >> 16 }, true, "BF16", ""},
		{"F16", "F16", func(i int) uint32 { return pattern(i) >> 16 }, true, "F16", ""},
		{"F32 that is BF16", "F32", pattern, true, "BF16", ""},
		{"F32", "F32", func(i int) uint32 { return pattern(i) + 1 }, false, "F32", "6 tensors of experts are stored as they are: F32 whose numbers are not all BF16"},
		{"F8", "F8_E4M3", func(i int) uint32 { return uint32(i) }, false, "F8_E4M3", "6 tensors of experts are stored as they are: F8_E4M3, which has no exponents that are worth coding"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := hubFolder(t, tt.dtype, tt.fill)
			s, report := toStore(t, dir, convert.HubOptions{Code: codec.Huffman})
			l := s.Layers()[0]
			if l.Tensors[0].Coded != tt.coded || l.Tensors[0].DType != tt.inMemory || l.Number != 7 {
				t.Errorf("layer %d, tensor %+v, want coded %v, %s", l.Number, l.Tensors[0], tt.coded, tt.inMemory)
			}
			var roles []string
			for _, st := range l.Tensors {
				roles = append(roles, st.Role)
			}
			if got, want := strings.Join(roles, " "), "gate_proj.weight up_proj.weight down_proj.weight"; got != want {
				t.Errorf("tensors %s, want %s", got, want)
			}
			if got := strings.Join(report.Notes, "\n"); got != tt.note {
				t.Errorf("notes %q, want %q", got, tt.note)
			}
			sameAsHub(t, s, dir)
		})
	}
}

func TestOpenHubRefuses(t *testing.T) {
	one := func(int) uint32 { return 0x3f80 }
	for _, tt := range []struct {
		name, want string
		harm       func(t *testing.T, dir string)
	}{
		{"nothing", "there is neither model.safetensors nor model.safetensors.index.json", func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, "model.safetensors.index.json"))
		}},
		{"a shard is missing", "model-1.safetensors: no such file", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "model-1.safetensors")) }},
		{"a path out of the folder", "want a .safetensors file of the same folder", func(t *testing.T, dir string) {
			writeIndex(t, dir, map[string]string{"a": "../../etc/x.safetensors"})
		}},
		{"no weights listed", `has no "weight_map"`, func(t *testing.T, dir string) { writeIndex(t, dir, nil) }},
		{"not JSON", "model.safetensors.index.json: invalid character", func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), []byte("x"), 0o644)
		}},
		{"a tensor too many", "the files do not go together", func(t *testing.T, dir string) {
			writeIndex(t, dir, map[string]string{"model.norm0.weight": "model-0.safetensors"})
		}},
		{"a shard of text", "the header claims", func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(dir, "model-0.safetensors"), []byte("version https://git-lfs"), 0o644)
		}},
		{"a large config", "more than 1048576 bytes", func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(dir, "config.json"), bytes.Repeat([]byte(" "), 1<<20+1), 0o644)
		}},
	} {
		dir := hubFolder(t, "BF16", one)
		tt.harm(t, dir)
		_, err := convert.ConvertHub(context.Background(), dir, filepath.Join(t.TempDir(), "m.moe"), convert.HubOptions{})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "convert: "+dir) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestHubPlanRefuses(t *testing.T) {
	tensor := func(name string, n int) safetensors.Tensor {
		return safetensors.Tensor{Name: name, DType: "BF16", Shape: []int{n}, Data: make([]byte, 2*n)}
	}
	for _, tt := range []struct {
		name, want string
		tensors    []safetensors.Tensor
	}{
		{"no experts", "none of its 1 tensors is called like an expert's", []safetensors.Tensor{tensor("model.layers.0.mlp.shared_experts.up_proj.weight", 4)}},
		{"a number is missing", "layer l.0: 2 experts, but none has the number 1", []safetensors.Tensor{tensor("l.0.experts.0.w1.weight", 4), tensor("l.0.experts.2.w1.weight", 4)}},
		{"another shape", "the experts of a layer must be alike", []safetensors.Tensor{tensor("l.0.experts.0.w1.weight", 4), tensor("l.0.experts.1.w1.weight", 5)}},
		{"a tensor less", "expert 1 has 1 tensors, expert 0 has 2", []safetensors.Tensor{tensor("l.0.experts.0.w1.weight", 4), tensor("l.0.experts.0.w2.weight", 4), tensor("l.0.experts.1.w1.weight", 4)}},
		{"another tensor", "the experts of a layer must be alike", []safetensors.Tensor{tensor("l.0.experts.0.w1.weight", 4), tensor("l.0.experts.1.w2.weight", 4)}},
	} {
		dir := t.TempDir()
		if err := safetensors.WriteFile(filepath.Join(dir, "model.safetensors"), tt.tensors, safetensors.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		_, err := convert.ConvertHub(context.Background(), dir, filepath.Join(t.TempDir(), "m.moe"), convert.HubOptions{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}
