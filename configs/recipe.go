package configs

import (
	"errors"
	"fmt"

	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/reptran"
	"github.com/bnntool/bnntool/train"
	"github.com/bnntool/bnntool/train/model"
	"github.com/goccy/go-yaml"
)

// Recipe is everything that a training depends on but the data's place and the machine.
type Recipe struct {
	// Name is the recipe's. Left out, it is the file's name without folder and extension.
	Name    string         `yaml:"name"`
	Dataset Dataset        `yaml:"dataset"`
	Model   Model          `yaml:"model"`
	RepTran reptran.Config `yaml:"reptran"`
	Train   train.Config   `yaml:"train"`
	Convert Convert        `yaml:"convert"`
}

// Dataset says which pictures are trained on and how they are varied.
type Dataset struct {
	datasets.Config `yaml:",inline"`
	Augment         datasets.Augment `yaml:"augment"`
}

// Model names a network of the zoo. The image's size and the number of classes are the data set's.
type Model struct {
	Name   string `yaml:"name"`   // one of model.Names
	Width  int    `yaml:"width"`  // filters of the first convolution, 0: the paper's
	Blocks int    `yaml:"blocks"` // blocks in each stage, 0: the paper's; only recu-resnet20 has it
}

// Convert says what happens with the trained network.
type Convert struct {
	// AfterTraining converts the best checkpoint to model.bnn in the run folder. Default true.
	AfterTraining bool `yaml:"after_training"`
}

// newRecipe returns the recipe that a text without any key would give.
func newRecipe() *Recipe {
	return &Recipe{Convert: Convert{AfterTraining: true}}
}

// complete fills in the defaults of the packages.
func (r *Recipe) complete() {
	r.Train = r.Train.WithDefaults()
	if r.RepTran.Beta == 0 {
		r.RepTran.Beta = 1
	}
	if r.RepTran.StemOrder == "" {
		r.RepTran.StemOrder = reptran.BatchNormThenTile
	}
	if r.RepTran.FC == "" {
		r.RepTran.FC = reptran.FCWide
	}
}

// Validate returns an error that names the section and the key of the first value that cannot be used, nil if there is
// none. It does not build the network: what does not fit together there is an error of Net.
func (r *Recipe) Validate() error {
	if r.Name == "" {
		return errors.New("configs: name is empty")
	}
	for _, validate := range []func() error{r.Dataset.Validate, r.Dataset.validateAugment, r.Model.validate, r.RepTran.Validate, r.Train.Validate} {
		if err := validate(); err != nil {
			return err
		}
	}
	return nil
}

// maxPadCrop bounds the border of the random crop, in pixels.
const maxPadCrop = 256

func (d *Dataset) validateAugment() error {
	if d.Augment.PadCrop < 0 || d.Augment.PadCrop > maxPadCrop {
		return fmt.Errorf("configs: dataset.augment.pad_crop is %d, want 0..%d pixels", d.Augment.PadCrop, maxPadCrop)
	}
	return nil
}

func (m *Model) validate() error {
	if m.Width < 0 {
		return fmt.Errorf("configs: model.width is %d, want 0 (the paper's) or more", m.Width)
	}
	if m.Blocks < 0 {
		return fmt.Errorf("configs: model.blocks is %d, want 0 (the paper's) or more", m.Blocks)
	}
	return nil
}

// Net builds the recipe's network, replicated, for pictures of the given extent and number of classes: those of the open
// data set.
func (r *Recipe) Net(input model.Shape, classes int) (*model.Net, error) {
	n, err := model.New(r.Model.Name, model.Options{Input: input, Classes: classes, Width: r.Model.Width, Blocks: r.Model.Blocks})
	if err != nil {
		return nil, err
	}
	return reptran.Apply(n, r.RepTran)
}

// Expected returns the extent of the data set's pictures and its number of classes as far as the recipe alone tells
// them: the classes of an imagefolder are 0, which Net takes for the paper's number.
func (r *Recipe) Expected() (input model.Shape, classes int) {
	switch r.Dataset.Name {
	case datasets.Digits:
		return model.Shape{H: 8, W: 8, C: 1}, 10
	case datasets.CIFAR10:
		return model.Shape{H: 32, W: 32, C: 3}, 10
	case datasets.CIFAR100:
		return model.Shape{H: 32, W: 32, C: 3}, 100
	}
	size := r.Dataset.Size
	if size == 0 {
		size = 32
	}
	return model.Shape{H: size, W: size, C: 3}, 0
}

// Marshal returns the recipe as YAML. The same recipe gives the same text, and Parse makes the same recipe of it.
func (r *Recipe) Marshal() string {
	text, err := yaml.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("configs: Marshal: %v", err)) // a struct of numbers, truth values and strings
	}
	return string(text)
}
