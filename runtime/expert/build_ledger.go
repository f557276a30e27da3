package expert

import (
	"fmt"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// ledger is what a builder knows of the items that lie in the file.
type ledger struct {
	parts   []safetensors.Part
	entries []byte // of the index
	offset  int64  // in the data, of what comes next
	fillers int
	done    int64 // bytes of the source
	report  BuildReport
}

// align enters zeros until the offset is a multiple of n.
func (l *ledger) align(n int64) {
	gap := pad(l.offset, n) - l.offset
	if gap == 0 {
		return
	}
	l.parts = append(l.parts, safetensors.Part{Name: fmt.Sprintf("padding.%d", l.fillers), DType: "U8", Shape: []int{int(gap)},
		Sum: safetensors.Checksum(0, make([]byte, gap))})
	l.fillers++
	l.offset += gap
}

// account enters an item that is written at the aligned offset.
func (b *builder) account(l *ledger, e journalEntry) error {
	it := b.items[e.Item]
	l.done += it.bytes
	if it.dense >= 0 {
		l.align(denseAlign)
		p := b.plan.Dense[it.dense]
		p.Sum = e.Sums[0]
		l.parts = append(l.parts, p)
		l.offset += it.bytes
		l.report.DenseBytes += it.bytes
		return nil
	}
	l.align(PartAlign)
	layer := &b.layers[it.layer]
	if len(e.Entry) != layer.entryBytes() {
		return fmt.Errorf("an entry of %d bytes, want %d", len(e.Entry), layer.entryBytes())
	}
	var r Record
	if err := r.parseEntry(layer, e.Entry); err != nil {
		return err
	}
	for p := ExponentPart; p < numParts; p++ {
		n := pad(r.used[p], PartAlign)
		l.parts = append(l.parts, safetensors.Part{Name: layer.partName(it.expert, p), DType: "U8", Shape: []int{int(n)}, Sum: e.Sums[p]})
		l.offset += n
	}
	l.entries = append(l.entries, e.Entry...)
	l.report.Experts++
	l.report.SourceBytes += it.bytes
	l.report.FullBytes += layer.FullBytes()
	l.report.CodedBytes += r.used[ExponentPart]
	l.report.RestBytes += r.used[RestPart]
	return nil
}
