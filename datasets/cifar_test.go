package datasets

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// kinds are the two CIFARs with the name of each.
var kinds = []struct {
	name string
	kind *cifar
}{{CIFAR10, &cifar10}, {CIFAR100, &cifar100}}

// checkSet compares an opened set with the bytes of its files, read here by the layout's description.
func checkSet(t *testing.T, k *cifar, d *Dataset, files []file) {
	t.Helper()
	size := len(k.labels) + cifarPixels
	var train, test []byte
	for _, name := range k.train {
		train = append(train, content(files, name)...)
	}
	test = content(files, k.test)
	for _, split := range []struct {
		name string
		s    *Split
		want []byte
	}{{"train", d.Train, train}, {"test", d.Test, test}} {
		if split.s.Len() != len(split.want)/size {
			t.Errorf("%s: %d records, want %d", split.name, split.s.Len(), len(split.want)/size)
			continue
		}
		got := make([]byte, cifarPixels)
		for i := range split.s.Len() {
			record := split.want[i*size:][:size]
			if err := split.s.Pixels(i, got); err != nil {
				t.Fatal(err)
			}
			if want := int(record[len(k.labels)-1]); split.s.Label(i) != want {
				t.Errorf("%s record %d: label %d, want %d", split.name, i, split.s.Label(i), want)
			}
			for y := range 32 {
				for x := range 32 {
					for c := range 3 {
						if g, w := got[(y*32+x)*3+c], record[len(k.labels)+c*1024+y*32+x]; g != w {
							t.Fatalf("%s record %d: row %d, column %d, channel %d is %d, want %d", split.name, i, y, x, c, g, w)
						}
					}
				}
			}
		}
	}
}

func content(files []file, name string) []byte {
	for _, f := range files {
		if f.name == name {
			return f.data
		}
	}
	return nil
}

// Every form in which a user may have a set opens, and gives the same.
func TestCIFARForms(t *testing.T) {
	for _, tt := range kinds {
		k := tt.kind
		files := k.makeFiles(7)
		archive := makeTar(t, k.folder, files)
		folder := t.TempDir()
		writeFolder(t, filepath.Join(folder, k.folder), files)
		gz := writeFile(t, k.archive, makeGzip(t, archive))
		for form, dir := range map[string]string{
			"tar.gz":                  gz,
			"tar.gz of another name":  writeFile(t, "mine.tgz", makeGzip(t, archive)),
			"tar":                     writeFile(t, "mine.tar", archive),
			"folder":                  filepath.Join(folder, k.folder),
			"parent of the folder":    folder,
			"folder with the tar.gz":  filepath.Dir(gz),
			"folder with a plain tar": filepath.Dir(writeFile(t, strings.TrimSuffix(k.archive, ".gz"), archive)),
		} {
			t.Run(tt.name+"/"+form, func(t *testing.T) {
				d := mustOpen(t, Config{Name: tt.name, Dir: dir}, Options{})
				checkSet(t, k, d, files)
				if !slices.Equal(d.Classes, k.names) {
					t.Errorf("classes %q, want %q", d.Classes, k.names)
				}
				want := "unverified: unpacked folder"
				if !strings.Contains(form, "folder") || strings.Contains(form, "with") {
					want = "unverified: md5 is "
				}
				if len(d.Notes) == 0 || !strings.HasPrefix(d.Notes[0], want) {
					t.Errorf("notes %q, want the first to start with %q", d.Notes, want)
				}
				if len(d.Notes) != 2+len(k.train) || !strings.Contains(d.Notes[1], "has 7 records, the official file has") {
					t.Errorf("notes %q, want one on the number of records for each file", d.Notes)
				}
			})
		}
	}
}

