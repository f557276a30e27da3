package expert

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/codec"
)

// memorySource is a source in memory.
type memorySource struct {
	tensors map[string][]byte
	stamp   string
	reads   atomic.Int64
	fail    func(name string) error // may be nil
}

func (m *memorySource) Stamp() string { return m.stamp }

func (m *memorySource) ReadAt(name string, dst []byte, at int64) error {
	m.reads.Add(1)
	if m.fail != nil {
		if err := m.fail(name); err != nil {
			return err
		}
	}
	data, ok := m.tensors[name]
	if !ok || int64(len(data)) < at+int64(len(dst)) {
		return fmt.Errorf("no tensor %q of so many bytes", name)
	}
	copy(dst, data[at:])
	return nil
}

// weights returns n numbers of a type as a file has them, like those of a trained model.
func weights(rng *rand.Rand, dtype string, n int) []byte {
	var b []byte
	for range n {
		x := float32(0.02 * rng.NormFloat64())
		bits := math.Float32bits(x)
		switch dtype {
		case "BF16":
			b = binary.LittleEndian.AppendUint16(b, uint16(bits>>16))
		case "F16": // of a normal number of its range
			b = binary.LittleEndian.AppendUint16(b, uint16(bits>>16&0x8000|(bits>>23-112)<<10&0x7c00|bits>>13&0x3ff))
		case "F32 of BF16":
			b = binary.LittleEndian.AppendUint32(b, bits&^0xffff)
		case "F32":
			b = binary.LittleEndian.AppendUint32(b, bits)
		}
	}
	return b
}

// testPlan returns a plan with every kind of tensor, and its source.
func testPlan(t testing.TB) (*StorePlan, *memorySource) {
	t.Helper()
	rng := rand.New(rand.NewPCG(20261124, 5))
	source := &memorySource{tensors: make(map[string][]byte), stamp: "one"}
	plan := &StorePlan{Config: `{"model_type":"test"}`, Fingerprint: "fingerprint"}
	for _, p := range []safetensors.Part{
		{Name: "model.embed_tokens.weight", DType: "BF16", Shape: []int{11, 7}}, // 154 bytes: the next one needs filling
		{Name: "model.norm.weight", DType: "F32", Shape: []int{3}},
		{Name: "empty", DType: "F32", Shape: []int{0}},
	} {
		size, err := p.Size()
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		source.tensors[p.Name] = data
		plan.Dense = append(plan.Dense, p)
	}
	swiglu := func(dtype string, coded bool, source string) []StoredTensor {
		return []StoredTensor{
			{Role: "gate_proj.weight", DType: dtype, Shape: []int{48, 64}, Coded: coded, Source: source},
			{Role: "up_proj.weight", DType: dtype, Shape: []int{48, 64}, Coded: coded, Source: source},
			{Role: "down_proj.weight", DType: dtype, Shape: []int{64, 47}, Coded: coded, Source: source},
		}
	}
	plan.Layers = []StoredLayer{
		{Prefix: "model.layers.0.mlp.experts.", Number: 0, Experts: 5, Tensors: swiglu("BF16", true, "")},
		{Prefix: "model.layers.2.mlp.experts.", Number: 2, Experts: 3, Tensors: swiglu("F16", true, "")},
		{Prefix: "model.layers.3.mlp.experts.expert_", Number: 3, Experts: 2, Tensors: swiglu("BF16", true, "F32")},
		{Prefix: "model.layers.4.mlp.experts.", Number: 4, Experts: 2, Tensors: append(swiglu("BF16", true, ""),
			StoredTensor{Role: "scale", DType: "F32", Shape: []int{129}})},
	}
	for i := range plan.Layers {
		l := &plan.Layers[i]
		for x := range l.Experts {
			for k, st := range l.Tensors {
				dtype := st.DType
				if st.Source != "" {
					dtype = "F32 of BF16"
				}
				source.tensors[l.TensorName(x, k)] = weights(rng, dtype, int(st.Elements()))
			}
		}
	}
	return plan, source
}

// build builds a store and returns its path.
func build(t testing.TB, plan *StorePlan, source Source, o BuildOptions) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.moe")
	if _, err := Build(context.Background(), path, plan, source, o); err != nil {
		t.Fatal(err)
	}
	return path
}

