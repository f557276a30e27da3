package archtest

import (
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/bnntool/bnntool"
)

// goFile is one Go file with what it imports: folders of this module without the module's path, packages of other modules
// as they are.
type goFile struct {
	name    string // from the module's root
	folder  string
	test    bool
	device  bool // part of the build with the tag device
	imports []string
}

// standard reports whether an import path is of the standard library.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}

// goFiles parses every Go file of the module but those in modules of their own and in testdata.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	var files []goFile
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != root {
			_, err := os.Stat(filepath.Join(p, "go.mod"))
			if err == nil || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parse(p)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d Go files found", len(files))
	}
	return files
}

func parse(p string) (goFile, error) {
	relative, err := filepath.Rel(root, p)
	if err != nil {
		return goFile{}, err
	}
	f := goFile{name: filepath.ToSlash(relative), test: strings.HasSuffix(p, "_test.go"), device: true}
	f.folder = path.Dir(f.name)
	syntax, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return f, err
	}
	for _, group := range syntax.Comments {
		for _, c := range group.List {
			if c.Pos() > syntax.Package || !constraint.IsGoBuild(c.Text) {
				continue
			}
			expr, err := constraint.Parse(c.Text)
			if err != nil {
				return f, err
			}
			// Other tags may be set or not: the file is out only if it is out either way.
			f.device = expr.Eval(func(tag string) bool { return true }) || expr.Eval(func(tag string) bool { return tag == "device" })
		}
	}
	for _, i := range syntax.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return f, err
		}
		if inside, ok := strings.CutPrefix(p, module+"/"); ok {
			f.imports = append(f.imports, inside)
		} else if !standard(p) {
			f.imports = append(f.imports, p)
		}
	}
	return f, nil
}

var (
	tableRow  = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*\\|([^|]*)\\|$")
	quoted    = regexp.MustCompile("`([^`]+)`")
	testsMay  = regexp.MustCompile(`(?s)\nA test may import .*?\. Gorgonia`)
	rootHolds = regexp.MustCompile(`(?s)\nAt the root: .*?;`)
)

// readTable returns the rows of the table in docs/architecture.md, what tests may import besides, and what the root holds.
func readTable(t *testing.T) (rows map[string][]string, tests, atRoot []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := func(s string) []string {
		var list []string
		for _, m := range quoted.FindAllStringSubmatch(s, -1) {
			list = append(list, m[1])
		}
		return list
	}
	rows = map[string][]string{}
	for _, m := range tableRow.FindAllStringSubmatch(string(data), -1) {
		rows[m[1]] = names(m[2])
	}
	tests, atRoot = names(testsMay.FindString(string(data))), names(rootHolds.FindString(string(data)))
	if len(rows) < 15 || len(tests) < 3 || len(atRoot) < 10 {
		t.Fatalf("docs/architecture.md is not what this test reads: %d rows, tests may import %q, the root holds %q", len(rows), tests, atRoot)
	}
	return rows, tests, atRoot
}

// rowOf returns the name of the row for a folder, "" if there is none.
func rowOf(rows map[string][]string, folder string) string {
	if _, ok := rows[folder]; ok {
		return folder
	}
	parent := path.Dir(folder) + "/*"
	if _, ok := rows[parent]; ok {
		return parent
	}
	return ""
}

// allowed reports whether an import is in a list: itself, or for another module's package its module.
func allowed(list []string, imported string) bool {
	return slices.ContainsFunc(list, func(a string) bool {
		return a == imported || !standard(a) && strings.HasPrefix(imported, a+"/")
	})
}

// closure returns the folders that rows let folder reach, with itself.
func closure(rows map[string][]string, folder string) []string {
	reached := []string{folder}
	for i := 0; i < len(reached); i++ {
		for _, next := range rows[rowOf(rows, reached[i])] {
			if standard(next) && !slices.Contains(reached, next) {
				reached = append(reached, next)
			}
		}
	}
	return reached
}

