// Package benchmark measures engines and kernels on this machine: what `bnntool bench` prints.
//
//	result, err := benchmark.Model(ctx, "model.bnn", benchmark.Options{})
//
// Caveats:
//
//   - Inputs are random but fixed, so that two runs do the same work. Everything is warm: the caches hold what fits.
//   - Other work on the machine lengthens medians and tails. Minima over many samples are what the code can do, and what
//     compares best between machines and programs.
package benchmark