func openStore(t testing.TB, path string) *Store {
	t.Helper()
	s, err := OpenStore(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// verify compares all of a store with its source.
func verify(s *Store, source *memorySource) error {
	r := s.NewReader()
	read := func(name string, dst []byte) error { return source.ReadAt(name, dst, 0) }
	for i, l := range s.Layers() {
		for x := range l.Experts {
			if err := r.Verify(i, x, read); err != nil {
				return err
			}
		}
	}
	for _, info := range s.Dense() {
		if err := s.VerifyDense(context.Background(), info, source.ReadAt); err != nil {
			return err
		}
	}
	return nil
}

func TestStoreKeepsEverything(t *testing.T) {
	for _, code := range codec.Codes() {
		for _, chunk := range []int{0, 1000, 3007} {
			plan, source := testPlan(t)
			s := openStore(t, build(t, plan, source, BuildOptions{Code: code, Uncompressed: code == codec.Raw, Chunk: chunk}))
			if s.Code() != code || s.Config() != plan.Config || len(s.Dense()) != len(plan.Dense) {
				t.Errorf("code %v, config %q, %d tensors, want %v, %q, %d", s.Code(), s.Config(), len(s.Dense()), code, plan.Config, len(plan.Dense))
			}
			if err := verify(s, source); err != nil {
				t.Errorf("%v, chunks of %d: %v", code, chunk, err)
			}
			for _, p := range plan.Dense {
				if got, err := s.ReadDense(p.Name); err != nil || !bytes.Equal(got, source.tensors[p.Name]) {
					t.Errorf("%s: %v", p.Name, err)
				}
			}
		}
	}
}

// TestStoreLayout: what direct I/O needs, and what other readers see.
func TestStoreLayout(t *testing.T) {
	plan, source := testPlan(t)
	path := build(t, plan, source, BuildOptions{})
	s := openStore(t, path)
	end := int64(0)
	for i, l := range s.Layers() {
		for x := range l.Experts {
			r := s.Record(i, x)
			for p := range r.Offset {
				if r.Offset[p]%PartAlign != 0 || r.Length[p]%PartAlign != 0 || r.Length[p] < r.used[p] || r.Length[p]-r.used[p] >= PartAlign {
					t.Errorf("%s, expert %d, part %d: %d bytes at %d for %d", l.Name(), x, p, r.Length[p], r.Offset[p], r.used[p])
				}
				if end != 0 && r.Offset[p] != end {
					t.Errorf("%s, expert %d, part %d starts at %d, what is before it ends at %d", l.Name(), x, p, r.Offset[p], end)
				}
				end = r.Offset[p] + r.Length[p]
			}
		}
	}
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, info := range f.Infos() {
		if _, err := f.Bytes(info.Name); err != nil { // with its checksum
			t.Error(err)
		}
		if at := f.DataOffset() + info.Offset; !isPadding(info.Name) && info.Name != indexName && at%denseAlign != 0 {
			t.Errorf("%s starts at byte %d of the file", info.Name, at)
		}
	}
	for _, left := range []string{path + ".partial", path + ".partial.journal"} {
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", left, err)
		}
	}
}

func TestStoreIsDeterministic(t *testing.T) {
	var want []byte
	for _, workers := range []int{1, 2, 7} {
		plan, source := testPlan(t)
		got, err := os.ReadFile(build(t, plan, source, BuildOptions{Workers: workers, Chunk: 2000}))
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d workers write other bytes than one", workers)
		}
	}
}

var errPulled = errors.New("the disk was pulled")

