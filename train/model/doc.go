// Package model describes networks as data and says what they compute.
//
// A Net is a list of layers. New builds the networks of the papers by name, Decode reads one from JSON, and
// package reptran makes one from another. Everything else follows from the description: Nodes resolves the inputs and
// shapes, Tensors lists the weights with the names and shapes of the reference implementations, InitWeights draws
// them, Count counts parameters and operations, and Freeze with Forward computes the network in evaluation.
//
// Axes are H W C inside (rows, columns, channels; the batch, where there is one, comes first). Convolution
// weights are K C R S: filters, input channels, rows and columns of the window, PyTorch's order.
//
// Caveats:
//
//   - Forward is the oracle against which faster implementations are proved: loops to be read, one image at a time.
//     A forward pass of ReCU's ResNet-20 takes tens of milliseconds.
//   - sign(0) is +1, where PyTorch has 0. The two differ only at exact zeros.
//   - Zero padding is exact: a tap outside the image contributes 0, neither -1 nor +1.
//   - A description is only data until Nodes accepted it; the functions that need a network call Nodes themselves
//     and return its error.
package model
