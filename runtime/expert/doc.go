// Package expert runs mixtures of experts that do not fit in memory: which experts stay there, in which state of
// compression, and in which order the others are read, decoded and computed.
//
// Traces say what a model's routers chose: [Counts] without order, [Steps] in order. [ReadTrace] reads them from files,
// [Counts.Ranks] is what a plan is made of.
//
// [Cache] knows which experts are in memory and in which [State]: with their weights, or with the compressed parts of them. It
// decides who stays by a [Policy], under one budget of bytes. It holds no weights: [Replay] plays traces on it.
//
// [NewPlan] divides the budget between the states, so that the expected time of a step is shortest: [Hits] is how likely
// experts are found in which state, [Costs] how long a step then takes on a [Device].
//
// [Schedule] orders the experts of a step so that reading, decoding and computing overlap: it tries three rules on a virtual
// device, [Clock], and no schedule is shorter than [Bound]. [Simulate] plays a trace on a cache and that device.
//
// A [Store] is a file of experts whose exponents are compressed, [Build] writes one. An expert lies in two parts, each of
// which is read in one piece; [Store.Merge] puts weights together from both, chunk by chunk.
//
// Caveats:
//
//   - A layer is known by its index among the model's sparse layers, from 0, wherever the doc does not say "number". A
//     trace has the model's own numbers beside.
//   - What a store's parts hold is verified when it is merged, not when it is read.
//   - Everything here is deterministic: random choices come from a seed that the caller gives.
package expert
