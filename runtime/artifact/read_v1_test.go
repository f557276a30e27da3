package artifact_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/artifact"
)

func TestReadRefusesVersion1(t *testing.T) {
	good := takeApart(t, fixture(t, "v1.bnn"))
	for _, tt := range []struct {
		name   string
		change func(p *parts)
		want   string // after "artifact: x.bnn: "
	}{
		{"a checkpoint", func(p *parts) { p.meta["format"] = "bnntool.checkpoint" },
			`not an artifact: metadata "format" is "bnntool.checkpoint", want "bnntool.artifact"`},
		{"no format", func(p *parts) { clear(p.meta) }, `not an artifact: metadata "format" is "", want "bnntool.artifact"`},
		{"newer version", func(p *parts) { p.meta["version"] = "3" },
			`version "3" is not supported, only "1" and "2" are: convert the checkpoint again with this bnntool`},
		{"unknown metadata", func(p *parts) { p.meta["licence"] = "" }, `metadata "licence" is unknown`},
		{"no model", func(p *parts) { delete(p.meta, "model") }, `metadata "model": no JSON`},
		{"unknown field", func(p *parts) { p.edit("model", `"kind":"conv"`, `"kind":"conv","dilation":2`) },
			`metadata "model": json: unknown field "dilation"`},
		{"an operation that is an array", func(p *parts) { p.edit("model", `"ops":[`, `"ops":[[],`) },
			`metadata "model": json: cannot unmarshal array into Go struct field description.ops of type artifact.Op`},
		{"no array of operations", func(p *parts) { p.edit("model", `"ops":[`, `"ops":0,"source":{"x":[`); p.meta["model"] += "}" },
			`metadata "model": ops are not an array`},
		{"operations of 3 bytes", func(p *parts) { p.meta["model"] = `{"ops":[` + strings.Repeat("{},", 100000) + `{}]}` },
			`metadata "model": more than 16384 operations`},
		{"a text of 17 MB", func(p *parts) { p.meta["model"] += strings.Repeat(" ", 1<<24) },
			`metadata "model": 16778734 bytes, at most 16777216 are allowed`},
		{"two models", func(p *parts) { p.meta["model"] += "{}" }, `metadata "model": more than one JSON value`},
		{"input of two", func(p *parts) { p.edit("model", "[8,8,1]", "[8,8]") },
			`metadata "model": input is [8 8], want height, width and channels`},
		{"unknown kind", func(p *parts) { p.edit("model", `"hardtanh"`, `"gelu"`) }, `op 1 "ht" (gelu): unknown kind "gelu"`},
		{"tensors are a list", func(p *parts) { p.meta["tensors"] = "[]" },
			`metadata "tensors": json: cannot unmarshal array into Go value of type map[string]artifact.entry`},
		{"unknown codec", func(p *parts) { p.edit("tensors", `"raw"`, `"zstd"`) }, `tensor "act.s": unknown codec "zstd"`},
		{"unknown layout", func(p *parts) { p.edit("tensors", `"bits.krsc"`, `"lanes16"`) }, `tensor "bin1.w": unknown layout "lanes16"`},
		{"layout of another type", func(p *parts) { p.edit("tensors", `"bits.n"`, `"flat"`) },
			`tensor "sign.f": layout "flat" does not go with the stored type U8`},
		{"raw size", func(p *parts) { p.edit("tensors", `"raw_size":288`, `"raw_size":287`) },
			`tensor "bin1.w": shape [4 4 3 3] with layout "bits.krsc" needs 288 bytes, raw_size is 287`},
		{"huge shape", func(p *parts) { p.edit("tensors", `[4,4,3,3]`, `[1000000,4,3,3]`) },
			`tensor "bin1.w": shape [1000000 4 3 3] with layout "bits.krsc" needs 72000000 bytes, raw_size is 288`},
		{"a shape that is not stored", func(p *parts) {
			p.edit("tensors", `"bin1.w":{"shape":[4,4,3,3],"layout":"bits.krsc","codec":"raw","raw_size":288`,
				`"bin1.w":{"shape":[8,4,3,3],"layout":"bits.krsc","codec":"raw","raw_size":576`)
		}, `tensor "bin1.w": 576 bytes are stored as U8 [320], want one dimension of 576 bytes`},
		{"not described", func(p *parts) { p.edit("tensors", `"act.s"`, `"act.z"`) }, `tensor "act.z" is described but missing`},
		{"one too many", func(p *parts) {
			p.tensors = append(p.tensors, safetensors.Tensor{Name: "x", DType: "U8", Shape: []int{64}, Data: make([]byte, 64)})
		}, `tensor "x" is not described in metadata "tensors"`},
		{"padding of bits", func(p *parts) { p.tensor("sign.f").Data[8] = 1 }, `tensor "sign.f": element 8 is 1: the padding past 8 elements must be zero`},
		{"padding of floats", func(p *parts) { p.tensor("fc.b").Data[15] = 0x40 }, `tensor "fc.b": element 3 is 2: the padding past 3 elements must be zero`},
		{"padding of integers", func(p *parts) { p.tensor("sign.t").Data[60] = 7 }, `tensor "sign.t": element 15 is 7: the padding past 8 elements must be zero`},
		{"NaN", func(p *parts) { copy(p.tensor("fc.b").Data, "\x00\x00\xc0\x7f") }, `tensor "fc.b": element 0 is NaN, want a finite number`},
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

func TestReadRefusesAnUnalignedFile(t *testing.T) {
	p := takeApart(t, fixture(t, "v1.bnn"))
	for pad := range 64 {
		p.meta["model"] += strings.Repeat(" ", pad)
		var b bytes.Buffer
		if err := safetensors.Write(&b, p.tensors, safetensors.WriteOptions{Metadata: p.meta}); err != nil {
			t.Fatal(err)
		}
		header := 8 + binary.LittleEndian.Uint64(b.Bytes())
		_, err := readFrom(b.Bytes())
		if aligned := header%64 == 0; aligned != (err == nil) {
			t.Errorf("data at byte %d: error %v", header, err)
		}
		if err != nil && !strings.Contains(err.Error(), `tensor "stem.w" starts at byte`) {
			t.Errorf("error %v, want one about the alignment", err)
		}
	}
}

// FuzzVersion1 feeds descriptions and the data of one tensor in a file whose checksums are right.
func FuzzVersion1(f *testing.F) {
	good := takeApart(f, fixture(f, "v1.bnn"))
	f.Add(good.meta["model"], good.meta["tensors"], good.tensor("sign.f").Data)
	f.Add(strings.ReplaceAll(good.meta["model"], `"factor":2`, `"factor":1000000`), good.meta["tensors"], []byte(nil))
	f.Add(strings.ReplaceAll(good.meta["model"], "[8,8,1]", "[1048576,1048576,1048576]"), `{}`, []byte(nil))
	f.Fuzz(func(t *testing.T, model, tensors string, data []byte) {
		p := parts{meta: maps.Clone(good.meta)}
		p.meta["model"], p.meta["tensors"] = model, tensors
		for _, tensor := range good.tensors {
			if tensor.Name == "sign.f" && len(data)%64 == 0 {
				tensor.Shape, tensor.Data = []int{len(data)}, data
			}
			p.tensors = append(p.tensors, tensor)
		}
		checkAccepted(t, &p)
	})
}

// checkAccepted reads a file of p. If that gives a model, it must resolve within its limits and survive writing.
func checkAccepted(t *testing.T, p *parts) {
	t.Helper()
	b, err := p.file()
	if err != nil {
		return // not UTF-8
	}
	m, err := readFrom(b)
	if err != nil {
		return
	}
	values, err := m.Resolve()
	if err != nil {
		t.Fatalf("Read accepts what Resolve does not: %v", err)
	}
	total := 0
	for i := range values {
		total += values[i].Len()
	}
	if total > artifact.MaxTotalElements {
		t.Errorf("the values have %d elements", total)
	}
	if again, err := readFrom(encode(t, m)); err != nil || len(again.Ops) != len(m.Ops) {
		t.Errorf("an accepted model does not survive writing: %v", err)
	}
}
