package main

import (
	"fmt"
	"time"

	"github.com/bnntool/bnntool/runtime/benchmark"
)

// modelBenchJSON is what bench prints of an artifact. MACs are multiplications, those with padding included.
type modelBenchJSON struct {
	Model      string          `json:"model"`
	Network    string          `json:"network"`
	Version    string          `json:"version"`
	Kernels    string          `json:"kernels"`
	FileBytes  int64           `json:"file_bytes"`
	ArenaBytes int64           `json:"arena_bytes"`
	MACs       int64           `json:"macs"`
	Latencies  []latencyJSON   `json:"latencies"`
	Layers     []layerTimeJSON `json:"layers"` // of one image on one thread
}

type timesJSON struct {
	Samples int     `json:"samples"`
	Min     float64 `json:"min_us"`
	Median  float64 `json:"median_us"`
	P99     float64 `json:"p99_us"`
}

type latencyJSON struct {
	Threads int `json:"threads"`
	Batch   int `json:"batch"`
	timesJSON
	ImagesPerSecond float64 `json:"images_per_s"`
}

type layerTimeJSON struct {
	Name   string `json:"name"`
	Op     string `json:"op"`
	Kernel string `json:"kernel"`
	Output [3]int `json:"output"`
	MACs   int64  `json:"macs"`
	timesJSON
	GMACs float64 `json:"gmacs"`
	Share float64 `json:"share"`
}

func times(s benchmark.Samples) timesJSON {
	return timesJSON{len(s), inMicroseconds(s.Min()), inMicroseconds(s.Median()), inMicroseconds(s.P99())}
}

func inMicroseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func modelBench(path string, r *benchmark.Result) *modelBenchJSON {
	d := &modelBenchJSON{Model: path, Network: r.Info.Name, Version: moduleVersion(), Kernels: r.Tier, FileBytes: r.Info.FileBytes,
		ArenaBytes: r.Info.ArenaBytes, MACs: r.Info.MACs}
	for _, l := range r.Latencies {
		d.Latencies = append(d.Latencies, latencyJSON{l.Threads, l.Batch, times(l.Samples), l.ImagesPerSecond()})
	}
	for _, l := range r.Layers {
		d.Layers = append(d.Layers, layerTimeJSON{l.Name, string(l.Kind), l.Kernel, [3]int{l.H, l.W, l.C}, l.MACs, times(l.Samples), l.GMACs(), l.Share})
	}
	return d
}

// modelBenchCSV returns one table of both parts.
func modelBenchCSV(r *benchmark.Result) *table {
	t := &table{head: []string{"part", "name", "kernel", "threads", "batch", "samples", "min_us", "median_us", "p99_us", "images_per_s", "gmacs", "share"}}
	us := func(d time.Duration) string { return fmt.Sprintf("%.3f", inMicroseconds(d)) }
	for _, l := range r.Latencies {
		t.add("network", r.Info.Name, r.Tier, l.Threads, l.Batch, len(l.Samples), us(l.Min()), us(l.Median()), us(l.P99()),
			fmt.Sprintf("%.1f", l.ImagesPerSecond()), fmt.Sprintf("%.2f", float64(r.Info.MACs)*l.ImagesPerSecond()/1e9), "1")
	}
	for _, l := range r.Layers {
		t.add("layer", l.Name, l.Kernel, 1, 1, len(l.Samples), us(l.Min()), us(l.Median()), us(l.P99()), "", fmt.Sprintf("%.2f", l.GMACs()), fmt.Sprintf("%.4f", l.Share))
	}
	return t
}

// printModelBench prints both parts for people.
func (e *env) printModelBench(path string, r *benchmark.Result) error {
	fmt.Fprintf(e.stdout, "%s: %s, %d bytes, %.2f million multiplications an image, %s kernels\n\n", path, r.Info.Name, r.Info.FileBytes, float64(r.Info.MACs)/1e6, r.Tier)
	t := &table{head: []string{"threads", "images", "min us", "median us", "p99 us", "images/s"}, align: "rrrrrr"}
	for _, l := range r.Latencies {
		t.add(l.Threads, l.Batch, microseconds(l.Min()), microseconds(l.Median()), microseconds(l.P99()), fmt.Sprintf("%.0f", l.ImagesPerSecond()))
	}
	if err := t.writeMarkdown(e.stdout); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "\nOne image on one thread, layer by layer:")
	fmt.Fprintln(e.stdout)
	t = &table{head: []string{"layer", "kernel", "output", "min us", "median us", "GMAC/s", "share"}, align: "lllrrrr"}
	for _, l := range r.Layers {
		gmacs := ""
		if l.MACs > 0 {
			gmacs = fmt.Sprintf("%.1f", l.GMACs())
		}
		t.add(l.Name, l.Kernel, fmt.Sprintf("%dx%dx%d", l.H, l.W, l.C), microseconds(l.Min()), microseconds(l.Median()), gmacs, fmt.Sprintf("%.1f %%", 100*l.Share))
	}
	if err := t.writeMarkdown(e.stdout); err != nil {
		return err
	}
	_, err := fmt.Fprintln(e.stdout)
	return err
}

// microseconds writes a duration with three significant digits at least.
func microseconds(d time.Duration) string {
	us := inMicroseconds(d)
	switch {
	case us < 10:
		return fmt.Sprintf("%.2f", us)
	case us < 1000:
		return fmt.Sprintf("%.1f", us)
	}
	return fmt.Sprintf("%.0f", us)
}
