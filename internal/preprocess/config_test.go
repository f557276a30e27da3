package preprocess

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

var rgb = Config{H: 2, W: 3, C: 3, Mean: []float32{0.485, 0.456, 0.406}, Std: []float32{0.229, 0.224, 0.225}}

func TestValidate(t *testing.T) {
	if err := rgb.Validate(); err != nil {
		t.Fatalf("a valid config: %v", err)
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no rows", func(c *Config) { c.H = 0 }, "h 0, w 3"},
		{"no columns", func(c *Config) { c.W = 0 }, "h 2, w 0"},
		{"negative", func(c *Config) { c.H, c.W = -1, -1 }, "h -1, w -1"},
		{"huge", func(c *Config) { c.H, c.W = math.MaxInt, math.MaxInt }, "want a picture of"},
		{"two channels", func(c *Config) { c.C = 2 }, "c is 2"},
		{"too few means", func(c *Config) { c.Mean = c.Mean[:2] }, "mean has 2 entries"},
		{"too many stds", func(c *Config) { c.Std = append(c.Std[:3:3], 1) }, "std 4"},
		{"NaN mean", func(c *Config) { c.Mean = []float32{0, nan, 0} }, "mean of channel 1 is NaN"},
		{"zero std", func(c *Config) { c.Std = []float32{1, 1, 0} }, "std of channel 2 is 0"},
		{"negative std", func(c *Config) { c.Std = []float32{-1, 1, 1} }, "std of channel 0 is -1"},
		{"infinite std", func(c *Config) { c.Std = []float32{1, inf, 1} }, "std of channel 1 is +Inf"},
		{"NaN std", func(c *Config) { c.Std = []float32{1, nan, 1} }, "std of channel 1 is NaN"},
		{"infinite input", func(c *Config) { c.Std = []float32{1e-45, 1, 1} }, "channel 0: mean"},
	} {
		c := rgb
		tt.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

// The formula once more, rounded to float32 after every step.
func TestNormalize(t *testing.T) {
	pixels := make([]byte, 256*3)
	for i := range pixels {
		pixels[i] = byte(i / 3)
	}
	c := rgb
	c.H, c.W = 16, 16
	got, table := make([]float32, len(pixels)), c.Table()
	c.Normalize(got, pixels)
	for i, p := range pixels {
		ch := i % 3
		v := float32(float64(p) / 255)
		d := float32(float64(v) - float64(c.Mean[ch]))
		want := float32(float64(d) / float64(c.Std[ch]))
		if got[i] != want {
			t.Fatalf("channel %d of pixel value %d: got %v, want %v", ch, p, got[i], want)
		}
		if table[ch][p] != want {
			t.Fatalf("table[%d][%d] is %v, want %v", ch, p, table[ch][p], want)
		}
	}
}

func TestNormalizeLengths(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Normalize took slices of other lengths than H*W*C")
		}
	}()
	rgb.Normalize(make([]float32, 17), make([]byte, 18))
}

func TestConfigJSON(t *testing.T) {
	text, err := json.Marshal(rgb)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"h":2,"w":3,"c":3,"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]}`; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
	var back Config
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, rgb) {
		t.Errorf("read back %+v (%v), want %+v", back, err, rgb)
	}
}
