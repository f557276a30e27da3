package datasets

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// cifar describes a data set in the binary layout of https://www.cs.toronto.edu/~kriz/cifar.html: files of records, each a
// few label bytes, then 3072 bytes of 32x32 pixels: the R plane, the G plane, the B plane.
type cifar struct {
	title   string
	folder  string // in the archive
	archive string // the official file's name
	md5     string // the official file's checksum, hex
	// labels holds for each label byte of a record how many labels there are; the last byte is the class.
	labels    []int
	train     []string // files in order
	test      string
	records   map[string]int // of the official files
	namesFile string
	names     []string // of the classes, where there is no namesFile
}

const (
	cifarSide   = 32
	cifarPlane  = cifarSide * cifarSide
	cifarPixels = 3 * cifarPlane
)

// maxCIFARFile bounds the bytes of one file of records; the largest official one has 153.7 MB.
const maxCIFARFile = 1 << 28

// maxCIFARNames bounds the bytes of the file of names.
const maxCIFARNames = 1 << 16

var cifar10 = cifar{
	title:   "CIFAR-10",
	folder:  "cifar-10-batches-bin",
	archive: "cifar-10-binary.tar.gz",
	md5:     "c32a1d4ab5d03f1284b67883e8d87530",
	labels:  []int{10},
	train:   []string{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
	test:    "test_batch.bin",
	records: map[string]int{"data_batch_1.bin": 10000, "data_batch_2.bin": 10000, "data_batch_3.bin": 10000,
		"data_batch_4.bin": 10000, "data_batch_5.bin": 10000, "test_batch.bin": 10000},
	namesFile: "batches.meta.txt",
	names:     strings.Fields("airplane automobile bird cat deer dog frog horse ship truck"),
}

var cifar100 = cifar{
	title:     "CIFAR-100",
	folder:    "cifar-100-binary",
	archive:   "cifar-100-binary.tar.gz",
	md5:       "03b5dce01913d631647c71ecec9e9cb8",
	labels:    []int{20, 100},
	train:     []string{"train.bin"},
	test:      "test.bin",
	records:   map[string]int{"train.bin": 50000, "test.bin": 10000},
	namesFile: "fine_label_names.txt",
	names: strings.Fields(`apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
		camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
		elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man
		maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain
		plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
		squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe
		whale willow_tree wolf woman worm`),
}

// cifarSet gathers the files of a set while they are found, in any order.
type cifarSet struct {
	kind  *cifar
	files map[string]*Split // by name
	names []string          // nil until namesFile is found
	notes []string
}

// wants reports whether a file of this name is part of the set.
func (s *cifarSet) wants(name string) bool {
	return name == s.kind.namesFile || s.kind.records[name] > 0
}

// add reads a wanted file of size bytes. path is what errors call it.
func (s *cifarSet) add(ctx context.Context, name, path string, r io.Reader, size int64) error {
	if s.files == nil {
		s.files = map[string]*Split{}
	}
	if s.files[name] != nil || name == s.kind.namesFile && s.names != nil {
		return fmt.Errorf("%s: a second %s, want one", path, name)
	}
	var err error
	if name == s.kind.namesFile {
		s.names, err = parseNames(r, s.kind.labels[len(s.kind.labels)-1])
	} else {
		s.files[name], err = s.kind.parse(ctx, r, size)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// dataset joins the files. path is where they were found.
func (s *cifarSet) dataset(path string) (*Dataset, error) {
	k := s.kind
	d := &Dataset{Classes: s.names, Preprocess: imageNet(cifarSide), Notes: s.notes}
	if d.Classes == nil {
		d.Classes = append([]string(nil), k.names...)
	}
	join := func(names ...string) (*Split, error) {
		all := &Split{h: cifarSide, w: cifarSide, c: 3}
		for _, name := range names {
			f := s.files[name]
			if f == nil {
				return nil, fmt.Errorf("%s: no %s: want the binary version of %s, %s, with the files %s and %s",
					path, name, k.title, k.archive, strings.Join(k.train, ", "), k.test)
			}
			if f.Len() != k.records[name] {
				d.Notes = append(d.Notes, fmt.Sprintf("unverified: %s has %d records, the official file has %d", name, f.Len(), k.records[name]))
			}
			all.labels = append(all.labels, f.labels...)
			all.records = append(all.records, f.records...)
		}
		return all, nil
	}
	var err error
	if d.Train, err = join(k.train...); err != nil {
		return nil, err
	}
	if d.Test, err = join(k.test); err != nil {
		return nil, err
	}
	return d, nil
}

// parse reads a file of records, whose size in bytes is known, and turns the planes into [H,W,C].
func (k *cifar) parse(ctx context.Context, r io.Reader, size int64) (*Split, error) {
	record := len(k.labels) + cifarPixels
	n := size / int64(record)
	if size == 0 {
		return nil, errors.New("the file is empty: it was not copied or unpacked to its end")
	}
	if size > maxCIFARFile {
		return nil, fmt.Errorf("%d bytes, want at most %d: not a file of %s", size, maxCIFARFile, k.title)
	}
	if rest := size % int64(record); rest != 0 {
		return nil, fmt.Errorf("%d bytes are not a whole number of records of %d bytes: record %d has only %d: "+
			"the file is cut short or not of %s", size, record, n, rest, k.title)
	}
	const chunk = 1024 // records that are allocated at once, as the file proves to hold them
	s := &Split{h: cifarSide, w: cifarSide, c: 3}
	in := bufio.NewReaderSize(r, 1<<16)
	buf := make([]byte, record)
	var free []byte
	for i := range int(n) {
		if i%chunk == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			free = make([]byte, min(chunk, int(n)-i)*cifarPixels)
		}
		if got, err := io.ReadFull(in, buf); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return nil, fmt.Errorf("record %d (at byte %d) has %d bytes, want %d: the file is cut short", i, i*record, got, record)
			}
			return nil, fmt.Errorf("record %d (at byte %d): %w", i, i*record, err)
		}
		for j, most := range k.labels {
			if int(buf[j]) >= most {
				what := "label"
				if j < len(k.labels)-1 {
					what = "coarse label"
				}
				return nil, fmt.Errorf("record %d (at byte %d): %s %d, want 0..%d", i, i*record+j, what, buf[j], most-1)
			}
		}
		pixels := free[:cifarPixels:cifarPixels]
		free = free[cifarPixels:]
		interleave(pixels, buf[len(k.labels):])
		s.labels = append(s.labels, int32(buf[len(k.labels)-1]))
		s.records = append(s.records, pixels)
	}
	return s, nil
}

// interleave turns three planes, [3,H·W], into pixels, [H·W,3].
func interleave(dst, planes []byte) {
	r, g, b := planes[:cifarPlane], planes[cifarPlane:2*cifarPlane], planes[2*cifarPlane:3*cifarPlane]
	for i := range cifarPlane {
		p := dst[3*i : 3*i+3 : 3*i+3]
		p[0], p[1], p[2] = r[i], g[i], b[i]
	}
}

// parseNames reads a file of n class names, one a line.
func parseNames(r io.Reader, n int) ([]string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxCIFARNames+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxCIFARNames {
		return nil, fmt.Errorf("more than %d bytes, want %d class names, one a line", maxCIFARNames, n)
	}
	names := strings.Fields(string(text))
	if len(names) != n {
		return nil, fmt.Errorf("%d class names, want %d, one a line", len(names), n)
	}
	seen := map[string]int{}
	for i, name := range names {
		if j, dup := seen[name]; dup {
			return nil, fmt.Errorf("class %d and class %d have the same name %q", j, i, name)
		}
		seen[name] = i
	}
	return names, nil
}
