package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// SynthOptions say what folder of the hub Synthesize makes.
type SynthOptions struct {
	Model  string // qwen, deepseek or switch
	Layers int    // of the model, from its first one on; of switch: blocks of the encoder and as many of the decoder
	Seed   uint64
	// Shrink divides every width but the number of experts, for tests; 0: 1.
	Shrink int
	// Shard is the most bytes of weights in one file; 0: 5 GB.
	Shard int64
	// Progress, if not nil, is told how many bytes are written.
	Progress func(done, total, before int64)
}

// SynthReport says what was written.
type SynthReport struct {
	Tensors, Files int
	Bytes          int64 // of the weights
}

const defaultShard = 5_000_000_000

// Synthesize writes a folder with the names, the shapes and the files of a published mixture of experts, of some of its layers, and
// with random weights that are distributed as trained ones are, in BF16. The same options give the same bytes for any number of
// processors. It streams; the index is written last, so that a folder that is not complete is not taken for one.
func Synthesize(ctx context.Context, dir string, o SynthOptions) (*SynthReport, error) {
	r, err := synthesize(ctx, dir, o)
	if err != nil {
		return nil, fmt.Errorf("convert: %s: %w", dir, err)
	}
	return r, nil
}

func synthesize(ctx context.Context, dir string, o SynthOptions) (*SynthReport, error) {
	o.Shrink = max(o.Shrink, 1)
	if o.Shard <= 0 {
		o.Shard = defaultShard
	}
	tensors, config, err := synthModel(o.Model, o.Layers, o.Shrink)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	for _, name := range []string{hubIndex, hubSingle, hubConfig} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is a %s already: name a new folder", name)
		}
	}
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, hubConfig), append(text, '\n'), 0o666); err != nil {
		return nil, err
	}
	shards := cut(tensors, o.Shard)
	w := &synthWriter{seed: o.Seed, progress: o.Progress}
	for i := range tensors {
		w.total += tensors[i].bytes()
	}
	index := struct {
		Metadata  map[string]int64  `json:"metadata"`
		WeightMap map[string]string `json:"weight_map"`
	}{map[string]int64{"total_size": w.total}, make(map[string]string)}
	for i, shard := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		for _, t := range shard {
			index.WeightMap[t.name] = name
		}
		if err := w.shard(ctx, filepath.Join(dir, name), shard); err != nil {
			return nil, err
		}
	}
	if text, err = json.MarshalIndent(index, "", "  "); err != nil {
		return nil, err
	}
	return &SynthReport{len(tensors), len(shards), w.total}, os.WriteFile(filepath.Join(dir, hubIndex), append(text, '\n'), 0o666)
}

// cut distributes tensors over files of at most limit bytes, or of one tensor.
func cut(tensors []synthTensor, limit int64) [][]synthTensor {
	var shards [][]synthTensor
	size := int64(0)
	for _, t := range tensors {
		if len(shards) == 0 || size+t.bytes() > limit {
			shards, size = append(shards, nil), 0
		}
		shards[len(shards)-1] = append(shards[len(shards)-1], t)
		size += t.bytes()
	}
	return shards
}

// synthWriter writes the files.
type synthWriter struct {
	seed        uint64
	progress    func(done, total, before int64)
	done, total int64
}

// shard writes one file: the header, whose checksums are known last, at the end.
func (w *synthWriter) shard(ctx context.Context, path string, tensors []synthTensor) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	parts := make([]safetensors.Part, len(tensors))
	for i, t := range tensors {
		parts[i] = safetensors.Part{Name: t.name, DType: "BF16", Shape: t.shape}
	}
	o := safetensors.WriteOptions{Metadata: map[string]string{"format": "pt"}}
	head, err := safetensors.Header(parts, o)
	if err != nil {
		return err
	}
	at := int64(len(head))
	for i := range tensors {
		if parts[i].Sum, err = w.tensor(ctx, f, at, &tensors[i]); err != nil {
			return err
		}
		at += tensors[i].bytes()
	}
	if head, err = safetensors.Header(parts, o); err != nil {
		return err
	}
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	return f.Sync()
}

// tensor writes one tensor's data, in blocks of rows that are drawn at the same time, and returns its checksum.
func (w *synthWriter) tensor(ctx context.Context, f *os.File, at int64, t *synthTensor) (uint32, error) {
	s := newSynthSource(w.seed, t)
	blocks := make([][]byte, runtime.GOMAXPROCS(0))
	sum := uint32(0)
	for row := 0; row < t.rows(); {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		var group sync.WaitGroup
		n := 0
		for ; n < len(blocks) && row < t.rows(); n++ {
			first, last := row, min(row+s.rowsPerBlock, t.rows())
			row = last
			b := &blocks[n]
			group.Go(func() { *b = s.draw((*b)[:0], first, last) })
		}
		group.Wait()
		for _, b := range blocks[:n] {
			sum = safetensors.Checksum(sum, b)
			if _, err := f.WriteAt(b, at); err != nil {
				return 0, err
			}
			at += int64(len(b))
			w.done += int64(len(b))
		}
		if w.progress != nil {
			w.progress(w.done, w.total, 0)
		}
	}
	return sum, nil
}
