package expert_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
)

const countsFile = `model,prompt,layer,steps,counts
m,0,1,3,3 2 1 0
m,0,3,3,0 3 0 3
m,5,1,1,1 0 0 1
m,5,3,1,0 1 1 0
`

const stepsFile = `model,prompt,step,layer,experts
m,0,0,1,0 1
m,0,0,3,1 3
m,0,1,1,0 1
m,0,1,3,1 3
m,0,2,1,0 2
m,0,2,3,1 3
m,5,0,1,0 3
m,5,0,3,1 2
`

func TestDecodeTrace(t *testing.T) {
	c, none, err := expert.DecodeTrace(strings.NewReader(countsFile))
	if err != nil || none != nil {
		t.Fatal(err)
	}
	want := &expert.Counts{Model: "m", Layers: []int{1, 3}, Experts: 4, TopK: 2, Prompts: []expert.PromptCounts{
		{Prompt: 0, Steps: 3, N: [][]uint16{{3, 2, 1, 0}, {0, 3, 0, 3}}},
		{Prompt: 5, Steps: 1, N: [][]uint16{{1, 0, 0, 1}, {0, 1, 1, 0}}},
	}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("counts %+v, want %+v", c, want)
	}
	_, s, err := expert.DecodeTrace(strings.NewReader(stepsFile))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Counts(); !reflect.DeepEqual(got, want) {
		t.Errorf("the steps' counts %+v, want %+v", got, want)
	}
	if c.Steps() != 4 || s.Steps() != 4 || s.First(1).Steps() != 3 || s.First(9).Steps() != 4 {
		t.Errorf("%d, %d, %d and %d steps", c.Steps(), s.Steps(), s.First(1).Steps(), s.First(9).Steps())
	}
	var b bytes.Buffer
	if err := c.Encode(&b); err != nil || b.String() != countsFile {
		t.Errorf("counts are written as %q, error %v", &b, err)
	}
	b.Reset()
	if err := s.Encode(&b); err != nil || b.String() != stepsFile {
		t.Errorf("steps are written as %q, error %v", &b, err)
	}
}

func TestReadTraceCompressed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.csv.gz")
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(countsFile))
	w.Close()
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	if c, _, err := expert.ReadTrace(path); err != nil || len(c.Prompts) != 2 {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(path, b.Bytes()[:b.Len()-9], 0o666); err != nil {
		t.Fatal(err)
	}
	if _, _, err := expert.ReadTrace(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("cut file: error %v", err)
	}
	if _, _, err := expert.ReadTrace(path + "x"); err == nil {
		t.Error("no file: no error")
	}
}