// TestImports: every import is allowed by the table, every folder has a row and every row a folder.
func TestImports(t *testing.T) {
	rows, tests, _ := readTable(t)
	used := map[string]bool{}
	for _, f := range goFiles(t) {
		row := rowOf(rows, f.folder)
		used[row] = true
		if row == "" {
			t.Errorf("%s: the folder %s has no row in docs/architecture.md", f.name, f.folder)
			continue
		}
		may := rows[row]
		if f.test {
			may = slices.Concat(may, tests, closure(rows, f.folder))
		}
		for _, i := range f.imports {
			if !allowed(may, i) {
				t.Errorf("%s imports %s, which docs/architecture.md does not allow to %s", f.name, i, row)
			}
		}
	}
	for row := range rows {
		if !used[row] {
			t.Errorf("docs/architecture.md has a row for %s, where there is no Go file", row)
		}
	}
}

// TestTableIsDownward: the table has no cycle, so no row can allow one.
func TestTableIsDownward(t *testing.T) {
	rows, _, _ := readTable(t)
	for row, list := range rows {
		for _, next := range list {
			if standard(next) && slices.Contains(closure(rows, next), row) {
				t.Errorf("%s may import %s, from which %s is reached", row, next, row)
			}
		}
	}
}

// reach returns what the files chosen by in reach from a folder, each with the path to it.
func reach(files []goFile, from string, in func(goFile) bool) map[string]string {
	reached := map[string]string{from: from}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, f := range files {
			if f.folder != queue[0] || f.test || !in(f) {
				continue
			}
			for _, i := range f.imports {
				if _, ok := reached[i]; !ok {
					reached[i] = reached[queue[0]] + " → " + i
					queue = append(queue, i)
				}
			}
		}
	}
	return reached
}

// TestDevice: what runs on the device reaches nothing of the training.
func TestDevice(t *testing.T) {
	files := goFiles(t)
	training := []string{"train", "train/model", "train/checkpoint", "reptran", "convert", "configs",
		"gorgonia.org/gorgonia", "gorgonia.org/tensor", "gonum.org/v1/plot", "gonum.org/v1/gonum", "github.com/goccy/go-yaml"}
	commandLine := []string{"datasets", "cmd/bnntool", "github.com/urfave/cli/v2", "github.com/schollz/progressbar/v3", "golang.org/x/term"}
	for _, tt := range []struct {
		from   string
		in     func(goFile) bool
		expect string // what is reached, to see that the search works
		never  []string
	}{
		{"runtime", func(goFile) bool { return true }, "internal/kernel", slices.Concat(training, commandLine)},
		{"runtime/artifact", func(goFile) bool { return true }, "internal/safetensors", slices.Concat(training, commandLine)},
		{"cmd/bnntool", func(f goFile) bool { return f.device }, "runtime/artifact",
			append([]string{"datasets/download", "github.com/schollz/progressbar/v3"}, training...)},
	} {
		got := reach(files, tt.from, tt.in)
		if got[tt.expect] == "" {
			t.Errorf("%s does not reach %s: the search is broken", tt.from, tt.expect)
		}
		for p, way := range got {
			if allowed(tt.never, p) {
				t.Errorf("%s reaches %s: %s", tt.from, p, way)
			}
		}
	}
	whole := reach(files, "cmd/bnntool", func(goFile) bool { return true })
	for _, p := range training[:6] {
		if whole[p] == "" {
			t.Errorf("the whole program does not reach %s: the search is broken", p)
		}
	}
}

// TestGorgonia: only train imports Gorgonia, in tests too.
func TestGorgonia(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, i := range f.imports {
			if strings.HasPrefix(i, "gorgonia.org/") && f.folder != "train" {
				t.Errorf("%s imports %s", f.name, i)
			}
		}
	}
}

// TestRoot: the root folder holds what the architecture says, and what .gitignore ignores.
func TestRoot(t *testing.T) {
	_, _, atRoot := readTable(t)
	ignore, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	ignored := []string{".git"}
	for line := range strings.Lines(string(ignore)) {
		ignored = append(ignored, strings.Trim(line, "/\n"))
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		isIgnored := slices.ContainsFunc(ignored, func(pattern string) bool {
			ok, err := path.Match(pattern, e.Name())
			return ok && err == nil
		})
		if !slices.Contains(atRoot, e.Name()) && !isIgnored {
			t.Errorf("%s is at the root: docs/architecture.md does not have it there", e.Name())
		}
	}
	for _, name := range atRoot {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Errorf("docs/architecture.md has %s at the root: %v", name, err)
		}
	}
}
