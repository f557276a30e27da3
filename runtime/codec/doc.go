// Package codec holds the lossless coders of artifacts.
//
// A trained network does not use the 512 patterns of ±1 that a 3x3 kernel can have equally often.
// [AppendPatterns] writes frequent ones in fewer bits. The gain is small, a few percent of a trained network and
// none of an untrained one, and coded weights must be decoded before they are used: [Choose] says which tensors to
// code.
package codec
