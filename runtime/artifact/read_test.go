package artifact_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/artifact"
)

func TestReadRefuses(t *testing.T) {
	good := takeApart(t, fixture(t, "v2.bnn"))
	good.inflate(t)
	half := func(p *parts, section string, at int, bits uint16) {
		binary.LittleEndian.PutUint16(p.tensor(section).Data[2*at:], bits)
	}
	bomb := zlibOf(make([]byte, 1<<24))
	model := func(old, new string) func(p *parts) { return func(p *parts) { p.editModel(old, new) } }
	for _, tt := range []struct {
		name   string
		change func(p *parts)
		want   string // after "artifact: x.bnn: "
	}{
		{"unknown metadata", func(p *parts) { p.meta["licence"] = "" }, `metadata "licence" is unknown`},
		{"the metadata of version 1", func(p *parts) { p.meta["tensors"] = "{}" }, `metadata "tensors" is unknown`},
		{"unknown section", func(p *parts) {
			p.tensors = append(p.tensors, safetensors.Tensor{Name: "zstd", DType: "U8", Shape: []int{0}})
		}, `section "zstd" is unknown`},
		{"section of another type", func(p *parts) { p.tensor("f16").DType = "BF16" }, `section "f16" is BF16 [16], want one dimension of F16`},
		{"section of two dimensions", func(p *parts) { p.tensor("f16").Shape = []int{2, 8} }, `section "f16" is F16 [2 8], want one dimension of F16`},
		{"bits not at the start", func(p *parts) { p.tensors[0], p.tensors[1] = p.tensors[1], p.tensors[0] },
			`section "bits" starts at byte 800 of the file, want a multiple of 64`},
		{"no description", func(p *parts) { p.tensors, p.text = p.tensors[:len(p.tensors)-1], false }, `section "model" is missing`},
		{"text behind it", func(p *parts) { p.setStored(append(zlibOf(p.tensor("model").Data), 0)) },
			`section "model": 1 bytes follow the zlib stream`},
		{"no zlib stream", func(p *parts) { p.setStored([]byte("{}{}{}{}")) }, `section "model": zlib: invalid header`},
		{"cut", func(p *parts) { p.setStored(zlibOf(p.tensor("model").Data)[:99]) }, `section "model": unexpected EOF`},
		{"zlib bomb", func(p *parts) { p.setStored(bomb) },
			fmt.Sprintf(`section "model": %d bytes become more than %d`, len(bomb), 1<<16+64*len(bomb))},
		{"two models", func(p *parts) { p.set("model", []byte("{}{}")) }, `section "model": more than one JSON value`},
		{"input of two", model("[8,8,1]", "[8,8]"), `section "model": input is [8 8], want height, width and channels`},
		{"unknown field", model(`"kind":"conv"`, `"kind":"conv","dilation":2`), `section "model": json: unknown field "dilation"`},
		{"unknown kind", model(`"hardtanh"`, `"gelu"`), `op 1 "ht" (gelu): unknown kind "gelu"`},
		{"no inputs", model(`"kind":"avgpool","inputs":["ht"]`, `"kind":"avgpool","inputs":[]`), `op 9 "avg" (avgpool): 0 inputs, want 1`},
		{"name twice", model(`"name":"bn2"`, `"name":"stem"`), `op 7 "stem" (affine): the name is used twice`},

		{"unknown codec", model(`"weights":"i8"`, `"weights":"i4"`),
			`tensor "stem.weight": coding "i4" does not go with F32 in layout "flat"`},
		{"floats as bits", model(`"weights":"i8"`, `"weights":"bits"`),
			`tensor "stem.weight": coding "bits" does not go with F32 in layout "flat"`},
		{"bits as floats", model(`"weights":"bits"`, `"weights":"f32"`),
			`tensor "bin1.weight": coding "f32" does not go with U8 in layout "bits.krsc"`},
		{"thresholds as halves", model(`"threshold":"i32"`, `"threshold":"f16"`),
			`tensor "sign.threshold": coding "f16" does not go with I32 in layout "flat"`},
		{"the description as a coding", model(`"threshold":"i32"`, `"threshold":"model"`),
			`tensor "sign.threshold": coding "model" does not go with I32 in layout "flat"`},
		{"patterns of few channels", model(`"groups":2,"weights":"bits"`, `"groups":2,"weights":"patterns"`),
			`tensor "bin1.weight": coding "patterns" is for 3x3 filters over 16 or more channels, not for shape [4 4 3 3] with layout "bits.krsc"`},
		{"weights missing", model(`,"weights":"bits"`, ``), `op 3 "bin1" (binconv): weights is missing`},
		{"section too small", model(`"groups":2,"weights":"bits"`, `"groups":1,"weights":"bits"`),
			`tensor "bin1.weight": needs 36 bytes of section "bits", which has 28 left`},
		{"a tensor of a terabyte", model(`"kind":"linear","out":3`, `"kind":"linear","out":1048576`),
			`tensor "fc.weight": needs 2097152 bytes of section "bf16", which has 6 left`},
		{"bytes that belong to nothing", func(p *parts) { p.set("i8", append(p.tensor("i8").Data, 1)) }, `section "i8" has 1 bytes more than its tensors`},
		{"a section that nothing uses", model(`"bias":"bf16"`, `"bias":""`), `section "bf16" has 16 bytes more than its tensors`},
		{"bits that belong to nothing", model(`"flip":"bits"`, `"flip":""`), `section "bits": at its end: padding bytes must be zero`},
		{"patterns behind the last", func(p *parts) { p.set("patterns", append(p.tensor("patterns").Data, 1)) },
			`section "patterns" has 1 bytes more than its tensors`},
		{"patterns cut", func(p *parts) { p.set("patterns", p.tensor("patterns").Data[:7]) },
			`section "patterns": codec: the patterns of 32 kernels: unexpected EOF`},

		{"padding bits at the end", func(p *parts) { p.tensor("bits").Data[27] = 1 }, `section "bits": at its end: padding bytes must be zero`},
		{"NaN step", func(p *parts) { half(p, "bf16", 0, 0x7fc0) }, `tensor "stem.weight": step 0 is NaN, want a finite number from 0`},
		{"infinite step", func(p *parts) { half(p, "bf16", 1, 0x7f80) }, `tensor "stem.weight": step 1 is +Inf, want a finite number from 0`},
		{"negative step", func(p *parts) { half(p, "bf16", 2, 0xbf80) }, `tensor "stem.weight": step 2 is -1, want a finite number from 0`},
		{"a step too large", func(p *parts) { half(p, "bf16", 0, 0x7f7f) }, `tensor "stem.weight": element 0 is -Inf, want a finite number`},
		{"NaN in halves", func(p *parts) { half(p, "f16", 3, 0x7e00) }, `tensor "bn2.scale": element 3 is NaN, want a finite number`},
		{"infinity in halves", func(p *parts) { half(p, "f16", 8, 0xfc00) }, `tensor "act.slope": element 0 is -Inf, want a finite number`},
		{"NaN in bfloat16", func(p *parts) { half(p, "bf16", 4, 0xffff) }, `tensor "bn2.bias": element 0 is NaN, want a finite number`},
		{"NaN in floats", func(p *parts) { copy(p.tensor("f32").Data, "\x00\x00\xc0\x7f") }, `tensor "stem.scale": element 0 is NaN, want a finite number`},
	} {
		p := good.copy()
		tt.change(&p)
		b, err := p.file()
		if err != nil {
			t.Fatal(err)
		}
		_, err = readFrom(b)
		if want := "artifact: x.bnn: " + tt.want; err == nil || err.Error() != want {
			t.Errorf("%s: error\n%v, want\n%s", tt.name, err, want)
		}
	}
}

