package configs_test

import (
	"fmt"

	"github.com/bnntool/bnntool/configs"
)

func ExampleLoad() {
	r, err := configs.Load("cifar10-rep-recu-resnet20", "train.epochs=10")
	if err != nil {
		fmt.Println(err)
		return
	}
	net, err := r.Net(r.Expected())
	if err != nil {
		fmt.Println(err)
		return
	}
	counts, err := net.Count()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, beta %d, %d epochs: %d 1-bit weights\n", net.Name, net.Beta, r.Train.Epochs, counts.Total.Params1)

	_, err = configs.Load("cifar10-rep-recu-resnet20", "train.epoch=10")
	fmt.Println(err)
	// Output:
	// recu-resnet20, beta 2, 10 epochs: 267264 1-bit weights
	// configs: override "train.epoch=10": unknown key "train.epoch", did you mean "train.epochs"?
}
