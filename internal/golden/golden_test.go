package golden

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// write puts a small golden file into dir/bnn and makes dir the goldens' folder.
func write(t *testing.T, name string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("BNNTOOL_GOLDEN", dir)
	if err := os.Mkdir(filepath.Join(dir, "bnn"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := safetensors.WriteFile(filepath.Join(dir, "bnn", name), []safetensors.Tensor{
		safetensors.F32("input", []int{1, 2, 1, 3}, []float32{1, 2, 3, 4, 5, 6}),
		safetensors.F32("param.conv.weights", []int{2, 1}, []float32{7, 8}),
		safetensors.F32("grad.small", []int{1}, []float32{0.01}),
		safetensors.F32("grad.large", []int{1}, []float32{-100}),
	}, safetensors.WriteOptions{Metadata: map[string]string{"beta": "2", "widths": "[16, 32]"}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	write(t, "net_x.safetensors")
	ran := 0
	Each(t, "net_*.safetensors", func(t *testing.T, f *File) {
		ran++
		if f.Int(t, "beta") != 2 || !slices.Equal(f.IntList(t, "widths"), []int{16, 32}) {
			t.Errorf("metadata %v", f.Meta)
		}
		nhwc := f.NHWC(t, "input")
		if want := []float32{1, 4, 2, 5, 3, 6}; !slices.Equal(nhwc, want) {
			t.Errorf("NHWC %v, want %v", nhwc, want)
		}
		if got := ToNCHW(nhwc, 1, 2, 1, 3); !slices.Equal(got, f.Tensor(t, "input")) {
			t.Errorf("NCHW %v, want the file's order", got)
		}
		if w := f.With("param."); len(w) != 1 || !slices.Equal(w["conv.weight"], []float32{7, 8}) {
			t.Errorf("With: %v", w)
		}
	})
	if ran != 1 {
		t.Errorf("Each ran %d times, want once", ran)
	}
}

// recorder is a testing.TB that keeps the errors.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestCompare(t *testing.T) {
	write(t, "net_x.safetensors")
	f := Load(t, Glob(t, "*")[0])
	nan := float32(0)
	nan /= nan
	for _, tt := range []struct {
		name string
		got  []float32
		want string // part of the error, "" for none
	}{
		{"grad.large", []float32{-100.09}, ""},
		{"grad.large", []float32{-100.2}, "limit 0.1"},
		{"grad.small", []float32{0.0109}, ""}, // 1 % of the group's largest counts
		{"grad.small", []float32{0.0121}, "limit 0.001"},
		{"grad.small", []float32{nan}, "NaN"},
		{"grad.small", nil, "0 elements, want 1"},
	} {
		r := &recorder{TB: t}
		f.Compare(r, tt.name, tt.got, 1e-3)
		got := strings.Join(r.errors, "\n")
		if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s = %v: got error %q, want one with %q", tt.name, tt.got, got, tt.want)
		}
	}
}
