package convert

import (
	"fmt"

	"github.com/bnntool/bnntool/internal/nearest"
)

// weightKind says how a tensor's weights are distributed.
type weightKind int

const (
	matrixWeights weightKind = iota
	embeddingWeights
	routerWeights
	normWeights
	biasWeights
)

// synthTensor is a tensor to draw, in BF16.
type synthTensor struct {
	name  string
	shape []int
	kind  weightKind
}

// rows and columns are the extents of the tensor as a matrix; a vector is one row.
func (t *synthTensor) rows() int {
	if len(t.shape) == 1 {
		return 1
	}
	return t.shape[0]
}

func (t *synthTensor) columns() int { return t.shape[len(t.shape)-1] }

func (t *synthTensor) bytes() int64 { return 2 * int64(t.rows()) * int64(t.columns()) }

// synthNames are the models that synthModel knows.
var synthNames = []string{"qwen", "deepseek", "switch"}

// synthModel returns the tensors of the first layers of a model, and its config.json.
func synthModel(model string, layers, shrink int) ([]synthTensor, map[string]any, error) {
	b := &synthBuilder{shrink: shrink}
	config := make(map[string]any)
	most := map[string]int{"qwen": 24, "deepseek": 27, "switch": 24}[model]
	least := map[string]int{"qwen": 1, "deepseek": 2, "switch": 2}[model]
	switch {
	case most == 0:
		return nil, nil, fmt.Errorf("there is no model %q, did you mean %s? There are %q", model, nearest.Name(model, synthNames), synthNames)
	case layers < least || layers > most:
		return nil, nil, fmt.Errorf("%d layers of %s, want %d to %d, of which one at least has experts", layers, model, least, most)
	}
	switch model {
	case "qwen":
		b.qwen(layers, config)
	case "deepseek":
		b.deepseek(layers, config)
	case "switch":
		b.switchTransformer(layers, config)
	}
	config["torch_dtype"] = "bfloat16"
	return b.tensors, config, nil
}

// synthBuilder collects tensors.
type synthBuilder struct {
	shrink  int
	tensors []synthTensor
}

// w returns a width, divided.
func (b *synthBuilder) w(n int) int { return max(n/b.shrink, 1) }

func (b *synthBuilder) matrix(name string, out, in int) {
	b.add(name+".weight", matrixWeights, out, in)
}

func (b *synthBuilder) norm(name string, n int) { b.add(name+".weight", normWeights, n) }

func (b *synthBuilder) add(name string, kind weightKind, shape ...int) {
	b.tensors = append(b.tensors, synthTensor{name, shape, kind})
}

// gated adds the three matrices of a gated MLP.
func (b *synthBuilder) gated(prefix string, hidden, width int) {
	b.matrix(prefix+".gate_proj", width, hidden)
	b.matrix(prefix+".up_proj", width, hidden)
	b.matrix(prefix+".down_proj", hidden, width)
}

// qwen adds Qwen1.5-MoE-A2.7B.
func (b *synthBuilder) qwen(layers int, config map[string]any) {
	const experts, heads = 60, 16
	hidden, width, shared, vocabulary := b.w(2048), b.w(1408), b.w(5632), b.w(151936)
	b.add("model.embed_tokens.weight", embeddingWeights, vocabulary, hidden)
	for l := range layers {
		p := fmt.Sprintf("model.layers.%d", l)
		b.norm(p+".input_layernorm", hidden)
		for _, m := range []string{"q", "k", "v"} {
			b.matrix(p+".self_attn."+m+"_proj", hidden, hidden)
			b.add(p+".self_attn."+m+"_proj.bias", biasWeights, hidden)
		}
		b.matrix(p+".self_attn.o_proj", hidden, hidden)
		b.norm(p+".post_attention_layernorm", hidden)
		b.add(p+".mlp.gate.weight", routerWeights, experts, hidden)
		b.gated(p+".mlp.shared_expert", hidden, shared)
		b.add(p+".mlp.shared_expert_gate.weight", routerWeights, 1, hidden)
		for x := range experts {
			b.gated(fmt.Sprintf("%s.mlp.experts.%d", p, x), hidden, width)
		}
	}
	b.norm("model.norm", hidden)
	b.add("lm_head.weight", embeddingWeights, vocabulary, hidden)
	fill(config, "architectures", []string{"Qwen2MoeForCausalLM"}, "model_type", "qwen2_moe", "hidden_size", hidden, "intermediate_size", shared,
		"moe_intermediate_size", width, "shared_expert_intermediate_size", shared, "num_hidden_layers", layers, "num_attention_heads", heads,
		"num_key_value_heads", heads, "num_experts", experts, "num_experts_per_tok", 4, "norm_topk_prob", false, "decoder_sparse_step", 1,
		"vocab_size", vocabulary, "hidden_act", "silu", "rms_norm_eps", 1e-6, "rope_theta", 1e6, "max_position_embeddings", 32768,
		"tie_word_embeddings", false)
}

