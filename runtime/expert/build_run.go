package expert

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/bnntool/bnntool/internal/safetensors"
	"github.com/bnntool/bnntool/runtime/codec"
	"github.com/gofrs/flock"
)

// commitBytes is the default of BuildOptions.Commit.
const commitBytes = 256 << 20

// run writes the file, on top of what an earlier run has left.
func (b *builder) run(ctx context.Context) (err error) {
	identity, err := b.identity()
	if err != nil {
		return err
	}
	lock := flock.New(b.partial())
	locked, err := lock.TryLock()
	if err != nil {
		return err
	}
	if !locked {
		return fmt.Errorf("%s: %w", b.partial(), errBusy)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if b.out, err = os.OpenFile(b.partial(), os.O_RDWR, 0o644); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.out.Close()) }()
	var earlier []journalEntry
	if b.journal, earlier, err = openJournal(b.journalName(), identity); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.journal.file.Close()) }()
	first, err := b.resume(earlier)
	if err != nil {
		return err
	}
	if err := b.journal.start(identity, first); err != nil {
		return err
	}
	if err := b.write(ctx, first); err != nil {
		// What is written so far counts next time.
		err = fmt.Errorf("%w (%s keeps what is done: the same command goes on from there)", err, b.partial())
		return errors.Join(err, b.journal.commit(b.out))
	}
	return b.finish()
}

// resume takes over what the journal says is done, as far as the file goes, and returns the first item that is not.
func (b *builder) resume(earlier []journalEntry) (int, error) {
	stat, err := b.out.Stat()
	if err != nil {
		return 0, err
	}
	n := 0
	for ; n < min(len(earlier), len(b.items)); n++ {
		l := b.ledger
		if err := b.account(&l, earlier[n]); err != nil || b.room+l.offset > stat.Size() {
			break
		}
		b.ledger = l
	}
	b.report.Resumed, b.resumed = n, b.done
	b.tell()
	return n, b.out.Truncate(b.room + b.offset)
}

// tell reports progress.
func (b *builder) tell() {
	if b.progress != nil {
		b.progress(b.done, b.total, b.resumed)
	}
}

// write writes the items from the first one that is not done.
func (b *builder) write(ctx context.Context, first int) error {
	i := first
	for ; i < len(b.plan.Dense); i++ {
		if err := b.copyDense(ctx, i); err != nil {
			return err
		}
	}
	t := &turns{next: i, turn: i, end: len(b.items)}
	t.changed.L = &t.mu
	var group sync.WaitGroup
	for range min(b.workers, len(b.items)-i) {
		group.Go(func() {
			e := &expertEncoder{b: b}
			for {
				i, ok := t.take()
				if !ok {
					return
				}
				err := ctx.Err()
				if err == nil {
					err = e.encode(b.items[i])
				}
				t.run(i, err, func() error { return b.put(i, e) })
			}
		})
	}
	group.Wait()
	if t.err != nil {
		return t.err
	}
	return b.journal.commit(b.out)
}

// turns hands out items, and lets the workers that have taken them write in order.
type turns struct {
	mu              sync.Mutex
	changed         sync.Cond
	next, turn, end int
	err             error // the first one; no more items are then handed out or written
}

// take returns the next item, false if there is none.
func (t *turns) take() (int, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil || t.next == t.end {
		return 0, false
	}
	t.next++
	return t.next - 1, true
}

// run calls put when all items before i are written, unless one fails, or err says that i itself has.
func (t *turns) run(i int, err error, put func() error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for err == nil && t.err == nil && t.turn != i {
		t.changed.Wait()
	}
	if t.err == nil {
		if err == nil {
			err = put()
		}
		t.err = err
		t.turn++
	}
	t.changed.Broadcast()
}

// copyDense writes a tensor that is not of an expert.
func (b *builder) copyDense(ctx context.Context, i int) error {
	if err := b.fill(denseAlign); err != nil {
		return err
	}
	it, name := b.items[i], b.plan.Dense[i].Name
	buf := make([]byte, min(it.bytes, copyBytes))
	e := journalEntry{Item: i}
	for at := int64(0); at < it.bytes; at += int64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		buf = buf[:min(it.bytes-at, copyBytes)]
		if err := b.source.ReadAt(name, buf, at); err != nil {
			return err
		}
		e.Sums[0] = safetensors.Checksum(e.Sums[0], buf)
		if _, err := b.out.WriteAt(buf, b.room+b.offset+at); err != nil {
			return err
		}
	}
	return b.enter(e)
}

