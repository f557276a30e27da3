//go:build !device

package main

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// bar draws progress on the terminal, one stage after another. A nil bar draws nothing.
type bar struct {
	e     *env
	unit  string
	stage string
	p     *progressbar.ProgressBar
}

// newBar returns a bar that counts units, nil if stderr is no terminal.
func (e *env) newBar(unit string) *bar {
	if !e.terminal {
		return nil
	}
	return &bar{e: e, unit: unit}
}

// update says that done of total (-1 if unknown) units of a stage are done. note stands behind the stage's name.
func (b *bar) update(stage, note string, done, total int64) {
	if b == nil {
		return
	}
	if stage != b.stage || b.p == nil {
		b.clear()
		b.stage = stage
		options := []progressbar.Option{
			progressbar.OptionSetWriter(b.e.stderr),
			progressbar.OptionThrottle(100 * time.Millisecond),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetWidth(20),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionUseANSICodes(true),
		}
		if b.unit == "bytes" {
			options = append(options, progressbar.OptionShowBytes(true))
		} else {
			options = append(options, progressbar.OptionShowIts(), progressbar.OptionSetItsString(b.unit))
		}
		b.p = progressbar.NewOptions64(total, options...)
	}
	if note != "" {
		stage += "  " + note
	}
	b.p.Describe(stage)
	b.p.Set64(done)
}

// clear takes the bar off the terminal.
func (b *bar) clear() {
	if b == nil || b.p == nil {
		return
	}
	b.p.Clear()
	b.p.Exit()
	b.p = nil
}
