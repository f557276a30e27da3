package kernel

import "golang.org/x/sys/cpu"

// Features returns the extensions that matter to neural networks.
func Features() []Feature {
	x := &cpu.ARM64
	return []Feature{
		{"asimd", x.HasASIMD}, {"asimddp", x.HasASIMDDP}, {"asimdhp", x.HasASIMDHP}, {"i8mm", x.HasI8MM}, {"sve", x.HasSVE}, {"sve2", x.HasSVE2},
	}
}