// fill writes zeros until the offset is a multiple of n.
func (b *builder) fill(n int64) error {
	at := b.offset
	b.align(n)
	_, err := b.out.WriteAt(make([]byte, b.offset-at), b.room+at)
	return err
}

// put writes an expert that e has encoded.
func (b *builder) put(i int, e *expertEncoder) error {
	if err := b.fill(PartAlign); err != nil {
		return err
	}
	entry := journalEntry{Item: i, Entry: e.record.appendEntry(nil)}
	at := b.room + b.offset
	for p, part := range e.parts {
		entry.Sums[p] = safetensors.Checksum(0, part)
		if _, err := b.out.WriteAt(part, at); err != nil {
			return err
		}
		at += int64(len(part))
	}
	return b.enter(entry)
}

// enter accounts for an item that is written, and now and then makes it durable.
func (b *builder) enter(e journalEntry) error {
	if err := b.account(&b.ledger, e); err != nil {
		return err
	}
	if err := b.journal.add(e); err != nil {
		return err
	}
	if b.offset-b.synced >= b.commit {
		b.synced = b.offset
		if err := b.journal.commit(b.out); err != nil {
			return err
		}
	}
	b.tell()
	return nil
}

// expertEncoder encodes experts, one at a time.
type expertEncoder struct {
	b       *builder
	encoder codec.Encoder
	source  []byte
	exp     []byte
	parts   [numParts][]byte // padded
	record  Record
}

// encode reads an expert and makes its parts and its record.
func (e *expertEncoder) encode(it item) error {
	l := &e.b.layers[it.layer]
	sum := sha256.New()
	e.parts[ExponentPart], e.parts[RestPart], e.record.Chunks = e.parts[ExponentPart][:0], e.parts[RestPart][:0], e.record.Chunks[:0]
	for i := range l.Tensors {
		t, name := &l.Tensors[i], l.TensorName(it.expert, i)
		e.source = resize(e.source, t.SourceBytes())
		if err := e.b.source.ReadAt(name, e.source, 0); err != nil {
			return err
		}
		sum.Write(e.source)
		data := e.source
		if t.Source != "" {
			var ok bool
			if data, ok = narrow(data); !ok {
				return fmt.Errorf("tensor %q: not all numbers are BF16: the file has changed since it was looked at", name)
			}
		}
		e.tensor(t, data)
	}
	sum.Sum(e.record.Source[:0])
	for p, part := range e.parts {
		e.parts[p] = append(part, make([]byte, pad(int64(len(part)), PartAlign)-int64(len(part)))...)
	}
	return nil
}

// tensor appends the chunks of a tensor.
func (e *expertEncoder) tensor(t *StoredTensor, data []byte) {
	rest := len(e.parts[RestPart])
	if t.Coded {
		e.exp = resize(e.exp, t.Elements())
		e.parts[RestPart] = append(e.parts[RestPart], e.exp...) // room
		codec.Split(e.exp, e.parts[RestPart][rest:], data)
	} else {
		e.parts[RestPart] = append(e.parts[RestPart], data...)
	}
	size := t.restBytes() / t.Elements()
	for k := range t.Chunks {
		start, end := t.Chunk(k)
		c := Chunk{RestSum: safetensors.Checksum(0, e.parts[RestPart][int64(rest)+start*size:int64(rest)+end*size])}
		if t.Coded {
			at := len(e.parts[ExponentPart])
			e.parts[ExponentPart], c.Code = e.encoder.Append(e.parts[ExponentPart], e.b.code, e.exp[start:end])
			coded := e.parts[ExponentPart][at:]
			c.Bytes, c.Sum = len(coded), safetensors.Checksum(0, coded)
		}
		e.record.Chunks = append(e.record.Chunks, c)
	}
}

// narrow makes BF16 of F32 in place, and reports whether that loses nothing.
func narrow(f32 []byte) ([]byte, bool) {
	var lost byte
	n := len(f32) / 4
	for i := range n {
		lost |= f32[4*i] | f32[4*i+1]
		f32[2*i], f32[2*i+1] = f32[4*i+2], f32[4*i+3]
	}
	return f32[:2*n], lost == 0
}
