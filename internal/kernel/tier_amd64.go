//go:build amd64 && !purego

package kernel

import (
	"github.com/bnntool/bnntool/internal/kernel/avx2"
	"github.com/bnntool/bnntool/internal/kernel/avx512"
	"golang.org/x/sys/cpu"
)

func detect() []*tier {
	list := []*tier{{name: Generic}}
	x := &cpu.X86
	if x.HasAVX2 && x.HasFMA {
		list = append(list, &tier{
			name: AVX2, lanes: 8, block: 4,
			convBlock: [2]convTile{avx2.ConvTile1x4, avx2.ConvTile2x4},
			convPixel: [2]convTile{avx2.ConvTile1x1, avx2.ConvTile2x1},
			gradTiles: []gradTile{{4, 3, avx2.GradTile4x3}, {4, 1, avx2.GradTile4x1}},
		})
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VPOPCNTDQ {
		list = append(list, &tier{
			name: AVX512, lanes: 16, block: 8,
			convBlock: [2]convTile{avx512.ConvTile1x8, avx512.ConvTile2x8},
			convPixel: [2]convTile{avx512.ConvTile1x1, avx512.ConvTile2x1},
			gradTiles: []gradTile{{8, 3, avx512.GradTile8x3}, {8, 1, avx512.GradTile8x1}, {4, 3, avx512.GradTile4x3}, {4, 1, avx512.GradTile4x1}},
		})
	}
	return list
}
