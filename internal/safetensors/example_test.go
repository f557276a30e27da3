package safetensors_test

import (
	"bytes"
	"fmt"

	"github.com/bnntool/bnntool/internal/safetensors"
)

func Example() {
	var b bytes.Buffer
	err := safetensors.Write(&b,
		[]safetensors.Tensor{safetensors.F32("fc.weight", []int{1, 3}, []float32{0.5, -1, 2})},
		safetensors.WriteOptions{Metadata: map[string]string{"format": "example"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := safetensors.NewFile(bytes.NewReader(b.Bytes()), int64(b.Len()), "example.safetensors")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, info := range f.Infos() {
		v, err := f.Float32(info.Name)
		fmt.Println(info.Name, info.DType, info.Shape, v, err)
	}
	// Output: fc.weight F32 [1 3] [0.5 -1 2] <nil>
}
