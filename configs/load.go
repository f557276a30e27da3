package configs

import (
	"embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bnntool/bnntool/internal/nearest"
)

//go:embed recipes/*.yaml
var recipes embed.FS

// maxSize bounds the bytes of a recipe.
const maxSize = 1 << 20

// Names returns the names of the embedded recipes in alphabetical order.
func Names() []string {
	entries, err := recipes.ReadDir("recipes")
	if err != nil {
		panic(fmt.Sprintf("configs: the embedded recipes: %v", err))
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return names
}

// Text returns the text of an embedded recipe, with its comments. An unknown name is an error that suggests the nearest.
func Text(name string) (string, error) {
	if data, err := recipes.ReadFile("recipes/" + name + ".yaml"); err == nil {
		return string(data), nil
	}
	return "", fmt.Errorf("configs: unknown recipe %q: did you mean %q? (a file's name must end in .yaml or hold a %c)",
		name, nearest.Name(name, Names()), filepath.Separator)
}

// IsPath reports whether Load takes s for the path of a file rather than the name of an embedded recipe: it ends in .yaml
// or .yml or holds a path separator.
func IsPath(s string) bool {
	return strings.HasSuffix(s, ".yaml") || strings.HasSuffix(s, ".yml") || strings.ContainsRune(s, filepath.Separator) || strings.Contains(s, "/")
}

// Load returns the recipe of that name, or in the file of that path (IsPath), with the overrides set applied in order:
// each is key=value, the key with its sections, as in "train.lr=0.05".
func Load(nameOrPath string, set ...string) (*Recipe, error) {
	if !IsPath(nameOrPath) {
		text, err := Text(nameOrPath)
		if err != nil {
			return nil, err
		}
		return Parse(nameOrPath, []byte(text), set...)
	}
	data, err := readFile(nameOrPath)
	if err != nil {
		return nil, fmt.Errorf("configs: %w", err)
	}
	return Parse(nameOrPath, data, set...)
}

// Parse is Load for the text of a recipe. file names it in errors and, where the text does not, in the recipe.
func Parse(file string, data []byte, set ...string) (*Recipe, error) {
	r := newRecipe()
	if err := decode(file, data, r); err != nil {
		return nil, err
	}
	if r.Name == "" {
		base := filepath.Base(file)
		r.Name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	for _, s := range set {
		if err := r.set(s); err != nil {
			return nil, err
		}
	}
	r.complete()
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("%s: more than %d bytes: this is no recipe", path, maxSize)
	}
	return data, nil
}
