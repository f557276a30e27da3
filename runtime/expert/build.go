package expert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"

	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/codec"
)

// DefaultChunk is the most elements of a chunk: large enough that its code costs nothing, small enough that the chunks of a few
// experts keep all cores busy.
const DefaultChunk = 1 << 20

// copyBytes is how much of a tensor that is not of an expert is in memory at once.
const copyBytes = 4 << 20

// Source is what a store is built from. Its methods are called from several goroutines at once.
type Source interface {
	// ReadAt fills dst with the data of a tensor from byte at on.
	ReadAt(name string, dst []byte, at int64) error
	// Stamp says which source this is: it changes when a file of the source does.
	Stamp() string
}

// StorePlan is what a store will hold.
type StorePlan struct {
	Config      string             // the config.json of the model
	Fingerprint string             // of the names, types and shapes of the source's tensors
	Dense       []safetensors.Part // in the order in which they will lie in the file; the checksums are not used
	Layers      []StoredLayer      // Chunks are set by Build
}

// BuildOptions say how a store is built. The zero value is ready.
type BuildOptions struct {
	Code    codec.Code // Raw: Huffman, for the zero value; a store that is not to be compressed has Uncompressed
	Workers int        // that encode at the same time, each with an expert in memory; 0: as many as processors
	Chunk   int        // the most elements of a chunk; 0: DefaultChunk
	Commit  int64      // bytes that are written before they are synced and count when the build is ended; 0: 256 MiB
	// Uncompressed leaves exponents as they are.
	Uncompressed bool
	// Progress, if not nil, is told how many bytes of the source are done, and how many of them an earlier run has done. It is called
	// by one goroutine at a time.
	Progress func(done, total, resumed int64)
}

// BuildReport says what a store takes.
type BuildReport struct {
	Experts     int   // of all layers
	SourceBytes int64 // of the experts in the source
	FullBytes   int64 // of the experts in memory
	CodedBytes  int64 // of their exponents, coded
	RestBytes   int64 // of their signs and mantissas, and of tensors that are not coded
	DenseBytes  int64
	FileBytes   int64
	Resumed     int // experts and other tensors that an earlier run has written
}

var paddingName = regexp.MustCompile(`^padding\.[0-9]+$`)

// isPadding reports whether a tensor only fills the file up to where the next one starts.
func isPadding(name string) bool { return paddingName.MatchString(name) }

// Build writes a store of the source to path. It writes to a file beside it, path.partial, and keeps account in
// path.partial.journal: a build that was ended, by whatever means, goes on where it was when it is called again with the same plan,
// source and options. The finished file is synced and then renamed. The same source and options give the same bytes for any
// number of workers, and interruptions.
func Build(ctx context.Context, path string, plan *StorePlan, source Source, o BuildOptions) (*BuildReport, error) {
	b := &builder{path: path, plan: plan, source: source, code: o.Code, progress: o.Progress, workers: o.Workers, commit: o.Commit}
	if b.commit <= 0 {
		b.commit = commitBytes
	}
	if b.code == codec.Raw && !o.Uncompressed {
		b.code = codec.Huffman
	}
	if b.workers <= 0 {
		b.workers = runtime.GOMAXPROCS(0)
	}
	if err := b.prepare(o.Chunk); err != nil {
		return nil, fmt.Errorf("expert: %s: %w", path, err)
	}
	if err := b.run(ctx); err != nil {
		return nil, fmt.Errorf("expert: %s is not written: %w", path, err)
	}
	return &b.report, nil
}

// builder builds one store. The file is a sequence of items: tensors that are not of experts, then experts.
type builder struct {
	path     string
	plan     *StorePlan
	source   Source
	code     codec.Code
	workers  int
	commit   int64
	progress func(done, total, resumed int64)

	layers  []StoredLayer
	items   []item
	room    int64 // bytes for the header
	journal *journal
	out     *os.File

	ledger
	synced  int64 // the offset when the journal was last committed
	total   int64 // bytes of the source
	resumed int64
}

// item is a tensor that is not of an expert, or an expert.
type item struct {
	dense         int // -1: an expert
	layer, expert int
	bytes         int64 // of the source
}