// withoutChecksums returns the file as a tool writes it that knows nothing of our checksums.
func withoutChecksums(file []byte) []byte {
	n := binary.LittleEndian.Uint64(file)
	header := regexp.MustCompile(`"crc32c":"[^}]*}","crc32c.header":"[^"]*",`).ReplaceAll(file[8:8+n], nil)
	for (8+len(header))%64 != 0 {
		header = append(header, ' ')
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), file[8+n:]...)
}

func TestReadRefusesAFileWithoutChecksums(t *testing.T) {
	_, err := readFrom(withoutChecksums(encode(t, stored(t))))
	const want = "artifact: x.bnn: the file has no checksums: another tool has rewritten it, convert the checkpoint again"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestHostileFilesTakeLittle reads small files that ask for much. What they make the reader allocate in all, garbage
// included, is bounded by a constant and a multiple of the file.
func TestHostileFilesTakeLittle(t *testing.T) {
	good := takeApart(t, fixture(t, "v2.bnn"))
	good.inflate(t)
	file := func(change func(p *parts)) []byte {
		p := good.copy()
		change(&p)
		b, err := p.file()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	model := func(text string) []byte { return file(func(p *parts) { p.set("model", []byte(text)) }) }
	edited := func(old, new string) []byte {
		return file(func(p *parts) { p.editModel(old, new) })
	}
	header := func(n uint64, text string) []byte { return append(binary.LittleEndian.AppendUint64(nil, n), text...) }
	best := func(n int) []byte { // of zeros
		var b bytes.Buffer
		w, _ := zlib.NewWriterLevel(&b, zlib.BestCompression)
		w.Write(make([]byte, n))
		w.Close()
		return b.Bytes()
	}
	for name, b := range map[string][]byte{
		"a header of 1 GB":           header(1<<30, `{}`),
		"a header of 2^63 bytes":     header(1<<63, `{}`),
		"a header of 99 MB":          header(99_000_000, `{}`),
		"a tensor of 1 GB":           header(60, `{"bits":{"dtype":"U8","shape":[1073741824],"data_offsets":[0,1073741824]}}`),
		"an overflowing shape":       header(90, `{"bits":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}             `),
		"a zlib bomb of 256 MB":      file(func(p *parts) { p.setStored(best(1 << 28)) }),
		"operations of 3 bytes":      model(`{"ops":[` + strings.Repeat("{},", 1<<20) + `{}]}`),
		"weights of 4 TB":            edited(`"kind":"linear","out":3`, `"kind":"linear","out":1048576`),
		"bits of 8 GB":               edited(`"name":"bin2","kind":"binconv","out":8,"kernel":1`, `"name":"bin2","kind":"binconv","out":1000000,"kernel":4`),
		"an image of 2^60 pixels":    edited(`"input":[8,8,1]`, `"input":[1048576,1048576,1048576]`),
		"many channels":              edited(`"factor":4`, `"factor":1000000`),
		"a patterns tensor too many": edited(`"name":"bin3","kind":"binconv","out":2`, `"name":"bin3","kind":"binconv","out":1000000`),
		"as it should be":            fixture(t, "v2.bnn"),
		"version 1":                  fixture(t, "v1.bnn"),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := readFrom(b)
			runtime.ReadMemStats(&after)
			if isGood := name == "as it should be" || name == "version 1"; isGood != (err == nil) {
				t.Errorf("error is %v", err)
			}
			if got, most := after.TotalAlloc-before.TotalAlloc, uint64(2<<20+200*len(b)); got > most {
				t.Errorf("%d bytes of file made the reader allocate %d, want at most %d (%v)", len(b), got, most, err)
			}
		})
	}
}