// deepseek adds DeepSeek-V2-Lite.
func (b *synthBuilder) deepseek(layers int, config map[string]any) {
	const experts, shared, heads = 64, 2, 16
	hidden, width, dense, vocabulary := b.w(2048), b.w(1408), b.w(10944), b.w(102400)
	nope, rope, value, rank := b.w(128), b.w(64), b.w(128), b.w(512)
	b.add("model.embed_tokens.weight", embeddingWeights, vocabulary, hidden)
	for l := range layers {
		p := fmt.Sprintf("model.layers.%d", l)
		b.norm(p+".input_layernorm", hidden)
		b.matrix(p+".self_attn.q_proj", heads*(nope+rope), hidden)
		b.matrix(p+".self_attn.kv_a_proj_with_mqa", rank+rope, hidden)
		b.norm(p+".self_attn.kv_a_layernorm", rank)
		b.matrix(p+".self_attn.kv_b_proj", heads*(nope+value), rank)
		b.matrix(p+".self_attn.o_proj", hidden, heads*value)
		b.norm(p+".post_attention_layernorm", hidden)
		if l == 0 {
			b.gated(p+".mlp", hidden, dense)
			continue
		}
		b.add(p+".mlp.gate.weight", routerWeights, experts, hidden)
		b.gated(p+".mlp.shared_experts", hidden, shared*width)
		for x := range experts {
			b.gated(fmt.Sprintf("%s.mlp.experts.%d", p, x), hidden, width)
		}
	}
	b.norm("model.norm", hidden)
	b.add("lm_head.weight", embeddingWeights, vocabulary, hidden)
	fill(config, "architectures", []string{"DeepseekV2ForCausalLM"}, "model_type", "deepseek_v2", "hidden_size", hidden, "intermediate_size", dense,
		"moe_intermediate_size", width, "num_hidden_layers", layers, "first_k_dense_replace", 1, "moe_layer_freq", 1, "num_attention_heads", heads,
		"num_key_value_heads", heads, "n_routed_experts", experts, "n_shared_experts", shared, "num_experts_per_tok", 6, "norm_topk_prob", false,
		"routed_scaling_factor", 1.0, "topk_method", "greedy", "n_group", 1, "topk_group", 1, "scoring_func", "softmax",
		"kv_lora_rank", rank, "q_lora_rank", nil, "qk_nope_head_dim", nope, "qk_rope_head_dim", rope, "v_head_dim", value,
		"vocab_size", vocabulary, "hidden_act", "silu", "rms_norm_eps", 1e-6, "rope_theta", 1e4, "max_position_embeddings", 163840,
		"rope_scaling", map[string]any{"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "beta_fast": 32, "beta_slow": 1,
			"mscale": 0.707, "mscale_all_dim": 0.707},
		"tie_word_embeddings", false)
}

// switchTransformer adds Switch-Large-128. Every second block of a stack has experts.
func (b *synthBuilder) switchTransformer(layers int, config map[string]any) {
	const experts, heads, buckets = 128, 16, 32
	hidden, width, vocabulary, key := b.w(1024), b.w(4096), b.w(32128), b.w(64)
	inner := heads * key
	embedding := func(name string) { b.add(name+".weight", embeddingWeights, vocabulary, hidden) }
	embedding("shared")
	for _, stack := range []string{"encoder", "decoder"} {
		embedding(stack + ".embed_tokens")
		for l := range layers {
			p := fmt.Sprintf("%s.block.%d.layer", stack, l)
			attention := []string{"SelfAttention"}
			if stack == "decoder" {
				attention = append(attention, "EncDecAttention")
			}
			for i, a := range attention {
				for _, m := range []string{"q", "k", "v"} {
					b.matrix(fmt.Sprintf("%s.%d.%s.%s", p, i, a, m), inner, hidden)
				}
				b.matrix(fmt.Sprintf("%s.%d.%s.o", p, i, a), hidden, inner)
				if l == 0 && i == 0 {
					b.add(fmt.Sprintf("%s.0.%s.relative_attention_bias.weight", p, a), biasWeights, buckets, heads)
				}
				b.norm(fmt.Sprintf("%s.%d.layer_norm", p, i), hidden)
			}
			mlp := fmt.Sprintf("%s.%d", p, len(attention))
			if l%2 == 1 {
				b.add(mlp+".mlp.router.classifier.weight", routerWeights, experts, hidden)
				for x := range experts {
					e := fmt.Sprintf("%s.mlp.experts.expert_%d", mlp, x)
					b.matrix(e+".wi", width, hidden)
					b.matrix(e+".wo", hidden, width)
				}
			} else {
				b.matrix(mlp+".mlp.wi", width, hidden)
				b.matrix(mlp+".mlp.wo", hidden, width)
			}
			b.norm(mlp+".layer_norm", hidden)
		}
		b.norm(stack+".final_layer_norm", hidden)
	}
	embedding("lm_head")
	fill(config, "architectures", []string{"SwitchTransformersForConditionalGeneration"}, "model_type", "switch_transformers", "d_model", hidden,
		"d_ff", width, "d_kv", key, "num_heads", heads, "num_layers", layers, "num_decoder_layers", layers, "num_experts", experts,
		"num_sparse_encoder_layers", layers/2, "num_sparse_decoder_layers", layers/2, "encoder_sparse_step", 2, "decoder_sparse_step", 2,
		"expert_capacity", 64, "vocab_size", vocabulary, "dense_act_fn", "relu", "feed_forward_proj", "relu", "is_gated_act", false,
		"is_encoder_decoder", true, "layer_norm_epsilon", 1e-6, "relative_attention_num_buckets", buckets, "relative_attention_max_distance", 128,
		"pad_token_id", 0, "eos_token_id", 1, "decoder_start_token_id", 0)
}

// fill puts keys and their values into m.
func fill(m map[string]any, pairs ...any) {
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
}
