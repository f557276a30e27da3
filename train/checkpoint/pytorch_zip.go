package checkpoint

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"strings"
)

// readTorchZip reads the format of PyTorch 1.6 and later: a zip archive of NAME/data.pkl, the pickle, and NAME/data/KEY, the bytes
// of each storage, all uncompressed.
func readTorchZip(r io.ReaderAt, size int64) (*torchFile, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	f := &torchFile{r: r, blocks: make(map[string]block)}
	folder := ""
	for _, entry := range z.File {
		switch path.Base(entry.Name) {
		case "data.pkl":
			if folder != "" {
				return nil, fmt.Errorf("both %s/data.pkl and %s: a state dictionary has one", folder, entry.Name)
			}
			folder = path.Dir(entry.Name)
		case "constants.pkl":
			return nil, errors.New("a TorchScript program: save model.state_dict() with torch.save")
		}
	}
	if folder == "" {
		return nil, errors.New("a zip archive without data.pkl: not a file of torch.save")
	}
	var pickled []byte
	for _, entry := range z.File {
		b, err := entryBlock(entry, size)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name, err)
		}
		key, isStorage := strings.CutPrefix(entry.Name, folder+"/data/")
		switch {
		case isStorage:
			if _, twice := f.blocks[key]; twice {
				return nil, fmt.Errorf("%s is there twice", entry.Name)
			}
			f.blocks[key] = b
		case entry.Name == folder+"/data.pkl":
			pickled, err = b.all(r, maxPickle)
		case entry.Name == folder+"/byteorder":
			var order []byte
			if order, err = b.all(r, 16); err == nil && !bytes.Equal(order, []byte("little")) {
				err = fmt.Errorf("%q, want little: save on a little-endian machine", order)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name, err)
		}
	}
	f.object, _, err = loadPickle(pickled, func(id any) (any, error) {
		s, _, err := storageIdentifier(id)
		return s, err
	})
	return f, err
}

// entryBlock returns where the bytes of an entry lie in an archive of size bytes.
func entryBlock(entry *zip.File, size int64) (block, error) {
	if entry.Method != zip.Store || entry.CompressedSize64 != entry.UncompressedSize64 {
		return block{}, errors.New("the entry is compressed, PyTorch's are not: the archive has been rewritten")
	}
	at, err := entry.DataOffset()
	if err != nil {
		return block{}, err
	}
	n := int64(entry.UncompressedSize64)
	if n < 0 || at < 0 || n > size-at {
		return block{}, fmt.Errorf("%d bytes from byte %d, the file has %d: it is truncated", entry.UncompressedSize64, at, size)
	}
	return block{at: at, size: n, sum: func(b []byte) error {
		if found := crc32.ChecksumIEEE(b); found != entry.CRC32 {
			return fmt.Errorf("checksum mismatch: expected crc32 %08x, found %08x: the file is damaged", entry.CRC32, found)
		}
		return nil
	}}, nil
}

// all reads the whole block, of at most most bytes, and checks it.
func (b *block) all(r io.ReaderAt, most int64) ([]byte, error) {
	data, err := readAt(r, b.at, b.size, most)
	if err == nil && b.sum != nil {
		err = b.sum(data)
	}
	return data, err
}
