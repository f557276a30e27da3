package configs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/datasets"
	"github.com/bnntool/bnntool/reptran"
	"github.com/bnntool/bnntool/train/model"
)

// minimal is a recipe with nothing but what has no default.
const minimal = "dataset:\n  name: digits\nmodel:\n  name: recu-resnet20\ntrain:\n  epochs: 1\n  batch: 8\n  lr: 0.1\n"

// TestRecipes: every embedded recipe loads, says what it is, builds its network and survives Marshal.
func TestRecipes(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			r, err := Load(name)
			if err != nil {
				t.Fatal(err)
			}
			if r.Name != name {
				t.Errorf("name %q, want %q", r.Name, name)
			}
			text, err := Text(name)
			if err != nil || !strings.HasPrefix(text, "# ") {
				t.Errorf("the recipe starts without a comment that says what it is: %v\n%s", err, text)
			}
			input, classes := r.Expected()
			n, err := r.Net(input, classes)
			if err != nil {
				t.Fatal(err)
			}
			if wantBeta := 1; strings.Contains(name, "-rep-") && n.Beta == wantBeta {
				t.Errorf("beta %d in a recipe called rep", n.Beta)
			}
			again, err := Parse("recipe.yaml", []byte(r.Marshal()))
			if err != nil {
				t.Fatalf("%v\n%s", err, r.Marshal())
			}
			if !reflect.DeepEqual(again, r) || again.Marshal() != r.Marshal() {
				t.Errorf("after Marshal and Parse %+v, want %+v", again, r)
			}
		})
	}
}

// TestPaperRecipes holds the CIFAR recipes to the published schedule.
func TestPaperRecipes(t *testing.T) {
	for _, name := range Names() {
		if !strings.HasPrefix(name, "cifar") {
			continue
		}
		r, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		c := r.Train
		if c.Epochs != 600 || c.Batch != 256 || c.LR != 0.1 || c.Momentum != 0.9 || c.WeightDecay != 5e-4 || c.WarmupEpochs != 5 ||
			c.TauMin != 0.85 || c.TauMax != 0.99 || c.Seed != 1 || c.Optimizer != "sgd" || c.Schedule != "warmup-cosine" || c.LabelSmoothing != 0 {
			t.Errorf("%s: train is %+v", name, c)
		}
		if want := (datasets.Augment{PadCrop: 4, Flip: true}); r.Dataset.Augment != want {
			t.Errorf("%s: augment is %+v, want %+v", name, r.Dataset.Augment, want)
		}
	}
}

// TestExpected compares what a recipe expects of the digits with the digits.
func TestExpected(t *testing.T) {
	d, err := datasets.Open(context.Background(), datasets.Config{Name: datasets.Digits}, datasets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Load("digits")
	if err != nil {
		t.Fatal(err)
	}
	input, classes := r.Expected()
	if p := d.Preprocess; input != (model.Shape{H: p.H, W: p.W, C: p.C}) || classes != len(d.Classes) {
		t.Errorf("expected %v and %d classes, the data set has %dx%dx%d and %d", input, classes, p.H, p.W, p.C, len(d.Classes))
	}
}

func TestDefaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(path, []byte(minimal), 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if r.Name != "mine" || !r.Convert.AfterTraining || r.RepTran.Beta != 1 || r.RepTran.FC != reptran.FCWide || r.Train.EvalBatch != 64 {
		t.Errorf("defaults: %+v", r)
	}
}

func TestSet(t *testing.T) {
	r, err := Load("digits", "train.lr=0.05", "reptran.beta=4", "reptran.interleave=true", "dataset.limit_train=100",
		"dataset.augment.flip=true", "convert.after_training=false", "train.seed=18446744073709551615", "name=a: b", "reptran.fc=first_c", "train.lr=2e-1")
	if err != nil {
		t.Fatal(err)
	}
	if r.Train.LR != 0.2 || r.RepTran.Beta != 4 || !r.RepTran.Interleave || r.Dataset.LimitTrain != 100 || !r.Dataset.Augment.Flip ||
		r.Convert.AfterTraining || r.Train.Seed != 1<<64-1 || r.Name != "a: b" || r.RepTran.FC != reptran.FCFirst {
		t.Errorf("after overrides: %+v", r)
	}
	again, err := Parse("x", []byte(r.Marshal()))
	if err != nil || !reflect.DeepEqual(again, r) {
		t.Errorf("after Marshal and Parse: %+v, %v", again, err)
	}
}

func TestSetFaults(t *testing.T) {
	for _, tt := range []struct{ set, want string }{
		{"train.lr", "want key=value"},
		{"train.lr=fast", `train.lr is "fast", want a number`},
		{"train.lr=NaN", `train.lr is "NaN", want a number`},
		{"train.epochs=1.5", `train.epochs is "1.5", want a whole number`},
		{"train.epochs=99999999999999999999", `want a whole number`},
		{"train.seed=-1", `train.seed is "-1", want a whole number of 0 or more`},
		{"dataset.augment.flip=yes", `dataset.augment.flip is "yes", want true or false`},
		{"trian.lr=1", `unknown key "trian", did you mean "train"?`},
		{"train.momentun=1", `unknown key "train.momentun", did you mean "train.momentum"?`},
		{"dataset.dir=x", `unknown key "dataset.dir"`},
		{"dataset.config.size=3", `unknown key "dataset.config"`},
		{"train=1", "train is a section, set one of its keys: epochs, batch"},
		{"train.lr.x=1", `train.lr is a number, it has no key "x"`},
		{"=1", `unknown key ""`},
		{"train.epochs=0", "epochs is 0"},
		{"reptran.fc=narrow", "narrow"},
		{"dataset.name=cifar", "cifar"},
		{"dataset.augment.pad_crop=-1", "dataset.augment.pad_crop is -1"},
		{"model.width=-4", "model.width is -4"},
		{"name=", "name is empty"},
	} {
		_, err := Load("digits", tt.set)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("--set %s: error %v, want one line with %q", tt.set, err, tt.want)
		}
	}
}

