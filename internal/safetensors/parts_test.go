package safetensors_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// TestHeader: a header and the data behind it are what Write writes.
func TestHeader(t *testing.T) {
	tensors := []safetensors.Tensor{
		safetensors.F32("a", []int{2}, []float32{1, -2}),
		{Name: "b", DType: "BF16", Shape: []int{1, 3}, Data: []byte{1, 2, 3, 4, 5, 6}},
		{Name: "scalar", DType: "U8", Data: []byte{9}},
	}
	var parts []safetensors.Part
	var data []byte
	for _, x := range tensors {
		p := safetensors.Part{Name: x.Name, DType: x.DType, Shape: x.Shape}
		for i := range x.Data { // byte by byte, as a stream
			p.Sum = safetensors.Checksum(p.Sum, x.Data[i:i+1])
		}
		if size, err := p.Size(); err != nil || size != int64(len(x.Data)) {
			t.Errorf("Size of %s = %d, %v, want %d", x.Name, size, err, len(x.Data))
		}
		parts, data = append(parts, p), append(data, x.Data...)
	}
	o := safetensors.WriteOptions{Metadata: map[string]string{"k": "v"}, Align: 64}
	head, err := safetensors.Header(parts, o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := append(bytes.Clone(head), data...), encode(t, tensors, o); !bytes.Equal(got, want) {
		t.Errorf("header and data are\n%q, Write wrote\n%q", got, want)
	}
	o.Room, o.Align = len(head)+1, 4096
	roomy, err := safetensors.Header(parts, o)
	if err != nil || len(roomy) != 4096 {
		t.Fatalf("%d bytes, %v, want 4096", len(roomy), err)
	}
	f, err := open(append(roomy, data...))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := f.Sum("b"); !ok || got != parts[1].Sum {
		t.Errorf("Sum(b) = %#x, %v, want %#x", got, ok, parts[1].Sum)
	}
	if _, ok := f.Sum("c"); ok {
		t.Error("a tensor that there is not has a checksum")
	}
	got := make([]byte, 3)
	if err := f.ReadAt("b", got, 2); err != nil || !bytes.Equal(got, []byte{3, 4, 5}) {
		t.Errorf("ReadAt = %v, %v", got, err)
	}
	for _, at := range []int64{-1, 4, 1 << 62} {
		if err := f.ReadAt("b", got, at); err == nil || !strings.Contains(err.Error(), `tensor "b": 3 bytes from byte`) {
			t.Errorf("ReadAt from %d: error %v", at, err)
		}
	}
}

func TestHeaderRefuses(t *testing.T) {
	a := safetensors.Part{Name: "a", DType: "U8", Shape: []int{1}}
	for _, tt := range []struct {
		parts []safetensors.Part
		want  string
	}{
		{[]safetensors.Part{a, a}, `safetensors: tensor "a": the name is used twice`},
		{[]safetensors.Part{{Name: "x", DType: "F5"}}, `safetensors: tensor "x": unknown dtype "F5"`},
		{[]safetensors.Part{{Name: "__metadata__", DType: "U8"}}, `the name is reserved`},
	} {
		if _, err := safetensors.Header(tt.parts, safetensors.WriteOptions{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
	}
}
