package configs

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/printer"
	"github.com/goccy/go-yaml/token"
)

// Error is a fault in the text of a recipe.
type Error struct {
	File         string
	Line, Column int // from 1; 0 where the text as a whole is at fault
	Message      string
	// Excerpt is the lines around the fault with a caret below it, each ended by a newline; empty without Line.
	Excerpt string
}

// Error returns one line: file, line, column and what is wrong.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("configs: %s: %s", e.File, e.Message)
	}
	return fmt.Sprintf("configs: %s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// decoder fills a Recipe from the syntax tree that the YAML library has parsed. It does not use the library's own
// decoder, strict as that can be: it makes epochs: 1.5 one epoch, takes a quoted number for a number, and reads the
// first of several documents.
type decoder struct{ file string }

// decode parses data and sets what it says in r.
func decode(file string, data []byte, r *Recipe) (err error) {
	d := &decoder{file}
	defer func() {
		// The library indexes its tokens freely; what it trips over is no recipe.
		if p := recover(); p != nil {
			err = &Error{File: file, Message: fmt.Sprintf("this is not YAML: %v", p)}
		}
	}()
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		var at interface {
			GetToken() *token.Token
			GetMessage() string
		}
		if errors.As(err, &at) {
			return d.fault(at.GetToken(), "%s", at.GetMessage())
		}
		return &Error{File: file, Message: err.Error()}
	}
	if len(f.Docs) == 0 || f.Docs[0].Body == nil {
		return &Error{File: file, Message: "there is no recipe in it"}
	}
	if len(f.Docs) > 1 {
		return d.fault(f.Docs[1].GetToken(), "a second document: want one recipe in a file")
	}
	return d.section(f.Docs[0].Body, "", reflect.ValueOf(r).Elem())
}

// fault returns the error at a token, which may be nil.
func (d *decoder) fault(t *token.Token, format string, args ...any) error {
	e := &Error{File: d.file, Message: fmt.Sprintf(format, args...)}
	if t != nil && t.Position != nil {
		var p printer.Printer
		e.Line, e.Column = t.Position.Line, t.Position.Column
		e.Excerpt = p.PrintErrorToken(t, false) + "\n"
	}
	return e
}

// start returns the token where a value starts. A mapping's own token is its first colon.
func start(n ast.Node) *token.Token {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return n.GetToken()
}

// section sets the fields of a struct from a mapping.
func (d *decoder) section(n ast.Node, path string, into reflect.Value) error {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		what := path
		if what == "" {
			what = "the recipe"
		}
		return d.fault(start(n), "%s: found %s, want %s", what, n.Type().YAMLName(), wanted(reflect.Struct))
	}
	for _, pair := range pairs {
		key, ok := pair.Key.(*ast.StringNode)
		if !ok {
			return d.fault(pair.Key.GetToken(), "%q is no key of a recipe", pair.Key.String())
		}
		f, err := find(into, path, key.Value)
		if err != nil {
			return d.fault(key.GetToken(), "%v", err)
		}
		if err := d.value(key, pair.Value, join(path, key.Value), f); err != nil {
			return err
		}
	}
	return nil
}

// value sets a field from the value of a key.
func (d *decoder) value(key *ast.StringNode, n ast.Node, path string, f field) error {
	if _, null := n.(*ast.NullNode); null || n == nil {
		return d.fault(key.GetToken(), "%s has no value, want %s", path, wanted(f.value.Kind()))
	}
	if f.isSection() {
		return d.section(n, path, f.value)
	}
	var text string
	_, quoted := n.(*ast.StringNode)
	switch n := n.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text, quoted = n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		text = n.GetToken().Value
	default:
		return d.fault(start(n), "%s: found %s, want %s", path, n.Type().YAMLName(), wanted(f.value.Kind()))
	}
	if quoted && f.value.Kind() != reflect.String {
		return d.fault(n.GetToken(), "%s is %q, want %s", path, text, wanted(f.value.Kind()))
	}
	if err := assign(f, path, text); err != nil {
		return d.fault(n.GetToken(), "%v", err)
	}
	return nil
}
