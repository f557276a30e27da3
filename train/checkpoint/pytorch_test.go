package checkpoint_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bnntool/bnntool/internal/preprocess"
	"github.com/bnntool/bnntool/train/checkpoint"
	"github.com/bnntool/bnntool/train/model"
)

// importConfig is for the files of testdata/pytorch: pictures of 8x8, ten classes.
func importConfig() checkpoint.ImportConfig {
	return checkpoint.ImportConfig{
		Preprocess: preprocess.Config{H: 8, W: 8, C: 3, Mean: make([]float32, 3), Std: []float32{1, 1, 1}},
		Classes:    strings.Fields("a b c d e f g h i j"), Dataset: "cifar10",
	}
}

func pytorchFile(name string) string { return filepath.Join("testdata", "pytorch", name) }

// TestImport reads the formats of torch.save and compares the oracle's logits with PyTorch's.
func TestImport(t *testing.T) {
	var golden struct {
		Images []float64            `json:"images"` // [2,3,8,8]
		Logits map[string][]float64 `json:"logits"` // [2,10]
	}
	text, err := os.ReadFile(pytorchFile("logits.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	const pixels = 8 * 8
	images := make([][]float32, 2) // [8,8,3]
	for i := range images {
		images[i] = make([]float32, 3*pixels)
		for c := range 3 {
			for p := range pixels {
				images[i][3*p+c] = float32(golden.Images[(3*i+c)*pixels+p])
			}
		}
	}
	for _, tt := range []struct {
		file, network string
		state         checkpoint.TrainState
	}{
		{"resnet20.pth.tar", "recu-resnet20", checkpoint.TrainState{Epoch: 600, BestTop1: 87.5}},
		{"resnet20-legacy.pth.tar", "recu-resnet20", checkpoint.TrainState{Epoch: 600, BestTop1: 87.5}},
		{"resnet20-oldest.tar", "recu-resnet20", checkpoint.TrainState{}},
		{"resnet18.pth", "recu-resnet18", checkpoint.TrainState{}},
		{"vggsmall.pth", "recu-vggsmall", checkpoint.TrainState{}},
	} {
		path := pytorchFile(tt.file)
		if is, err := checkpoint.IsPyTorch(path); err != nil || !is {
			t.Errorf("%s: IsPyTorch is %v, %v", tt.file, is, err)
		}
		ck, err := checkpoint.Import(path, importConfig())
		if err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		c := importConfig()
		c.Network = tt.network
		if again, err := checkpoint.Import(path, c); err != nil || again.Net.Name != tt.network || ck.Net.Name != tt.network {
			t.Errorf("%s: network %q, want %q; asked for: %v", tt.file, ck.Net.Name, tt.network, err)
		}
		if ck.State != tt.state || ck.Dataset != "cifar10" || len(ck.Classes) != 10 {
			t.Errorf("%s: state %+v, data set %q, %d classes, want %+v", tt.file, ck.State, ck.Dataset, len(ck.Classes), tt.state)
		}
		f, err := model.Freeze(ck.Net, ck.Weights)
		if err != nil {
			t.Fatal(err)
		}
		want := golden.Logits[tt.file]
		for i, image := range images {
			got, err := f.Forward(image)
			if err != nil {
				t.Fatal(err)
			}
			for j, x := range got {
				if w := want[10*i+j]; math.Abs(float64(x)-w) > 1e-4*max(1, math.Abs(w)) {
					t.Errorf("%s: image %d: logit %d is %v, PyTorch says %v", tt.file, i, j, x, w)
				}
			}
		}
		if err := checkpoint.Save(filepath.Join(t.TempDir(), "x.safetensors"), ck); err != nil {
			t.Errorf("%s: saving it as one of ours: %v", tt.file, err)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	with := func(change func(c *checkpoint.ImportConfig)) checkpoint.ImportConfig {
		c := importConfig()
		change(&c)
		return c
	}
	for _, tt := range []struct {
		file string
		c    checkpoint.ImportConfig
		want string
	}{
		{"resnet20.pth.tar", with(func(c *checkpoint.ImportConfig) { c.Network = "recu-vggsmall" }),
			`network "recu-vggsmall" needs the tensor "conv0.weight", which is missing`},
		{"resnet18.pth", with(func(c *checkpoint.ImportConfig) { c.Network = "recu-resnet20" }),
			`tensor "bn2.weight" is [16], network "recu-resnet20" wants [8]`},
		{"resnet20.pth.tar", with(func(c *checkpoint.ImportConfig) { c.Network = "resnet20" }), `unknown network "resnet20", did you mean "recu-resnet20"?`},
		{"vggsmall.pth", with(func(c *checkpoint.ImportConfig) { c.Preprocess.H, c.Preprocess.W = 16, 16 }),
			`tensor "fc.weight" is [10 16], network "recu-vggsmall" wants [10 64]`},
		{"resnet20.pth.tar", with(func(c *checkpoint.ImportConfig) { c.Classes = c.Classes[1:] }), `classes: 9 names, network "recu-resnet20" has 10 logits`},
		{"module.pth", importConfig(), `class "torch.nn.modules.linear.Linear" is not allowed`},
		{"foreign-class.pth", importConfig(), `class "datetime.date" is not allowed`},
		{"logits.json", importConfig(), `not a file of torch.save`},
	} {
		_, err := checkpoint.Import(pytorchFile(tt.file), tt.c)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.file) {
			t.Errorf("%s: error %v, want one with %q and the file's name", tt.file, err, tt.want)
		}
	}
	if _, err := checkpoint.Import(filepath.Join(t.TempDir(), "none.pth"), importConfig()); err == nil {
		t.Error("a file that does not exist: no error")
	}
	if is, err := checkpoint.IsPyTorch(pytorchFile("make.py")); err != nil || is {
		t.Errorf("make.py: IsPyTorch is %v, %v", is, err)
	}
}

// TestImportDamaged flips bits and cuts files of each format. A zip archive has checksums for the tensors; the
// others have none, so that a flipped bit in a number goes unnoticed, but nothing panics.
func TestImportDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pth")
	importBytes := func(b []byte) error {
		t.Helper()
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := checkpoint.Import(path, importConfig())
		return err
	}
	for _, file := range []string{"vggsmall.pth", "resnet20-legacy.pth.tar", "resnet20-oldest.tar"} {
		good, err := os.ReadFile(pytorchFile(file))
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(good); n += 997 {
			if err := importBytes(good[:n]); err == nil && n < len(good)-10240 { // a tar archive ends in empty blocks
				t.Errorf("%s cut to %d of %d bytes is read", file, n, len(good))
			}
			b := bytes.Clone(good)
			b[n] ^= 1 << (n % 8)
			importBytes(b)
		}
	}
	z, err := os.ReadFile(pytorchFile("vggsmall.pth"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(z), int64(len(z)))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range r.File {
		at, err := entry.DataOffset()
		if err != nil {
			t.Fatal(err)
		}
		if entry.UncompressedSize64 < 16 || !strings.Contains(entry.Name, "/data/") {
			continue // not part of the network
		}
		b := bytes.Clone(z)
		b[at+5] ^= 1
		if err := importBytes(b); err == nil || !strings.Contains(err.Error(), "checksum mismatch: expected crc32") {
			t.Errorf("%s is damaged: error %v, want a checksum mismatch", entry.Name, err)
		}
	}
}

// TestImportRewrittenZip: an archive that a zip program has packed again is refused by name.
func TestImportRewrittenZip(t *testing.T) {
	raw, err := os.ReadFile(pytorchFile("resnet18.pth"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, entry := range r.File {
		in, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		packed, err := w.Create(entry.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(packed, in); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	path := filepath.Join(t.TempDir(), "x.pth")
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = checkpoint.Import(path, importConfig())
	if err == nil || !strings.Contains(err.Error(), "the entry is compressed, PyTorch's are not") {
		t.Errorf("error %v, want one about compression", err)
	}
}

// hostilePickles are pickles that would hang, panic, fill the memory or call something, with what their error says.
var hostilePickles = []struct{ name, pickle, want string }{
	{"os.system", "\x80\x02cos\nsystem\n(X\x02\x00\x00\x00lstR.", `class "os.system" is not allowed`},
	{"eval", "\x80\x02c__builtin__\neval\n(X\x01\x00\x00\x001tR.", `class "__builtin__.eval" is not allowed`},
	{"an object of a class that gopickle knows", "\x80\x02ccopy_reg\n_reconstructor\n)R.", `class "copy_reg._reconstructor" is not allowed`},
	{"protocol 4", "\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "protocol 4 is not supported"},
	{"a frame of exabytes", "\x80\x02\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "operation 0x95 is not one that PyTorch writes"},
	{"a string of 4 GB", "\x80\x02X\xff\xff\xff\xff.", "a string of 4294967295 bytes"},
	{"bytes of 2^63", "\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "operation 0x8e is not"},
	{"an integer of 2 GB", "\x80\x02\x8b\xff\xff\xff\x7f.", "operation 0x8b is not"},
	{"an integer of no bytes", "\x80\x02\x8a\x00.", "an integer of no bytes"},
	{"opcode 255", "\x80\x02\xff.", "operation 0xff is not"},
	{"an odd dictionary", "\x80\x02}(K\x01u.", "the pickle is malformed: runtime error: index out of range"},
	{"a text opcode", "\x80\x02I99999999999999999999\n.", "operation 0x49 is not"},
	{"an empty stack", "\x80\x02R.", "the pickle is malformed: the stack is empty"},
	{"marks without end", "\x80\x02" + strings.Repeat("(", 1<<20) + ".", "more than 65536 objects"},
	{"dictionaries without end", "\x80\x02" + strings.Repeat("}0", 1<<20) + ".", "operation 0x30 is not"},
	{"no end", "\x80\x02" + strings.Repeat("N", 1<<10), "the pickle has no end"},
	{"a long name", "\x80\x02c" + strings.Repeat("x", 1<<10) + "\n\n.", "the name of a class has no end within 128 bytes"},
	{"no storage", "\x80\x02U\x05wordsQ.", "a persistent identifier that is no storage"},
	{"a module", "\x80\x02(X\x06\x00\x00\x00moduleNNNtQ.", "the file holds a whole model, whose code cannot be run"},
	{"a list", "\x80\x02].", "the file holds no dictionary"},
	{"a number", "\x80\x02}X\x01\x00\x00\x00aK\x01s.", `"a" is no tensor`},
	{"a list that holds itself", "\x80\x02]q\x00h\x00aq\x01h\x01a.", "the file holds no dictionary"},
	{"a tensor of a number", tensorPickle("K\x01", "K\x00", "K\x02", "K\x01"), "a tensor whose first argument is no storage"},
	{"a tensor beyond its storage", tensorPickle(storagePickle, "K\x00", "K\x05", "K\x01"), "a tensor of shape [5] in a storage of 4 elements"},
	{"a stride beyond it", tensorPickle(storagePickle, "K\x00", "K\x03", "K\x02"), "a tensor of shape [3] with strides [2] from element 0 reaches beyond its storage of 4"},
	{"an offset beyond it", tensorPickle(storagePickle, "K\x04", "K\x01", "K\x01"), "a tensor of shape [1] with strides [1] from element 4 reaches beyond its storage of 4"},
	{"strides that overflow", tensorPickle(storagePickle, "K\x00", "K\x04", "J\xff\xff\xff\x7f"), "reaches beyond its storage of 4"},
	{"a negative stride", tensorPickle(storagePickle, "K\x00", "K\x01", "J\xff\xff\xff\xff"), "the strides of a tensor: -1, want 0..2147483647"},
	{"a stride of 2^80", tensorPickle(storagePickle, "K\x00", "K\x01", "\x8a\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), "the strides of a tensor: an integer of 81 bits"},
	{"a shape of 2^31 from 4", tensorPickle(storagePickle, "K\x00", "J\xff\xff\xff\x7f", "K\x00"), "a tensor of shape [2147483647] in a storage of 4 elements"},
}

// storagePickle makes a storage of four float32.
const storagePickle = "(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04tQ"

// tensorPickle makes a dictionary with a tensor called conv1.weight.
func tensorPickle(storage, offset, size, stride string) string {
	return "\x80\x02}U\x0cconv1.weightctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + size + "\x85" + stride + "\x85\x89}tRs."
}

// zipFile returns a file of torch.save with a pickle and a storage of four float32.
func zipFile(t testing.TB, pickle string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, data := range map[string]string{"archive/data.pkl": pickle, "archive/data/0": strings.Repeat("\x00", 16)} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestImportHostile reads small files that ask for much, call something or make no sense.
func TestImportHostile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pth")
	for _, tt := range hostilePickles {
		b := zipFile(t, tt.pickle)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		c := importConfig()
		c.Network = "recu-resnet20"
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := checkpoint.Import(path, c)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 1000 {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(2<<20+8*len(b)); got > most {
			t.Errorf("%s: a file of %d bytes made Import allocate %d, want at most %d", tt.name, len(b), got, most)
		}
	}
}

// TestImportManyObjects bounds the memory of the objects that are allowed.
func TestImportManyObjects(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pth")
	for _, objects := range []string{"(", "}", "]", ")", "ccollections\nOrderedDict\n)R"} {
		n := 65000 / strings.Count(objects+"(", "(")
		if len(objects) > 1 {
			n = 30000
		}
		b := zipFile(t, "\x80\x02"+strings.Repeat(objects, n)+".")
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := checkpoint.Import(path, importConfig())
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(48<<20); got > most {
			t.Errorf("%d times %q: %d bytes allocated, want at most %d (%v)", n, objects, got, most, err)
		}
	}
}

func FuzzImport(f *testing.F) {
	for _, file := range []string{"vggsmall.pth", "resnet20-legacy.pth.tar", "resnet20-oldest.tar"} {
		b, err := os.ReadFile(pytorchFile(file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, h := range hostilePickles {
		if len(h.pickle) < 1<<12 {
			f.Add(zipFile(f, h.pickle))
		}
	}
	path := filepath.Join(f.TempDir(), "x.pth")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		ck, err := checkpoint.Import(path, importConfig())
		if err != nil {
			return
		}
		if err := ck.Weights.Check(ck.Net); err != nil {
			t.Errorf("an imported network is not complete: %v", err)
		}
	})
}

// FuzzPickle feeds pickles in an archive whose checksums are right.
func FuzzPickle(f *testing.F) {
	for _, h := range hostilePickles {
		if len(h.pickle) < 1<<12 {
			f.Add([]byte(h.pickle))
		}
	}
	path := filepath.Join(f.TempDir(), "x.pth")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, zipFile(t, string(b)), 0o644); err != nil {
			t.Fatal(err)
		}
		if ck, err := checkpoint.Import(path, importConfig()); err == nil && !slices.Contains(model.Names(), ck.Net.Name) {
			t.Errorf("imported a network called %q", ck.Net.Name)
		}
	})
}
