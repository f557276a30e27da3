// Package runtime runs bit-packed networks on the device: it opens an artifact and computes the logits of images.
//
//	engine, err := runtime.Open("model.bnn", runtime.Options{})
//	predictions, err := engine.Classify(ctx, picture, 5)
//
// An Engine is a plan made once at Open: which kernel computes each operation, and which operations one kernel computes in
// one pass; where in the arena each value lies; the weights as the kernels want them. Infer then only walks the plan. It
// allocates nothing after the first inferences, and any number of goroutines may call it at once.
//
// Caveats:
//
//   - Infer takes normalised images, [N,H,W,C] float32, as Info().Preprocess describes; Classify takes pictures.
//   - The logits depend on the artifact and the image only: not on the machine, the number of threads, the batch, or
//     what ran before. Every product is rounded to float32 before it is added.
//   - An Engine holds its weights, and one arena for each image that it computes at the same time. There is
//     nothing to close.
//   - NaN in an image is not refused. It packs as +1 where a sign is taken and passes through elsewhere.
package runtime
