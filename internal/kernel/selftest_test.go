package kernel

import "testing"

// TestSelfTest: the checksums are those of plain Go, and every tier has them.
func TestSelfTest(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for i, c := range SelfTest() {
			if c.Err != nil {
				t.Errorf("%s: %v", c.Name, c.Err)
			}
			// A check that looked at nothing would always be right.
			if empty := (&check{run: func(*work) {}}).sum(); checks[i].want == empty {
				t.Errorf("%s: the checksum is that of nothing", c.Name)
			}
		}
	})
}

// TestSelfTestFinds: a tier that computes something else is found.
func TestSelfTestFinds(t *testing.T) {
	before := active
	defer func() { active = before }()
	wrong := *available[0]
	wrong.device.mean = []meanKernel{{1, func(dst, x *float32, pixels, step int, scale float32) { *dst = *x }}}
	active = &wrong
	failed := 0
	for _, c := range SelfTest() {
		if c.Err != nil {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d checks fail with a wrong mean, want 1", failed)
	}
}

func TestDescribe(t *testing.T) {
	list, active := Describe(), 0
	names := Tiers()
	for _, tier := range list {
		if tier.Active {
			active++
			if name, _ := Tier(); tier.Name != name {
				t.Errorf("%s is in use, Describe says %s", name, tier.Name)
			}
		}
		has := false
		for _, n := range names {
			has = has || n == tier.Name
		}
		if has != (len(tier.Missing) == 0) || tier.Uses == "" {
			t.Errorf("%+v, but the machine has %q", tier, names)
		}
	}
	if active != 1 {
		t.Errorf("%d tiers are in use, want 1", active)
	}
}
