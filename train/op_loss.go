package train

import (
	"math"

	"github.com/bnntool/bnntool/internal/accuracy"
)

// crossEntropy is the mean over the images of -Σ_c t_c·log softmax(logits)_c, where t is 1-ε+ε/C at the label and ε/C
// elsewhere, ε the label smoothing. Inputs: logits [B,1,1,C], labels [B] (class indices as float32). It also counts
// the images whose largest logit is at the label.
type crossEntropy struct {
	m         *machine
	classes   int
	smoothing float64
	probs     []float32 // [B,C]
	correct   int       // of the last forward pass
}

func newCrossEntropy(m *machine, classes int, smoothing float64) *crossEntropy {
	return &crossEntropy{m: m, classes: classes, smoothing: smoothing, probs: make([]float32, m.capacity*classes)}
}

func (o *crossEntropy) forward(y []float32, in [][]float32) {
	logits, labels := in[0], in[1]
	o.correct = 0
	var loss float64
	uniform := o.smoothing / float64(o.classes)
	for i := range o.m.images {
		row, p := logits[i*o.classes:(i+1)*o.classes], o.probs[i*o.classes:(i+1)*o.classes]
		label := int(labels[i])
		best := accuracy.Best(row)
		var sum, total float64
		for c, v := range row {
			e := math.Exp(float64(v - row[best]))
			p[c] = float32(e)
			sum += e
			total += float64(v - row[best])
		}
		for c := range p {
			p[c] = float32(float64(p[c]) / sum)
		}
		logSum := math.Log(sum)
		loss += (1-o.smoothing)*(logSum-float64(row[label]-row[best])) + uniform*(float64(o.classes)*logSum-total)
		if best == label {
			o.correct++
		}
	}
	y[0] = float32(loss / float64(o.m.images))
}

func (o *crossEntropy) backward(dx [][]float32, dy []float32, in [][]float32, _ []float32) {
	labels, scale := in[1], dy[0]/float32(o.m.images)
	uniform := float32(o.smoothing / float64(o.classes))
	for i := range o.m.images {
		d := dx[0][i*o.classes : (i+1)*o.classes]
		for c, p := range o.probs[i*o.classes : (i+1)*o.classes] {
			target := uniform
			if c == int(labels[i]) {
				target += float32(1 - o.smoothing)
			}
			d[c] = scale * (p - target)
		}
	}
}
