package model_test

import (
	"fmt"

	"github.com/bnntool/bnntool/train/model"
)

func Example() {
	net, err := model.New("recu-resnet20", model.Options{Input: model.Shape{H: 8, W: 8, C: 1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	counts, err := net.Count()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d layers, %d 1-bit parameters of %d, %d bytes\n",
		len(net.Layers), counts.Total.Params1, counts.Total.Params(), counts.Total.Bytes())

	weights, err := net.InitWeights(1)
	if err != nil {
		fmt.Println(err)
		return
	}
	frozen, err := model.Freeze(net, weights)
	if err != nil {
		fmt.Println(err)
		return
	}
	logits, err := frozen.Forward(make([]float32, net.Input.Len()))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(logits), "logits")

	_, err = model.New("resnet20", model.Options{})
	fmt.Println(err)
	// Output:
	// 82 layers, 267264 1-bit parameters of 270234, 45288 bytes
	// 10 logits
	// model: unknown network "resnet20", did you mean "recu-resnet20"?
}
