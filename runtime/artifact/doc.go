// Package artifact is the file format of a network for the device: a graph of a few kinds of operations over
// float maps, maps of exact counts and maps of bits, with 1-bit weights in 64-bit words.
//
// An artifact is a safetensors file with a profile, described in docs/format.md. It holds bits without gaps, floats in 32,
// 16 or 8 bits ([Tensor.Recode]), filters coded where that saves something, and a compressed description. [Model] is
// what it holds, [Write] makes one, [Read] and [ReadFrom] take one from a device that trusts nobody: they verify every
// checksum and [Model.Validate] everything the graph says before the caller sees it. What they do not know (a version, a
// kind, a coding, a section, a metadata key) they refuse by name, and they allocate no more than a small constant and a
// multiple of the file. Files of version 1 are read too.
//
// [Model.Resolve] gives the engine the shape and kind of every value. A Model that it accepts can be run without
// further checks: every input exists and has the right kind, every tensor has its length, and memory and work are
// bounded by [MaxElements], [MaxTotalElements] and [MaxWork].
//
// Caveats: a Model shares the slices it was made of, and one read from a file owns its slices. Sizes are for one image;
// an engine that runs several at once multiplies them.
package artifact
