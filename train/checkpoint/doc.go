// Package checkpoint keeps the state of a training on disk: the network as data, its weights and statistics, the
// solver's buffers, where in the schedule the training is, and how pictures become its input.
//
// A checkpoint is a safetensors file with the metadata key "format" = "bnntool.checkpoint"; docs/format.md describes it.
// Weights have the names and shapes of the PyTorch reference implementations, so any safetensors reader can take
// them.
//
// Save is atomic: after a failure (a full disk, say) path holds what it held before. Load accepts only a file in which
// everything fits together: the network resolves, every tensor it needs is there with its shape, finite and with the recorded
// checksum, and nothing is there that it does not need.
//
// Import reads the weights of a network of the zoo from a file of PyTorch's torch.save, of any of its three formats. It trusts
// the file no more than Load does: the pickles in it are checked operation by operation before package gopickle loads them,
// and nothing in them is run.
//
// Caveats: Save holds a second copy of all tensors in memory while it writes. A file rewritten by another tool
// without the checksums is read without verifying them.
package checkpoint
