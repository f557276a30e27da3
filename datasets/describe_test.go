package datasets

import (
	"reflect"
	"testing"
)

// TestDescribe compares what is said without opening with what opening gives.
func TestDescribe(t *testing.T) {
	d, err := Open(t.Context(), Config{Name: Digits}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	classes, p, ok := Describe(Digits)
	if !ok || !reflect.DeepEqual(classes, d.Classes) || !reflect.DeepEqual(p, d.Preprocess) {
		t.Errorf("digits: %q, %+v, %v, want %q, %+v", classes, p, ok, d.Classes, d.Preprocess)
	}
	for name, n := range map[string]int{CIFAR10: 10, CIFAR100: 100} {
		if classes, p, ok := Describe(name); !ok || len(classes) != n || p.Validate() != nil || p.H != 32 {
			t.Errorf("%s: %d classes, %+v, %v", name, len(classes), p, ok)
		}
	}
	if _, _, ok := Describe(ImageFolder); ok {
		t.Error("a folder of pictures has classes before it is opened")
	}
}
