package expert_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
)

func TestModels(t *testing.T) {
	for _, tt := range []struct {
		model string
		sizes expert.Sizes // with exponents of 0.36
		bytes int64
	}{
		{"qwen", expert.Sizes{Full: 17_301_504, SignMantissa: 8_650_752, Exponents: 3_114_271}, 24_914_165_760},
		{"deepseek", expert.Sizes{Full: 17_301_504, SignMantissa: 8_650_752, Exponents: 3_114_271}, 28_789_702_656},
		{"switch", expert.Sizes{Full: 16_777_216, SignMantissa: 8_388_608, Exponents: 3_019_899}, 25_769_803_776},
	} {
		m := shape(t, tt.model)
		if got := m.Sizes(.36); got != tt.sizes || m.Bytes() != tt.bytes || m.Validate() != nil {
			t.Errorf("%s: sizes %+v, %d bytes, %v, want %+v, %d", tt.model, got, m.Bytes(), m.Validate(), tt.sizes, tt.bytes)
		}
	}
	if _, err := expert.ModelByName("qwne"); err == nil || !strings.Contains(err.Error(), `there is no model "qwne", did you mean qwen?`) {
		t.Errorf("unknown model: error %v", err)
	}
}

// TestReadModelOfHub reads the descriptions of the three models themselves.
func TestReadModelOfHub(t *testing.T) {
	dir := os.Getenv("BNNTOOL_MOE_MODELS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data", "moe-models")
	}
	for _, m := range expert.Models() {
		f, err := os.Open(filepath.Join(dir, m.Name, "config.json"))
		if err != nil {
			t.Skipf("%v (BNNTOOL_MOE_MODELS names the folder)", err)
		}
		got, err := expert.ReadModel(f)
		f.Close()
		got.Name, got.Resident = m.Name, m.Resident
		if err != nil || got != m {
			t.Errorf("%s: %+v, error %v, want %+v", m.Name, got, err, m)
		}
	}
}

func TestReadModel(t *testing.T) {
	for _, tt := range []struct {
		json string
		want expert.Model
	}{
		{`{"model_type":"qwen3_moe","hidden_size":2048,"num_hidden_layers":48,"moe_intermediate_size":768,"num_experts":128,"num_experts_per_tok":8,"mlp_only_layers":[0]}`,
			expert.Model{Name: "qwen3_moe", Layers: 47, Experts: 128, TopK: 8, Tensors: 3, Elements: 2048 * 768}},
		{`{"model_type":"mixtral","hidden_size":4096,"num_hidden_layers":32,"intermediate_size":14336,"num_local_experts":8,"num_experts_per_tok":2}`,
			expert.Model{Name: "mixtral", Layers: 32, Experts: 8, TopK: 2, Tensors: 3, Elements: 4096 * 14336}},
		{`{"model_type":"olmoe","hidden_size":2048,"num_hidden_layers":16,"intermediate_size":1024,"num_experts":64,"num_experts_per_tok":8}`,
			expert.Model{Name: "olmoe", Layers: 16, Experts: 64, TopK: 8, Tensors: 3, Elements: 2048 * 1024}},
		{`{"model_type":"deepseek_v3","hidden_size":7168,"num_hidden_layers":61,"moe_intermediate_size":2048,"n_routed_experts":256,"num_experts_per_tok":8,"first_k_dense_replace":3,"moe_layer_freq":1}`,
			expert.Model{Name: "deepseek_v3", Layers: 58, Experts: 256, TopK: 8, Tensors: 3, Elements: 7168 * 2048}},
	} {
		if got, err := expert.ReadModel(strings.NewReader(tt.json)); err != nil || got != tt.want {
			t.Errorf("%s: %+v, error %v, want %+v", tt.json, got, err, tt.want)
		}
	}
	for _, tt := range []struct{ json, want string }{
		{`{`, "config.json: unexpected end of JSON input"},
		{`{"model_type":"llama"}`, `model type "llama" is none of qwen2_moe`},
		{`{"model_type":"olmoe","hidden_size":-1}`, "0 layers of width -1"},
		{`{"model_type":"olmoe","hidden_size":1,"intermediate_size":1,"num_hidden_layers":1000000}`, "1000000 layers of width 1"},
		{`{"model_type":"olmoe","hidden_size":1,"intermediate_size":1,"num_hidden_layers":1,"num_experts":1000000}`, "1000000 experts, want 1 to 8192"},
		{`{"model_type":"olmoe","hidden_size":1,"intermediate_size":1,"num_hidden_layers":1,"num_experts":4,"num_experts_per_tok":5}`, "5 of 4 experts a token"},
		{`{"model_type":"mixtral","hidden_size":1,"intermediate_size":1,"num_local_experts":4}`, "0 layers with experts"},
		{strings.Repeat(" ", 1<<20+1), "more than 1048576 bytes"},
	} {
		if _, err := expert.ReadModel(strings.NewReader(tt.json)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.80s: error %v, want one with %q", tt.json, err, tt.want)
		}
	}
}
