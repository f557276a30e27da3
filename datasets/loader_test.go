package datasets

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bnntool/bnntool/internal/preprocess"
)

// tiny is a small picture that is neither square nor grey.
var tiny = preprocess.Config{H: 5, W: 7, C: 3, Mean: []float32{0.485, 0.456, 0.406}, Std: []float32{0.229, 0.224, 0.225}}

// epoch returns copies of all batches.
func epoch(t testing.TB, l *Loader, e, first int) []Batch {
	t.Helper()
	s := l.Epoch(context.Background(), e, first)
	defer s.Close()
	var all []Batch
	for {
		b, err := s.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Batch{b.Index, b.N, slices.Clone(b.Images), slices.Clone(b.Labels)})
	}
}

// check compares two lists of batches bit for bit.
func check(t *testing.T, name string, got, want []Batch) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d batches, want %d", name, len(got), len(want))
		return
	}
	for i, w := range want {
		g := got[i]
		if g.Index != w.Index || g.N != w.N || !slices.Equal(g.Labels, w.Labels) || !slices.Equal(g.Images, w.Images) {
			t.Errorf("%s: batch %d (index %d, %d pictures, labels %v) is not as wanted (index %d, %d pictures, labels %v)",
				name, i, g.Index, g.N, g.Labels, w.Index, w.N, w.Labels)
		}
	}
}

// In the order of the records and without augmentation, batches are what Pixels and Normalize make.
func TestLoaderPlain(t *testing.T) {
	for _, p := range []preprocess.Config{tiny, {H: 8, W: 8, C: 1, Mean: []float32{0.3}, Std: []float32{0.4}}} {
		s := memorySplit(23, p, 1)
		l := NewLoader(s, p, LoaderConfig{Batch: 5})
		all := epoch(t, l, 0, 0)
		if len(all) != 5 || l.Batches() != 5 {
			t.Fatalf("%d batches, Batches() %d, want 5", len(all), l.Batches())
		}
		pixels, want := make([]byte, p.Len()), make([]float32, p.Len())
		for i := range 25 {
			b, row := all[i/5], i%5
			got := b.Images[row*p.Len():][:p.Len()]
			if i >= 23 {
				if b.N != 3 || b.Labels[row] != -1 || slices.ContainsFunc(got, func(x float32) bool { return x != 0 }) {
					t.Errorf("row %d of the last batch: N %d, label %d, pixels %v: want it empty", row, b.N, b.Labels[row], got)
				}
				continue
			}
			if err := s.Pixels(i, pixels); err != nil {
				t.Fatal(err)
			}
			p.Normalize(want, pixels)
			if !slices.Equal(got, want) || int(b.Labels[row]) != s.Label(i) {
				t.Errorf("record %d: not what Normalize makes of it, or label %d, want %d", i, b.Labels[row], s.Label(i))
			}
		}
	}
}

func TestLoaderDropLast(t *testing.T) {
	l := NewLoader(memorySplit(23, tiny, 1), tiny, LoaderConfig{Batch: 5, DropLast: true})
	all := epoch(t, l, 0, 0)
	if len(all) != 4 || l.Batches() != 4 || all[3].N != 5 {
		t.Errorf("%d batches, Batches() %d, want 4 full ones", len(all), l.Batches())
	}
	if l := NewLoader(memorySplit(4, tiny, 1), tiny, LoaderConfig{Batch: 5, DropLast: true}); l.Batches() != 0 || len(epoch(t, l, 0, 0)) != 0 {
		t.Errorf("fewer records than a batch: Batches() %d, want 0", l.Batches())
	}
}

// All that varies is a function of seed, epoch and position: neither workers, nor batches ahead, nor the first batch
// change what comes.
func TestLoaderDeterminism(t *testing.T) {
	s := memorySplit(64, tiny, 2)
	c := LoaderConfig{Batch: 6, Seed: 9, Shuffle: true, Augment: Augment{PadCrop: 4, Flip: true}}
	want := epoch(t, NewLoader(s, tiny, c), 3, 0)
	for _, workers := range []int{0, 1, 2, 5} {
		for _, ahead := range []int{0, 1, 2, 7, 40} {
			c.Workers, c.Ahead = workers, ahead
			name := fmt.Sprintf("%d workers, %d ahead", workers, ahead)
			l := NewLoader(s, tiny, c)
			check(t, name, epoch(t, l, 3, 0), want)
			for _, first := range []int{1, 9, 10, 11, 500} {
				check(t, fmt.Sprintf("%s, from %d", name, first), epoch(t, l, 3, first), want[min(first, len(want)):])
			}
		}
	}
	// Another batch size cuts the same samples elsewhere.
	c.Batch = 16
	var got, flat []float32
	for _, b := range epoch(t, NewLoader(s, tiny, c), 3, 0) {
		got = append(got, b.Images[:b.N*tiny.Len()]...)
	}
	for _, b := range want {
		flat = append(flat, b.Images[:b.N*tiny.Len()]...)
	}
	if !slices.Equal(got, flat) {
		t.Error("the samples of an epoch depend on the batch size")
	}
}

