// Package kernel holds the arithmetic that training and the device share: bit packing, convolutions with 1-bit
// and float operands, their gradients, and the elementwise passes between them.
//
// A function works on one image or on plain vectors, in the calling goroutine; callers parallelise over images.
// Shapes: feature maps are [H,W,C] float32, row-major (NHWC without the N); filters are [K,R,S,C/G] with K filters,
// R x S taps and G groups; packed maps are [H,W,G,Words(C/G)] words. A set bit is -1, a clear bit +1, element i is
// bit i%64 of word i/64, and bits past the last element are clear.
//
// Results do not depend on the machine: every product is rounded to float32 before it is added (the conversion
// in float32(a*b)+c forbids the compiler to fuse the two), and sums run in the order that each comment gives.
//
// Lengths are the caller's code, not its data: a slice of the wrong length panics.
package kernel
