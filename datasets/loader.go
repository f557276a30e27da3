package datasets

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/bnntool/bnntool/internal/preprocess"
)

// LoaderConfig says how a split becomes batches.
type LoaderConfig struct {
	Batch    int    // pictures in a batch, at least 1
	Seed     uint64 // of the order and the augmentation
	Shuffle  bool   // a new order for each epoch, else that of the records
	Augment  Augment
	Workers  int  // goroutines that make batches, 0 = 1
	Ahead    int  // batches made before they are asked for, 0 = 2 or Workers if that is more; workers beyond it are idle
	DropLast bool // leave out the last batch if it is not full
}

// Batch is some pictures of a split.
type Batch struct {
	Index  int       // of the batch in its epoch, from 0
	N      int       // pictures; fewer than LoaderConfig.Batch only in the last batch
	Images []float32 // [Batch,H,W,C], normalised; rows from N on are zero
	Labels []int32   // [Batch]; -1 from N on
}

// Loader makes batches of a split. It holds no state between epochs and is safe for concurrent use.
type Loader struct {
	split *Split
	c     LoaderConfig
	norm  *normaliser
}

// NewLoader returns a Loader of s. p is the normalisation; its extent must be that of the split. It panics if p is not
// valid or of another extent, or a field of c is out of range.
func NewLoader(s *Split, p preprocess.Config, c LoaderConfig) *Loader {
	if err := p.Validate(); err != nil {
		panic("datasets: NewLoader: " + err.Error())
	}
	if p.H != s.h || p.W != s.w || p.C != s.c {
		panic(fmt.Sprintf("datasets: NewLoader: a split of %dx%dx%d with preprocessing for %dx%dx%d", s.h, s.w, s.c, p.H, p.W, p.C))
	}
	if c.Batch < 1 || c.Workers < 0 || c.Ahead < 0 || c.Augment.PadCrop < 0 {
		panic(fmt.Sprintf("datasets: NewLoader: batch %d, workers %d, ahead %d, crop after a padding of %d: out of range",
			c.Batch, c.Workers, c.Ahead, c.Augment.PadCrop))
	}
	if c.Workers == 0 {
		c.Workers = 1
	}
	if c.Ahead == 0 {
		c.Ahead = max(2, c.Workers)
	}
	return &Loader{split: s, c: c, norm: newNormaliser(p)}
}

// Batches returns the number of batches of an epoch.
func (l *Loader) Batches() int {
	if l.c.DropLast {
		return l.split.Len() / l.c.Batch
	}
	return (l.split.Len() + l.c.Batch - 1) / l.c.Batch
}

// Epoch returns the batches first..Batches()-1 of an epoch; none if first is past them. They are the same as in any other
// stream of that epoch, whatever its first. The stream must be read to its end or closed; ctx ends it too. It panics if
// epoch or first is negative.
func (l *Loader) Epoch(ctx context.Context, epoch, first int) *Stream {
	if epoch < 0 || first < 0 {
		panic(fmt.Sprintf("datasets: Epoch %d from batch %d, want both from 0 on", epoch, first))
	}
	return newStream(ctx, l, epoch, first)
}

// order returns the records of an epoch in their order.
func (l *Loader) order(epoch int) []int32 {
	order := make([]int32, l.split.Len())
	for i := range order {
		order[i] = int32(i)
	}
	if l.c.Shuffle {
		rand.New(rand.NewPCG(l.c.Seed, orderStream(epoch))).Shuffle(len(order), func(i, j int) {
			order[i], order[j] = order[j], order[i]
		})
	}
	return order
}

// maker is what one goroutine needs to make batches.
type maker struct {
	*Loader
	source  rand.PCG
	random  *rand.Rand
	scratch []byte // a picture that is decoded, [H,W,C]
}

func newMaker(l *Loader) *maker {
	m := &maker{Loader: l}
	m.random = rand.New(&m.source)
	if l.split.records == nil {
		m.scratch = make([]byte, l.split.h*l.split.w*l.split.c)
	}
	return m
}

// fill makes batch index of an epoch whose order is given. b has its buffers.
func (m *maker) fill(ctx context.Context, b *Batch, epoch, index int, order []int32) error {
	from := index * m.c.Batch
	b.Index, b.N = index, min(m.c.Batch, len(order)-from)
	size := m.split.h * m.split.w * m.split.c
	for i := range b.N {
		if err := ctx.Err(); err != nil {
			return err
		}
		record := int(order[from+i])
		pixels, err := m.split.view(record, m.scratch)
		if err != nil {
			return err
		}
		m.source.Seed(m.c.Seed, sampleStream(epoch, from+i))
		m.norm.image(b.Images[i*size:][:size], pixels, m.c.Augment.draw(m.random))
		b.Labels[i] = m.split.labels[record]
	}
	clear(b.Images[b.N*size:])
	for i := b.N; i < m.c.Batch; i++ {
		b.Labels[i] = -1
	}
	return nil
}

// orderStream and sampleStream number the random streams of a seed: one for the order of an epoch, one for
// each of its positions. mix is a bijection, so that two epochs, and two positions of an epoch, never share one.
func orderStream(epoch int) uint64 { return mix(uint64(epoch)) }

func sampleStream(epoch, i int) uint64 { return mix(mix(uint64(epoch)) + 1 + uint64(i)) }

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014) after one step of its counter.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