// TestBuildResumes ends builds after every item, in several ways, and goes on.
func TestBuildResumes(t *testing.T) {
	plan, source := testPlan(t)
	want, err := os.ReadFile(build(t, plan, source, BuildOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	all := source.reads.Load()
	step := int64(5)
	if testing.Short() {
		step = 17 // each build waits for the disk
	}
	for stop := int64(1); stop < all; stop += step {
		for name, harm := range map[string]func(t *testing.T, path string){
			"as it was":              func(*testing.T, string) {},
			"the journal is cut off": func(t *testing.T, path string) { shorten(t, path+".partial.journal", 5) },
			"the file is cut off":    func(t *testing.T, path string) { shorten(t, path+".partial", 5000) },
			"the file is gone":       func(t *testing.T, path string) { remove(t, path+".partial") },
			"the journal is gone":    func(t *testing.T, path string) { remove(t, path+".partial.journal") },
			"more was written":       func(t *testing.T, path string) { appendTo(t, path+".partial", bytes.Repeat([]byte{7}, 9999)) },
		} {
			path := filepath.Join(t.TempDir(), "model.moe")
			_, source := testPlan(t)
			source.fail = func(string) error {
				if source.reads.Load() > stop {
					return errPulled
				}
				return nil
			}
			_, err := Build(context.Background(), path, plan, source, BuildOptions{Workers: 2, Commit: 1})
			if !errors.Is(err, errPulled) || !strings.Contains(err.Error(), "goes on from there") {
				t.Fatalf("stopped after %d reads: error %v", stop, err)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("an unfinished file has its name: %v", err)
			}
			harm(t, path)
			source.fail = nil
			source.reads.Store(0)
			r, err := Build(context.Background(), path, plan, source, BuildOptions{Workers: 2, Commit: 1})
			if err != nil {
				t.Fatalf("stopped after %d reads, %s: %v", stop, name, err)
			}
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("stopped after %d reads, %s: %v, other bytes: %v", stop, name, err, !bytes.Equal(got, want))
			}
			if reads := source.reads.Load(); name == "as it was" && stop > 12 && (r.Resumed == 0 || reads >= all) {
				t.Errorf("stopped after %d reads: %d items taken over, %d of %d reads", stop, r.Resumed, reads, all)
			}
		}
	}
}

func shorten(t *testing.T, path string, n int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, max(info.Size()-n, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, path string, b []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(data, b...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestBuildOfAnotherSource: what is left of one build is not taken for another's.
func TestBuildOfAnotherSource(t *testing.T) {
	for name, change := range map[string]func(p *StorePlan, s *memorySource, o *BuildOptions){
		"another source": func(_ *StorePlan, s *memorySource, _ *BuildOptions) { s.stamp = "two" },
		"another code":   func(_ *StorePlan, _ *memorySource, o *BuildOptions) { o.Code = codec.Fixed3 },
		"other chunks":   func(_ *StorePlan, _ *memorySource, o *BuildOptions) { o.Chunk = 999 },
		"another config": func(p *StorePlan, _ *memorySource, _ *BuildOptions) { p.Config = "{}" },
	} {
		path := filepath.Join(t.TempDir(), "model.moe")
		plan, source := testPlan(t)
		ctx, cancel := context.WithCancel(context.Background())
		o := BuildOptions{Commit: 1, Progress: func(done, total, _ int64) {
			if done > total/2 {
				cancel()
			}
		}}
		if _, err := Build(ctx, path, plan, source, o); !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: error %v", name, err)
		}
		o.Progress = nil
		change(plan, source, &o)
		r, err := Build(context.Background(), path, plan, source, o)
		if err != nil || r.Resumed != 0 {
			t.Errorf("%s: %v, %d items taken over, want none", name, err, r.Resumed)
		}
		if err := verify(openStore(t, path), source); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBuildTwiceAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.moe")
	plan, source := testPlan(t)
	tried := false
	o := BuildOptions{Workers: 1}
	o.Progress = func(done, _, _ int64) {
		if done > 0 && !tried {
			tried = true
			if _, err := Build(context.Background(), path, plan, source, BuildOptions{}); !errors.Is(err, errBusy) {
				t.Errorf("error %v, want %v", err, errBusy)
			}
		}
	}
	if _, err := Build(context.Background(), path, plan, source, o); err != nil || !tried {
		t.Error(err, tried)
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		change     func(p *StorePlan)
	}{
		{"no experts", "the model has no experts", func(p *StorePlan) { p.Layers = nil }},
		{"a reserved name", `a tensor called "index" cannot be in a store`, func(p *StorePlan) { p.Dense[0].Name = "index" }},
		{"a name twice", `tensor "model.norm.weight": the name is used twice`, func(p *StorePlan) { p.Dense[0].Name = p.Dense[1].Name }},
		{"coded floats", "the exponents of F32 are not coded", func(p *StorePlan) { p.Layers[3].Tensors[3].Coded = true }},
		{"no elements", "want extents from 1", func(p *StorePlan) { p.Layers[0].Tensors[1].Shape = []int{3, 0} }},
		{"a huge shape", "at most 2^36 elements", func(p *StorePlan) { p.Layers[0].Tensors[1].Shape = []int{1 << 40, 1 << 40} }},
		{"no number", `has no ".experts."`, func(p *StorePlan) { p.Layers[0].Prefix = "x" }},
	} {
		plan, source := testPlan(t)
		tt.change(plan)
		dir := t.TempDir()
		_, err := Build(context.Background(), filepath.Join(dir, "m.moe"), plan, source, BuildOptions{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%s: %v is left", tt.name, left)
		}
	}
	plan, source := testPlan(t)
	name := plan.Layers[2].TensorName(1, 0)
	source.tensors[name][400] = 1
	_, err := Build(context.Background(), filepath.Join(t.TempDir(), "m.moe"), plan, source, BuildOptions{})
	if err == nil || !strings.Contains(err.Error(), name+`": not all numbers are BF16`) {
		t.Errorf("error %v, want one that names %s", err, name)
	}
}

// TestDamageIsFound flips a bit everywhere in the file, in turn, and cuts it.
func TestDamageIsFound(t *testing.T) {
	plan, source := testPlan(t)
	path := build(t, plan, source, BuildOptions{Chunk: 2000})
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clean := openStore(t, path)
	bad := filepath.Join(t.TempDir(), "bad.moe")
	check := func(data []byte) error {
		if err := os.WriteFile(bad, data, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStore(bad)
		if err != nil {
			return err
		}
		defer s.Close()
		return verify(s, source)
	}
	if err := check(good); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(good); at += 499 {
		data := bytes.Clone(good)
		data[at] ^= 1 << (at % 8)
		if inPadding(clean, int64(at)) {
			continue
		}
		err := check(data)
		if err == nil {
			t.Fatalf("a bit of byte %d flips unnoticed", at)
		}
		for i, l := range clean.Layers() {
			for x := range l.Experts {
				r := clean.Record(i, x)
				for p := ExponentPart; p < numParts; p++ {
					if int64(at) < r.Offset[p] || int64(at) >= r.Offset[p]+r.Length[p] {
						continue
					}
					want := fmt.Sprintf("layer %s, expert %d, part %v: ", l.Name(), x, p)
					if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want) {
						t.Fatalf("a bit of byte %d: error %v, want one with %q", at, err, want)
					}
				}
			}
		}
	}
	for _, n := range []int{0, 7, 100, len(good) / 3, len(good) - 1} {
		if err := check(good[:n]); err == nil {
			t.Errorf("a file cut to %d bytes is taken", n)
		}
	}
	if err := check(append(bytes.Clone(good), 0)); err == nil {
		t.Error("a byte too many is taken")
	}
}

// inPadding reports whether a byte of the file belongs to a tensor that only fills.
func inPadding(s *Store, at int64) bool {
	for _, info := range s.carrier.Infos() {
		start := s.carrier.DataOffset() + info.Offset
		if isPadding(info.Name) && at >= start && at < start+info.Size {
			return true
		}
	}
	return false
}

// TestFileShrinks: a file that gets shorter while it is open is an error that names the part.
func TestFileShrinks(t *testing.T) {
	plan, source := testPlan(t)
	path := build(t, plan, source, BuildOptions{})
	s := openStore(t, path)
	r := s.Record(1, 2)
	if err := os.Truncate(path, r.Offset[RestPart]+10); err != nil {
		t.Fatal(err)
	}
	_, err := s.NewReader().Read(1, 2)
	var part *PartError
	if !errors.As(err, &part) || part.Layer != "model.layers.2.mlp" || part.Expert != 2 || part.Part != RestPart || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want one of part %v of expert 2 in model.layers.2.mlp", err, RestPart)
	}
}

// rewrite returns the file with other metadata and, where it is not nil, another index.
func rewrite(t testing.TB, path string, change func(m map[string]string), index func(b []byte) []byte) []byte {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := f.Metadata()
	if change != nil {
		change(m)
	}
	var tensors []safetensors.Tensor
	for _, info := range f.Infos() {
		data, err := f.Bytes(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Name == indexName && index != nil {
			data = index(bytes.Clone(data))
			info.Shape = []int{len(data)}
		}
		tensors = append(tensors, safetensors.Tensor{Name: info.Name, DType: info.DType, Shape: info.Shape, Data: data})
	}
	var b bytes.Buffer
	if err := safetensors.Write(&b, tensors, safetensors.WriteOptions{Metadata: m, Align: PartAlign}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOpenRefuses(t *testing.T) {
	plan, source := testPlan(t)
	path := build(t, plan, source, BuildOptions{Chunk: 2000})
	layers := func(old, new string) func(map[string]string) {
		return func(m map[string]string) {
			if !strings.Contains(m["layers"], old) {
				t.Fatalf("no %s in %s", old, m["layers"])
			}
			m["layers"] = strings.Replace(m["layers"], old, new, 1)
		}
	}
	entry := func(at int, to byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = to; return b }
	}
	bad := filepath.Join(t.TempDir(), "bad.moe")
	for _, tt := range []struct {
		name, want string
		change     func(m map[string]string)
		index      func(b []byte) []byte
	}{
		{"another format", `its metadata "format" is "x"`, func(m map[string]string) { m["format"] = "x" }, nil},
		{"a later version", `version "2" of the format`, func(m map[string]string) { m["version"] = "2" }, nil},
		{"an unknown code", `no code "rans"`, func(m map[string]string) { m["code"] = "rans" }, nil},
		{"no config", `the metadata has no "config"`, func(m map[string]string) { delete(m, "config") }, nil},
		{"unknown metadata", `unknown metadata "extra"`, func(m map[string]string) { m["extra"] = "" }, nil},
		{"an unknown field", `unknown field "shade"`, layers(`"number"`, `"shade"`), nil},
		{"more behind the layers", "more than one JSON value", func(m map[string]string) { m["layers"] += "{}" }, nil},
		{"a negative extent", "want extents from 1", layers("[48,64]", "[-48,64]"), nil},
		{"a shape that overflows", "at most 2^36 elements", layers("[48,64]", "[4294967296,4294967296]"), nil},
		{"millions of experts", "experts, want 1 to", layers(`"experts":5`, `"experts":50000000`), nil},
		{"experts that there are not", `tensor "index" has`, layers(`"experts":5`, `"experts":6`), nil},
		{"more chunks than elements", "chunks for", layers(`"chunks":2`, `"chunks":9999`), nil},
		{"another shape", "the index says", layers("[48,64]", "[480,64]"), nil},
		{"names of another layer", "there is no tensor", layers("model.layers.0", "model.layers.9"), nil},
		{"coded integers", "the exponents of U8 are not coded", layers(`"dtype":"BF16"`, `"dtype":"U8"`), nil},
		{"an index too short", `tensor "index" has`, nil, func(b []byte) []byte { return b[1:] }},
		{"a chunk longer than it can be", "bytes of huffman for", nil, entry(32+3, 1)},
		{"bytes that must be 0", "that must be 0 are not", nil, entry(32+14, 1)},
		{"a raw chunk that is short", "bytes of raw for", nil, entry(32+12, byte(codec.Raw))},
	} {
		if err := os.WriteFile(bad, rewrite(t, path, tt.change, tt.index), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStore(bad)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "expert: "+bad) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := OpenStore(filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: error %v", err)
	}
}

// TestLyingIndex: lengths that the padding hides are found by checksums.
func TestLyingIndex(t *testing.T) {
	plan, source := testPlan(t)
	bad := filepath.Join(t.TempDir(), "bad.moe")
	data := rewrite(t, build(t, plan, source, BuildOptions{}), nil, func(b []byte) []byte { b[32]--; return b })
	if err := os.WriteFile(bad, data, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := openStore(t, bad).NewReader().Read(0, 0)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "layer model.layers.0.mlp, expert 0, part exponents: gate_proj.weight, chunk 0: crc32c") {
		t.Errorf("error %v, want a checksum of gate_proj.weight", err)
	}
}

// FuzzStore reads whatever the metadata and the index say.
func FuzzStore(f *testing.F) {
	plan, source := testPlan(f)
	path := build(f, plan, source, BuildOptions{Chunk: 2000})
	s, err := OpenStore(path)
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	index, err := s.carrier.Bytes(indexName)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.carrier.Metadata()["layers"], index)
	f.Add(`[{"prefix":".experts.","number":0,"experts":1,"tensors":[{"role":"w","dtype":"BF16","shape":[1],"coded":true,"chunks":1}]}]`, make([]byte, 48))
	f.Fuzz(func(t *testing.T, layers string, index []byte) {
		bad := filepath.Join(t.TempDir(), "bad.moe")
		data := rewrite(t, path, func(m map[string]string) { m["layers"] = strings.ToValidUTF8(layers, "?") }, func([]byte) []byte { return index })
		if err := os.WriteFile(bad, data, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStore(bad)
		if err != nil {
			return
		}
		defer s.Close()
		r := s.NewReader()
		for i, l := range s.Layers() {
			for x := range l.Experts {
				if _, err := r.Read(i, x); err != nil {
					var part *PartError
					if !errors.As(err, &part) {
						t.Errorf("error %v, want one of a part", err)
					}
				}
			}
		}
	})
}