// The official file, whatever its bytes, has no note on its checksum; the same file damaged in the cache is an error.
func TestCIFARChecksum(t *testing.T) {
	k := cifar10
	data := makeGzip(t, makeTar(t, k.folder, k.makeFiles(2)))
	k.md5 = sumOf(data)
	cache := writeFolder(t, t.TempDir(), []file{{k.archive, data}})
	for _, c := range []Config{{}, {Dir: cache}, {Dir: filepath.Join(cache, k.archive)}} {
		d, err := openCIFAR(context.Background(), &k, c, Options{CacheDir: cache})
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(d.Notes, func(s string) bool { return strings.Contains(s, "md5") }) {
			t.Errorf("config %+v: the official file has the notes %q", c, d.Notes)
		}
	}
	k.md5 = strings.Repeat("0", 32)
	_, err := openCIFAR(context.Background(), &k, Config{}, Options{CacheDir: cache})
	wantError(t, "another file in the cache", err, "cifar-10-binary.tar.gz: its md5 is "+sumOf(data)+"|official file's is 0000|delete it")
	d, err := openCIFAR(context.Background(), &k, Config{Dir: cache}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "unverified: md5 is " + sumOf(data) + ", the official file's is " + k.md5; d.Notes[0] != want {
		t.Errorf("note %q, want %q", d.Notes[0], want)
	}
}

func TestCIFARNames(t *testing.T) {
	k := &cifar10
	files := k.makeFiles(1)
	for _, tt := range []struct{ name, text, want string }{
		{"own names", "a b c d e f g h i j", ""},
		{"too few", "a\nb\n", "batches.meta.txt: 2 class names, want 10"},
		{"double", "a\nb\nc\nd\ne\nf\ng\nh\na\nj\n", `batches.meta.txt: class 0 and class 8 have the same name "a"`},
		{"huge", strings.Repeat("a\n", 1<<16), "more than 65536 bytes"},
		{"none", "", ""},
	} {
		changed := slices.DeleteFunc(slices.Clone(files), func(f file) bool { return f.name == k.namesFile })
		want := k.names
		if tt.text != "" {
			changed = append(changed, file{k.namesFile, []byte(tt.text)})
			want = strings.Fields(tt.text)
		}
		d, err := Open(context.Background(), Config{Name: CIFAR10, Dir: writeFolder(t, t.TempDir(), changed)}, Options{})
		if tt.want != "" {
			wantError(t, tt.name, err, tt.want)
			continue
		}
		if err != nil || !slices.Equal(d.Classes, want) {
			t.Errorf("%s: classes %v, error %v, want %q", tt.name, d, err, want)
		}
	}
	for _, k := range kinds {
		names := slices.Clone(k.kind.names)
		slices.Sort(names)
		if n := k.kind.labels[len(k.kind.labels)-1]; len(slices.Compact(names)) != n {
			t.Errorf("%s: %d different names, want %d", k.name, len(slices.Compact(names)), n)
		}
	}
}

// Every fault in the files of a folder or archive names the file, the record and what was expected.
func TestCIFARFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		set    string
		change func(files []file) []file
		want   string
	}{
		{"label", CIFAR10, replace("data_batch_3.bin", func(b []byte) []byte { b[2*3073] = 10; return b }),
			"data_batch_3.bin: record 2 (at byte 6146): label 10, want 0..9"},
		{"label of the test", CIFAR10, replace("test_batch.bin", func(b []byte) []byte { b[0] = 255; return b }),
			"test_batch.bin: record 0 (at byte 0): label 255, want 0..9"},
		{"fine label", CIFAR100, replace("train.bin", func(b []byte) []byte { b[3074+1] = 100; return b }),
			"train.bin: record 1 (at byte 3075): label 100, want 0..99"},
		{"coarse label", CIFAR100, replace("test.bin", func(b []byte) []byte { b[3074] = 20; return b }),
			"test.bin: record 1 (at byte 3074): coarse label 20, want 0..19"},
		{"short record", CIFAR10, replace("data_batch_1.bin", func(b []byte) []byte { return b[:len(b)-5] }),
			"data_batch_1.bin: 9214 bytes are not a whole number of records of 3073 bytes: record 2 has only 3068: the file is cut short"},
		{"other records", CIFAR100, replace("train.bin", func(b []byte) []byte { return make([]byte, 3073*2) }),
			"train.bin: 6146 bytes are not a whole number of records of 3074 bytes"},
		{"empty", CIFAR10, replace("test_batch.bin", func(b []byte) []byte { return nil }),
			"test_batch.bin: the file is empty"},
		{"missing", CIFAR10, func(f []file) []file {
			return slices.DeleteFunc(f, func(f file) bool { return f.name == "data_batch_4.bin" })
		},
			"no data_batch_4.bin: want the binary version of CIFAR-10, cifar-10-binary.tar.gz"},
		{"no test", CIFAR100, func(f []file) []file { return slices.DeleteFunc(f, func(f file) bool { return f.name == "test.bin" }) },
			"no test.bin: want the binary version of CIFAR-100"},
	} {
		k := &cifar10
		if tt.set == CIFAR100 {
			k = &cifar100
		}
		files := tt.change(k.makeFiles(3))
		for form, dir := range map[string]string{
			"folder": writeFolder(t, t.TempDir(), files),
			"tar.gz": writeFile(t, "x.tar.gz", makeGzip(t, makeTar(t, k.folder, files))),
		} {
			_, err := Open(context.Background(), Config{Name: tt.set, Dir: dir}, Options{})
			wantError(t, tt.name+" in a "+form, err, "datasets: "+tt.set+": "+dir+"|"+tt.want)
		}
	}
}

