//go:build !device

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/bnntool/bnntool/configs"
	"github.com/bnntool/bnntool/internal/nearest"
	"github.com/bnntool/bnntool/reptran"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
)

// netJSON describes a network that is not converted. Operations are multiply-accumulates.
type netJSON struct {
	Kind       string          `json:"kind"` // network, recipe or checkpoint
	Name       string          `json:"name"`
	Beta       int             `json:"beta"`
	Input      [3]int          `json:"input"`
	Layers     []layerJSON     `json:"layers"`
	Params1    int64           `json:"params_1bit"`
	Params32   int64           `json:"params_32bit"`
	BOPs       int64           `json:"bops"`
	FLOPs      int64           `json:"flops"`
	OPs        int64           `json:"ops"`
	Bytes      int64           `json:"bytes"`   // of the parameters, the 1-bit ones packed
	Bytes32    int64           `json:"bytes32"` // of the parameters at 32 bits each
	Recipe     string          `json:"recipe,omitempty"`
	Checkpoint *checkpointJSON `json:"checkpoint,omitempty"`
}

type layerJSON struct {
	Name     string `json:"name"`
	Op       string `json:"op"`
	Output   [3]int `json:"output"`
	Params1  int64  `json:"params_1bit"`
	Params32 int64  `json:"params_32bit"`
	Bytes    int64  `json:"bytes"`
	BOPs     int64  `json:"bops"`
	FLOPs    int64  `json:"flops"`
}

type checkpointJSON struct {
	Dataset   string                `json:"dataset"`
	Classes   []string              `json:"classes"`
	State     checkpoint.TrainState `json:"state"`
	Resumable bool                  `json:"resumable"` // it holds the solver's state
	FileBytes int64                 `json:"file_bytes"`
}

// inspectNamed describes a network of the zoo or a recipe, if that is what the name says.
func (e *env) inspectNamed(what string, f inspectFlags) (bool, error) {
	if slices.Contains(model.Names(), what) {
		n, err := model.New(what, model.Options{})
		if err != nil {
			return true, err
		}
		if n, err = reptran.Apply(n, reptran.Config{Beta: f.beta}); err != nil {
			return true, err
		}
		return true, e.printNet(&netJSON{Kind: "network"}, n, f, "")
	}
	isFile := strings.HasSuffix(what, ".yaml") || strings.HasSuffix(what, ".yml")
	if !isFile && !slices.Contains(configs.Names(), what) {
		return false, nil
	}
	var set []string
	if f.beta != 0 {
		set = append(set, fmt.Sprintf("reptran.beta=%d", f.beta))
	}
	r, err := configs.Load(what, set...)
	if err != nil {
		return true, err
	}
	n, err := r.Net(r.Expected())
	if err != nil {
		return true, err
	}
	return true, e.printNet(&netJSON{Kind: "recipe", Recipe: r.Marshal()}, n, f, r.Marshal())
}

// inspectCheckpoint describes a checkpoint.
func (e *env) inspectCheckpoint(path string, f inspectFlags) error {
	if f.beta != 0 {
		return usagef("--beta does not go with a checkpoint: its network is what it is")
	}
	ck, err := loadCheckpoint(path, f.origin)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	imported, err := isPyTorch(path)
	if err != nil {
		return err
	}
	s := ck.State
	head := fmt.Sprintf("checkpoint of %s, %d classes, %d bytes\n", ck.Dataset, len(ck.Classes), info.Size())
	if imported {
		head = fmt.Sprintf("PyTorch %sepoch %d, best top-1 %.2f %%, as far as it says\n", head, s.Epoch, s.BestTop1)
	} else {
		head += fmt.Sprintf("epoch %d, step %d, seed %d, best test top-1 %.2f %% in epoch %d, last %.2f %%\n",
			s.Epoch, s.Step, s.Seed, s.BestTop1, s.BestEpoch+1, s.LastTop1)
	}
	if len(ck.Solver) == 0 {
		head += "without the solver's state: it is evaluated and converted, not resumed\n"
	}
	d := &netJSON{Kind: "checkpoint", Recipe: ck.Recipe, Checkpoint: &checkpointJSON{Dataset: ck.Dataset, Classes: ck.Classes,
		State: s, Resumable: len(ck.Solver) > 0, FileBytes: info.Size()}}
	return e.printNet(d, ck.Net, f, head)
}

// printNet prints a network as a table below head, or d, filled in, as JSON.
func (e *env) printNet(d *netJSON, n *model.Net, f inspectFlags, head string) error {
	s, err := n.Summary()
	if err != nil {
		return err
	}
	if !f.json {
		if head != "" {
			fmt.Fprintln(e.stdout, head)
		}
		_, err := s.WriteTo(e.stdout)
		return err
	}
	d.Name, d.Beta, d.Input = s.Name, s.Beta, shape(s.Input)
	d.Params1, d.Params32, d.BOPs, d.FLOPs, d.OPs = s.Total.Params1, s.Total.Params32, s.Total.BOPs, s.Total.FLOPs, int64(s.Total.OPs())
	d.Bytes, d.Bytes32 = s.Total.Bytes(), s.Total.Bytes32()
	for _, r := range s.Rows {
		d.Layers = append(d.Layers, layerJSON{r.Name, string(r.Op), shape(r.Shape), r.Params1, r.Params32, r.Bytes(), r.BOPs, r.FLOPs})
	}
	return printJSON(e.stdout, d)
}

func shape(s model.Shape) [3]int { return [3]int{s.H, s.W, s.C} }

// unknownThing is the error for a name that is nothing.
func unknownThing(what string) error {
	return fmt.Errorf("%s is no file, no recipe and no network: did you mean %q?", what,
		nearest.Name(what, slices.Concat(configs.Names(), model.Names())))
}
