package nearest

import (
	"fmt"
	"testing"
)

func TestName(t *testing.T) {
	names := []string{"digits", "cifar10-recu-resnet18", "cifar10-recu-resnet20", "weight_decay", "momentum"}
	for _, tt := range []struct{ name, want string }{
		{"digit", "digits"},
		{"DIGITS", "digits"},
		{"didgits", "digits"},
		{"resnet20", "cifar10-recu-resnet20"},
		{"cifar10-recu-resnet21", "cifar10-recu-resnet20"},
		{"weightdecay", "weight_decay"},
		{"momentun", "momentum"},
		{"", "digits"},
	} {
		if got := Name(tt.name, names); got != tt.want {
			t.Errorf("Name(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := Name("x", nil); got != "" {
		t.Errorf("Name without candidates = %q, want none", got)
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func ExampleName() {
	fmt.Println(Name("momentun", []string{"lr", "momentum"}))
	// Output: momentum
}
