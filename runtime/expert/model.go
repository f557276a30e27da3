package expert

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bnntool/bnntool/internal/nearest"
)

// Model is the shape of a mixture of experts in BF16.
type Model struct {
	Name     string `json:"name"`
	Layers   int    `json:"layers"`  // with experts, that a token passes in decoding
	Experts  int    `json:"experts"` // of a layer, those that a router chooses among
	TopK     int    `json:"top_k"`   // that it chooses
	Tensors  int    `json:"tensors"` // of an expert
	Elements int    `json:"elements"`
	// Resident is the bytes of all other weights, which stay in memory; 0 if not known. A token reads nearly all of them.
	Resident int64 `json:"resident_bytes,omitempty"`
}

// Models returns the shapes that the package knows by name, in BF16:
//
//	qwen      Qwen1.5-MoE-A2.7B
//	deepseek  DeepSeek-V2-Lite
//	switch    Switch-Large-128, its decoder: the encoder's layers are passed once a prompt
func Models() []Model {
	return []Model{
		{Name: "qwen", Layers: 24, Experts: 60, TopK: 4, Tensors: 3, Elements: 2048 * 1408, Resident: 3_717_402_624},
		{Name: "deepseek", Layers: 26, Experts: 64, TopK: 6, Tensors: 3, Elements: 2048 * 1408, Resident: 2_623_265_792},
		{Name: "switch", Layers: 12, Experts: 128, TopK: 1, Tensors: 2, Elements: 1024 * 4096, Resident: 1_276_368_896},
	}
}

// ModelByName returns one of Models.
func ModelByName(name string) (Model, error) {
	var names []string
	for _, m := range Models() {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return Model{}, fmt.Errorf("expert: there is no model %q, did you mean %s? There are %s, or a folder with a config.json",
		name, nearest.Name(name, names), strings.Join(names, ", "))
}

// Sizes returns the bytes of an expert whose exponents are compressed to ratio of their size, rounded up.
func (m Model) Sizes(ratio float64) Sizes {
	n := int64(m.Tensors) * int64(m.Elements)
	return Sizes{Full: 2 * n, SignMantissa: n, Exponents: int64(float64(n)*ratio + 0.999999)}
}

// Bytes returns the bytes of all experts.
func (m Model) Bytes() int64 {
	return int64(m.Layers) * int64(m.Experts) * 2 * int64(m.Tensors) * int64(m.Elements)
}

// Validate returns an error if m cannot be.
func (m Model) Validate() error {
	switch {
	case m.Layers < 1 || m.Layers > MaxLayers:
		return fmt.Errorf("expert: %s: %d layers with experts, want 1 to %d", m.Name, m.Layers, MaxLayers)
	case m.Experts < 1 || m.Experts > MaxExperts:
		return fmt.Errorf("expert: %s: %d experts, want 1 to %d", m.Name, m.Experts, MaxExperts)
	case m.TopK < 1 || m.TopK > m.Experts:
		return fmt.Errorf("expert: %s: %d of %d experts a token", m.Name, m.TopK, m.Experts)
	case m.Tensors < 1 || m.Tensors > 1<<10 || m.Elements < 1 || m.Elements > 1<<32:
		return fmt.Errorf("expert: %s: %d tensors of %d elements an expert", m.Name, m.Tensors, m.Elements)
	}
	return nil
}

// hubConfig are the fields of a config.json that say the shape of the experts.
type hubConfig struct {
	Type         string `json:"model_type"`
	Hidden       int    `json:"hidden_size"`
	Layers       int    `json:"num_hidden_layers"`
	Intermediate int    `json:"intermediate_size"`
	Expert       int    `json:"moe_intermediate_size"`
	TopK         int    `json:"num_experts_per_tok"`
	Experts      int    `json:"num_experts"`
	Routed       int    `json:"n_routed_experts"`
	Local        int    `json:"num_local_experts"`
	FirstDense   int    `json:"first_k_dense_replace"`
	Frequency    int    `json:"moe_layer_freq"`
	SparseStep   int    `json:"decoder_sparse_step"`
	DenseOnly    []int  `json:"mlp_only_layers"`
	SwitchModel  int    `json:"d_model"`
	SwitchFF     int    `json:"d_ff"`
	SwitchLayers int    `json:"num_decoder_layers"`
}

// maxHubConfig bounds a config.json.
const maxHubConfig = 1 << 20

// ReadModel reads the shape of a mixture of experts from the config.json of a folder of the hub. It knows the model types
// qwen2_moe, qwen3_moe, deepseek_v2, deepseek_v3, mixtral, olmoe and switch_transformers.
func ReadModel(r io.Reader) (Model, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxHubConfig+1))
	if err != nil {
		return Model{}, fmt.Errorf("expert: %w", err)
	}
	if len(data) > maxHubConfig {
		return Model{}, fmt.Errorf("expert: a config.json of more than %d bytes", maxHubConfig)
	}
	var c hubConfig
	if err := json.Unmarshal(data, &c); err != nil {
		return Model{}, fmt.Errorf("expert: config.json: %w", err)
	}
	m := Model{Name: c.Type, Experts: c.Experts, TopK: c.TopK, Tensors: 3}
	width, sparse := c.Expert, func(int) bool { return true }
	switch c.Type {
	case "qwen2_moe", "qwen3_moe":
		step := max(1, c.SparseStep)
		sparse = func(l int) bool { return (l+1)%step == 0 && !slices.Contains(c.DenseOnly, l) }
	case "deepseek_v2", "deepseek_v3":
		m.Experts = c.Routed
		sparse = func(l int) bool { return l >= c.FirstDense && l%max(1, c.Frequency) == 0 }
	case "mixtral":
		m.Experts, width = c.Local, c.Intermediate
	case "olmoe":
		width = c.Intermediate
	case "switch_transformers":
		m.TopK, m.Tensors, width, c.Hidden, c.Layers = 1, 2, c.SwitchFF, c.SwitchModel, c.SwitchLayers
		sparse = func(l int) bool { return l%max(1, c.SparseStep) == 1%max(1, c.SparseStep) }
	default:
		return Model{}, fmt.Errorf("expert: config.json: model type %q is none of qwen2_moe, qwen3_moe, deepseek_v2, deepseek_v3, mixtral, olmoe, switch_transformers", c.Type)
	}
	if c.Layers < 0 || c.Layers > MaxLayers || c.Hidden < 1 || width < 1 || c.Hidden > 1<<20 || width > 1<<20 {
		return Model{}, fmt.Errorf("expert: config.json: %d layers of width %d with experts of width %d", c.Layers, c.Hidden, width)
	}
	for l := range c.Layers {
		m.Layers += oneIf(sparse(l))
	}
	m.Elements = c.Hidden * width
	return m, m.Validate()
}
