package convert

import (
	"fmt"
	"io"
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
}

// LayerReport tells what became of one layer of the network.
type LayerReport struct {
	Name string
	Op   model.Op
	// Kind is the operation that computes the layer on the device; empty where a neighbour does, or nothing.
	Kind artifact.Kind
	// Binary says that the layer's arithmetic is on bits and integers, not floats.
	Binary      bool
	Reason      string // why it is binary or float
	BytesBefore int64  // of its tensors in the checkpoint, as float32
	BytesAfter  int64  // of its tensors in the artifact, without padding
}

// newReport describes the layers of f as g and its model m compute them.
func newReport(f *model.Frozen, tensors []model.Tensor, g *graph, m *artifact.Model) *Report {
	r := &Report{Layers: make([]LayerReport, len(f.Nodes))}
	for i := range f.Nodes {
		r.Layers[i] = LayerReport{Name: f.Nodes[i].Name, Op: f.Nodes[i].Op}
	}
	for _, t := range tensors {
		r.Layers[t.Layer].BytesBefore += 4 * int64(t.Len())
		r.CheckpointBytes += 4 * int64(t.Len())
	}
	users := g.users()
	for _, n := range g.nodes {
		l := &r.Layers[n.layer]
		l.BytesAfter += n.bytes(m)
		if n.op.Name == l.Name {
			l.Kind = n.op.Kind
			l.Binary, l.Reason = judge(n, &f.Nodes[n.layer], users[n])
		}
	}
	for i := range r.Layers {
		if l := &r.Layers[i]; l.Kind == "" {
			l.Reason = "part of another operation, or without effect on the logits"
		}
	}
	return r
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

// WriteTo prints the report as a table: the layers that have tensors, each with its bytes before and after, then the
// sums and the result of the comparison.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	rows := [][]string{{"layer", "operation", "kind", "before", "after", "why"}}
	var before, after int64
	for i := range r.Layers {
		l := &r.Layers[i]
		before, after = before+l.BytesBefore, after+l.BytesAfter
		if l.BytesBefore == 0 && l.BytesAfter == 0 {
			continue
		}
		kind := "float"
		if l.Binary {
			kind = "binary"
		}
		operation := string(l.Kind)
		if operation == "" {
			operation, kind = "-", "-"
		}
		rows = append(rows, []string{l.Name, operation, kind, fmt.Sprint(l.BytesBefore), fmt.Sprint(l.BytesAfter), l.Reason})
	}
	rows = append(rows, []string{"tensors", "", "", fmt.Sprint(before), fmt.Sprint(after), ratio(before, after)})
	var b strings.Builder
	writeTable(&b, rows, 3, 4)
	fmt.Fprintf(&b, "\nThe artifact has %d bytes. Its logits for %d images differ from the oracle's by at most %g.\n",
		r.ArtifactBytes, r.Images, r.MaxDiff)
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func ratio(before, after int64) string {
	if after == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f times smaller", float64(before)/float64(after))
}

// writeTable prints rows with aligned columns; those in the list right are flushed right, the last is not padded.
func writeTable(b *strings.Builder, rows [][]string, right ...int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len(cell))
			if i > 0 {
				line.WriteString("  ")
			}
			flushRight := false
			for _, c := range right {
				flushRight = flushRight || c == i
			}
			if flushRight {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
