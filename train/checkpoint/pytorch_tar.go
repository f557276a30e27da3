package checkpoint

import (
	"archive/tar"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/nlpodyssey/gopickle/types"
)

// readTorchTar reads the format of PyTorch before 0.1.10, a tar archive of three parts:
//
//	storages  their number, then of each a pickle of (key, location, class), the number of elements, 8 bytes, and these;
//	          then a pickle of the views, which must be empty
//	tensors   their number, then of each a pickle of (key, storage's key, class), the number of axes, 8 bytes, the
//	          shape, the strides and the offset, 8 bytes each
//	pickle    the object, in which a tensor is a persistent identifier: its key as text
func readTorchTar(r io.ReaderAt, size int64) (*torchFile, error) {
	parts, err := tarParts(r, size)
	if err != nil {
		return nil, err
	}
	f := &torchFile{r: r, blocks: make(map[string]block)}
	storages, err := f.tarStorages(parts["storages"])
	if err != nil {
		return nil, fmt.Errorf("storages: %w", err)
	}
	tensors, err := tarTensors(parts["tensors"], storages)
	if err != nil {
		return nil, fmt.Errorf("tensors: %w", err)
	}
	f.object, err = parts["pickle"].next(func(id any) (any, error) {
		key, err := tarKey(id)
		if err != nil {
			return nil, err
		}
		if tensors[key] == nil {
			return nil, fmt.Errorf("there is no tensor %q", key)
		}
		return tensors[key], nil
	})
	return f, err
}

// tarParts finds the three parts.
func tarParts(r io.ReaderAt, size int64) (map[string]*pickles, error) {
	section := io.NewSectionReader(r, 0, size)
	archive := tar.NewReader(section)
	parts := make(map[string]*pickles)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		at, err := section.Seek(0, io.SeekCurrent) // package tar reads no further than the header
		if err != nil {
			return nil, err
		}
		if parts[h.Name] != nil || h.Typeflag != tar.TypeReg || h.Size > size-at {
			return nil, fmt.Errorf("%q is there twice, no file or cut off", h.Name)
		}
		parts[h.Name] = &pickles{r: io.NewSectionReader(r, 0, at+h.Size), at: at, size: at + h.Size}
	}
	for _, name := range []string{"storages", "tensors", "pickle"} {
		if parts[name] == nil {
			return nil, fmt.Errorf("a tar archive without %q: not a file of torch.save", name)
		}
	}
	return parts, nil
}

// tarStorages reads the first part.
func (f *torchFile) tarStorages(p *pickles) (map[string]*torchStorage, error) {
	count, err := p.count()
	if err != nil {
		return nil, err
	}
	storages := make(map[string]*torchStorage)
	for range count {
		fields, err := p.tuple(3)
		if err != nil {
			return nil, err
		}
		key, err := tarKey(fields[0])
		if err != nil {
			return nil, err
		}
		class, ok := fields[2].(*storageClass)
		if !ok || storages[key] != nil {
			return nil, fmt.Errorf("storage %q is there twice, or has no class", key)
		}
		n, err := p.int64s(1)
		if err != nil {
			return nil, err
		}
		if n[0] < 0 || n[0] > (p.size-p.at)/int64(class.size) {
			return nil, fmt.Errorf("storage %q: %d elements of %s, %d bytes follow: the file is truncated", key, n[0], class.name, p.size-p.at)
		}
		storages[key] = &torchStorage{class: class, key: key, length: int(n[0])}
		f.blocks[key] = block{at: p.at, size: n[0] * int64(class.size)}
		p.at += f.blocks[key].size
	}
	views, err := p.next(noPersistent)
	if err != nil {
		return nil, fmt.Errorf("views: %w", err)
	}
	if list, ok := views.(*types.List); !ok || list.Len() != 0 {
		return nil, errors.New("views of storages are not supported: load the file with any PyTorch and save it again")
	}
	return storages, nil
}

// tarTensors reads the second part.
func tarTensors(p *pickles, storages map[string]*torchStorage) (map[string]*torchTensor, error) {
	count, err := p.count()
	if err != nil {
		return nil, err
	}
	tensors := make(map[string]*torchTensor)
	for range count {
		fields, err := p.tuple(3)
		if err != nil {
			return nil, err
		}
		key, err := tarKey(fields[0])
		if err != nil {
			return nil, err
		}
		from, err := tarKey(fields[1])
		if err != nil {
			return nil, err
		}
		t := &torchTensor{storage: storages[from]}
		if t.storage == nil || tensors[key] != nil {
			return nil, fmt.Errorf("tensor %q is there twice, or its storage %q is not", key, from)
		}
		if err = t.readTarShape(p); err == nil {
			err = t.check()
		}
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", key, err)
		}
		tensors[key] = t
	}
	return tensors, nil
}

// readTarShape reads the axes of a tensor.
func (t *torchTensor) readTarShape(p *pickles) error {
	axes, err := p.int64s(1)
	if err != nil {
		return err
	}
	n := int(uint32(axes[0])) // the upper half is not used
	if n > maxAxes {
		return fmt.Errorf("%d axes, at most %d are allowed", n, maxAxes)
	}
	numbers, err := p.int64s(2*n + 1)
	if err != nil {
		return err
	}
	list := make([]int, len(numbers))
	for i, v := range numbers {
		if list[i], err = extent(int(v)); err != nil {
			return err
		}
	}
	t.shape, t.stride, t.offset = list[:n:n], list[n:2*n:2*n], list[2*n]
	return nil
}

// count loads a number of things.
func (p *pickles) count() (int, error) {
	v, err := p.next(noPersistent)
	if err != nil {
		return 0, err
	}
	n, ok := v.(int)
	if !ok || n < 0 || n > maxContainers {
		return 0, fmt.Errorf("their number is %v, want 0..%d", v, maxContainers)
	}
	return n, nil
}

// tuple loads a tuple of n items.
func (p *pickles) tuple(n int) ([]any, error) {
	v, err := p.next(noPersistent)
	if err != nil {
		return nil, err
	}
	items, ok := tuple(v)
	if !ok || len(items) != n {
		return nil, fmt.Errorf("want a tuple of %d", n)
	}
	return items, nil
}

// int64s reads n integers of 8 bytes.
func (p *pickles) int64s(n int) ([]int64, error) {
	b, err := readAt(p.r, p.at, 8*int64(n), 1<<10)
	if err != nil {
		return nil, noEOF(err)
	}
	p.at += int64(len(b))
	list := make([]int64, n)
	for i := range list {
		list[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return list, nil
}

// tarKey returns a key, which is an integer or its digits.
func tarKey(v any) (string, error) {
	switch k := v.(type) {
	case string:
		return k, nil
	case int:
		return strconv.Itoa(k), nil
	}
	return "", errors.New("a key that is neither text nor an integer")
}
