package convert

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files of this package")

func TestReport(t *testing.T) {
	ck := trained(t, networks(t)["rep2-vggsmall.json"], 1)
	r, err := Convert(t.Context(), ck, filepath.Join(t.TempDir(), "model.bnn"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var before int64
	for _, l := range r.Layers {
		before += l.BytesFloat32
		if l.Reason == "" {
			t.Errorf("layer %q: no reason", l.Name)
		}
	}
	if len(r.Layers) != len(ck.Net.Layers) || before != r.CheckpointBytes {
		t.Errorf("%d layers with %d bytes, want %d with %d", len(r.Layers), before, len(ck.Net.Layers), r.CheckpointBytes)
	}
	r.ArtifactBytes = 12345 // belongs to another package
	var got bytes.Buffer
	n, err := r.WriteTo(&got)
	if err != nil || n != int64(got.Len()) {
		t.Errorf("WriteTo = %d, %v, has written %d", n, err, got.Len())
	}
	const golden = "testdata/report.golden"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the report is\n%s\nwant (rewrite with -update)\n%s", got.Bytes(), want)
	}
}
