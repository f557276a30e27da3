package datasets

import (
	"slices"

	"github.com/bnntool/bnntool/internal/preprocess"
)

// Describe returns the classes and the preprocessing of a data set whose pictures are always the same kind, without opening
// it: digits, cifar10 or cifar100. ok is false for every other name.
func Describe(name string) (classes []string, p preprocess.Config, ok bool) {
	switch name {
	case Digits:
		d, err := openDigits(Config{Name: Digits})
		if err != nil {
			return nil, p, false
		}
		return d.Classes, d.Preprocess, true
	case CIFAR10:
		return slices.Clone(cifar10.names), imageNet(cifarSide), true
	case CIFAR100:
		return slices.Clone(cifar100.names), imageNet(cifarSide), true
	}
	return nil, p, false
}
