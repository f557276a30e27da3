package datasets

import (
	"math/rand/v2"

	"github.com/bnntool/bnntool/internal/preprocess"
)

// Augment is how training pictures are varied. The zero value leaves them as they are.
type Augment struct {
	// PadCrop surrounds the picture with this many black (0) pixels, which the normalisation makes (0-mean)/std, and cuts
	// a part of the picture's own size out at an even random place: torchvision's RandomCrop(padding=PadCrop).
	PadCrop int `yaml:"pad_crop,omitempty"`
	// Flip mirrors left and right with probability 1/2, after the crop.
	Flip bool `yaml:"flip,omitempty"`
}

// view is one variation of a picture: row y and column x of it are row y+dy and column x+dx of the picture, black where
// there are none, and the columns in reverse if flip.
type view struct {
	dy, dx int
	flip   bool
}

// draw chooses a view by r: first the row, then the column, then the flip, of which only those are drawn that vary.
func (a Augment) draw(r *rand.Rand) view {
	var v view
	if a.PadCrop > 0 {
		v.dy = r.IntN(2*a.PadCrop+1) - a.PadCrop
		v.dx = r.IntN(2*a.PadCrop+1) - a.PadCrop
	}
	if a.Flip {
		v.flip = r.IntN(2) == 1
	}
	return v
}

// normaliser makes numbers of bytes and a view of them in one pass. Its numbers are preprocess.Config.Normalize's.
type normaliser struct {
	h, w, c int
	table   [3][256]float32 // by channel
	black   []float32       // a row of black pixels, [W,C]
}

func newNormaliser(p preprocess.Config) *normaliser {
	n := &normaliser{h: p.H, w: p.W, c: p.C, black: make([]float32, p.W*p.C)}
	copy(n.table[:], p.Table())
	for i := range n.black {
		n.black[i] = n.table[i%n.c][0]
	}
	return n
}

// image writes v of pixels to dst; both are [H,W,C].
func (n *normaliser) image(dst []float32, pixels []byte, v view) {
	row := n.w * n.c
	for y := range n.h {
		out, from := dst[y*row:][:row], y+v.dy
		if from < 0 || from >= n.h {
			copy(out, n.black)
			continue
		}
		n.row(out, pixels[from*row:][:row], v)
	}
}

// row writes one row of a view; dst and src are [W,C].
func (n *normaliser) row(dst []float32, src []byte, v view) {
	// Columns lo..hi-1 of the crop are in the picture, the others black.
	lo, hi := min(max(0, -v.dx), n.w), max(0, min(n.w, n.w-v.dx))
	if lo > 0 || hi < n.w {
		copy(dst, n.black)
		if lo >= hi {
			return
		}
	}
	src = src[(lo+v.dx)*n.c : (hi+v.dx)*n.c]
	at, step := lo*n.c, n.c // where column lo goes, and from there to the next
	if v.flip {
		at, step = (n.w-1-lo)*n.c, -n.c
	}
	if n.c == 1 {
		for _, p := range src {
			dst[at] = n.table[0][p]
			at += step
		}
		return
	}
	for ; len(src) >= 3; src = src[3:] {
		d := dst[at : at+3 : at+3]
		d[0], d[1], d[2] = n.table[0][src[0]], n.table[1][src[1]], n.table[2][src[2]]
		at += step
	}
}
