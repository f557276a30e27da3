package kernel

import "golang.org/x/sys/cpu"

// Features returns the extensions that matter to neural networks.
func Features() []Feature {
	x := &cpu.X86
	return []Feature{
		{"popcnt", x.HasPOPCNT}, {"avx", x.HasAVX}, {"avx2", x.HasAVX2}, {"fma", x.HasFMA}, {"bmi2", x.HasBMI2},
		{"avx512f", x.HasAVX512F}, {"avx512bw", x.HasAVX512BW}, {"avx512dq", x.HasAVX512DQ}, {"avx512vl", x.HasAVX512VL},
		{"avx512_vpopcntdq", x.HasAVX512VPOPCNTDQ}, {"avx512_bitalg", x.HasAVX512BITALG}, {"avx512_vnni", x.HasAVX512VNNI},
		{"amx_tile", x.HasAMXTile}, {"amx_int8", x.HasAMXInt8}, {"amx_bf16", x.HasAMXBF16},
	}
}