func TestDecodeTraceRefuses(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"nothing", "", "line 1: unexpected EOF"},
		{"another header", "a,b\n", `line 1 is "a,b", want "model,prompt,layer,steps,counts" or`},
		{"no rows", "model,prompt,layer,steps,counts\n", "no line behind the first"},
		{"four fields", "model,prompt,layer,steps,counts\nm,0,1,3\n", "line 2: 4 fields, want 5"},
		{"no number", "model,prompt,layer,steps,counts\nm,0,-1,3,1\n", `line 2: field 3 is "-1", want a number from 0`},
		{"no count", "model,prompt,layer,steps,counts\nm,0,1,3,1  2\n", `line 2: number 2 of the list is ""`},
		{"a large count", "model,prompt,layer,steps,counts\nm,0,1,3,1 65536\n", `number 2 of the list is "65536"`},
		{"two models", strings.Replace(countsFile, "m,5,1", "n,5,1", 1), `line 4: model "n", the first line has "m"`},
		{"too long a line", "model,prompt,layer,steps,counts\nm,0,1,3," + strings.Repeat("1 ", 1<<16), "line 2: bufio.Scanner: token too long"},
		{"too many experts", "model,prompt,layer,steps,counts\nm,0,1,3," + strings.Repeat("1 ", expert.MaxExperts) + "1\n", "want at most 8192 numbers"},
		{"more than steps", strings.Replace(countsFile, "3 2 1 0", "4 1 1 0", 1), "prompt 0: layer 1: expert 0 is chosen 4 times in 3 steps"},
		{"no steps", strings.ReplaceAll(countsFile, ",3,", ",0,"), "0 steps, want 1 to 65535"},
		{"another top-k", strings.Replace(countsFile, "0 3 0 3", "0 3 0 0", 1), "prompt 0: layer 3: 3 choices in 3 steps, want 2 in each"},
		{"nothing chosen", strings.Replace(countsFile, "3 2 1 0", "0 0 0 0", 1), "0 choices in 3 steps"},
		{"fewer experts", strings.Replace(countsFile, "1 0 0 1", "1 1 0", 1), "prompt 5: layer 1: 3 counts, the first layer has 4 experts"},
		{"other steps", strings.Replace(countsFile, "m,0,3,3,0 3 0 3", "m,0,3,2,0 2 0 2", 1), "prompt 0: layer 3: 2 steps, the prompt's first layer has 3"},
		{"other layers", strings.Replace(countsFile, "m,5,3", "m,5,4", 1), "prompt 5: layers [1 4], the first prompt has [1 3]"},
		{"layers descend", strings.Replace(countsFile, "m,0,1", "m,0,7", 1), "prompt 0: layers [7 3], want at most 4096 ascending ones from 0"},
		{"prompts descend", strings.ReplaceAll(countsFile, "m,0", "m,9"), "prompt 5 behind 9, want ascending ones"},
		{"a prompt in two parts", countsFile + "m,0,1,3,3 2 1 0\n", "prompt 0 behind 5"},
		{"a step is missing", strings.Replace(stepsFile, "m,0,1,1,0 1\nm,0,1,3,1 3\n", "", 1), "prompt 0: step 2 of layer 1, want step 1 of layer 1"},
		{"a layer is missing", strings.Replace(stepsFile, "m,0,1,3,1 3\n", "", 1), "prompt 0: 5 rows, want one for each of 2 layers"},
		{"experts descend", strings.Replace(stepsFile, "m,0,1,1,0 1", "m,0,1,1,1 0", 1), "prompt 0: step 1: expert 0 behind 1, want ascending ones"},
		{"an expert twice", strings.Replace(stepsFile, "m,0,1,1,0 1", "m,0,1,1,1 1", 1), "expert 1 behind 1"},
		{"another number of experts", strings.Replace(stepsFile, "m,5,0,1,0 3", "m,5,0,1,0", 1), "prompt 5: step 0: 1 experts, the first step has 2"},
		{"too large an expert", strings.Replace(stepsFile, "m,5,0,1,0 3", "m,5,0,1,0 8192", 1), "step 0: expert 8192 of 2 layers: the trace is too large"},
	} {
		if _, _, err := expert.DecodeTrace(strings.NewReader(tt.file)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestSetExperts(t *testing.T) {
	_, s, err := expert.DecodeTrace(strings.NewReader(stepsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetExperts(3); err == nil || !strings.Contains(err.Error(), "chooses expert 3 of a layer, the model has 3") {
		t.Errorf("3 experts: error %v", err)
	}
	if err := s.SetExperts(60); err != nil || len(s.Counts().Prompts[0].N[0]) != 60 {
		t.Errorf("60 experts: error %v", err)
	}
}

func FuzzDecodeTrace(f *testing.F) {
	f.Add([]byte(countsFile))
	f.Add([]byte(stepsFile))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, s, err := expert.DecodeTrace(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if s != nil {
			if err := s.Encode(&b); err != nil {
				t.Fatal(err)
			}
			c = s.Counts()
		} else if err := c.Encode(&b); err != nil {
			t.Fatal(err)
		}
		c2, s2, err := expert.DecodeTrace(&b)
		if err != nil || !reflect.DeepEqual(s, s2) || s == nil && !reflect.DeepEqual(c, c2) {
			t.Fatalf("does not survive writing: %v", err)
		}
		if _, err := c.Ranks(-1, 1); err != nil {
			t.Fatal(err)
		}
		c.Statistics()
	})
}
