package convert

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/expert"
)

// Names of an expert's tensors, and of its layer:
//
//	model.layers.3.mlp.experts.17.gate_proj.weight             Qwen1.5-MoE, Qwen3-MoE, DeepSeek-V2, OLMoE
//	model.layers.3.block_sparse_moe.experts.5.w1.weight        Mixtral
//	encoder.block.1.layer.1.mlp.experts.expert_100.wi.weight   Switch
var (
	expertName  = regexp.MustCompile(`^(.*\.experts\.(?:expert_)?)(0|[1-9][0-9]{0,6})\.(.+)$`)
	layerNumber = regexp.MustCompile(`\.(?:layers|block|blocks|h)\.([0-9]{1,6})\.`)
)

// roles is the order in which an expert's tensors are needed: the last one only when all others are used.
var roles = []string{"gate_proj.weight", "w1.weight", "up_proj.weight", "w3.weight", "wi.weight", "down_proj.weight", "w2.weight", "wo.weight"}

// roleRank returns a role's place; one that is not known comes last.
func roleRank(role string) int {
	if i := slices.Index(roles, role); i >= 0 {
		return i
	}
	return len(roles)
}

// experts collects the tensors of a layer's experts: by expert, then by role.
type experts map[int]map[string]safetensors.Info

// Plan says what a store of the model holds, and in words what of it is not compressed and why. It reads the experts where they
// are F32, since numbers of 32 bits may all be BF16.
func (h *Hub) Plan(ctx context.Context) (*expert.StorePlan, []string, error) {
	plan, notes, err := h.plan(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("convert: %s: %w", h.dir, err)
	}
	return plan, notes, nil
}

func (h *Hub) plan(ctx context.Context) (*expert.StorePlan, []string, error) {
	p := &expert.StorePlan{Config: h.config}
	layers := make(map[string]experts)
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(h.infos)) {
		info := h.infos[name]
		fmt.Fprintf(sum, "%q %s %v\n", name, info.DType, info.Shape)
		m := expertName.FindStringSubmatch(name)
		if m == nil {
			p.Dense = append(p.Dense, safetensors.Part{Name: name, DType: info.DType, Shape: info.Shape})
			continue
		}
		x, err := strconv.Atoi(m[2])
		if err != nil {
			return nil, nil, err
		}
		l := layers[m[1]]
		if l == nil {
			l = make(experts)
			layers[m[1]] = l
		}
		if l[x] == nil {
			l[x] = make(map[string]safetensors.Info)
		}
		l[x][m[3]] = info
	}
	if len(layers) == 0 {
		return nil, nil, fmt.Errorf("none of its %d tensors is called like an expert's, as in model.layers.0.mlp.experts.0.gate_proj.weight", len(h.infos))
	}
	p.Fingerprint = fmt.Sprintf("%x", sum.Sum(nil))
	slices.SortStableFunc(p.Dense, func(a, b safetensors.Part) int { return inOrder(a.Name, b.Name) })
	kinds := make(map[string]int) // of tensors that are stored as they are, with how many
	for _, prefix := range slices.SortedFunc(maps.Keys(layers), inOrder) {
		l, err := h.layer(ctx, prefix, layers[prefix], kinds)
		if err != nil {
			return nil, nil, err
		}
		p.Layers = append(p.Layers, l)
	}
	var notes []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		notes = append(notes, fmt.Sprintf("%d tensors of experts are stored as they are: %s", kinds[kind], kind))
	}
	return p, notes, nil
}

// layer describes the experts of a layer, which must be alike.
func (h *Hub) layer(ctx context.Context, prefix string, all experts, kinds map[string]int) (expert.StoredLayer, error) {
	l := expert.StoredLayer{Prefix: prefix, Experts: len(all)}
	if m := layerNumber.FindStringSubmatch("." + prefix); m != nil {
		l.Number, _ = strconv.Atoi(m[1]) // at most six digits
	}
	first := all[0]
	order := slices.SortedFunc(maps.Keys(first), func(a, b string) int {
		return cmp.Or(cmp.Compare(roleRank(a), roleRank(b)), cmp.Compare(a, b))
	})
	for x := range len(all) {
		of, ok := all[x]
		if !ok {
			return l, fmt.Errorf("layer %s: %d experts, but none has the number %d", l.Name(), len(all), x)
		}
		for role, info := range of {
			want, ok := first[role]
			if !ok || want.DType != info.DType || !slices.Equal(want.Shape, info.Shape) {
				return l, fmt.Errorf("tensor %q is %s %v, expert 0 has %s %v: the experts of a layer must be alike",
					info.Name, info.DType, info.Shape, want.DType, want.Shape)
			}
		}
		if len(of) != len(first) {
			return l, fmt.Errorf("layer %s: expert %d has %d tensors, expert 0 has %d", l.Name(), x, len(of), len(first))
		}
	}
	for _, role := range order {
		info := first[role]
		t := expert.StoredTensor{Role: role, DType: info.DType, Shape: info.Shape}
		switch info.DType {
		case "BF16", "F16":
			t.Coded = true
		case "F32":
			narrow, err := h.allBF16(ctx, all, role)
			if err != nil {
				return l, err
			}
			if narrow {
				t.DType, t.Source, t.Coded = "BF16", "F32", true
			} else {
				kinds["F32 whose numbers are not all BF16"] += len(all)
			}
		default:
			kinds[info.DType+", which has no exponents that are worth coding"] += len(all)
		}
		l.Tensors = append(l.Tensors, t)
	}
	return l, nil
}

// allBF16 reports whether every number of a tensor of all experts has its lower half clear.
func (h *Hub) allBF16(ctx context.Context, all experts, role string) (bool, error) {
	buf := make([]byte, 1<<20)
	for x := range len(all) {
		info := all[x][role]
		for at := int64(0); at < info.Size; at += int64(len(buf)) {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			buf = buf[:min(info.Size-at, 1<<20)]
			if err := h.ReadAt(info.Name, buf, at); err != nil {
				return false, err
			}
			var lower byte
			for i := 0; i < len(buf); i += 4 {
				lower |= buf[i] | buf[i+1]
			}
			if lower != 0 {
				return false, nil
			}
		}
	}
	return true, nil
}

// inOrder compares names by when a model needs them: embeddings, the encoder's layers, the decoder's or only layers, the rest;
// numbers within them by their value.
func inOrder(a, b string) int {
	return cmp.Or(cmp.Compare(stage(a), stage(b)), natural(a, b))
}

func stage(name string) int {
	switch {
	case strings.Contains(name, "embed") || strings.HasPrefix(name, "shared."):
		return 0
	case strings.HasPrefix(name, "encoder."):
		return 1
	case layerNumber.MatchString("." + name):
		return 2
	}
	return 3
}

// natural compares texts with the numbers in them by value.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		p, q := digits(x), digits(y)
		if p > 0 && q > 0 {
			u, v := strings.TrimLeft(x[:p], "0"), strings.TrimLeft(y[:q], "0")
			if c := cmp.Or(cmp.Compare(len(u), len(v)), cmp.Compare(u, v)); c != 0 {
				return c
			}
			x, y = x[p:], y[q:]
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

// digits returns how many digits s starts with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
