package train

import (
	"bytes"
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

var (
	trainColor = color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}
	testColor  = color.RGBA{R: 0xd6, G: 0x27, B: 0x28, A: 0xff}
)

// curves draws loss and accuracy over the epochs, one above the other, as SVG.
func curves(list []Metrics) ([]byte, error) {
	series := func(of func(*Metrics) float64) plotter.XYs {
		points := make(plotter.XYs, len(list))
		for i := range list {
			points[i] = plotter.XY{X: float64(list[i].Epoch + 1), Y: of(&list[i])}
		}
		return points
	}
	loss, err := panel("loss", series(func(m *Metrics) float64 { return m.TrainLoss }), series(func(m *Metrics) float64 { return m.TestLoss }))
	if err != nil {
		return nil, err
	}
	top1, err := panel("top-1 %", series(func(m *Metrics) float64 { return m.TrainTop1 }), series(func(m *Metrics) float64 { return m.TestTop1 }))
	if err != nil {
		return nil, err
	}
	top1.Legend.Top, top1.Legend.YOffs = false, vg.Points(4)
	canvas := vgsvg.New(16*vg.Centimeter, 18*vg.Centimeter)
	tiles := draw.Tiles{Rows: 2, Cols: 1, PadTop: vg.Points(6), PadBottom: vg.Points(6), PadLeft: vg.Points(6), PadRight: vg.Points(12), PadY: vg.Points(12)}
	plots := [][]*plot.Plot{{loss}, {top1}}
	for i, row := range plot.Align(plots, tiles, draw.New(canvas)) {
		plots[i][0].Draw(row[0])
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("train: curves: %w", err)
	}
	return b.Bytes(), nil
}

// panel is one plot of a quantity on the training and the test set.
func panel(label string, train, test plotter.XYs) (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "epoch", label
	p.Legend.Top, p.Legend.Padding, p.Legend.ThumbnailWidth = true, vg.Points(4), vg.Points(16)
	p.Legend.XOffs, p.Legend.YOffs = -vg.Points(6), -vg.Points(4)
	p.Add(plotter.NewGrid())
	for _, s := range []struct {
		name   string
		color  color.Color
		points plotter.XYs
	}{{"train", trainColor, train}, {"test", testColor, test}} {
		line, marks, err := plotter.NewLinePoints(s.points)
		if err != nil {
			return nil, fmt.Errorf("train: curves: %w", err)
		}
		line.Color, line.Width = s.color, vg.Points(1.5)
		marks.Color, marks.Radius, marks.Shape = s.color, vg.Points(1.5), draw.CircleGlyph{}
		if len(s.points) > 60 { // a dot an epoch would be a smear
			p.Add(line)
			p.Legend.Add(s.name, line)
			continue
		}
		p.Add(line, marks)
		p.Legend.Add(s.name, line, marks)
	}
	return p, nil
}
