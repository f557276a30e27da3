package model_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/reptran"
	"github.com/bnntool/bnntool/train/model"
)

func TestDecodeRoundTrip(t *testing.T) {
	for _, name := range model.Names() {
		for _, c := range []reptran.Config{{}, {Beta: 4, FC: reptran.FCFirst, Interleave: true}} {
			n := replicated(t, name, model.Options{}, c)
			data, err := json.Marshal(n)
			if err != nil {
				t.Fatal(err)
			}
			got, err := model.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, n) {
				t.Errorf("%s with %+v: another network came back", name, c)
			}
		}
	}
}

const tinyJSON = `{"name":"tiny","beta":1,"input":{"h":2,"w":2,"c":3},"layers":[
	{"name":"pool","op":"globalavgpool"},{"name":"fc","op":"linear","inputs":["pool"],"out":4}]}`

func TestDecode(t *testing.T) {
	n, err := model.Decode([]byte(tinyJSON))
	if err != nil {
		t.Fatal(err)
	}
	want := &model.Net{Name: "tiny", Beta: 1, Input: model.Shape{H: 2, W: 2, C: 3}, Layers: []model.Layer{
		{Name: "pool", Op: model.GlobalAvgPool}, {Name: "fc", Op: model.Linear, Inputs: []string{"pool"}, Out: 4}}}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("got %+v, want %+v", n, want)
	}
	if classes, err := n.Classes(); err != nil || classes != 4 {
		t.Errorf("%d classes, error %v, want 4", classes, err)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"unknown field", `"beta":1`, `"beta":1,"gamma":2`, `unknown field "gamma"`},
		{"unknown field of a layer", `"out":4`, `"out":4,"bias":true`, `unknown field "bias"`},
		{"type", `"beta":1`, `"beta":"1"`, "cannot unmarshal string"},
		{"fraction", `"out":4`, `"out":4.5`, "cannot unmarshal number 4.5"},
		{"beta", `"beta":1`, `"beta":0`, `beta is 0, want at least 1`},
		{"shape", `"h":2`, `"h":0`, `input: shape 0x2x3: every extent must be in`},
		{"large shape", `"h":2`, `"h":1048577`, `every extent must be in`},
		{"many elements", `"h":2,"w":2`, `"h":1048576,"w":1048576`, `more than 268435456 elements`},
		{"op", `"op":"linear"`, `"op":"dense"`, `layer 1 "fc" (dense): unknown op`},
		{"input", `["pool"]`, `["pol"]`, `input "pol" is not an earlier layer`},
		{"own input", `["pool"]`, `["fc"]`, `input "fc" is not an earlier layer`},
		{"number of inputs", `["pool"]`, `["pool","pool"]`, `2 inputs, want 1`},
		{"same name", `"name":"fc"`, `"name":"pool"`, `layer 0 has the same name`},
		{"no name", `"name":"fc"`, `"name":""`, `the name must be neither empty`},
		{"reserved name", `"name":"fc"`, `"name":"image"`, `the name must be neither empty nor "image"`},
		{"escape in a name", `"name":"fc"`, `"name":"\u001b[2J"`, `cannot be printed`},
		{"field of another op", `"out":4`, `"out":4,"kernel":3`, `kernel is set, which only [conv avgpool maxpool] uses`},
		{"out", `"out":4`, `"out":-4`, `out is -4, want 1..`},
		{"map at the end", `"inputs":["pool"],"out":4`, `"inputs":["image"],"out":4`, `input 2x2x3 is not flat`},
		{"no layers", tinyJSON[strings.Index(tinyJSON, `"layers":`):], `"layers":[]}`, `has no layers`},
		{"more text", "}]}", "}]} {}", `more text behind the network`},
		{"cut", "}]}", "}", `unexpected EOF`},
		{"null", tinyJSON, "null", `has no layers`},
		{"nothing", tinyJSON, "", `EOF`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(tinyJSON, tt.old, tt.new, 1)
			if _, err := model.Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// FuzzDecode: whatever is read is a network, is written and read again as the same one, and can be counted and replicated
// without a panic.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(tinyJSON))
	f.Add([]byte(`{"name":"x","beta":1,"input":{"h":4,"w":4,"c":3},"layers":[{"name":"a","op":"conv","out":8,"kernel":3,"stride":1,"pad":1},
		{"name":"t","op":"tile","factor":2,"interleave":true},{"name":"b","op":"conv","out":8,"kernel":1,"stride":2,"groups":2,"weight_quant":"recu",
		"input_quant":"recu","alpha":true,"init":"fanout"},{"name":"p","op":"padchannels","out":12},{"name":"n","op":"batchnorm"},
		{"name":"s","op":"add","inputs":["p","n"]},{"name":"c","op":"concat","inputs":["s","n"]},{"name":"m","op":"maxpool","kernel":2,"stride":2},
		{"name":"f","op":"flatten"},{"name":"k","op":"takechannels","out":3},{"name":"l","op":"linear","out":2,"init":"smallnormal"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := model.Decode(data)
		if err != nil {
			return
		}
		text, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		again, err := model.Decode(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !reflect.DeepEqual(again, n) {
			t.Fatalf("%s: another network came back", text)
		}
		if _, err := n.Summary(); err != nil {
			t.Fatal(err)
		}
		for _, order := range []reptran.StemOrder{reptran.BatchNormThenTile, reptran.TileThenBatchNorm} {
			rep, err := reptran.Apply(n, reptran.Config{Beta: 2, StemOrder: order, FC: reptran.FCFirst})
			if err != nil {
				continue
			}
			if classes, err := rep.Classes(); err != nil {
				t.Fatal(err)
			} else if want, _ := n.Classes(); classes != want {
				t.Fatalf("%d classes after replication, want %d", classes, want)
			}
		}
	})
}