func replace(name string, change func([]byte) []byte) func([]file) []file {
	return func(files []file) []file {
		for i, f := range files {
			if f.name == name {
				files[i].data = change(f.data)
			}
		}
		return files
	}
}

func TestCIFARArchiveFaults(t *testing.T) {
	k := &cifar10
	archive := makeTar(t, k.folder, k.makeFiles(3))
	gz := makeGzip(t, archive)
	flipped := bytes.Clone(gz)
	flipped[len(gz)/2] ^= 4
	sumFlipped := bytes.Clone(gz)
	sumFlipped[len(gz)-6] ^= 1
	twice := makeTar(t, k.folder, append(k.makeFiles(1), file{"data_batch_2.bin", k.makeRecords(1, 9)}))
	python := makeTar(t, "cifar-10-batches-py", []file{{"data_batch_1", []byte("pickle")}, {"batches.meta", nil}})
	parent := t.TempDir()
	if err := os.WriteFile(filepath.Join(parent, k.archive+".part"), gz[:100], 0o666); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, dir, want string }{
		{"half a tar.gz", writeFile(t, "a.tar.gz", gz[:len(gz)/2]), "a.tar.gz: |cut short|its md5 is " + sumOf(gz[:len(gz)/2]) + "|official cifar-10-binary.tar.gz has c32a1d4a|download it again"},
		{"all but the last byte", writeFile(t, "a.tar.gz", gz[:len(gz)-1]), "a.tar.gz: the archive is cut short"},
		{"half a header", writeFile(t, "a.tar.gz", gz[:5]), "a.tar.gz: the archive is cut short"},
		{"half a tar", writeFile(t, "a.tar", archive[:len(archive)/2]), "a.tar: cifar-10-batches-bin/data_batch_|cut short"},
		{"flipped bit", writeFile(t, "a.tar.gz", flipped), "a.tar.gz: "},
		{"flipped checksum", writeFile(t, "a.tar.gz", sumFlipped), "a.tar.gz: damaged archive: gzip: invalid checksum"},
		{"empty file", writeFile(t, "a.tar.gz", nil), "a.tar.gz: the file is empty"},
		{"text", writeFile(t, "a.tar.gz", []byte("<html>404</html>")), "a.tar.gz: neither a .tar.gz nor a .tar: it starts with 3c 68 74 6d"},
		{"a file twice", writeFile(t, "a.tar", twice), "data_batch_2.bin: a second data_batch_2.bin, want one"},
		{"the python version", writeFile(t, "a.tar", python), "a.tar: no data_batch_1.bin: want the binary version of CIFAR-10"},
		{"the other CIFAR", writeFile(t, "a.tar", makeTar(t, cifar100.folder, cifar100.makeFiles(1))), "no data_batch_1.bin: want the binary version of CIFAR-10"},
		{"no such file", filepath.Join(t.TempDir(), "nothing"), "nothing: no such file"},
		{"empty folder", t.TempDir(), "neither data_batch_1.bin nor cifar-10-batches-bin nor cifar-10-binary.tar.gz is in this folder"},
		{"half a download", parent, "cifar-10-binary.tar.gz is only half downloaded"},
	} {
		_, err := Open(context.Background(), Config{Name: CIFAR10, Dir: tt.dir}, Options{})
		wantError(t, tt.name, err, tt.want)
	}
	_, err := Open(context.Background(), Config{Name: CIFAR10}, Options{})
	wantError(t, "no data, no cache", err, "no data: give the folder or the cifar-10-binary.tar.gz")
	_, err = Open(context.Background(), Config{Name: CIFAR10}, Options{CacheDir: t.TempDir()})
	wantError(t, "no data, empty cache", err, "no copy in |from https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz")
}

