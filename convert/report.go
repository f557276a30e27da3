package convert

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bnntool/bnntool/runtime/artifact"
	"github.com/bnntool/bnntool/train/model"
)

// Report tells what a conversion has done.
type Report struct {
	ArtifactBytes   int64 // the file
	CheckpointBytes int64 // the network's tensors in the checkpoint, float32, without the solver's
	Layers          []LayerReport
	Images          int     // compared with the oracle
	MaxDiff         float64 // largest difference between a logit of the artifact and of the oracle
	// Leftovers is what Options asked for. Where that is more than Float32 and nothing was reduced, Note says why.
	Leftovers Leftovers
	Note      string
	Accuracy  *Accuracy // nil if it was not measured
}

// LayerReport tells what became of one layer of the network.
type LayerReport struct {
	Name string
	Op   model.Op
	// Kind is the operation that computes the layer on the device; empty where a neighbour does, or nothing.
	Kind artifact.Kind
	// Binary says that the layer's arithmetic is on bits and integers, not floats.
	Binary bool
	Reason string // why it is binary or float
	// Fallback says what could have been better: a layer of bits that is computed in floats, a tensor wider than asked for.
	// Empty if nothing could.
	Fallback string

	// The bytes of its tensors, without padding: in the checkpoint; with packed bits and folded batch norms; with reduced
	// leftovers; and with coded filters, as the artifact has them.
	BytesFloat32, BytesPacked, BytesReduced, BytesCoded int64
	Codings                                             []artifact.Coding // of its tensors in the artifact, each once

	// MaxDiff is the largest difference between a value of the layer and the oracle's, between their signs for a layer
	// whose result are bits; -1 if the device does not compute it, or not by itself.
	MaxDiff float64
}

// stages are a network's models after each step of the conversion.
type stages struct {
	packed, reduced, coded *artifact.Model
}

// newReport describes the layers of f as g and its models compute them.
func newReport(f *model.Frozen, tensors []model.Tensor, g *graph, s *stages) *Report {
	r := &Report{Layers: make([]LayerReport, len(f.Nodes))}
	for i := range f.Nodes {
		r.Layers[i] = LayerReport{Name: f.Nodes[i].Name, Op: f.Nodes[i].Op, MaxDiff: -1}
	}
	for _, t := range tensors {
		r.Layers[t.Layer].BytesFloat32 += 4 * int64(t.Len())
		r.CheckpointBytes += 4 * int64(t.Len())
	}
	users := g.users()
	for _, n := range g.nodes {
		l := &r.Layers[n.layer]
		l.BytesPacked += n.bytes(s.packed)
		l.BytesReduced += n.bytes(s.reduced)
		l.BytesCoded += n.bytes(s.coded)
		for _, name := range n.tensorNames() {
			if t, ok := s.coded.Tensors[name]; ok && !slices.Contains(l.Codings, t.Coding()) {
				l.Codings = append(l.Codings, t.Coding())
			}
		}
		if n.op.Name == l.Name {
			l.Kind = n.op.Kind
			l.Binary, l.Reason = judge(n, &f.Nodes[n.layer], users[n])
			l.Fallback = fallback(n, &f.Nodes[n.layer], users[n])
		}
	}
	for i := range r.Layers {
		if l := &r.Layers[i]; l.Kind == "" {
			l.Reason = "part of another operation, or without effect on the logits"
		}
	}
	return r
}

// addWide makes fallbacks of the tensors of m that are wider than was asked for.
func (r *Report) addWide(g *graph, m *artifact.Model, names []string) {
	for _, n := range g.nodes {
		var wide []string
		for _, name := range n.tensorNames() {
			if t := m.Tensors[name]; slices.Contains(names, name) {
				wide = append(wide, fmt.Sprintf("%s is %s", name, t.Coding()))
			}
		}
		if l := &r.Layers[n.layer]; wide != nil && l.Fallback == "" {
			l.Fallback = fmt.Sprintf("%s: %s bits cannot hold it, or the accuracy changes by more than %v points",
				strings.Join(wide, ", "), r.Leftovers, MaxAccuracyDiff)
		}
	}
}

// judge says whether a node is binary and why.
func judge(n *node, l *model.FrozenNode, users []*node) (binary bool, reason string) {
	switch n.op.Kind {
	case artifact.BinConv:
		return true, "1-bit weights and inputs"
	case artifact.Threshold:
		return true, "only the sign is used: an integer threshold for each channel"
	case artifact.MaxPool:
		if n.counts() {
			return true, "of exact sums"
		}
	case artifact.Conv:
		if l.WeightQuant != model.RealWeight {
			return false, "1-bit weights but a real input"
		}
		return false, "real weights and a real input"
	case artifact.Linear:
		return false, "real weights and a real input"
	case artifact.Affine:
		for _, u := range users {
			if u.op.Kind != artifact.BinConv {
				return false, fmt.Sprintf("%s %q takes its value, not only its sign", u.op.Kind, u.op.Name)
			}
		}
		if len(users) == 0 {
			return false, "its values are the logits"
		}
		return false, "its input is not the exact sum of a 1-bit convolution"
	}
	return false, "real input"
}

