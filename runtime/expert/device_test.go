package expert_test

import (
	"math"
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
)

func TestDeviceValidate(t *testing.T) {
	good := expert.Device{Disk: 1e9, DiskDepth: 8, Workers: 4, Copy: 1e9, Compute: 1e9, Coders: []expert.Coder{{Name: "x", Ratio: .4, Decode: 1e9}}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*expert.Device){
		func(d *expert.Device) { d.Disk = 0 },
		func(d *expert.Device) { d.Copy = -1 },
		func(d *expert.Device) { d.Compute = math.NaN() },
		func(d *expert.Device) { d.DiskLatency = -1 },
		func(d *expert.Device) { d.DiskDepth = 0 },
		func(d *expert.Device) { d.Workers = 0 },
		func(d *expert.Device) { d.Coders = []expert.Coder{{Ratio: 0, Decode: 1}} },
		func(d *expert.Device) { d.Coders = []expert.Coder{{Ratio: 1, Decode: 0}} },
	} {
		d := good
		if change(&d); d.Validate() == nil {
			t.Errorf("%+v: no error", d)
		}
	}
}