// A member whose header says more than the archive holds is not allocated for.
func TestCIFARLyingHeader(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "data_batch_1.bin", Size: 3073 * 80000, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	w.Write(make([]byte, 3073))
	dir := writeFile(t, "a.tar", b.Bytes())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Open(context.Background(), Config{Name: CIFAR10, Dir: dir}, Options{})
	runtime.ReadMemStats(&after)
	wantError(t, "lying header", err, "record 1 (at byte 3073) has 0 bytes, want 3073")
	allocated := after.TotalAlloc - before.TotalAlloc
	if allocated > 16<<20 {
		t.Errorf("%d bytes allocated for a file of %d", allocated, b.Len())
	}
	_, err = cifar10.parse(context.Background(), bytes.NewReader(nil), 1<<40)
	wantError(t, "a terabyte", err, "1099511627776 bytes, want at most")
}

func TestCIFARCancel(t *testing.T) {
	k := &cifar10
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for form, dir := range map[string]string{
		"folder": writeFolder(t, t.TempDir(), k.makeFiles(1)),
		"tar":    writeFile(t, "a.tar", makeTar(t, k.folder, k.makeFiles(1))),
	} {
		_, err := Open(ctx, Config{Name: CIFAR10, Dir: dir}, Options{})
		wantError(t, form, err, context.Canceled.Error())
	}
}

func FuzzCIFAR(f *testing.F) {
	f.Add(cifar10.makeRecords(2, 1), int64(2*3073), true)
	f.Add(cifar100.makeRecords(2, 1), int64(2*3074), false)
	f.Add([]byte{}, int64(0), true)
	f.Fuzz(func(t *testing.T, data []byte, size int64, ten bool) {
		k := &cifar100
		if ten {
			k = &cifar10
		}
		if size < 0 {
			return // no file has it
		}
		s, err := k.parse(context.Background(), bytes.NewReader(data), size)
		if err != nil {
			return
		}
		if want := size / int64(len(k.labels)+cifarPixels); int64(s.Len()) != want || len(s.records) != s.Len() {
			t.Errorf("%d labels and %d records of %d bytes, want %d", s.Len(), len(s.records), size, want)
		}
		for i, l := range s.labels {
			if int(l) >= k.labels[len(k.labels)-1] || len(s.records[i]) != cifarPixels {
				t.Errorf("record %d: label %d, %d bytes", i, l, len(s.records[i]))
			}
		}
	})
}

func FuzzArchive(f *testing.F) {
	archive := makeTar(f, "c", cifar10.makeFiles(1))
	f.Add(archive)
	f.Add(makeGzip(f, archive))
	f.Add(makeGzip(f, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := cifarSet{kind: &cifar10}
		if err := s.readTar(context.Background(), "f", newBuffered(data)); err == nil {
			s.dataset("f")
		}
	})
}

// The real set, by a folder or archive that BNNTOOL_CIFAR10 names: its size, classes and statistics are the published ones.
func TestCIFAR10Real(t *testing.T) {
	d := mustOpen(t, Config{Name: CIFAR10, Dir: realCIFAR10(t)}, Options{})
	if d.Train.Len() != 50000 || d.Test.Len() != 10000 {
		t.Fatalf("%d and %d records, want 50000 and 10000", d.Train.Len(), d.Test.Len())
	}
	if got, want := strings.Join(d.Classes, " "), "airplane automobile bird cat deer dog frog horse ship truck"; got != want {
		t.Errorf("classes %q, want %q", got, want)
	}
	for _, tt := range []struct {
		name      string
		s         *Split
		mean, std [3]float64
	}{
		{"train", d.Train, [3]float64{0.49140, 0.48216, 0.44653}, [3]float64{0.24703, 0.24348, 0.26159}},
		{"test", d.Test, [3]float64{0.49422, 0.48513, 0.45041}, [3]float64{0.24665, 0.24289, 0.26159}},
	} {
		var sum, squares [3]float64
		count := make([]int, 10)
		pixels := make([]byte, cifarPixels)
		for i := range tt.s.Len() {
			if err := tt.s.Pixels(i, pixels); err != nil {
				t.Fatal(err)
			}
			count[tt.s.Label(i)]++
			for j, p := range pixels {
				sum[j%3] += float64(p)
				squares[j%3] += float64(p) * float64(p)
			}
		}
		n := float64(tt.s.Len() * 1024)
		for c := range 3 {
			mean := sum[c] / n
			std := math.Sqrt(squares[c]/n - mean*mean)
			// The published figures have five decimals; the set may have a few pictures that are not pixel-exact.
			if math.Abs(mean/255-tt.mean[c]) > 2e-5 || math.Abs(std/255-tt.std[c]) > 2e-5 {
				t.Errorf("%s, channel %d: mean %.5f and std %.5f, want %.5f and %.5f", tt.name, c, mean/255, std/255, tt.mean[c], tt.std[c])
			}
		}
		for label, n := range count {
			if n != tt.s.Len()/10 {
				t.Errorf("%s: %d pictures of %s, want %d", tt.name, n, d.Classes[label], tt.s.Len()/10)
			}
		}
	}
}

