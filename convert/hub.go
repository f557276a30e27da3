package convert

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bnntool/bnntool/internal/safetensors"
)

// The files of a folder of the hub, and bounds on those that are read whole.
const (
	hubIndex    = "model.safetensors.index.json"
	hubSingle   = "model.safetensors"
	hubConfig   = "config.json"
	maxHubIndex = 64 << 20
	maxConfig   = 1 << 20
	maxShards   = 4096
)

// Hub is a folder as models are published in: weights in one safetensors file, or in several with an index. Only the
// headers are in memory. It is an expert.Source, and may be used by several goroutines at once.
type Hub struct {
	dir    string
	config string
	stamp  string
	files  []*safetensors.File
	infos  map[string]safetensors.Info
	where  map[string]*safetensors.File
}

// OpenHub opens the folder dir and reads the headers of its files.
func OpenHub(dir string) (*Hub, error) {
	h := &Hub{dir: dir, infos: make(map[string]safetensors.Info), where: make(map[string]*safetensors.File)}
	if err := h.open(); err != nil {
		h.Close()
		return nil, fmt.Errorf("convert: %s: %w", dir, err)
	}
	return h, nil
}

func (h *Hub) open() error {
	stamp := sha256.New()
	config, err := readBounded(filepath.Join(h.dir, hubConfig), maxConfig)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	h.config = string(config)
	fmt.Fprintf(stamp, "%q\n", config)
	listed, err := h.weightMap()
	if err != nil {
		return err
	}
	shards := []string{hubSingle}
	if listed != nil {
		shards = slices.Sorted(maps.Keys(invert(listed)))
	}
	for _, name := range shards {
		path := filepath.Join(h.dir, name)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) && listed == nil {
			return fmt.Errorf("there is neither %s nor %s: name a folder with the safetensors files of a model", hubSingle, hubIndex)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(stamp, "%q %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		f, err := safetensors.Open(path)
		if err != nil {
			return err
		}
		h.files = append(h.files, f)
		for _, t := range f.Infos() {
			if in, ok := listed[t.Name]; listed != nil && (!ok || in != name) {
				return fmt.Errorf("%s has tensor %q, which %s has in %q: the files do not go together", name, t.Name, hubIndex, in)
			}
			h.infos[t.Name], h.where[t.Name] = t, f
		}
	}
	for name, file := range listed {
		if h.where[name] == nil {
			return fmt.Errorf("%s has tensor %q in %s, where it is not: the folder is incomplete", hubIndex, name, file)
		}
	}
	h.stamp = fmt.Sprintf("%x", stamp.Sum(nil))
	return nil
}

// weightMap returns the file of each tensor as the index has it, nil without an index.
func (h *Hub) weightMap() (map[string]string, error) {
	data, err := readBounded(filepath.Join(h.dir, hubIndex), maxHubIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", hubIndex, err)
	}
	if len(index.WeightMap) == 0 {
		return nil, fmt.Errorf("%s has no \"weight_map\"", hubIndex)
	}
	for tensor, name := range index.WeightMap {
		if name != filepath.Base(name) || !strings.HasSuffix(name, ".safetensors") {
			return nil, fmt.Errorf("%s has tensor %q in %q, want a .safetensors file of the same folder", hubIndex, tensor, name)
		}
	}
	if n := len(invert(index.WeightMap)); n > maxShards {
		return nil, fmt.Errorf("%s names %d files, at most %d are allowed", hubIndex, n, maxShards)
	}
	return index.WeightMap, nil
}

// invert returns the set of a map's values.
func invert(m map[string]string) map[string]bool {
	set := make(map[string]bool)
	for _, v := range m {
		set[v] = true
	}
	return set
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return data, err
}

// Close closes the files.
func (h *Hub) Close() error {
	var err error
	for _, f := range h.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// ReadAt fills dst with the data of a tensor from byte at on.
func (h *Hub) ReadAt(name string, dst []byte, at int64) error {
	f := h.where[name]
	if f == nil {
		return fmt.Errorf("convert: %s: no tensor %q", h.dir, name)
	}
	return f.ReadAt(name, dst, at)
}

// Stamp changes when a file of the folder does: its name, its length or the time of its last change.
func (h *Hub) Stamp() string { return h.stamp }

// Config returns the config.json of the folder, "" if there is none.
func (h *Hub) Config() string { return h.config }
