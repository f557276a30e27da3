package datasets

import (
	"context"
	"testing"
)

func TestConfigFaults(t *testing.T) {
	for _, tt := range []struct {
		c    Config
		want string
	}{
		{Config{}, `unknown data set "", want one of digits, cifar10, cifar100, imagefolder`},
		{Config{Name: "mnist"}, `unknown data set "mnist"`},
		{Config{Name: CIFAR10, Size: 64}, "size is 64, but the pictures of cifar10 have 32"},
		{Config{Name: Digits, Size: 32}, "size is 32, but the pictures of digits have 8"},
		{Config{Name: ImageFolder, Size: -1}, "size is -1, want 1 to 4096"},
		{Config{Name: ImageFolder, Size: 5000}, "size is 5000, want 1 to 4096"},
		{Config{Name: Digits, LimitTrain: -1}, "limit_train -1"},
		{Config{Name: Digits, LimitTest: -2}, "limit_test -2"},
	} {
		_, err := Open(context.Background(), tt.c, Options{})
		wantError(t, tt.want, err, tt.want)
	}
}

func TestLimit(t *testing.T) {
	for _, tt := range []struct{ train, test, wantTrain, wantTest int }{
		{0, 0, 1437, 360}, {100, 7, 100, 7}, {1, 0, 1, 360}, {1437, 360, 1437, 360}, {9999, 9999, 1437, 360},
	} {
		d := mustOpen(t, Config{Name: Digits, LimitTrain: tt.train, LimitTest: tt.test}, Options{})
		if d.Train.Len() != tt.wantTrain || d.Test.Len() != tt.wantTest {
			t.Errorf("limits %d and %d: got %d and %d records, want %d and %d", tt.train, tt.test,
				d.Train.Len(), d.Test.Len(), tt.wantTrain, tt.wantTest)
		}
	}
}

func TestPixelsPanics(t *testing.T) {
	s := mustOpen(t, Config{Name: Digits}, Options{}).Test
	for name, f := range map[string]func(){
		"record -1":       func() { s.Pixels(-1, make([]byte, 64)) },
		"record past end": func() { s.Pixels(360, make([]byte, 64)) },
		"short dst":       func() { s.Pixels(0, make([]byte, 63)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