// Another seed or epoch gives another order and another augmentation, and every epoch has each record once.
func TestLoaderOrder(t *testing.T) {
	s := memorySplit(100, tiny, 3)
	orders := map[string]string{}
	for seed := range uint64(3) {
		for e := range 3 {
			order := NewLoader(s, tiny, LoaderConfig{Batch: 8, Seed: seed, Shuffle: true}).order(e)
			name, key := fmt.Sprintf("seed %d epoch %d", seed, e), fmt.Sprint(order)
			if other, dup := orders[key]; dup {
				t.Errorf("%s has the order of %s", name, other)
			}
			orders[key] = name
			slices.Sort(order)
			for i, r := range order {
				if int(r) != i {
					t.Fatalf("%s: the sorted order has %d at %d", name, r, i)
				}
			}
		}
	}
	streams := map[uint64]bool{}
	for e := range 50 {
		streams[orderStream(e)] = true
		for i := range 50 {
			streams[sampleStream(e, i)] = true
		}
	}
	if len(streams) != 50*51 {
		t.Errorf("%d random streams for 50 epochs of 50 samples, want %d", len(streams), 50*51)
	}
}

// A run that is resumed under another version of Go must go on with the same order.
func TestLoaderOrderIsFixed(t *testing.T) {
	got := NewLoader(memorySplit(10, tiny, 3), tiny, LoaderConfig{Batch: 8, Seed: 1, Shuffle: true}).order(2)
	if want := []int32{5, 4, 6, 7, 0, 8, 9, 3, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("seed 1, epoch 2: got %v, want %v", got, want)
	}
}

// The crop and flip written out: pad the bytes with 0, cut, mirror, then normalise.
func TestAugmentIsTheFormula(t *testing.T) {
	for _, p := range []preprocess.Config{tiny, {H: 4, W: 6, C: 1, Mean: []float32{0.3}, Std: []float32{0.4}}} {
		norm, pixels := newNormaliser(p), memorySplit(1, p, 4).records[0]
		got, want := make([]float32, p.Len()), make([]float32, p.Len())
		const pad = 9 // more than the picture: some views are black
		for dy := -pad; dy <= pad; dy++ {
			for dx := -pad; dx <= pad; dx++ {
				for _, flip := range []bool{false, true} {
					cut := make([]byte, p.Len())
					for y := range p.H {
						for x := range p.W {
							col := x
							if flip {
								col = p.W - 1 - x
							}
							for c := range p.C {
								if py, px := y+dy, col+dx; py >= 0 && py < p.H && px >= 0 && px < p.W {
									cut[(y*p.W+x)*p.C+c] = pixels[(py*p.W+px)*p.C+c]
								}
							}
						}
					}
					p.Normalize(want, cut)
					clear(got)
					norm.image(got, pixels, view{dy, dx, flip})
					if !slices.Equal(got, want) {
						t.Fatalf("%d channels, moved by %d,%d, flip %v: got %v, want %v", p.C, dy, dx, flip, got, want)
					}
				}
			}
		}
	}
}

// Every place of the crop and both sides come equally often.
func TestAugmentDraw(t *testing.T) {
	const n = 81 * 2 * 200
	source := rand.NewPCG(0, 0)
	r := rand.New(source)
	count := map[view]int{}
	for i := range n {
		source.Seed(7, sampleStream(1, i))
		count[Augment{PadCrop: 4, Flip: true}.draw(r)]++
	}
	if len(count) != 81*2 {
		t.Errorf("%d different views, want %d", len(count), 81*2)
	}
	for v, c := range count { // 200 expected, standard deviation 14
		if v.dy < -4 || v.dy > 4 || v.dx < -4 || v.dx > 4 || c < 130 || c > 270 {
			t.Errorf("view %+v came %d times, want about 200", v, c)
		}
	}
	if v := (Augment{}).draw(r); v != (view{}) {
		t.Errorf("without augmentation: got %+v", v)
	}
}

func TestNewLoaderPanics(t *testing.T) {
	s := memorySplit(3, tiny, 1)
	other := tiny
	other.W++
	for name, f := range map[string]func(){
		"batch 0":        func() { NewLoader(s, tiny, LoaderConfig{}) },
		"other extent":   func() { NewLoader(s, other, LoaderConfig{Batch: 1}) },
		"invalid":        func() { NewLoader(s, preprocess.Config{}, LoaderConfig{Batch: 1}) },
		"negative crop":  func() { NewLoader(s, tiny, LoaderConfig{Batch: 1, Augment: Augment{PadCrop: -1}}) },
		"negative epoch": func() { NewLoader(s, tiny, LoaderConfig{Batch: 1}).Epoch(context.Background(), -1, 0) },
		"negative first": func() { NewLoader(s, tiny, LoaderConfig{Batch: 1}).Epoch(context.Background(), 0, -1) },
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
