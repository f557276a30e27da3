package safetensors_test

import (
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/safetensors"
)

func TestDecodeText(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"one value", ` {"a":1} `, ""},
		{"nothing", "", "no JSON"},
		{"two values", `{"a":1}{"a":2}`, "more than one JSON value"},
		{"rubbish behind", `{"a":1}x`, "more than one JSON value"},
		{"an unknown field", `{"b":1}`, `unknown field "b"`},
		{"another type", `{"a":"1"}`, "cannot unmarshal"},
		{"an end too early", `{"a":`, "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var dst struct {
				A int `json:"a"`
			}
			err := safetensors.DecodeText(tt.text, &dst)
			if tt.want == "" {
				if err != nil || dst.A != 1 {
					t.Fatalf("got %+v, %v; want 1", dst, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}
