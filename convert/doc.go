// Package convert turns a trained network into an artifact for the device and proves that the artifact computes the
// same logits.
//
// Convert freezes the checkpoint (package model), lowers it by small passes over a graph of operations, one file each,
// writes the artifact, opens it through package runtime and compares its logits with the oracle's:
//
//	lower       each layer becomes one operation; 1-bit convolutions get their filters' signs
//	identities  operations that change nothing go
//	tiles       channel tiles move behind pools and into the batch norms that follow
//	signs       a hardtanh before a sign goes: it does not change the sign
//	thresholds  what lies between a 1-bit convolution and a sign becomes an integer threshold
//	floats      exact sums become floats where a float operation takes them
//	emit        signs are packed, tensors named, operations put in order
//
// No pass changes a value that reaches the logits, not in the last bit, so the comparison expects a difference of 0.
//
// Two more steps make the file smaller. Leftovers, the floats that remain, are held in 16 or 8 bits where a test set shows that
// the accuracy changes by at most [MaxAccuracyDiff]: rounding a scale flips signs behind it, so that neither its error
// nor the logits' says much. 3x3 filters are coded where that saves at least 3 %, which changes nothing else.
//
// [ConvertHub] is the way of mixtures of experts: from a folder as models are published in to a store of package expert.
//
// Caveats:
//
//   - A layer with a 1-bit input and real weights has no operation on the device and is an error. Networks trained
//     in two steps are converted after the second.
//   - Converting the same checkpoint twice gives the same bytes.
//   - The oracle is slow: a verified image of a large network takes seconds.
package convert
