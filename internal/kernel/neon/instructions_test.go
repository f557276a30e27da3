package neon

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/instructions.txt anew, with llvm-mc")

const golden = "testdata/instructions.txt"

var (
	wordLine = regexp.MustCompile(`(?m)^\tWORD \$0x([0-9a-f]{8}) // (.*)$`)
	register = regexp.MustCompile(`\bv([0-9]+)\b`)
)

// words returns the instructions that the assembly has as words, each with all its registers made v0: the text that is
// beside them, and their encoding.
func words(t *testing.T) map[string]uint32 {
	t.Helper()
	files, err := filepath.Glob("*.s")
	if err != nil || len(files) == 0 {
		t.Fatalf("no assembly: %v", err)
	}
	list := map[string]uint32{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n, m := bytes.Count(data, []byte("WORD")), len(wordLine.FindAll(data, -1)); n != m {
			t.Errorf("%s: %d words, %d of them with their instruction beside them", file, n, m)
		}
		for _, m := range wordLine.FindAllStringSubmatch(string(data), -1) {
			word, err := strconv.ParseUint(m[1], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			base, text := uint32(word), m[2]
			for i, r := range register.FindAllStringSubmatch(text, -1) {
				shift := [3]int{0, 5, 16}[i]
				if field := base >> shift & 31; strconv.Itoa(int(field)) != r[1] {
					t.Errorf("%s: the word %s has register v%d, its text is %s", file, m[1], field, text)
				}
				base &^= 31 << shift
			}
			text = register.ReplaceAllString(text, "v0")
			if have, ok := list[text]; ok && have != base {
				t.Errorf("%s is both %08x and %08x", text, have, base)
			}
			list[text] = base
		}
	}
	return list
}

// disassemble returns what llvm-mc reads in an instruction.
func disassemble(t *testing.T, word uint32) string {
	t.Helper()
	cmd := exec.Command("llvm-mc", "-disassemble", "-triple=aarch64")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("%#x %#x %#x %#x", byte(word), byte(word>>8), byte(word>>16), byte(word>>24)))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("llvm-mc: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(strings.Fields(lines[len(lines)-1]), " ")
}

// TestInstructions holds the words of the assembly against encodings that a disassembler gave, and these against the
// disassembler again where it is installed.
func TestInstructions(t *testing.T) {
	have := words(t)
	_, missing := exec.LookPath("llvm-mc")
	if *update {
		var out strings.Builder
		for _, word := range slices.Sorted(maps.Values(have)) {
			fmt.Fprintf(&out, "%08x %s\n", word, disassemble(t, word))
		}
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(golden)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[string]uint32{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		encoding, text, _ := strings.Cut(lines.Text(), " ")
		word, err := strconv.ParseUint(encoding, 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		want[text] = uint32(word)
		if missing == nil {
			if got := disassemble(t, uint32(word)); got != text {
				t.Errorf("%s: %08x is %s", text, word, got)
			}
		}
	}
	for text, word := range have {
		if w, ok := want[text]; !ok || w != word {
			t.Errorf("%s is %08x in the assembly, %08x in %s", text, word, w, golden)
		}
	}
}

// TestFloatProductsAreRounded: of float32, a fused product and sum would give other bits than plain Go.
func TestFloatProductsAreRounded(t *testing.T) {
	files, err := filepath.Glob("*.s")
	if err != nil || len(files) == 0 {
		t.Fatalf("no assembly: %v", err)
	}
	fused := regexp.MustCompile(`(?m)^.*(VFML[AS].*S4|fml[as].*s|FN?M(ADD|SUB)[SD]).*$`)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if m := fused.Find(data); m != nil {
			t.Errorf("%s has %q", file, m)
		}
	}
}
