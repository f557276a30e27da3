package convert_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/convert"
	"github.com/bnntool/bnntool/runtime/codec"
	"github.com/bnntool/bnntool/runtime/expert"
)

// synthLayers is what each model needs to have a layer of each kind.
var synthLayers = map[string]int{"qwen": 1, "deepseek": 2, "switch": 2}

func synthFolder(t *testing.T, o convert.SynthOptions) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if _, err := convert.Synthesize(context.Background(), dir, o); err != nil {
		t.Fatal(err)
	}
	return dir
}

// files returns the content of a folder.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]string)
	for _, f := range list {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		m[f.Name()] = string(data)
	}
	return m
}

func TestSynthesizeConverts(t *testing.T) {
	for model, layers := range synthLayers {
		t.Run(model, func(t *testing.T) {
			o := convert.SynthOptions{Model: model, Layers: layers, Seed: 3, Shrink: 16, Shard: 3_000_000}
			dir := synthFolder(t, o)
			first := files(t, dir)
			if again := files(t, synthFolder(t, o)); !maps.Equal(first, again) {
				t.Error("the same options give other bytes")
			}
			o.Seed = 4
			if other := files(t, synthFolder(t, o)); maps.Equal(first, other) {
				t.Error("another seed gives the same bytes")
			}
			if len(first) < 4 {
				t.Errorf("%d files, want several shards", len(first))
			}
			s, _ := toStore(t, dir, convert.HubOptions{Code: codec.Huffman})
			sameAsHub(t, s, dir)
			m, err := expert.ReadModel(strings.NewReader(s.Config()))
			if err != nil {
				t.Fatal(err)
			}
			l := s.Layers()[0]
			if m.Experts != l.Experts || m.Tensors != len(l.Tensors) || int64(m.Elements) != l.Tensors[0].Elements() {
				t.Errorf("config.json says %+v, the store has %d experts of %d tensors of %d", m, l.Experts, len(l.Tensors), l.Tensors[0].Elements())
			}
		})
	}
}

// TestSynthesizeLikeTrained: the exponents are as hard to compress as those of trained models.
func TestSynthesizeLikeTrained(t *testing.T) {
	dir := synthFolder(t, convert.SynthOptions{Model: "qwen", Layers: 1, Seed: 1, Shrink: 8})
	s, _ := toStore(t, dir, convert.HubOptions{Code: codec.Huffman})
	kinds, err := expert.Survey(context.Background(), s.Layers(), s.Weights())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		if k.Entropy < 2.55 || k.Entropy > 2.70 {
			t.Errorf("%s: entropy %.3f bits, want 2.55 to 2.70", k.Role, k.Entropy)
		}
	}
}

// TestSynthesizeNames compares the names with those of the published models, as far as their layers go.
func TestSynthesizeNames(t *testing.T) {
	data := os.Getenv("BNNTOOL_MOE_MODELS")
	if data == "" {
		data = filepath.Join("..", "..", "shared", "data", "moe-models")
	}
	for model, layers := range synthLayers {
		published, err := os.ReadFile(filepath.Join(data, model, "model.safetensors.index.json"))
		if err != nil {
			t.Skipf("no descriptions of published models: set BNNTOOL_MOE_MODELS to their folder: %v", err)
		}
		dir := synthFolder(t, convert.SynthOptions{Model: model, Layers: layers, Shrink: 64})
		own, err := os.ReadFile(filepath.Join(dir, "model.safetensors.index.json"))
		if err != nil {
			t.Fatal(err)
		}
		want := slices.DeleteFunc(names(t, published), func(name string) bool { return beyond(name, layers) })
		if got := names(t, own); !slices.Equal(got, want) {
			t.Errorf("%s: %d tensors, want %d: %v", model, len(got), len(want), firstDifference(got, want))
		}
	}
}

func names(t *testing.T, index []byte) []string {
	t.Helper()
	var m struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(index, &m); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(m.WeightMap))
}

// beyond reports whether a tensor is of a layer from the given one on.
func beyond(name string, layers int) bool {
	for _, mark := range []string{"model.layers.", "encoder.block.", "decoder.block."} {
		if rest, ok := strings.CutPrefix(name, mark); ok {
			number, _, _ := strings.Cut(rest, ".")
			return len(number) > 1 || int(number[0]-'0') >= layers
		}
	}
	return false
}

func firstDifference(a, b []string) []string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return []string{a[i], b[i]}
		}
	}
	return nil
}

func TestSynthesizeRefuses(t *testing.T) {
	for _, tt := range []struct {
		o    convert.SynthOptions
		want string
	}{
		{convert.SynthOptions{Model: "qwem", Layers: 1}, "did you mean qwen?"},
		{convert.SynthOptions{Model: "qwen", Layers: 25}, "25 layers of qwen, want 1 to 24"},
		{convert.SynthOptions{Model: "deepseek", Layers: 1}, "1 layers of deepseek, want 2 to 27"},
	} {
		dir := filepath.Join(t.TempDir(), "model")
		if _, err := convert.Synthesize(context.Background(), dir, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("a folder is left")
		}
	}
	o := convert.SynthOptions{Model: "qwen", Layers: 1, Shrink: 64}
	dir := synthFolder(t, o)
	if _, err := convert.Synthesize(context.Background(), dir, o); err == nil || !strings.Contains(err.Error(), "name a new folder") {
		t.Errorf("error %v, want one of the folder", err)
	}
}
