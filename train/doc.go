// Package train learns binary networks on Gorgonia graphs.
//
// Gorgonia carries the expression graph, types and shapes, the tape machine and the solver interface; it is known
// to no other package. Every tensor-sized computation is an operation of this package (the op_*.go files) over
// buffers that the operation owns: a forward pass and its gradient, both in parallel over chunks of images.
//
//	Train       trains a network in a run folder: checkpoints, metrics, curves, exact resume
//	Evaluator   a network's evaluation graph: logits of batches, accuracy over a data set
//	SGD, Adam   Gorgonia solvers with PyTorch's semantics
//	Benchmark   the speed of training steps, by operation
//
// A layer is one operation, but for what is one together and computes the same bits: a 1-bit convolution with its batch
// norm, shortcut and hardtanh (block), batch norm, hardtanh and tile behind the stem (normTanh), and the pooling and padding
// of a shortcut (pooledShortcut). The arithmetic is that of internal/kernel.
//
// Straight-through estimators: the forward pass takes signs, the gradient passes through them as the quantiser says
// (model.WeightQuant, model.InputQuant).
//
// Reproducibility: the same seed and recipe give bit-identical weights for any number of threads. A batch is cut into a
// fixed number of chunks; what is summed over images is summed within each chunk and then over the chunks in order.
// A resumed run continues at the very step at which it was saved.
//
// Caveats: one graph runs one batch at a time, and its results are overwritten by the next one. A graph has a fixed
// capacity of images; a smaller last batch runs on it with the rows beyond it left alone.
package train
