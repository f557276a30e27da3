package expert_test

import (
	"testing"

	"github.com/bnntool/bnntool/runtime/expert"
)

// TestStates holds the states against the table that defines them.
func TestStates(t *testing.T) {
	z := expert.Sizes{Full: 20, SignMantissa: 10, Exponents: 3}
	for _, tt := range []struct {
		state                        expert.State
		letter                       string
		bytes                        int64
		readsSign, readsExp, decodes bool
		falls                        string // to which states
	}{
		{expert.Full, "F", 20, false, false, false, "MS"},
		{expert.Compressed, "C", 13, false, false, true, "MES"},
		{expert.SignMantissa, "S", 10, false, true, true, "M"},
		{expert.Exponents, "E", 3, true, false, true, "M"},
		{expert.Miss, "M", 0, true, true, true, ""},
	} {
		s := tt.state
		if s.String() != tt.letter || z.Of(s) != tt.bytes || s.ReadsSignMantissa() != tt.readsSign || s.ReadsExponents() != tt.readsExp || s.Decodes() != tt.decodes {
			t.Errorf("%v: %d bytes, reads signs %v, exponents %v, decodes %v, want %+v", s, z.Of(s), s.ReadsSignMantissa(), s.ReadsExponents(), s.Decodes(), tt)
		}
		falls := ""
		for to := expert.Miss; to <= expert.Full; to++ {
			if s.CanFall(to) {
				falls += to.String()
			}
		}
		if falls != tt.falls {
			t.Errorf("%v falls to %q, want %q", s, falls, tt.falls)
		}
	}
	n := expert.Slots{Full: 1, Compressed: 2, SignMantissa: 3, Exponents: 4}
	if n.Bytes(z) != 20+26+30+12 || n.Total() != 10 || n.String() != "1/2/3/4" || n.Of(expert.Miss) != 0 {
		t.Errorf("%v: %d bytes, %d in all", n, n.Bytes(z), n.Total())
	}
}