// fallback says why a node that could be binary is not, or nothing.
func fallback(n *node, l *model.FrozenNode, users []*node) string {
	switch n.op.Kind {
	case artifact.Conv:
		if l.WeightQuant != model.RealWeight {
			return "its weights are 1-bit, but its input is real: both are floats on the device"
		}
	case artifact.Affine, artifact.PReLU, artifact.Hardtanh:
		if onlySigns(users) && ofSums(n) {
			return "only its sign is used, of exact sums, but no integer threshold gives it: it is computed in floats"
		}
	}
	return ""
}

// ofSums reports whether a node computes its value from exact sums by operations that a threshold can replace.
func ofSums(n *node) bool {
	for n = n.in[0]; n != nil; n = n.in[0] {
		if n.counts() {
			return true
		}
		switch n.op.Kind {
		case artifact.Affine, artifact.PReLU, artifact.Hardtanh:
		default:
			return false
		}
	}
	return false
}

// strict returns an error that names the first layer with a fallback, nil if there is none.
func (r *Report) strict() error {
	for i := range r.Layers {
		if l := &r.Layers[i]; l.Fallback != "" {
			return fmt.Errorf("convert: strict: layer %q: %s", l.Name, l.Fallback)
		}
	}
	if r.Note != "" {
		return fmt.Errorf("convert: strict: %s", r.Note)
	}
	return nil
}

// WriteTo prints the report as a table: the layers that have tensors, each with its bytes after each step, then the
// sums, the fallbacks, the accuracies and the result of the comparison.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	rows := [][]string{{"layer", "operation", "kind", "float32", "packed", "reduced", "coded", "stored as", "max diff", "why"}}
	var sum LayerReport
	for i := range r.Layers {
		l := &r.Layers[i]
		sum.BytesFloat32 += l.BytesFloat32
		sum.BytesPacked += l.BytesPacked
		sum.BytesReduced += l.BytesReduced
		sum.BytesCoded += l.BytesCoded
		if l.BytesFloat32 > 0 || l.BytesCoded > 0 {
			rows = append(rows, l.row())
		}
	}
	rows = append(rows, append([]string{"tensors", "", ""}, sum.bytes()...))
	rows[len(rows)-1] = append(rows[len(rows)-1], "", "", ratio(sum.BytesFloat32, sum.BytesCoded))
	var b strings.Builder
	writeTable(&b, rows, 3, 4, 5, 6, 8)
	b.WriteString("\n")
	for i := range r.Layers {
		if l := &r.Layers[i]; l.Fallback != "" {
			fmt.Fprintf(&b, "fallback: layer %q: %s\n", l.Name, l.Fallback)
		}
	}
	if a := r.Accuracy; a != nil {
		fmt.Fprintf(&b, "%d of %d test images are classified right, %d with float32 leftovers: a difference of %+.2f points.\n",
			a.Reduced, a.Images, a.Float32, a.Diff())
	}
	if r.Note != "" {
		fmt.Fprintf(&b, "Leftovers stay float32: %s.\n", r.Note)
	}
	fmt.Fprintf(&b, "The artifact has %d bytes. Its logits for %d images differ from the oracle's by at most %g.\n",
		r.ArtifactBytes, r.Images, r.MaxDiff)
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// row is the layer's row of the table.
func (l *LayerReport) row() []string {
	row := []string{l.Name, string(l.Kind), "float"}
	switch {
	case l.Kind == "":
		row[1], row[2] = "-", "-"
	case l.Binary:
		row[2] = "binary"
	}
	row = append(row, l.bytes()...)
	var codings []string
	for _, c := range l.Codings {
		codings = append(codings, string(c))
	}
	diff := ""
	if l.MaxDiff >= 0 {
		diff = fmt.Sprintf("%.3g", l.MaxDiff)
	}
	return append(row, strings.Join(codings, " "), diff, l.Reason)
}

// bytes are the layer's bytes after each step.
func (l *LayerReport) bytes() []string {
	var cells []string
	for _, n := range []int64{l.BytesFloat32, l.BytesPacked, l.BytesReduced, l.BytesCoded} {
		cells = append(cells, fmt.Sprint(n))
	}
	return cells
}

func ratio(before, after int64) string {
	if after == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f times smaller", float64(before)/float64(after))
}
