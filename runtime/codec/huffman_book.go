package codec

import (
	"errors"
	"fmt"
)

// append appends the code to dst:
//
//	1 byte      k-1, k being the number of exponents that occur
//	1 byte      1 with pairs, else 0
//	1 byte      with pairs: the exponent that they start with
//	k bytes     the exponents, in ascending order
//	⌈k/2⌉ bytes  the length of the code of each, 0 for none, the first of two in the low four bits
//	⌈k/2⌉ bytes  with pairs: that of each pair's, by its second exponent
func (b *codebook) append(dst []byte) []byte {
	var list []byte
	for x := range 256 {
		if b.single[x].length > 0 || b.pair[x].length > 0 {
			list = append(list, byte(x))
		}
	}
	dst = append(dst, byte(len(list)-1))
	if b.lead < 0 {
		dst = append(dst, 0)
	} else {
		dst = append(dst, 1, byte(b.lead))
	}
	dst = append(dst, list...)
	dst = appendLengths(dst, list, &b.single)
	if b.lead >= 0 {
		dst = appendLengths(dst, list, &b.pair)
	}
	return dst
}

func appendLengths(dst, list []byte, words *[256]prefix) []byte {
	for i, x := range list {
		if i%2 == 0 {
			dst = append(dst, words[x].length)
		} else {
			dst[len(dst)-1] |= words[x].length << 4
		}
	}
	return dst
}

var errCut = errors.New("the code is cut off")

// parse reads a code from the start of src, gives its words their codes and returns what follows. It refuses codes that are not
// complete: then every bit of a stream is of some word.
func (b *codebook) parse(src []byte) ([]byte, error) {
	if len(src) < 3 {
		return nil, errCut
	}
	k := int(src[0]) + 1
	*b = codebook{lead: -1}
	switch src[1] {
	case 0:
		src = src[2:]
	case 1:
		b.lead = int(src[2])
		src = src[3:]
	default:
		return nil, fmt.Errorf("the code says %d for pairs, want 0 or 1", src[1])
	}
	half := (k + 1) / 2
	need := k + half
	if b.lead >= 0 {
		need += half
	}
	if len(src) < need {
		return nil, errCut
	}
	list, rest := src[:k], src[need:]
	for i := range k - 1 {
		if list[i] >= list[i+1] {
			return nil, fmt.Errorf("the code's exponents are not in order: %d before %d", list[i], list[i+1])
		}
	}
	if err := parseLengths(&b.single, list, src[k:]); err != nil {
		return nil, err
	}
	if b.lead >= 0 {
		if err := parseLengths(&b.pair, list, src[k+half:]); err != nil {
			return nil, err
		}
	}
	used := 0
	b.each(func(p *prefix, _ word) {
		if p.length > 0 {
			used += 1 << (maxLength - p.length)
		}
	})
	if used != 1<<maxLength {
		return nil, fmt.Errorf("the lengths of the code take %d/%d of all codes", used, 1<<maxLength)
	}
	for _, x := range list {
		if b.single[x].length == 0 && b.pair[x].length == 0 {
			return nil, fmt.Errorf("exponent %d has no code", x)
		}
	}
	b.assign()
	return rest, nil
}

// parseLengths reads the lengths of the words of list.
func parseLengths(words *[256]prefix, list, src []byte) error {
	for i, x := range list {
		l := src[i/2] >> (i % 2 * 4) & 15
		if l > maxLength {
			return fmt.Errorf("a code of %d bits for exponent %d, at most %d are allowed", l, x, maxLength)
		}
		words[x].length = l
	}
	if len(list)%2 != 0 && src[len(list)/2]>>4 != 0 {
		return errors.New("bits behind the lengths of the code are set")
	}
	return nil
}
