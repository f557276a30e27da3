package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"

	"github.com/bnntool/bnntool/runtime/codec"
	"github.com/bnntool/bnntool/runtime/expert"
)

// byteCount writes bytes for people.
func byteCount(n int64) string {
	for _, u := range []struct {
		unit string
		size float64
	}{{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}} {
		if v := float64(n) / u.size; v >= 1 {
			return fmt.Sprintf("%.2f %s", v, u.unit)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// storeJSON describes a store of experts, or a folder that one can be made of.
type storeJSON struct {
	Kind        string        `json:"kind"` // store or hub
	Code        string        `json:"code,omitempty"`
	Layers      int           `json:"layers"`
	Experts     int           `json:"experts"`
	ExpertBytes int64         `json:"expert_bytes"` // in memory, all
	DenseBytes  int64         `json:"dense_bytes"`  // of all other tensors
	CodedBytes  int64         `json:"coded_bytes,omitempty"`
	RestBytes   int64         `json:"sign_mantissa_bytes,omitempty"`
	FileBytes   int64         `json:"file_bytes,omitempty"`
	Tensors     []kindJSON    `json:"tensors"`
	Codes       []measureJSON `json:"codes"` // of all sampled weights
	Verified    *verifiedJSON `json:"verified,omitempty"`
	Notes       []string      `json:"notes,omitempty"`
}

type kindJSON struct {
	Role    string             `json:"role"`
	DType   string             `json:"dtype"`
	Tensors int64              `json:"tensors"`
	Bytes   int64              `json:"bytes"`
	Sampled int64              `json:"sampled_weights"`
	Entropy float64            `json:"entropy_bits,omitempty"` // of an exponent
	Ideal   float64            `json:"ideal_size,omitempty"`
	Sizes   map[string]float64 `json:"sizes,omitempty"` // by code
}

type measureJSON struct {
	Code string  `json:"code"`
	Size float64 `json:"size"`
	Rate float64 `json:"bytes_per_second"` // of weights, decoded and merged on one core
}

type verifiedJSON struct {
	Experts int    `json:"experts"`
	Dense   int    `json:"dense_tensors"`
	Against string `json:"against"`
}

// inspectStore describes a store of experts.
func (e *env) inspectStore(ctx context.Context, path string, f inspectFlags) error {
	if f.beta != 0 {
		return usagef("--beta does not go with a store of experts")
	}
	s, err := expert.OpenStore(path)
	if err != nil {
		return err
	}
	defer s.Close()
	r := s.Report()
	d := &storeJSON{Kind: "store", Code: s.Code().String(), Layers: len(s.Layers()), Experts: r.Experts, ExpertBytes: r.FullBytes, DenseBytes: r.DenseBytes,
		CodedBytes: r.CodedBytes, RestBytes: r.RestBytes, FileBytes: r.FileBytes}
	if f.verify {
		if d.Verified, err = e.verifyStore(ctx, s, f.source); err != nil {
			return err
		}
	}
	if err := d.survey(ctx, s.Layers(), s.Weights()); err != nil {
		return err
	}
	return e.printStore(d, f)
}

// verifyStore compares every expert and every other tensor with what they were made of: with the folder source if it is not "",
// and with the checksums.
func (e *env) verifyStore(ctx context.Context, s *expert.Store, source string) (*verifiedJSON, error) {
	v := &verifiedJSON{Against: "checksums", Dense: len(s.Dense())}
	var readAt func(name string, dst []byte, at int64) error
	if source != "" {
		src, closer, err := openSource(source)
		if err != nil {
			return nil, err
		}
		defer closer()
		v.Against, readAt = source, src
	}
	var read func(name string, dst []byte) error
	if readAt != nil {
		read = func(name string, dst []byte) error { return readAt(name, dst, 0) }
	}
	total := 0
	for _, l := range s.Layers() {
		total += l.Experts
	}
	bar := e.newBar("experts")
	defer bar.clear()
	work := make(chan [2]int)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			r := s.NewReader()
			for p := range work {
				if err := r.Verify(p[0], p[1], read); err != nil {
					cancel(err)
					continue
				}
				mu.Lock()
				v.Experts++
				bar.update("verifying", "", int64(v.Experts), int64(total))
				mu.Unlock()
			}
		})
	}
feed:
	for i, l := range s.Layers() {
		for x := range l.Experts {
			select {
			case work <- [2]int{i, x}:
			case <-ctx.Done():
				break feed
			}
		}
	}
	close(work)
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	for _, info := range s.Dense() {
		if err := s.VerifyDense(ctx, info, readAt); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// survey measures what codes make of the experts.
func (d *storeJSON) survey(ctx context.Context, layers []expert.StoredLayer, read expert.WeightReader) error {
	kinds, err := expert.Survey(ctx, layers, read)
	if err != nil {
		return err
	}
	var all []codec.Measurement
	for _, k := range kinds {
		j := kindJSON{Role: k.Role, DType: k.DType, Tensors: k.Tensors, Bytes: k.Bytes, Sampled: k.Sampled}
		if k.Coded {
			j.Entropy, j.Ideal, j.Sizes = k.Entropy, codec.Ideal(k.Entropy), make(map[string]float64)
			for _, m := range k.Codes {
				j.Sizes[m.Code.String()] = m.Size()
			}
			if all == nil {
				all = k.Codes
			} else {
				for i, m := range k.Codes {
					all[i] = all[i].Add(m)
				}
			}
		}
		d.Tensors = append(d.Tensors, j)
	}
	for _, m := range all {
		d.Codes = append(d.Codes, measureJSON{m.Code.String(), m.Size(), m.Rate()})
	}
	d.Notes = append(d.Notes, diskNotes(all)...)
	return nil
}

// diskNotes says which code is fastest on which disks, with one core that decodes.
func diskNotes(all []codec.Measurement) []string {
	if all == nil {
		return nil
	}
	var notes []string
	last, from := codec.Code(math.MaxUint8), 0.0
	for disk := 0.1e9; disk < 60e9; disk *= 1.02 {
		best := codec.ChooseExponents(all, disk, 1).Code
		if best != last {
			if last != math.MaxUint8 {
				notes = append(notes, fmt.Sprintf("%v is fastest from disks of %.1f to %.1f GB/s for each core that decodes", last, from/1e9, disk/1e9))
			}
			last, from = best, disk
		}
	}
	return append(notes, fmt.Sprintf("%v is fastest from disks of %.1f GB/s and more", last, from/1e9))
}

func (e *env) printStore(d *storeJSON, f inspectFlags) error {
	if f.json {
		return printJSON(e.stdout, d)
	}
	w := e.stdout
	if d.Kind == "store" {
		fmt.Fprintf(w, "store of experts, code %s: %d experts in %d layers, %s in memory, %s in the file (%.2f %%); other tensors %s\n\n", d.Code, d.Experts, d.Layers,
			byteCount(d.ExpertBytes), byteCount(d.CodedBytes+d.RestBytes), percentOf(d.CodedBytes+d.RestBytes, d.ExpertBytes), byteCount(d.DenseBytes))
	} else {
		fmt.Fprintf(w, "model of the hub: %d experts in %d layers, %s; other tensors %s\n\n", d.Experts, d.Layers, byteCount(d.ExpertBytes), byteCount(d.DenseBytes))
	}
	t := &table{head: []string{"tensor", "type", "tensors", "size", "sampled", "entropy", "ideal %"}, align: "llrrrrr"}
	for _, c := range codec.Codes() {
		t.head = append(t.head, c.String()+" %")
		t.align += "r"
	}
	for _, k := range d.Tensors {
		row := []any{k.Role, k.DType, k.Tensors, byteCount(k.Bytes), k.Sampled, "", ""}
		if k.Sizes != nil {
			row[5], row[6] = fmt.Sprintf("%.3f", k.Entropy), fmt.Sprintf("%.2f", 100*k.Ideal)
		}
		for _, c := range codec.Codes() {
			size := ""
			if v, ok := k.Sizes[c.String()]; ok {
				size = fmt.Sprintf("%.2f", 100*v)
			}
			row = append(row, size)
		}
		t.add(row...)
	}
	if err := t.writeMarkdown(w); err != nil {
		return err
	}
	if len(d.Codes) > 0 {
		fmt.Fprintln(w)
		speed := &table{head: []string{"code", "size %", "GB/s"}, align: "lrr"}
		for _, c := range d.Codes {
			speed.add(c.Code, fmt.Sprintf("%.2f", 100*c.Size), fmt.Sprintf("%.2f", c.Rate/1e9))
		}
		if err := speed.writeMarkdown(w); err != nil {
			return err
		}
		fmt.Fprint(w, "\nsizes of weights of 16 bits; GB/s of weights, decoded and merged on one core, measured here on the sample\n")
	}
	for _, n := range d.Notes {
		fmt.Fprintln(w, n)
	}
	if v := d.Verified; v != nil {
		fmt.Fprintf(w, "\nverified_experts=%d verified_tensors=%d against=%s\n", v.Experts, v.Dense, value(strings.TrimSpace(v.Against)))
	}
	return nil
}

// percentOf returns part as a percentage of whole, 0 of nothing.
func percentOf(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
