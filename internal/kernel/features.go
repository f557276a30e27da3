package kernel

import "slices"

// Feature is an extension of the processor's instruction set, as Linux names it, and whether this machine has it.
type Feature struct {
	Name string
	Has  bool
}

// candidate is a tier that this program has assembly for.
type candidate struct {
	name  string
	make  func() *tier
	needs []Feature
	uses  string
}

// missing returns the features that the machine lacks.
func (c *candidate) missing() []string {
	var names []string
	for _, f := range c.needs {
		if !f.Has {
			names = append(names, f.Name)
		}
	}
	return names
}

// detect returns the tiers that the machine has.
func detect() []*tier {
	list := []*tier{{name: Generic}}
	for _, c := range candidates() {
		if len(c.missing()) == 0 {
			list = append(list, c.make())
		}
	}
	return list
}

// TierInfo describes a tier that this program has.
type TierInfo struct {
	Name    string
	Uses    string   // how it computes
	Missing []string // features that it needs and the machine lacks
	Active  bool     // it is the one in use
	Asked   bool     // BNNTOOL_KERNELS names it
}

// Describe returns the tiers that this program has for this kind of processor, plain Go first and the best last. The best
// without Missing is in use, unless the environment variable BNNTOOL_KERNELS names another.
func Describe() []TierInfo {
	list := []TierInfo{{Name: Generic, Uses: "plain Go"}}
	for _, c := range candidates() {
		list = append(list, TierInfo{Name: c.name, Uses: c.uses, Missing: c.missing()})
	}
	i := slices.IndexFunc(list, func(t TierInfo) bool { return t.Name == active.name })
	list[i].Active, list[i].Asked = true, forcedTier() == active.name
	return list
}
