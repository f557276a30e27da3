//go:build arm64 && !purego

package kernel

import "github.com/bnntool/bnntool/internal/kernel/neon"

// candidates has one tier, which needs no detection: NEON is part of arm64.
func candidates() []candidate {
	return []candidate{{NEON, neonTier, nil, "1-bit convolutions by population counts in vectors, floats in vectors of 8"}}
}

func neonTier() *tier {
	return &tier{
		name: NEON, lanes: 8, // two registers
		tiles: tiles{
			conv: []convTile{{2, 4, neon.ConvTile2x4}, {2, 1, neon.ConvTile2x1}, {1, 8, neon.ConvTile1x8}, {1, 1, neon.ConvTile1x1}},
			grad: []gradTile{{4, 2, neon.GradTile4x2}, {4, 1, neon.GradTile4x1}},
		},
		signs: []signKernels{neonSigns}, signLayout: signLayout{neon.TablePixels, neon.CombineColumns, neon.TableOffsets},
		gatherRows: neon.GatherRows,
		flat:       flatKernels{neon.Add, neon.HardtanhGrad, neon.Hardtanh, neon.ScaleChannels, neon.ScaleCounts, neon.AddAvgPoolGrad},
		affine:     []affineKernels{{8, neon.Affine, neon.AffineCounts}},
		wide:       []wideKernels{{4, neon.Moments, neon.BatchNorm, neon.BatchNormSums, neon.BatchNormGrad, neon.SumSquares, neon.SignGrad, neon.Combine}},
		device:     neonDevice,
		blocks: []blockKernels{
			{neon.BlockForward16, neon.BlockReduce16, neon.BlockSpread16},
			{neon.BlockForward8, neon.BlockReduce8, neon.BlockSpread8},
			{neon.BlockForward4, neon.BlockReduce4, neon.BlockSpread4},
		},
		normForward: neon.NormForward16, countMoments: neon.CountMoments, maskGrad: neon.MaskGrad, combineMasked: neon.CombineMasked,
		packSigns: neon.PackSigns, unpackSigns: neon.UnpackSigns,
		signRows: []func(Geometry) *signRows{neonPopcount.plan},
	}
}

var neonSigns = signKernels{lanes: 8, channels: neon.TableChannels, sums: []signSum{
	{8, 1, neon.SignSum1x8}, {4, 2, neon.SignSum2x4}, {4, 1, neon.SignSum1x4}, {2, 4, neon.SignSum4x2}, {2, 1, neon.SignSum1x2}, {1, 8, neon.SignSum8x1}, {1, 1, neon.SignSum1x1},
}}

var neonDevice = deviceKernels{
	convLayer:  []flatTile{{16, 4, neon.FlatConvTile2x4}, {16, 1, neon.FlatConvTile2x1}, {8, 4, neon.FlatConvTile1x4}, {8, 1, neon.FlatConvTile1x1}},
	dense:      []denseKernel{{32, neon.Dense4}, {16, neon.Dense2}, {8, neon.Dense1}},
	mean:       []meanKernel{{32, neon.MeanPixels4}, {16, neon.MeanPixels2}, {8, neon.MeanPixels1}},
	avgPool:    avgPoolKernel{8, neon.AvgPool},
	avgPool2:   poolKernel[float32]{8, neon.AvgPool2},
	maxPool2:   poolKernel[int32]{8, neon.MaxPool2},
	activation: []activationKernel{{8, neon.Activation}},
}

var neonPopcount = &popcountKernels{
	name: "cnt",
	rows: &rowKernels{
		size: 4, counts: neon.RowCounts, spread: neon.SpreadRow,
		bits: []rowBits{{64, neon.RowBits64}, {16, neon.RowBits16}},
		floats: [2][2][2]rowFloats{
			{{neon.RowFloats16, neon.RowFloats16Signs}, {neon.RowFloats16Add, neon.RowFloats16AddSigns}},
			{{neon.RowFloats8, neon.RowFloats8Signs}, {neon.RowFloats8Add, neon.RowFloats8AddSigns}},
		},
		tile: [2][2][2]rowTile{
			{{neon.RowTile16, neon.RowTile16Signs}, {neon.RowTile16Add, neon.RowTile16AddSigns}},
			{{neon.RowTile8, neon.RowTile8Signs}, {neon.RowTile8Add, neon.RowTile8AddSigns}},
		},
	},
	tiles: [2][]popcountTile{nil, {
		{4, neon.PopcountRows4, neon.PopcountBits4},
		{2, neon.PopcountRows2, neon.PopcountBits2},
		{1, neon.PopcountRows1, neon.PopcountBits1},
	}},
	rows16: neon.Popcount16Rows, bits16: neon.Popcount16Bits,
	compact16: neon.Compact16, compact32: neon.Compact32, zip16: neon.Zip16,
}
