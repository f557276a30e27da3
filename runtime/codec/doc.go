// Package codec holds the lossless coders of artifacts and of expert stores.
//
// # Patterns
//
// A trained network does not use the 512 patterns of ±1 that a 3x3 kernel can have equally often.
// [AppendPatterns] writes frequent ones in fewer bits. The gain is small, a few percent of a trained network and
// none of an untrained one, and coded weights must be decoded before they are used: [Choose] says which tensors to
// code.
//
// # Exponents
//
// The exponent of a trained bfloat16 weight holds 2.5 to 2.7 bits of information in its 8; its sign and its mantissa hold as
// much as they take. [Split] takes weights apart into these two bytes. An [Encoder] codes the exponents in one of several ways
// ([Code]), and a [Decoder] puts them together with the rest again, bit for bit, whatever they are: NaNs, infinities, -0.
//
// A chunk is the coded form of some exponents and is decoded by itself. It does not hold their number, which the caller knows, nor a
// checksum: a damaged chunk may decode to wrong numbers, though never to more than there are. Encoder and Decoder keep their buffers:
// one for each goroutine.
package codec
