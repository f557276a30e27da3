package expert_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
)

// traceFile returns the path of a file of published activation counts, and skips the test where there is none: the files may
// not be part of this program. The environment variable BNNTOOL_MOE_TRACES names their folder.
func traceFile(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("BNNTOOL_MOE_TRACES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data", "moe-traces")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%v (BNNTOOL_MOE_TRACES names the folder)", err)
	}
	return path
}

// realTraces are those that have been read, by file.
var realTraces sync.Map

type realTrace struct {
	counts *expert.Counts
	steps  *expert.Steps
}

// readReal reads a file of published counts, once.
func readReal(t testing.TB, name string) realTrace {
	t.Helper()
	path := traceFile(t, name)
	if r, ok := realTraces.Load(name); ok {
		return r.(realTrace)
	}
	c, s, err := expert.ReadTrace(path)
	if err != nil {
		t.Fatal(err)
	}
	r := realTrace{c, s}
	realTraces.Store(name, r)
	return r
}

// realCounts returns the counts of a model of that name.
func realCounts(t testing.TB, model string) *expert.Counts {
	t.Helper()
	c := readReal(t, model+".counts.csv.gz").counts
	if c == nil {
		t.Fatalf("%s: no counts", model)
	}
	return c
}

// realSteps returns the counts of a model's first 200 prompts in an order that is made up.
func realSteps(t testing.TB, model string) *expert.Steps {
	t.Helper()
	s := readReal(t, model+".steps.synthetic.csv.gz").steps
	if s == nil {
		t.Fatalf("%s: no steps", model)
	}
	if err := s.SetExperts(shape(t, model).Experts); err != nil {
		t.Fatal(err)
	}
	return s
}

// shape returns a model's shape.
func shape(t testing.TB, model string) expert.Model {
	t.Helper()
	m, err := expert.ModelByName(model)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// generated returns a trace drawn from the published statistics of a model.
func generated(t testing.TB, model string, prompts int) *expert.Steps {
	t.Helper()
	y := expert.PublishedSynthetic(shape(t, model))
	y.Prompts, y.Seed = prompts, 1
	s, err := y.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// near reports whether two numbers differ by no more than tolerance.
func near(a, b, tolerance float64) bool { return a-b <= tolerance && b-a <= tolerance }
