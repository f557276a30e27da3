package artifact_test

import (
	"bytes"
	"compress/zlib"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// parts are an artifact taken apart by a plain safetensors reader.
type parts struct {
	tensors []safetensors.Tensor
	meta    map[string]string
	// text says that the description of version 2 is not compressed.
	text bool
}

func takeApart(t testing.TB, b []byte) parts {
	t.Helper()
	f, err := safetensors.NewFile(bytes.NewReader(b), int64(len(b)), "x.bnn")
	if err != nil {
		t.Fatal(err)
	}
	p := parts{meta: f.Metadata()}
	for _, info := range f.Infos() {
		data, err := f.Bytes(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		p.tensors = append(p.tensors, safetensors.Tensor{Name: info.Name, DType: info.DType, Shape: info.Shape, Data: data})
	}
	return p
}

// tensor returns the stored tensor called name, to change it.
func (p *parts) tensor(name string) *safetensors.Tensor {
	for i := range p.tensors {
		if p.tensors[i].Name == name {
			return &p.tensors[i]
		}
	}
	panic("no tensor " + name)
}

// edit replaces old by new once in a metadata value.
func (p *parts) edit(key, old, new string) {
	if !strings.Contains(p.meta[key], old) {
		panic(key + " has no " + old)
	}
	p.meta[key] = strings.Replace(p.meta[key], old, new, 1)
}

// copy returns parts that can be changed.
func (p *parts) copy() parts {
	c := parts{meta: maps.Clone(p.meta), text: p.text}
	for _, tensor := range p.tensors {
		tensor.Data = bytes.Clone(tensor.Data)
		c.tensors = append(c.tensors, tensor)
	}
	return c
}

// set replaces the data of a tensor of bytes.
func (p *parts) set(name string, data []byte) {
	s := p.tensor(name)
	s.Data, s.Shape = data, []int{len(data)}
}

// inflate replaces the description of a file of version 2 by its text.
func (p *parts) inflate(t testing.TB) {
	t.Helper()
	r, err := zlib.NewReader(bytes.NewReader(p.tensor("model").Data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	p.set("model", text)
	p.text = true
}

// setStored replaces the description by what is not to be compressed.
func (p *parts) setStored(model []byte) {
	p.set("model", model)
	p.text = false
}

func zlibOf(text []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(text)
	w.Close()
	return b.Bytes()
}

// editModel replaces old by new once in the inflated description.
func (p *parts) editModel(old, new string) {
	text := string(p.tensor("model").Data)
	if !strings.Contains(text, old) {
		panic("the description has no " + old)
	}
	p.set("model", []byte(strings.Replace(text, old, new, 1)))
}

// file returns the parts as a file whose checksums are right.
func (p *parts) file() ([]byte, error) {
	if p.text {
		c := p.copy()
		c.setStored(zlibOf(p.tensor("model").Data))
		return c.file()
	}
	var b bytes.Buffer
	err := safetensors.Write(&b, p.tensors, safetensors.WriteOptions{Metadata: p.meta, Align: 64})
	return b.Bytes(), err
}
