//go:build amd64 && !purego

package kernel

import (
	"github.com/bnntool/bnntool/internal/kernel/avx2"
	"github.com/bnntool/bnntool/internal/kernel/avx512"
	"golang.org/x/sys/cpu"
)

// candidates are the tiers that have assembly for this processor's kind, the best last.
func candidates() []candidate {
	x := &cpu.X86
	return []candidate{
		{AVX2, avx2Tier, []Feature{{"avx2", x.HasAVX2}, {"fma", x.HasFMA}, {"bmi2", x.HasBMI2}},
			"1-bit convolutions by byte shuffles as tables, floats in vectors of 8"},
		{AVX512, avx512Tier, []Feature{{"avx512f", x.HasAVX512F}, {"avx512bw", x.HasAVX512BW}, {"avx512dq", x.HasAVX512DQ}, {"avx512vl", x.HasAVX512VL},
			{"avx512_vpopcntdq", x.HasAVX512VPOPCNTDQ}},
			"1-bit convolutions by population counts in vectors, floats in vectors of 16"},
	}
}

func avx2Tier() *tier {
	return &tier{
		name: AVX2, lanes: 8,
		tiles: tiles{
			conv: []convTile{{2, 4, avx2.ConvTile2x4}, {2, 1, avx2.ConvTile2x1}, {1, 8, avx2.ConvTile1x8}, {1, 1, avx2.ConvTile1x1}},
			grad: []gradTile{{4, 2, avx2.GradTile4x2}, {4, 1, avx2.GradTile4x1}},
		},
		signs: []signKernels{avx2Signs}, signLayout: avx2SignLayout,
		flat:   flatKernels{avx2.Add, avx2.HardtanhGrad, avx2.Hardtanh, avx2.ScaleChannels, avx2.ScaleCounts, avx2.AddAvgPoolGrad},
		affine: []affineKernels{{8, avx2.Affine, avx2.AffineCounts}},
		wide:   []wideKernels{avx2Wide},
		device: avx2Device,
		blocks: []blockKernels{
			{avx2.BlockForward16, avx2.BlockReduce16, avx2.BlockSpread16},
			{avx2.BlockForward8, avx2.BlockReduce8, avx2.BlockSpread8},
			{avx2.BlockForward4, avx2.BlockReduce4, avx2.BlockSpread4},
		},
		multiplyAdds: avx2.MultiplyAdds, gatherRows: avx2.GatherRows,
		normForward: avx2.NormForward16, countMoments: avx2.CountMoments, maskGrad: avx2.MaskGrad, combineMasked: avx2.CombineMasked,

		packSigns: avx2.PackSigns, unpackSigns: avx2.UnpackSigns,
		bf16:     avx2BF16,
		signRows: []func(Geometry) *signRows{avx2Lookup.plan},
	}
}

var avx2BF16 = &bf16Kernels{avx2.SplitBF16, avx2.MergeBF16, avx2.MergeBF16Code3, avx2.DecodeWords}

var avx2Wide = wideKernels{4, avx2.Moments, avx2.BatchNorm, avx2.BatchNormSums, avx2.BatchNormGrad, avx2.SumSquares, avx2.SignGrad, avx2.Combine}

func avx512Tier() *tier {
	return &tier{
		name: AVX512, lanes: 16,
		tiles: tiles{
			conv: []convTile{{2, 4, avx512.ConvTile2x4}, {2, 1, avx512.ConvTile2x1}, {1, 8, avx512.ConvTile1x8}, {1, 1, avx512.ConvTile1x1}},
			grad: []gradTile{{8, 3, avx512.GradTile8x3}, {4, 3, avx512.GradTile4x3}, {8, 1, avx512.GradTile8x1}, {4, 1, avx512.GradTile4x1}},
		},
		signs: []signKernels{avx512Signs, avx2Signs}, signLayout: avx2SignLayout,
		flat:   flatKernels{avx512.Add, avx512.HardtanhGrad, avx512.Hardtanh, avx512.ScaleChannels, avx512.ScaleCounts, avx512.AddAvgPoolGrad},
		affine: []affineKernels{{16, avx512.Affine, avx512.AffineCounts}, {8, avx2.Affine, avx2.AffineCounts}},
		device: avx512Device,
		wide: []wideKernels{
			{8, avx512.Moments, avx512.BatchNorm, avx512.BatchNormSums, avx512.BatchNormGrad, avx512.SumSquares, avx512.SignGrad, avx512.Combine},
			avx2Wide, // four channels
		},
		blocks: []blockKernels{
			{avx512.BlockForward16, avx512.BlockReduce16, avx512.BlockSpread16},
			{avx512.BlockForward8, avx512.BlockReduce8, avx512.BlockSpread8},
			{avx512.BlockForward4, avx512.BlockReduce4, avx2.BlockSpread4},
		},
		multiplyAdds: avx512.MultiplyAdds, gatherRows: avx2.GatherRows,
		normForward: avx512.NormForward16, countMoments: avx2.CountMoments, maskGrad: avx512.MaskGrad, combineMasked: avx512.CombineMasked,
		bf16:      avx2BF16,
		packSigns: avx512.PackSigns, unpackSigns: avx512.UnpackSigns,
		signRows: []func(Geometry) *signRows{avx512Popcount.plan},
	}
}

var avx2Signs = signKernels{lanes: 8, channels: avx2.TableChannels, sums: []signSum{
	{8, 1, avx2.SignSum1x8}, {4, 2, avx2.SignSum2x4}, {4, 1, avx2.SignSum1x4}, {2, 4, avx2.SignSum4x2}, {2, 1, avx2.SignSum1x2}, {1, 8, avx2.SignSum8x1}, {1, 1, avx2.SignSum1x1},
}}

