package datasets

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
)

func TestDigits(t *testing.T) {
	d := mustOpen(t, Config{Name: Digits}, Options{})
	if d.Name != "digits" || len(d.Classes) != 10 || d.Classes[7] != "7" || len(d.Notes) != 0 {
		t.Errorf("got %q, classes %q, notes %q", d.Name, d.Classes, d.Notes)
	}
	if d.Train.Len() != 1437 || d.Test.Len() != 360 {
		t.Errorf("%d train and %d test records, want 1437 and 360", d.Train.Len(), d.Test.Len())
	}
	// The first line of the file: 0,0,5,13,9,1,0,0,... with the label 0; the last one ends in 1,8,12,14,12,1,0,8.
	got := make([]byte, 64)
	if err := d.Train.Pixels(0, got); err != nil {
		t.Fatal(err)
	}
	if want := []byte{0, 0, 80, 207, 143, 16, 0, 0}; !bytes.Equal(got[:8], want) || d.Train.Label(0) != 0 {
		t.Errorf("first record: got %v, label %d, want %v, label 0", got[:8], d.Train.Label(0), want)
	}
	if err := d.Test.Pixels(359, got); err != nil {
		t.Fatal(err)
	}
	if want := []byte{16, 128, 191, 223, 191, 16, 0}; !bytes.Equal(got[57:], want) || d.Test.Label(359) != 8 {
		t.Errorf("last record: got %v, label %d, want %v, label 8", got[57:], d.Test.Label(359), want)
	}
}

func TestDigitsPixelValues(t *testing.T) {
	for v := range 17 {
		s, err := parseDigits(strings.NewReader(line(v, 3)))
		if err != nil {
			t.Fatal(err)
		}
		if want := byte(math.Round(float64(v) * 255 / 16)); s.records[0][0] != want {
			t.Errorf("grey value %d: got pixel %d, want %d", v, s.records[0][0], want)
		}
	}
}

// The constants of the normalisation are those of the training pixels, computed here.
func TestDigitsMeanStd(t *testing.T) {
	d := mustOpen(t, Config{Name: Digits}, Options{})
	var n, sum, squares float64
	buf := make([]byte, 64)
	for i := range d.Train.Len() {
		if err := d.Train.Pixels(i, buf); err != nil {
			t.Fatal(err)
		}
		for _, p := range buf {
			v := float64(p) / 255
			n, sum, squares = n+1, sum+v, squares+v*v
		}
	}
	mean := sum / n
	std := math.Sqrt(squares/n - mean*mean)
	if got := d.Preprocess.Mean[0]; math.Abs(float64(got)-mean) > 1e-7 {
		t.Errorf("mean is %v, that of the training pixels %v", got, mean)
	}
	if got := d.Preprocess.Std[0]; math.Abs(float64(got)-std) > 1e-7 {
		t.Errorf("std is %v, that of the training pixels %v", got, std)
	}
	if err := d.Preprocess.Validate(); err != nil {
		t.Error(err)
	}
}

// line returns a line of the file: 64 times v, then the label.
func line(v, label int) string {
	grey := string(rune('0' + v))
	if v > 9 {
		grey = "1" + string(rune('0'+v-10))
	}
	return strings.Repeat(grey+",", 64) + string(rune('0'+label)) + "\n"
}

func TestDigitsFaults(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"short line", line(1, 1) + "1,2,3\n", "line 2: 3 values, want 64"},
		{"long line", "0," + line(1, 1), "line 1: 66 values, want 64"},
		{"too bright", strings.Replace(line(1, 1), "1,", "17,", 1), `line 1: value 1 is "17", want a whole number 0..16`},
		{"negative", strings.Replace(line(1, 1), "1,", "-1,", 1), `value 1 is "-1"`},
		{"not a number", strings.Replace(line(1, 1), "1,", "x,", 1), `value 1 is "x"`},
		{"label", line(1, 10-1) + strings.TrimSuffix(line(1, 1), "1\n") + "10\n", `line 2: value 65 is "10", want a whole number 0..9`},
		{"endless line", strings.Repeat("1,", 1<<16), "too long"},
	} {
		_, err := parseDigits(strings.NewReader(tt.text))
		wantError(t, tt.name, err, tt.want)
	}
	_, err := Open(context.Background(), Config{Name: Digits, Dir: "/data"}, Options{})
	wantError(t, "a folder", err, `datasets: digits: the digits are part of the program|"/data"`)
}

func FuzzDigits(f *testing.F) {
	f.Add([]byte(line(16, 9)))
	f.Add([]byte("1,2\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseDigits(bytes.NewReader(text))
		if err != nil {
			return
		}
		if len(s.records) != s.Len() {
			t.Fatalf("%d records with %d labels", len(s.records), s.Len())
		}
		for i := range s.Len() {
			if len(s.records[i]) != 64 || s.Label(i) < 0 || s.Label(i) > 9 {
				t.Errorf("record %d: %d pixels, label %d", i, len(s.records[i]), s.Label(i))
			}
		}
	})
}
