package train

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// Metrics is one epoch's line of metrics.csv.
type Metrics struct {
	Epoch              int // from 0
	LR, Tau            float64
	TrainLoss          float64 // mean over the epoch's images, each before the update it took part in
	TrainTop1          float64 // percent
	TestLoss           float64
	TestTop1, TestTop5 float64 // percent
	Seconds            float64 // since the run began, resumptions left out
}

var metricsHeader = []string{"epoch", "lr", "tau", "train_loss", "train_top1", "test_loss", "test_top1", "test_top5", "seconds"}

func (m *Metrics) fields() []*float64 {
	return []*float64{&m.LR, &m.Tau, &m.TrainLoss, &m.TrainTop1, &m.TestLoss, &m.TestTop1, &m.TestTop5, &m.Seconds}
}

// writeMetrics replaces metrics.csv and curves.svg.
func (f *runFolder) writeMetrics(list []Metrics) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write(metricsHeader)
	for _, m := range list {
		row := []string{strconv.Itoa(m.Epoch)}
		for i, v := range m.fields() {
			digits := 6
			if i == len(metricsHeader)-2 {
				digits = 1
			}
			row = append(row, strconv.FormatFloat(*v, 'f', digits, 64))
		}
		w.Write(row)
	}
	w.Flush()
	if err := f.write("metrics.csv", b.Bytes()); err != nil {
		return err
	}
	svg, err := curves(list)
	if err != nil {
		return err
	}
	return f.write("curves.svg", svg)
}

// readMetrics reads the lines of metrics.csv before the given epoch: those that a resumed run keeps.
func (f *runFolder) readMetrics(epochs int) ([]Metrics, error) {
	path := f.path("metrics.csv")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && epochs == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = len(metricsHeader)
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("train: %s: %w", path, err)
	}
	if len(rows) < epochs+1 {
		return nil, fmt.Errorf("train: %s has %d lines, the checkpoint has seen %d epochs", path, len(rows), epochs)
	}
	list := make([]Metrics, epochs)
	for i := range list {
		row := rows[i+1]
		if row[0] != strconv.Itoa(i) {
			return nil, fmt.Errorf("train: %s: line %d is of epoch %q, want %d", path, i+2, row[0], i)
		}
		list[i].Epoch = i
		for j, v := range list[i].fields() {
			if *v, err = strconv.ParseFloat(row[j+1], 64); err != nil {
				return nil, fmt.Errorf("train: %s: line %d, %s: %w", path, i+2, metricsHeader[j+1], err)
			}
		}
	}
	return list, nil
}
