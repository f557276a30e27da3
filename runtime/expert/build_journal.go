package expert

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// journal is the account of a build: a line that says what is built, then one for each item that is written and synced, in order. A line
// is 8 hex digits, the CRC-32C of what follows, a space, and JSON. The last lines may be cut off or damaged where the machine
// lost its power; they and what they stand for are done again.
type journal struct {
	file    *os.File
	ends    []int64      // of the lines that were there
	pending bytes.Buffer // lines of items whose data is not synced
}

// journalEntry is the line of an item.
type journalEntry struct {
	Item  int              `json:"item"`
	Sums  [numParts]uint32 `json:"sums"`            // of the parts, the first one that of a tensor that is not of an expert
	Entry []byte           `json:"entry,omitempty"` // of the index
}

// journalHead is the first line.
type journalHead struct {
	Build string `json:"build"` // SHA-256 of all that decides about the file's bytes
}

// identity returns the SHA-256 of all that decides about the file's bytes.
func (b *builder) identity() (string, error) {
	d := description{Code: b.code, Config: b.plan.Config, Source: b.plan.Fingerprint, Layers: b.layers}
	m, err := d.metadata()
	if err != nil {
		return "", err
	}
	text, err := json.Marshal([]any{m, b.plan.Dense, b.source.Stamp()})
	return fmt.Sprintf("%x", sha256.Sum256(text)), err
}

// line returns v as a line.
func journalLine(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return fmt.Appendf(nil, "%08x %s\n", safetensors.Checksum(0, text), text), err
}

// parseLine is the inverse of journalLine, less the line's end.
func parseLine(line []byte, v any) bool {
	sum, text, ok := bytes.Cut(line, []byte(" "))
	return ok && string(sum) == fmt.Sprintf("%08x", safetensors.Checksum(0, text)) && json.Unmarshal(text, v) == nil
}

// openJournal opens the journal of the build, or starts one, and returns what an earlier run has done of it. The caller then
// calls start.
func openJournal(name, identity string) (*journal, []journalEntry, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, nil, err
	}
	j := &journal{file: f}
	done, err := j.read(identity)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return j, done, nil
}

// read returns the items that the journal says are done; none if it is of another build.
func (j *journal) read(identity string) (done []journalEntry, err error) {
	r := bufio.NewReader(j.file)
	for i := -1; ; i++ {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return done, nil
		}
		if err != nil {
			return nil, err
		}
		text := bytes.TrimSuffix(line, []byte("\n"))
		if i < 0 {
			var head journalHead
			if !parseLine(text, &head) || head.Build != identity {
				return nil, nil
			}
		} else {
			e := journalEntry{}
			if !parseLine(text, &e) || e.Item != i {
				return done, nil
			}
			done = append(done, e)
		}
		j.ends = append(j.ends, int64(len(line)))
		if i >= 0 {
			j.ends[i+1] += j.ends[i]
		}
	}
}

// start makes the journal go on behind its first n items; where it has none, with its first line.
func (j *journal) start(identity string, n int) error {
	end := int64(0)
	if n < len(j.ends) {
		end = j.ends[n]
	}
	if err := j.file.Truncate(end); err != nil {
		return err
	}
	if _, err := j.file.Seek(end, io.SeekStart); err != nil || end > 0 {
		return err
	}
	line, err := journalLine(journalHead{Build: identity})
	if err == nil {
		_, err = j.file.Write(line)
	}
	return err
}

// add appends an item whose data is written but not synced.
func (j *journal) add(e journalEntry) error {
	line, err := journalLine(e)
	j.pending.Write(line)
	return err
}

// commit syncs data and then writes down the items that were added.
func (j *journal) commit(data *os.File) error {
	if j.pending.Len() == 0 {
		return nil
	}
	if err := data.Sync(); err != nil {
		return err
	}
	if _, err := j.pending.WriteTo(j.file); err != nil {
		return err
	}
	return j.file.Sync()
}

var errBusy = errors.New("another build of the same file is running")