// prepare checks the plan and lists its items.
func (b *builder) prepare(chunk int) error {
	if chunk <= 0 {
		chunk = DefaultChunk
	}
	for i, p := range b.plan.Dense {
		size, err := p.Size()
		if err != nil {
			return err
		}
		if p.Name == indexName || isPadding(p.Name) {
			return fmt.Errorf("a tensor called %q cannot be in a store, which uses the name itself", p.Name)
		}
		b.items = append(b.items, item{dense: i, bytes: size})
	}
	for i := range b.plan.Layers {
		l := b.plan.Layers[i]
		l.Tensors = append([]StoredTensor(nil), l.Tensors...)
		source := int64(0)
		for k := range l.Tensors {
			t := &l.Tensors[k]
			t.Chunks = chunksOf(max(t.Elements(), 1), int64(chunk))
			source += t.SourceBytes()
		}
		if err := l.check(); err != nil {
			return fmt.Errorf("layer %q: %w", l.Prefix, err)
		}
		b.layers = append(b.layers, l)
		for x := range l.Experts {
			b.items = append(b.items, item{dense: -1, layer: i, expert: x, bytes: source})
		}
	}
	if len(b.layers) == 0 {
		return errors.New("the model has no experts")
	}
	for _, it := range b.items {
		b.total += it.bytes
	}
	return b.reserve()
}

// reserve computes the room for the header: that of the longest one that there can be.
func (b *builder) reserve() error {
	longest := b.plan.Dense
	pads := len(longest) + 1 // one before each tensor, one before the experts
	longest = longest[:len(longest):len(longest)]
	for i := range b.layers {
		l := &b.layers[i]
		n := int(pad(l.restBytes(), PartAlign))
		for x := range l.Experts {
			for p := ExponentPart; p < numParts; p++ {
				longest = append(longest, safetensors.Part{Name: l.partName(x, p), DType: "U8", Shape: []int{n}})
			}
		}
	}
	for i := range pads {
		longest = append(longest, safetensors.Part{Name: fmt.Sprintf("padding.%d", i), DType: "U8", Shape: []int{PartAlign}})
	}
	longest = append(longest, safetensors.Part{Name: indexName, DType: "U8", Shape: []int{b.indexBytes()}})
	head, err := b.header(longest)
	b.room = int64(len(head))
	return err
}

func (b *builder) indexBytes() int {
	n := 0
	for i := range b.layers {
		n += b.layers[i].Experts * b.layers[i].entryBytes()
	}
	return n
}

// header returns the header of the file, of at least the reserved length.
func (b *builder) header(parts []safetensors.Part) ([]byte, error) {
	d := description{Code: b.code, Config: b.plan.Config, Source: b.plan.Fingerprint, Layers: b.layers}
	m, err := d.metadata()
	if err != nil {
		return nil, err
	}
	return safetensors.Header(parts, safetensors.WriteOptions{Metadata: m, Align: PartAlign, Room: int(b.room)})
}

// partial and journalName are the files beside the one that is built.
func (b *builder) partial() string     { return b.path + ".partial" }
func (b *builder) journalName() string { return b.path + ".partial.journal" }

// finish writes what stands behind the experts, then the header, and gives the file its name.
func (b *builder) finish() error {
	sum := safetensors.Checksum(0, b.entries)
	if _, err := b.out.WriteAt(b.entries, b.room+b.offset); err != nil {
		return err
	}
	b.parts = append(b.parts, safetensors.Part{Name: indexName, DType: "U8", Shape: []int{len(b.entries)}, Sum: sum})
	b.offset += int64(len(b.entries))
	head, err := b.header(b.parts)
	if err != nil {
		return err
	}
	if int64(len(head)) != b.room {
		return fmt.Errorf("the header has %d bytes, the room for it %d", len(head), b.room)
	}
	// A file without a header is no safetensors file: it is complete once it has one.
	if err := b.out.Sync(); err != nil {
		return err
	}
	if _, err := b.out.WriteAt(head, 0); err != nil {
		return err
	}
	if err := b.out.Truncate(b.room + b.offset); err != nil {
		return err
	}
	if err := b.out.Sync(); err != nil {
		return err
	}
	if err := os.Rename(b.partial(), b.path); err != nil {
		return err
	}
	b.report.FileBytes = b.room + b.offset
	return errors.Join(syncFolder(filepath.Dir(b.path)), os.Remove(b.journalName()))
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