// TestBitsOfOneChannel reads what takes most memory for its bytes: rows of one bit, each a word in memory.
func TestBitsOfOneChannel(t *testing.T) {
	const n = 1 << 16
	m := &artifact.Model{
		Name: "wide", Input: [3]int{1, 1, 1}, Classes: slices.Repeat([]string{"x"}, n),
		Preprocess: preprocess.Config{H: 1, W: 1, C: 1, Mean: []float32{0}, Std: []float32{1}},
		Ops: []artifact.Op{
			{Name: "tile", Kind: artifact.Tile, Inputs: []string{"image"}, Factor: n},
			{Name: "bin", Kind: artifact.BinConv, Inputs: []string{"tile"}, Out: n, Kernel: 1, Stride: 1, Groups: n, Weights: "bin.weight"},
			{Name: "float", Kind: artifact.Affine, Inputs: []string{"bin"}},
		},
		Tensors: map[string]artifact.Tensor{"bin.weight": artifact.Bits([]int{n, 1, 1, 1}, make([]uint64, n))},
	}
	b := encode(t, m)
	p := takeApart(t, b)
	if got := len(p.tensor("bits").Data); got != n/8 {
		t.Errorf("%d weights take %d bytes, want %d", n, got, n/8)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readFrom(b)
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(2<<20+200*len(b)); err != nil || got > most {
		t.Errorf("%d bytes of file made the reader allocate %d, want at most %d (%v)", len(b), got, most, err)
	}
}

// FuzzRead feeds whole files. Checksums stop nearly all of them; FuzzVersion1 and FuzzVersion2 get behind.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"v1.bnn", "v2.bnn"} {
		good := fixture(f, name)
		f.Add(good)
		f.Add(good[:len(good)/2])
		f.Add(withoutChecksums(good))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readFrom(b)
		if err != nil {
			return
		}
		if err := m.Validate(); err != nil {
			t.Errorf("Read accepts what Validate does not: %v", err)
		}
	})
}

// FuzzVersion2 feeds descriptions and sections in a file whose checksums are right.
func FuzzVersion2(f *testing.F) {
	good := takeApart(f, fixture(f, "v2.bnn"))
	good.inflate(f)
	data := func(name string) []byte { return good.tensor(name).Data }
	model := string(data("model"))
	f.Add(model, data("bits"), data("bf16"), data("patterns"))
	f.Add(strings.ReplaceAll(model, `"i8"`, `"bf16"`), data("bits"), data("bf16"), data("patterns"))
	f.Add(strings.ReplaceAll(model, `"patterns"`, `"bits"`), data("bits"), data("bf16"), data("patterns"))
	f.Add(strings.ReplaceAll(model, `"factor":4`, `"factor":1000000`), data("bits"), data("bf16"), data("patterns"))
	f.Add(strings.ReplaceAll(model, "[8,8,1]", "[1048576,1048576,1048576]"), data("bits"), data("bf16"), data("patterns"))
	f.Fuzz(func(t *testing.T, model string, bits, bf16, patterns []byte) {
		p := good.copy()
		p.set("model", []byte(model))
		p.set("bits", bits)
		p.set("patterns", patterns)
		if half := p.tensor("bf16"); len(bf16)%2 == 0 {
			half.Data, half.Shape = bf16, []int{len(bf16) / 2}
		}
		checkAccepted(t, &p)
	})
}