var avx512Signs = signKernels{lanes: 16, channels: avx512.TableChannels, sums: []signSum{
	{8, 1, avx512.SignSum1x8}, {4, 2, avx512.SignSum2x4}, {4, 1, avx512.SignSum1x4}, {2, 4, avx512.SignSum4x2}, {2, 1, avx512.SignSum1x2}, {1, 8, avx512.SignSum8x1}, {1, 1, avx512.SignSum1x1},
}}

var avx2SignLayout = signLayout{avx2.TablePixels, avx2.CombineColumns, avx2.TableOffsets}

var avx2Device = deviceKernels{
	convLayer:  []flatTile{{16, 4, avx2.FlatConvTile2x4}, {16, 1, avx2.FlatConvTile2x1}, {8, 4, avx2.FlatConvTile1x4}, {8, 1, avx2.FlatConvTile1x1}},
	dense:      []denseKernel{{32, avx2.Dense4}, {16, avx2.Dense2}, {8, avx2.Dense1}},
	mean:       []meanKernel{{32, avx2.MeanPixels4}, {16, avx2.MeanPixels2}, {8, avx2.MeanPixels1}},
	avgPool:    avgPoolKernel{8, avx2.AvgPool},
	avgPool2:   poolKernel[float32]{8, avx2.AvgPool2},
	maxPool2:   poolKernel[int32]{8, avx2.MaxPool2},
	activation: []activationKernel{{8, avx2.Activation}},
}

var avx512Device = deviceKernels{
	convLayer:  []flatTile{{16, 8, avx512.FlatConvTile1x8}, {16, 1, avx512.FlatConvTile1x1}, {8, 4, avx2.FlatConvTile1x4}, {8, 1, avx2.FlatConvTile1x1}},
	dense:      []denseKernel{{64, avx512.Dense4}, {32, avx512.Dense2}, {16, avx512.Dense1}},
	mean:       avx2Device.mean,
	avgPool:    avx2Device.avgPool,
	avgPool2:   avx2Device.avgPool2,
	maxPool2:   avx2Device.maxPool2,
	activation: []activationKernel{{16, avx512.Activation}, {8, avx2.Activation}},
}

var avx2Lookup = &lookupKernels{
	rows: &rowKernels{
		size: 2, counts: avx2.RowCounts, spread: avx2.SpreadRow,
		bits: []rowBits{{64, avx2.RowBits64}, {32, avx2.RowBits32}},
		floats: [2][2][2]rowFloats{
			{{avx2.RowFloats16, avx2.RowFloats16Signs}, {avx2.RowFloats16Add, avx2.RowFloats16AddSigns}},
			{{avx2.RowFloats8, avx2.RowFloats8Signs}, {avx2.RowFloats8Add, avx2.RowFloats8AddSigns}},
		},
		tile: [2][2][2]rowTile{
			{{avx2.RowTile16, avx2.RowTile16Signs}, {avx2.RowTile16Add, avx2.RowTile16AddSigns}},
			{{avx2.RowTile8, avx2.RowTile8Signs}, {avx2.RowTile8Add, avx2.RowTile8AddSigns}},
		},
	},
	tiles: [2][2]lookupTile{{avx2.LookupTile4x64, avx2.LookupTile2x64}, {avx2.LookupTile4x32, avx2.LookupTile2x32}},
	pair:  [3]pairNibbles{avx2.PairNibbles16, avx2.PairNibbles32, avx2.PairNibbles64},
}

var avx512Popcount = &popcountKernels{
	name: "vpopcntd",
	rows: &rowKernels{
		size: 4, counts: avx512.RowCounts, spread: avx512.SpreadRow,
		bits: []rowBits{{64, avx512.RowBits64}, {32, avx512.RowBits32}, {16, avx512.RowBits16}},
		floats: [2][2][2]rowFloats{
			{{avx512.RowFloats16, avx512.RowFloats16Signs}, {avx512.RowFloats16Add, avx512.RowFloats16AddSigns}},
			{{avx512.RowFloats8, avx512.RowFloats8Signs}, {avx512.RowFloats8Add, avx512.RowFloats8AddSigns}},
		},
		tile: [2][2][2]rowTile{
			{{avx512.RowTile16, avx512.RowTile16Signs}, {avx512.RowTile16Add, avx512.RowTile16AddSigns}},
			{{avx512.RowTile8, avx512.RowTile8Signs}, {avx512.RowTile8Add, avx512.RowTile8AddSigns}},
		},
	},
	tiles: [2][]popcountTile{
		{
			{8, avx512.PopcountRows8x32, avx512.PopcountBits8x32},
			{7, avx512.PopcountRows7x32, avx512.PopcountBits7x32},
			{4, avx512.PopcountRows4x32, avx512.PopcountBits4x32},
			{2, avx512.PopcountRows2x32, avx512.PopcountBits2x32},
			{1, avx512.PopcountRows1x32, avx512.PopcountBits1x32},
		},
		{
			{8, avx512.PopcountRows8x16, avx512.PopcountBits8x16},
			{7, avx512.PopcountRows7x16, avx512.PopcountBits7x16},
			{4, avx512.PopcountRows4x16, avx512.PopcountBits4x16},
			{2, avx512.PopcountRows2x16, avx512.PopcountBits2x16},
			{1, avx512.PopcountRows1x16, avx512.PopcountBits1x16},
		},
	},
	rows16: avx512.Popcount16Rows, bits16: avx512.Popcount16Bits,
	compact16: avx512.Compact16, compact32: avx512.Compact32, zip16: avx512.Zip16,
}
