// Package kernel holds the arithmetic that training and the device share: bit packing, convolutions with 1-bit
// and float operands, their gradients, and the elementwise passes between them.
//
// A function works on one image or on plain vectors, in the calling goroutine; callers parallelise over images.
// Shapes: feature maps are [H,W,C] float32, row-major (NHWC without the N); filters are [K,R,S,C/G] with K filters,
// R x S taps and G groups; packed maps are [H,W,G,Words(C/G)] words. A set bit is -1, a clear bit +1, element i is
// bit i%64 of word i/64, and bits past the last element are clear.
//
// Results do not depend on the machine: every product that is not exact is rounded before it is added (the conversion in
// float32(a*b)+c forbids the compiler to fuse the two), and sums run in the order that each comment gives. Plain Go is the
// truth; the tiers above it (avx2, avx512, and neon on arm64) are assembly for the same sums in the same order, and give
// the same bits. The best tier of the machine is chosen at the program's start; the environment variable BNNTOOL_KERNELS
// names another. The build tag purego leaves the assembly out.
//
// Lengths are the caller's code, not its data: a slice of the wrong length panics.
package kernel

//go:generate go -C gen run . -tier avx2 -part floats -out ../avx2/kernels_amd64.s -stubs ../avx2/stubs_amd64.go -pkg avx2
//go:generate go -C gen run . -tier avx2 -part bits -out ../avx2/bits_amd64.s -stubs ../avx2/bits_amd64.go -pkg avx2
//go:generate go -C gen run . -tier avx2 -part bf16 -out ../avx2/bf16_amd64.s -stubs ../avx2/bf16_amd64.go -pkg avx2
//go:generate go -C gen run . -tier avx512 -part floats -out ../avx512/kernels_amd64.s -stubs ../avx512/stubs_amd64.go -pkg avx512
//go:generate go -C gen run . -tier avx512 -part bits -out ../avx512/bits_amd64.s -stubs ../avx512/bits_amd64.go -pkg avx512
//go:generate go -C gen run ./neon -part floats -out ../neon/kernels_arm64.s -stubs ../neon/stubs_arm64.go
//go:generate go -C gen run ./neon -part bits -out ../neon/bits_arm64.s -stubs ../neon/bits_arm64.go
