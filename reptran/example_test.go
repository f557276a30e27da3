package reptran_test

import (
	"fmt"

	"github.com/bnntool/bnntool/reptran"
	"github.com/bnntool/bnntool/train/model"
)

func ExampleApply() {
	base, err := model.New("recu-resnet20", model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	rep, err := reptran.Apply(base, reptran.Config{Beta: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	nodes, err := rep.Nodes()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range nodes[:7] {
		fmt.Printf("%-20s %-10s %v\n", n.Name, n.Op, n.Shape)
	}

	_, err = reptran.Apply(base, reptran.Config{Beta: 3})
	fmt.Println(err)
	// Output:
	// conv1                conv       32x32x16
	// bn1                  batchnorm  32x32x16
	// hardtanh1            hardtanh   32x32x16
	// hardtanh1.tile       tile       32x32x32
	// layer1.0.conv1       conv       32x32x8
	// layer1.0.conv1.tile  tile       32x32x32
	// layer1.0.bn1         batchnorm  32x32x32
	// reptran: network "recu-resnet20": beta 3 does not divide the 16 filters of layer1.0.conv1; use 1, 2, 4, 8 or 16
}