func TestTextFaults(t *testing.T) {
	for _, tt := range []struct {
		name, text   string
		line, column int
		want         string
	}{
		{"unknown key", "modle:\n  name: x\n", 1, 1, `unknown key "modle", did you mean "model"?`},
		{"unknown nested key", minimal + "  warmup: 3\n", 9, 3, `unknown key "train.warmup", did you mean "train.warmup_epochs"?`},
		{"not a number", "train:\n  lr: fast\n", 2, 7, `train.lr is "fast", want a number`},
		{"fraction", "train:\n  epochs: 1.5\n", 2, 11, `train.epochs is "1.5", want a whole number`},
		{"quoted number", "train:\n  epochs: \"3\"\n", 2, 11, `train.epochs is "3", want a whole number`},
		{"hexadecimal", "train:\n  epochs: 0x10\n", 2, 11, `train.epochs is "0x10", want a whole number`},
		{"infinite", "train:\n  lr: .inf\n", 2, 7, `train.lr is ".inf", want a number`},
		{"yes", "convert:\n  after_training: yes\n", 2, 19, `want true or false`},
		{"no value", "train:\n  lr:\n", 2, 3, "train.lr has no value, want a number"},
		{"null section", "train:\n", 1, 1, "train has no value, want a section"},
		{"section for a value", "train:\n  lr:\n    base: 1\n", 3, 5, "train.lr: found mapping"},
		{"value for a section", "train: 5\n", 1, 8, "train: found int"},
		{"list", "train: [1]\n", 1, 8, "train: found sequence"},
		{"list as recipe", "[1, 2]\n", 1, 1, "the recipe: found sequence"},
		{"alias", "model: &m\n  name: x\ntrain: *m\n", 1, 8, "model: found anchor"},
		{"merge", "<<: {name: x}\n", 1, 1, "is no key of a recipe"},
		{"twice", "name: a\nname: b\n", 2, 1, "already defined"},
		{"two documents", minimal + "---\nname: b\n", 0, 0, "a second document"},
		{"cut off", "train: {lr: 1\n", 1, 8, "end token"},
		{"tab", "train:\n\tlr: 1\n", 2, 1, "cannot start any token"},
		{"empty", "", 0, 0, "there is no recipe in it"},
		{"comment", "# nothing\n", 0, 0, ""},
		{"binary", "\x00\x01\xff", 0, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("my.yaml", []byte(tt.text))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want an *Error", err)
			}
			if !strings.Contains(e.Message, tt.want) || strings.Contains(e.Error(), "\n") || !strings.Contains(e.Error(), "my.yaml") {
				t.Errorf("error %q, want one line with the file and %q", e, tt.want)
			}
			if tt.line != 0 && (e.Line != tt.line || e.Column != tt.column || !strings.Contains(e.Excerpt, "^")) {
				t.Errorf("at %d:%d, want %d:%d; excerpt\n%s", e.Line, e.Column, tt.line, tt.column, e.Excerpt)
			}
		})
	}
}

func TestLoadFaults(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxSize+1), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, want string }{
		{"cifar10-recu-resnet2O", `did you mean "cifar10-recu-resnet20"?`},
		{"digit", `did you mean "digits"?`},
		{"", "unknown recipe"},
		{"missing.yaml", "no such file"},
		{large, "this is no recipe"},
		{t.TempDir(), "is a directory"},
	} {
		if _, err := Load(tt.name); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Load(%q): error %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestNetFaults(t *testing.T) {
	r, err := Load("digits", "reptran.beta=3")
	if err != nil {
		t.Fatal(err)
	}
	input, classes := r.Expected()
	if _, err := r.Net(input, classes); err == nil || !strings.Contains(err.Error(), "beta") {
		t.Errorf("beta 3 of width 16: error %v, want one that names beta", err)
	}
	if r, err = Load("digits", "model.name=resnet20"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Net(input, classes); err == nil || !strings.Contains(err.Error(), `did you mean "recu-resnet20"?`) {
		t.Errorf("unknown network: error %v, want a suggestion", err)
	}
}

// FuzzParse: no text panics, an error is one line, and what is accepted survives Marshal.
func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		text, err := Text(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, s := range []string{minimal, "a: &x\nb: *x\n", "- 1\n", "name: |\n  x\n", "name: 'it''s'\n", "? a\n: b\n", "!!str a: b\n", "name: \"\\x00\"\n", "{", "}"} {
		f.Add(s)
		f.Add(minimal + s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse("fuzz.yaml", []byte(text))
		if err != nil {
			if strings.ContainsAny(strings.ReplaceAll(err.Error(), text, ""), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		again, err := Parse("fuzz.yaml", []byte(r.Marshal()))
		if err != nil {
			t.Fatalf("%v in what Marshal wrote of %q:\n%s", err, text, r.Marshal())
		}
		if !reflect.DeepEqual(again, r) {
			t.Errorf("after Marshal and Parse %+v, want %+v", again, r)
		}
	})
}