// realCIFAR10 returns the path of the real set, or skips the test.
func realCIFAR10(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("BNNTOOL_CIFAR10")
	if dir == "" {
		t.Skip("BNNTOOL_CIFAR10 does not name the folder or archive of the real CIFAR-10")
	}
	if !filepath.IsAbs(dir) {
		t.Fatalf("BNNTOOL_CIFAR10 is %q, want an absolute path", dir)
	}
	return dir
}

func BenchmarkOpenCIFAR(b *testing.B) {
	k := &cifar10
	files := k.makeFiles(500)
	for form, dir := range map[string]string{
		"folder": writeFolder(b, b.TempDir(), files),
		"tar.gz": writeFile(b, "a.tar.gz", makeGzip(b, makeTar(b, k.folder, files))),
	} {
		b.Run(form, func(b *testing.B) {
			b.SetBytes(6 * 500 * 3073)
			for range b.N {
				if _, err := Open(context.Background(), Config{Name: CIFAR10, Dir: dir}, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Open downloads only what is not there and only if it may; what it fetched it reads.
func TestOpenDownloads(t *testing.T) {
	k := cifar10
	files := k.makeFiles(3)
	data := makeGzip(t, makeTar(t, k.folder, files))
	k.md5 = sumOf(data)
	o := Options{CacheDir: filepath.Join(t.TempDir(), "new"), BaseURL: "http://mirror/"}
	_, err := openCIFAR(context.Background(), &k, Config{}, o)
	wantError(t, "not allowed", err, "no copy in |download cifar-10-binary.tar.gz of CIFAR-10 from http://mirror/cifar-10-binary.tar.gz")
	var requests []string
	o.Fetch = func(_ context.Context, url, sum, dst string) error {
		requests = append(requests, url+" "+sum)
		if err := os.MkdirAll(filepath.Dir(dst), 0o777); err != nil {
			return err
		}
		return os.WriteFile(dst, data, 0o666)
	}
	for range 2 {
		d, err := openCIFAR(context.Background(), &k, Config{}, o)
		if err != nil {
			t.Fatal(err)
		}
		checkSet(t, &k, d, files)
	}
	want := "http://mirror/cifar-10-binary.tar.gz " + k.md5
	if len(requests) != 1 || requests[0] != want {
		t.Errorf("requests %q, want %q once", requests, want)
	}
	// A folder that the user names is never downloaded to.
	if _, err := openCIFAR(context.Background(), &k, Config{Dir: t.TempDir()}, o); err == nil || len(requests) != 1 {
		t.Errorf("an empty folder: error %v, %d requests, want an error and no request", err, len(requests)-1)
	}
	// The official checksum is what is asked for, and what is looked at.
	other := o
	other.CacheDir, other.BaseURL = t.TempDir(), ""
	_, err = Open(context.Background(), Config{Name: CIFAR10}, other)
	wantError(t, "not the official file", err, "datasets: cifar10: |md5 is "+k.md5+"|official file's is c32a1d4ab5d03f1284b67883e8d87530")
	if want := "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz c32a1d4ab5d03f1284b67883e8d87530"; requests[len(requests)-1] != want {
		t.Errorf("the last request is %q, want %q", requests[len(requests)-1], want)
	}
	// What a download says is what the user reads.
	other.CacheDir, other.Fetch = t.TempDir(), func(context.Context, string, string, string) error { return errors.New("no such host") }
	_, err = Open(context.Background(), Config{Name: CIFAR10}, other)
	wantError(t, "no network", err, "datasets: cifar10: no such host")
}
