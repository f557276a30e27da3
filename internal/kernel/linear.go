package kernel

// Linear writes to dst, [Out], the product of the weights w, [Out,In], with x, [In], plus bias, [Out]. Each sum runs
// over the inputs in ascending order; the bias is added last.
func Linear(dst, x, w, bias []float32) {
	checkLen("Linear", "w", len(w), len(dst)*len(x))
	checkLen("Linear", "bias", len(bias), len(dst))
	for o := range dst {
		row := w[o*len(x):][:len(x)]
		var acc float32
		for i, v := range x {
			acc += float32(row[i] * v)
		}
		dst[o] = acc + bias[o]
	}
}
