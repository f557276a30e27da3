package datasets

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// picture returns a PNG of w×h pixels, all of the colour v,v,v+1.
func picture(t testing.TB, w, h int, v byte) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.SetNRGBA(i%w, i/w, color.NRGBA{v, v, v + 1, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegPicture(t testing.TB, w, h int, v byte) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = v
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pets is a set of two classes: three cats and one dog to train, one of each to test.
func pets(t testing.TB) []file {
	return []file{
		{"train/dog/a.png", picture(t, 8, 8, 50)},
		{"train/cat/c.png", picture(t, 32, 32, 30)},
		{"train/cat/a.JPEG", jpegPicture(t, 50, 40, 10)},
		{"train/cat/b.jpg", picture(t, 4, 4, 20)}, // what a file is, its bytes say
		{"test/cat/x.png", picture(t, 9, 3, 60)},
		{"test/dog/y.png", picture(t, 3, 9, 70)},
	}
}

func makeZip(t testing.TB, files []file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		e, err := w.Create(f.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// under returns files in a folder.
func under(dir string, files []file) []file {
	var all []file
	for _, f := range files {
		all = append(all, file{path.Join(dir, f.name), f.data})
	}
	return all
}

func TestImageFolder(t *testing.T) {
	var val []file
	for _, f := range pets(t) {
		val = append(val, file{strings.Replace(f.name, "test/", "val/", 1), f.data})
	}
	nested := append(pets(t)[1:], file{"train/dog/images/deep/a.png", picture(t, 8, 8, 50)})
	for _, tt := range []struct{ name, dir string }{
		{"folder", writeFolder(t, t.TempDir(), pets(t))},
		{"zip", writeFile(t, "pets.zip", makeZip(t, pets(t)))},
		{"folder in a folder", writeFolder(t, t.TempDir(), under("pets", pets(t)))},
		{"folder in a zip", writeFile(t, "pets.zip", makeZip(t, under("pets", pets(t))))},
		{"val", writeFolder(t, t.TempDir(), val)},
		{"folders in a class", writeFolder(t, t.TempDir(), nested)},
		{"left-overs", writeFile(t, "pets.zip", makeZip(t, append(pets(t), file{"__MACOSX/train/cat/._a.png", nil},
			file{"train/.DS_Store", nil}, file{"train/cat/.hidden.png", nil}, file{"train/.ipynb_checkpoints/a.png", nil})))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := mustOpen(t, Config{Name: ImageFolder, Dir: tt.dir}, Options{})
			if want := []string{"cat", "dog"}; !slices.Equal(d.Classes, want) {
				t.Errorf("classes %q, want %q", d.Classes, want)
			}
			if p := d.Preprocess; p.H != 32 || p.W != 32 || p.C != 3 || p.Validate() != nil {
				t.Errorf("preprocessing %+v, want 32x32 RGB", p)
			}
			if len(d.Notes) != 0 {
				t.Errorf("notes %q, want none", d.Notes)
			}
			// By turns: cat a, dog a, cat b, cat c.
			var got []string
			for _, s := range []*Split{d.Train, d.Test} {
				pixels := make([]byte, 32*32*3)
				for i := range s.Len() {
					if err := s.Pixels(i, pixels); err != nil {
						t.Fatal(err)
					}
					got = append(got, fmt.Sprintf("%s %d", d.Classes[s.Label(i)], pixels[0]))
				}
			}
			if want := "cat 10,dog 50,cat 20,cat 30,cat 60,dog 70"; strings.Join(got, ",") != want {
				t.Errorf("records %q, want %q", got, want)
			}
		})
	}
}

func TestImageFolderSizeAndLimit(t *testing.T) {
	dir := writeFolder(t, t.TempDir(), pets(t))
	d := mustOpen(t, Config{Name: ImageFolder, Dir: dir, Size: 8, LimitTrain: 2}, Options{})
	if d.Train.Len() != 2 || d.Train.Label(0) != 0 || d.Train.Label(1) != 1 {
		t.Errorf("the first two records are not of both classes: %d records", d.Train.Len())
	}
	l := NewLoader(d.Train, d.Preprocess, LoaderConfig{Batch: 2})
	b := epoch(t, l, 0, 0)[0]
	want := make([]float32, 8*8*3)
	pixels := bytes.Repeat([]byte{50, 50, 51}, 64)
	d.Preprocess.Normalize(want, pixels)
	if !slices.Equal(b.Images[8*8*3:], want) {
		t.Error("an 8x8 picture did not come byte for byte")
	}
}

func TestImageFolderNotes(t *testing.T) {
	dir := writeFolder(t, t.TempDir(), append(pets(t), file{"train/cat/notes.txt", nil}, file{"train/labels.csv", nil}, file{"test/dog/z.gif", nil}))
	d := mustOpen(t, Config{Name: ImageFolder, Dir: dir}, Options{})
	want := []string{"ignored 3 files that are not .png, .jpg or .jpeg: train/cat/notes.txt, train/labels.csv, test/dog/z.gif"}
	if !slices.Equal(d.Notes, want) || d.Train.Len() != 4 {
		t.Errorf("notes %q and %d records, want %q and 4", d.Notes, d.Train.Len(), want)
	}
}

func TestImageFolderFaults(t *testing.T) {
	with := func(f ...file) []file { return append(pets(t), f...) }
	without := func(prefix string) []file {
		return slices.DeleteFunc(pets(t), func(f file) bool { return strings.HasPrefix(f.name, prefix) })
	}
	for _, tt := range []struct {
		name  string
		files []file
		want  string
	}{
		{"nothing", []file{{"readme", nil}}, "no train/, want train/CLASS/* and test/CLASS/*"},
		{"no train", without("train"), "no train/, want"},
		{"no test", without("test"), "train/ is there, but neither test/ nor val/"},
		{"no classes", append(without("train"), file{"train/a.png", nil}), "train: no classes, want a folder for each"},
		{"class without a test", without("test/dog"), "test/dog: missing, want the same classes as in train"},
		{"class without training", without("train/dog"), "test/dog: train has no such class"},
		{"class without pictures", with(file{"train/emu/readme.txt", nil}), "train/emu: an empty class, want at least one .png"},
	} {
		for form, dir := range map[string]string{
			"folder": writeFolder(t, t.TempDir(), tt.files),
			"zip":    writeFile(t, "x.zip", makeZip(t, tt.files)),
		} {
			_, err := Open(context.Background(), Config{Name: ImageFolder, Dir: dir}, Options{})
			wantError(t, tt.name+", "+form, err, "datasets: imagefolder: "+dir+"|"+tt.want)
		}
	}
	_, err := Open(context.Background(), Config{Name: ImageFolder}, Options{CacheDir: t.TempDir()})
	wantError(t, "no data", err, "no data: give a folder or .zip")
	_, err = Open(context.Background(), Config{Name: ImageFolder, Dir: "/nothing/here"}, Options{})
	wantError(t, "no folder", err, "/nothing/here: no such file")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Open(ctx, Config{Name: ImageFolder, Dir: writeFolder(t, t.TempDir(), pets(t))}, Options{})
	wantError(t, "cancelled", err, context.Canceled.Error())
}

// A picture that does not decode is an error where it is read, with its name and record.
func TestImageFolderBadPicture(t *testing.T) {
	good := picture(t, 8, 8, 1)
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "is empty"},
		{"text", []byte("not a picture"), "neither a PNG nor a JPEG: the file starts with 6e 6f 74"},
		{"half", good[:len(good)/2], "PNG"},
	} {
		files := append(pets(t), file{"train/dog/b.png", tt.data})
		for form, dir := range map[string]string{
			"folder": writeFolder(t, t.TempDir(), files),
			"zip":    writeFile(t, "x.zip", makeZip(t, files)),
		} {
			d := mustOpen(t, Config{Name: ImageFolder, Dir: dir}, Options{})
			s := NewLoader(d.Train, d.Preprocess, LoaderConfig{Batch: 1}).Epoch(context.Background(), 0, 0)
			var err error
			n := 0
			for ; err == nil; n++ {
				_, err = s.Next()
			}
			wantError(t, tt.name+", "+form, err, "datasets: "+filepath.Join(dir, "train", "dog", "b.png")+" (record 3): |"+tt.want)
			if n != 4 {
				t.Errorf("%s, %s: the error came at batch %d, want 3", tt.name, form, n-1)
			}
		}
	}
}

func TestImageFolderZipFaults(t *testing.T) {
	good := makeZip(t, pets(t))
	flipped := bytes.Clone(good)
	// The first entry's bytes follow its header of 30 bytes, its name and, written so, no more.
	flipped[30+len("train/dog/a.png")+20] ^= 1
	var bomb bytes.Buffer
	w := zip.NewWriter(&bomb)
	e, err := w.Create("train/cat/a.png")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(e, zeros{}, maxPictureFile+1); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var link bytes.Buffer
	w = zip.NewWriter(&link)
	for _, f := range pets(t) {
		h := &zip.FileHeader{Name: f.name}
		if f.name == "train/dog/a.png" {
			h.SetMode(fs.ModeSymlink | 0o777)
			f.data = []byte("/etc/passwd")
		}
		e, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"half", good[:len(good)/2], "x.zip: not a .zip, or cut short"},
		{"empty", nil, "x.zip: not a .zip"},
		{"text", []byte("hello"), "x.zip: not a .zip"},
		{"way out", makeZip(t, append(pets(t), file{"../../train/cat/a.png", nil})), `entry 6: the name "../../train/cat/a.png" leads out of the archive`},
		{"absolute", makeZip(t, append(pets(t), file{"/train/cat/z.png", nil})), `entry 6: the name "/train/cat/z.png"`},
		{"backslash", makeZip(t, append(pets(t), file{`train\cat\z.png`, nil})), `entry 6: the name "train\\cat\\z.png"`},
		{"twice", makeZip(t, append(pets(t), pets(t)[2])), `entry 6: a second "train/cat/a.JPEG"`},
		{"bomb", bomb.Bytes(), "entry 0: train/cat/a.png unpacks to 67108865 bytes, want at most 67108864"},
		{"link", link.Bytes(), "train/dog/a.png: not a regular file"},
	} {
		_, err := Open(context.Background(), Config{Name: ImageFolder, Dir: writeFile(t, "x.zip", tt.data)}, Options{})
		wantError(t, tt.name, err, tt.want)
	}
	d := mustOpen(t, Config{Name: ImageFolder, Dir: writeFile(t, "x.zip", flipped)}, Options{})
	if err := d.Train.Pixels(1, make([]byte, 32*32*3)); err == nil || !strings.Contains(err.Error(), "train/dog/a.png (record 1)") {
		t.Errorf("a flipped bit: got %v, want an error that names train/dog/a.png, record 1", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Links in a folder are followed, but not round and round; what is no file at all is an error.
func TestImageFolderLinks(t *testing.T) {
	dir, store := writeFolder(t, t.TempDir(), pets(t)), writeFolder(t, t.TempDir(), []file{{"emu/e.png", picture(t, 8, 8, 90)}})
	link := func(from, to string) {
		t.Helper()
		if err := os.Symlink(from, filepath.Join(dir, filepath.FromSlash(to))); err != nil {
			t.Skipf("no links here: %v", err)
		}
	}
	link(filepath.Join(store, "emu"), "train/emu")
	link(filepath.Join(store, "emu"), "test/emu")
	link(filepath.Join(store, "emu", "e.png"), "train/dog/e.png")
	d := mustOpen(t, Config{Name: ImageFolder, Dir: dir}, Options{})
	if len(d.Classes) != 3 || d.Train.Len() != 6 {
		t.Errorf("%d classes and %d records, want 3 and 6", len(d.Classes), d.Train.Len())
	}
	link(filepath.Join(dir, "train", "dog"), "train/dog/dog")
	_, err := Open(context.Background(), Config{Name: ImageFolder, Dir: dir}, Options{})
	wantError(t, "a link back", err, "more than 8 folders in one another: does a link lead back?")
	if err := os.Remove(filepath.Join(dir, "train", "dog", "dog")); err != nil {
		t.Fatal(err)
	}
	link(filepath.Join(store, "nothing"), "train/dog/n.png")
	_, err = Open(context.Background(), Config{Name: ImageFolder, Dir: dir}, Options{})
	wantError(t, "a link to nothing", err, "train/dog/n.png: no such file")
}

// The samples of CIFAR-10 decode, and those in PNG equal the records of the real set, where that is there.
func TestImageFolderSamples(t *testing.T) {
	for _, kind := range []string{"png", "jpeg"} {
		t.Run(kind, func(t *testing.T) {
			// The folder is beside the module's.
			sample := filepath.Join("..", "..", "shared", "data", "cifar10", "imagefolder-"+kind+"-sample.zip")
			if _, err := os.Stat(sample); errors.Is(err, fs.ErrNotExist) {
				t.Skipf("%s is not there", sample)
			}
			d := mustOpen(t, Config{Name: ImageFolder, Dir: sample}, Options{})
			if d.Train.Len() != 800 || d.Test.Len() != 200 || len(d.Classes) != 10 || len(d.Notes) != 0 {
				t.Fatalf("%d and %d records, classes %q, notes %q, want 800, 200, ten classes and no notes", d.Train.Len(), d.Test.Len(), d.Classes, d.Notes)
			}
			for _, s := range []*Split{d.Train, d.Test} {
				if n := NewLoader(s, d.Preprocess, LoaderConfig{Batch: 64, Workers: 2}).Batches(); len(epoch(t, NewLoader(s, d.Preprocess, LoaderConfig{Batch: 64, Workers: 2}), 0, 0)) != n {
					t.Errorf("not all %d batches came", n)
				}
			}
			if kind == "png" && os.Getenv("BNNTOOL_CIFAR10") != "" {
				compareSample(t, sample, mustOpen(t, Config{Name: CIFAR10, Dir: realCIFAR10(t)}, Options{}))
			}
		})
	}
}

// compareSample checks that train/CLASS/N.png is the N-th picture of its class, byte for byte.
func compareSample(t *testing.T, sample string, real *Dataset) {
	fsys, closeZip, err := openZip(sample)
	if err != nil {
		t.Fatal(err)
	}
	defer closeZip()
	p := pictures{ctx: context.Background(), path: sample, fsys: fsys}
	compared := 0
	for split, records := range map[string]*Split{"train": real.Train, "test": real.Test} {
		byClass := make([][]int, len(real.Classes))
		for i := range records.Len() {
			byClass[records.Label(i)] = append(byClass[records.Label(i)], i)
		}
		root, _, err := p.root()
		if err != nil {
			t.Fatal(err)
		}
		classes, files, err := p.split(path.Join(root, split))
		if err != nil {
			t.Fatal(err)
		}
		got, want := make([]byte, cifarPixels), make([]byte, cifarPixels)
		for c, class := range classes {
			label := slices.Index(real.Classes, class)
			for _, name := range files[c] {
				rank, err := strconv.Atoi(strings.TrimSuffix(path.Base(name), ".png"))
				if err != nil {
					t.Fatal(err)
				}
				if err := p.decode(name, real.Preprocess, got); err != nil {
					t.Fatal(err)
				}
				if err := records.Pixels(byClass[label][rank], want); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s is not record %d of %s", name, byClass[label][rank], split)
				}
				compared++
			}
		}
	}
	if compared != 1000 {
		t.Errorf("%d pictures compared, want 1000", compared)
	}
}

func BenchmarkImageFolder(b *testing.B) {
	var files []file
	for _, split := range []string{"train", "test"} {
		for i := range 128 {
			files = append(files, file{fmt.Sprintf("%s/a/%03d.png", split, i), picture(b, 32, 32, byte(i))})
		}
	}
	d := mustOpen(b, Config{Name: ImageFolder, Dir: writeFile(b, "x.zip", makeZip(b, files))}, Options{})
	l := NewLoader(d.Train, d.Preprocess, LoaderConfig{Batch: 128, Workers: 2})
	b.SetBytes(128 * 32 * 32 * 3) // of pixels
	for i := range b.N {
		s := l.Epoch(context.Background(), i, 0)
		if _, err := s.Next(); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
