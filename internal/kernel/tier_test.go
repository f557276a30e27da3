package kernel

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// eachTier runs a test on every tier of the machine.
func eachTier(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	before := active
	defer func() { active = before }()
	for _, tier := range available {
		active = tier
		t.Run(tier.name, test)
	}
}

// sameOnTiers runs compute, which returns named results, on every tier and holds them against plain Go bit for bit.
func sameOnTiers(t *testing.T, compute func() map[string][]float32) {
	t.Helper()
	var want map[string][]float32
	eachTier(t, func(t *testing.T) {
		got := compute()
		if want == nil {
			want = got
			return
		}
		for name, w := range want {
			g := got[name]
			for i := range w {
				if g[i] != w[i] {
					t.Fatalf("%s %d is %v, plain Go gives %v", name, i, g[i], w[i])
				}
			}
		}
	})
}

// TestGradientsAreTheSameOnTiers: bit for bit, for real operands.
func TestGradientsAreTheSameOnTiers(t *testing.T) {
	for _, g := range geometries {
		rng := rand.New(rand.NewPCG(3, 4))
		x, w, dy := normals(rng, g.InLen()), normals(rng, g.FilterLen()), normals(rng, g.OutLen())
		t.Run(g.name(), func(t *testing.T) {
			sameOnTiers(t, func() map[string][]float32 {
				const canary = 12345
				wt, dx, dw := make([]float32, g.FilterLen()), make([]float32, g.InLen()+16), make([]float32, g.FilterLen()+16)
				for i := range 16 {
					dx[g.InLen()+i], dw[g.FilterLen()+i] = canary, canary
				}
				FiltersForGradInput(wt, w, g)
				input, filters := make([]float32, GradInputScratch(g)), make([]float32, GradFiltersScratch(g))
				for range 2 { // the second time over used scratch
					ConvGradInput(dx[:g.InLen()], dy, wt, input, g)
					ConvGradFilters(dw[:g.FilterLen()], dy, x, filters, g)
				}
				for i := range 16 {
					if dx[g.InLen()+i] != canary || dw[g.FilterLen()+i] != canary {
						t.Fatal("wrote behind the output")
					}
				}
				return map[string][]float32{"dx": dx, "dw": dw}
			})
		})
	}
}

// TestBestTierIsSelected fails where a tier that the machine has is not the one in use, unless the user chose another.
func TestBestTierIsSelected(t *testing.T) {
	name, err := Tier()
	if forced := os.Getenv("BNNTOOL_KERNELS"); forced != "" {
		if err != nil || name != forced {
			t.Errorf("tier %q (%v), BNNTOOL_KERNELS asks for %q", name, err, forced)
		}
		return
	}
	if tiers := Tiers(); err != nil || name != tiers[len(tiers)-1] {
		t.Errorf("tier %q (%v), the machine has %q", name, err, tiers)
	}
}

func TestChooseTier(t *testing.T) {
	if got, err := choose("mmx"); err == nil || got.name != Generic {
		t.Errorf("choose(mmx) = %s, %v; want generic and an error", got.name, err)
	}
	for _, want := range available {
		if got, err := choose(want.name); err != nil || got != want {
			t.Errorf("choose(%s) = %s, %v", want.name, got.name, err)
		}
	}
}

// TestAssemblyKeepsToItsTier looks for what the assembler would accept but the tier's machines would not, or only at a
// great loss: registers beyond 15 and opmasks in AVX2 code, legacy SSE instructions among AVX ones.
func TestAssemblyKeepsToItsTier(t *testing.T) {
	legacy := regexp.MustCompile(`(?m)^\t(MOVSS|MOVSD|MOVUPS|MOVAPS|MOVO[AU]|XORPS|PXOR|ADDPS|MULPS|MOV[QDL]\s+[^,]*, X[0-9]|MOV[QDL]\s+X[0-9])`)
	beyond := regexp.MustCompile(`\b([XYZ](1[6-9]|2[0-9]|3[01])|Z[0-9]+|K[0-7])\b`)
	for tier, forbidden := range map[string][]*regexp.Regexp{"avx2": {legacy, beyond}, "avx512": {legacy}} {
		files, err := filepath.Glob(tier + "/*.s")
		if err != nil || len(files) == 0 {
			t.Fatalf("no assembly of %s: %v", tier, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, re := range forbidden {
				if m := re.Find(data); m != nil {
					t.Errorf("%s has %q", file, m)
				}
			}
		}
	}
	if !slices.Contains(Tiers(), Generic) {
		t.Error("no generic tier")
	}
}
