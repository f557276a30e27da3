// Package golden finds and reads the golden tensors of the reference implementations, for tests.
//
// A golden file is a safetensors file with one case: its configuration as strings in the metadata, inputs, parameters and
// results as float32 in PyTorch's layouts (maps NCHW, convolution weights OIHW). The folder is the environment
// variable BNNTOOL_GOLDEN, or ../shared/golden relative to the module's root. Where it does not exist the subset in
// testdata takes its place, and tests of files that the subset lacks skip.
package golden

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// Tolerances of the goldens, relative to a tensor's largest magnitude: see File.Compare.
const (
	PrimTol   = 1e-5 // files prim_*
	BlockTol  = 1e-4 // files block_*
	NetTol    = 1e-4 // files net_*: everything before the first update
	After5Tol = 2e-3 // files net_*: after five updates
)

// Dir returns the folder with the goldens, or that of the subset if there is none, and says so in the test's log.
func Dir(t testing.TB) (dir string, subset bool) {
	t.Helper()
	dir = os.Getenv("BNNTOOL_GOLDEN")
	if dir == "" {
		dir = filepath.Join(moduleRoot(t), "..", "shared", "golden")
	}
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return dir, false
	}
	t.Logf("%s is not a folder (BNNTOOL_GOLDEN names it): using the subset in testdata", dir)
	return filepath.Join(moduleRoot(t), "internal", "golden", "testdata"), true
}

func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("golden: no go.mod in this folder or above")
		}
		dir = parent
	}
}

// Glob returns the files of the goldens' folder bnn whose base names match the pattern, in alphabetical order. If there is
// none, that is a failure (the pattern is wrong or the folder damaged), or with the subset a skip.
func Glob(t testing.TB, pattern string) []string {
	t.Helper()
	dir, subset := Dir(t)
	files, err := filepath.Glob(filepath.Join(dir, "bnn", pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 && subset {
		t.Skipf("the subset in testdata has no file %s", pattern)
	}
	if len(files) == 0 {
		t.Fatalf("golden: no file %s in %s", pattern, filepath.Join(dir, "bnn"))
	}
	return files
}

// Each runs test as a subtest, named after the file, for each file that Glob finds.
func Each(t *testing.T, pattern string, test func(t *testing.T, f *File)) {
	t.Helper()
	for _, path := range Glob(t, pattern) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".safetensors"), func(t *testing.T) { test(t, Load(t, path)) })
	}
}

// File is one golden file in memory.
type File struct {
	Path string
	Meta map[string]string
	// Tensors are the float32 tensors by name, row-major.
	Tensors map[string][]float32
	// Ints are the int32 tensors by name: class labels.
	Ints map[string][]int32
	// Shapes has the shape of every tensor.
	Shapes map[string][]int
}

// Load reads a golden file; an error fails the test.
func Load(t testing.TB, path string) *File {
	t.Helper()
	r, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f := &File{Path: path, Meta: r.Metadata(), Tensors: map[string][]float32{}, Ints: map[string][]int32{}, Shapes: map[string][]int{}}
	for _, info := range r.Infos() {
		f.Shapes[info.Name] = info.Shape
		switch info.DType {
		case "F32":
			f.Tensors[info.Name], err = r.Float32(info.Name)
		case "I32":
			f.Ints[info.Name], err = r.Int32(info.Name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// Tensor returns a float32 tensor; it fails the test if the file has none of that name.
func (f *File) Tensor(t testing.TB, name string) []float32 {
	t.Helper()
	v, ok := f.Tensors[name]
	if !ok {
		t.Fatalf("golden: %s has no tensor %q", f.Path, name)
	}
	return v
}

// Int returns a number of the metadata; it fails the test if there is none under that key.
func (f *File) Int(t testing.TB, key string) int {
	t.Helper()
	v, err := strconv.Atoi(f.Meta[key])
	if err != nil {
		t.Fatalf("golden: %s: metadata %q is %q, want a number", f.Path, key, f.Meta[key])
	}
	return v
}

// IntList returns a list of numbers of the metadata, written [1, 2].
func (f *File) IntList(t testing.TB, key string) []int {
	t.Helper()
	var v []int
	if err := json.Unmarshal([]byte(f.Meta[key]), &v); err != nil {
		t.Fatalf("golden: %s: metadata %q is %q, want a list of numbers", f.Path, key, f.Meta[key])
	}
	return v
}

// With returns the tensors whose names begin with one of the prefixes, under their names without it: with "param." and
// "buffer." a network's weights. ReActNet's flat weights, named "weights", get the name "weight"; their elements
// already lie in the order OIHW.
func (f *File) With(prefixes ...string) map[string][]float32 {
	m := map[string][]float32{}
	for name, v := range f.Tensors {
		for _, p := range prefixes {
			if rest, ok := strings.CutPrefix(name, p); ok {
				if strings.HasSuffix(rest, ".weights") {
					rest = strings.TrimSuffix(rest, "s")
				}
				m[rest] = v
			}
		}
	}
	return m
}

// NHWC returns a tensor [N,C,H,W] in the order [N,H,W,C], and a tensor with another number of axes as it is.
func (f *File) NHWC(t testing.TB, name string) []float32 {
	t.Helper()
	v, s := f.Tensor(t, name), f.Shapes[name]
	if len(s) != 4 {
		return v
	}
	return ToNHWC(v, s[0], s[1], s[2], s[3])
}

// ToNHWC returns v, [n,c,h,w], in the order [n,h,w,c].
func ToNHWC(v []float32, n, c, h, w int) []float32 {
	r := make([]float32, 0, len(v))
	for i := range n {
		for p := range h * w {
			for ch := range c {
				r = append(r, v[(i*c+ch)*h*w+p])
			}
		}
	}
	return r
}

// ToNCHW returns v, [n,h,w,c], in the order [n,c,h,w].
func ToNCHW(v []float32, n, c, h, w int) []float32 {
	r := make([]float32, 0, len(v))
	for i := range n {
		for ch := range c {
			for p := range h * w {
				r = append(r, v[(i*h*w+p)*c+ch])
			}
		}
	}
	return r
}

// Compare fails the test if got, in the layout of the file, differs from the tensor of that name by more than
//
//	tol · max(max|T|, 0.01·max|G|)
//
// where T is the tensor and G the group of tensors that share the part of its name before the first dot.
func (f *File) Compare(t testing.TB, name string, got []float32, tol float64) {
	t.Helper()
	want := f.Tensor(t, name)
	if len(got) != len(want) {
		t.Errorf("%s: %d elements, want %d", name, len(got), len(want))
		return
	}
	limit := tol * max(largest(want), 0.01*f.groupLargest(name))
	worst, at := 0.0, -1
	for i := range want {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if d > worst || math.IsNaN(d) {
			worst, at = d, i
		}
		if math.IsNaN(d) {
			break
		}
	}
	if worst > limit || math.IsNaN(worst) {
		t.Errorf("%s: element %d is %v, want %v: %.3g apart, limit %.3g", name, at, got[at], want[at], worst, limit)
	}
}

func (f *File) groupLargest(name string) float64 {
	group, _, _ := strings.Cut(name, ".")
	m := 0.0
	for other, v := range f.Tensors {
		if g, _, _ := strings.Cut(other, "."); g == group {
			m = max(m, largest(v))
		}
	}
	return m
}

func largest(v []float32) float64 {
	m := 0.0
	for _, x := range v {
		m = max(m, math.Abs(float64(x)))
	}
	return m
}
