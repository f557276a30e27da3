package configs

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/bnntool/bnntool/internal/nearest"
)

// field is one key of a section and the place of its value.
type field struct {
	key   string
	value reflect.Value
}

// isSection reports whether the field holds keys of its own.
func (f field) isSection() bool { return f.value.Kind() == reflect.Struct }

// fields returns the keys of a section, a struct with yaml tags, in the order of the struct. The keys of an inlined
// struct are the section's own.
func fields(section reflect.Value) []field {
	var list []field
	for i := range section.NumField() {
		key, option, _ := strings.Cut(section.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			list = append(list, fields(section.Field(i))...)
		case key != "-":
			list = append(list, field{key, section.Field(i)})
		}
	}
	return list
}

// keys returns the names of the fields.
func keys(list []field) []string {
	names := make([]string, len(list))
	for i, f := range list {
		names[i] = f.key
	}
	return names
}

// find returns the field of section with the given key. path names the section, "" for the whole recipe; the error
// suggests the nearest key.
func find(section reflect.Value, path, key string) (field, error) {
	list := fields(section)
	for _, f := range list {
		if f.key == key {
			return f, nil
		}
	}
	return field{}, fmt.Errorf("unknown key %q, did you mean %q?", join(path, key), join(path, nearest.Name(key, keys(list))))
}

// join returns the dotted path of a key in a section.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// assign sets a field to the value that text says. key names it in errors.
func assign(f field, key, text string) error {
	v := f.value
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		if text == "true" || text == "false" {
			v.SetBool(text == "true")
			return nil
		}
	case reflect.Int:
		if n, err := strconv.ParseInt(text, 10, v.Type().Bits()); err == nil {
			v.SetInt(n)
			return nil
		}
	case reflect.Uint64:
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			v.SetUint(n)
			return nil
		}
	case reflect.Float64:
		if x, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(x, 0) && !math.IsNaN(x) {
			v.SetFloat(x)
			return nil
		}
	default:
		panic(fmt.Sprintf("configs: key %s is a %s", key, v.Type()))
	}
	return fmt.Errorf("%s is %q, want %s", key, text, wanted(v.Kind()))
}

// wanted describes the values of a kind.
func wanted(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Uint64:
		return "a whole number of 0 or more"
	case reflect.Float64:
		return "a number"
	case reflect.Struct:
		return "a section with keys of its own"
	}
	return "a text"
}

// set applies one override, key=value.
func (r *Recipe) set(assignment string) error {
	path, text, ok := strings.Cut(assignment, "=")
	if !ok {
		return fmt.Errorf("configs: override %q: want key=value, as in train.lr=0.05", assignment)
	}
	f, section := field{value: reflect.ValueOf(r).Elem()}, ""
	for key := range strings.SplitSeq(path, ".") {
		if !f.isSection() {
			return fmt.Errorf("configs: override %q: %s is %s, it has no key %q", assignment, section, wanted(f.value.Kind()), key)
		}
		var err error
		if f, err = find(f.value, section, key); err != nil {
			return fmt.Errorf("configs: override %q: %w", assignment, err)
		}
		section = join(section, key)
	}
	if f.isSection() {
		return fmt.Errorf("configs: override %q: %s is a section, set one of its keys: %s", assignment, path, strings.Join(keys(fields(f.value)), ", "))
	}
	if err := assign(f, path, text); err != nil {
		return fmt.Errorf("configs: override %q: %w", assignment, err)
	}
	return nil
}
