package expert

import "fmt"

// State is what of an expert is in memory. A larger one is never slower to use.
type State uint8

// The states. The weights are BF16: an exponent of 8 bits, and sign and mantissa, the other 8. Only exponents are compressed.
const (
	Miss         State = iota // M: nothing
	Exponents                 // E: the compressed exponents
	SignMantissa              // S: signs and mantissas
	Compressed                // C: both
	Full                      // F: the weights as they are computed with
	NumStates    = int(Full) + 1
)

// String returns the state's letter.
func (s State) String() string {
	if int(s) >= NumStates {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return "MESCF"[s : s+1]
}

// ReadsExponents reports whether the compressed exponents must be read to use an expert in the state.
func (s State) ReadsExponents() bool { return s == Miss || s == SignMantissa }

// ReadsSignMantissa reports whether signs and mantissas must be read.
func (s State) ReadsSignMantissa() bool { return s == Miss || s == Exponents }

// Decodes reports whether exponents must be decoded and merged.
func (s State) Decodes() bool { return s != Full }

// CanFall reports whether an expert that nobody uses can go from s to a lower state with what is in memory: without
// reading and without encoding. F to S costs a pass over memory, which leaves the signs and mantissas behind; the other
// moves drop something. While an expert is in use all its parts are there, and it can go to any state.
func (s State) CanFall(to State) bool {
	switch to {
	case Miss:
		return s != Miss
	case Exponents:
		return s == Compressed
	case SignMantissa:
		return s == Compressed || s == Full
	}
	return false
}

// Sizes are the bytes of one expert of a model.
type Sizes struct {
	Full         int64 // 2 a weight
	SignMantissa int64 // 1 a weight
	Exponents    int64 // compressed: those of the largest expert
}

// Of returns the bytes of an expert in a state.
func (z Sizes) Of(s State) int64 {
	switch s {
	case Full:
		return z.Full
	case Compressed:
		return z.SignMantissa + z.Exponents
	case SignMantissa:
		return z.SignMantissa
	case Exponents:
		return z.Exponents
	}
	return 0
}

// Slots are numbers of experts in each state.
type Slots struct {
	Full         int `json:"full"`
	Compressed   int `json:"compressed"`
	SignMantissa int `json:"sign_mantissa"`
	Exponents    int `json:"exponents"`
}

// Of returns the number in a state, 0 for Miss.
func (n Slots) Of(s State) int {
	switch s {
	case Full:
		return n.Full
	case Compressed:
		return n.Compressed
	case SignMantissa:
		return n.SignMantissa
	case Exponents:
		return n.Exponents
	}
	return 0
}

// Total returns the number in all states.
func (n Slots) Total() int { return n.Full + n.Compressed + n.SignMantissa + n.Exponents }

// Bytes returns what the slots take.
func (n Slots) Bytes(z Sizes) int64 {
	sum := int64(0)
	for s := Exponents; s <= Full; s++ {
		sum += int64(n.Of(s)) * z.Of(s)
	}
	return sum
}

// String returns the numbers as F/C/S/E.
func (n Slots) String() string {
	return fmt.Sprintf("%d/%d/%d/%d", n.Full, n.Compressed, n.SignMantissa, n.Exponents)
}
