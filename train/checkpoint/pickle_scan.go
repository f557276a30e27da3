package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The limits of a pickle. The state of a network with a thousand layers and of its optimiser stays far below them.
const (
	maxPickle     = 4 << 20 // bytes
	maxContainers = 1 << 16 // marks, lists, dictionaries, tuples and calls: each takes some hundred bytes once it is loaded
	maxGlobalName = 128
)

// scanPickle finds the end of the pickle at the start of b and checks everything that loading it could trip over: package pickle
// allocates what a length says before it reads, and some inputs make it panic. Only the operations are let through that PyTorch
// writes (protocol 2, and the strings of Python 2), only the classes in allowedClasses, no length beyond the end of b, and
// no more than the limits. It returns the length of the pickle.
func scanPickle(b []byte) (int, error) {
	s := scanner{b: b[:min(len(b), maxPickle)]}
	for {
		op, err := s.byte()
		if err != nil {
			return 0, err
		}
		if op == '.' {
			return s.at, nil
		}
		if err := s.operation(op); err != nil {
			return 0, fmt.Errorf("pickle at byte %d: %w", s.at, err)
		}
		if s.containers > maxContainers {
			return 0, fmt.Errorf("pickle at byte %d: more than %d objects", s.at, maxContainers)
		}
	}
}

type scanner struct {
	b          []byte
	at         int
	containers int
}

// operation checks one operation and skips its argument.
func (s *scanner) operation(op byte) error {
	switch op {
	case 0x80: // PROTO
		v, err := s.byte()
		if err == nil && v != 2 && v != 3 {
			err = fmt.Errorf("protocol %d is not supported: save with torch.save's own, 2", v)
		}
		return err
	case '(', ']', '}', ')', 't', 0x85, 0x86, 0x87, 'R', 'Q', 'b': // MARK, EMPTY_*, TUPLE*, REDUCE, BINPERSID, BUILD
		s.containers++
		return nil
	case 'a', 'e', 's', 'u', 'N', 0x88, 0x89: // APPEND(S), SETITEM(S), NONE, NEWTRUE, NEWFALSE
		return nil
	case 'q', 'h', 'K': // BINPUT, BINGET, BININT1
		return s.skip(1)
	case 'M': // BININT2
		return s.skip(2)
	case 'r', 'j', 'J': // LONG_BINPUT, LONG_BINGET, BININT
		return s.skip(4)
	case 'G': // BINFLOAT
		return s.skip(8)
	case 'X', 'T': // BINUNICODE, BINSTRING
		return s.skipCounted(4)
	case 'U': // SHORT_BINSTRING
		return s.skipCounted(1)
	case 0x8a: // LONG1
		if s.at < len(s.b) && s.b[s.at] == 0 {
			return errors.New("an integer of no bytes")
		}
		return s.skipCounted(1)
	case 'c': // GLOBAL
		module, err := s.line()
		if err != nil {
			return err
		}
		name, err := s.line()
		if err != nil {
			return err
		}
		return checkClass(module, name)
	}
	return fmt.Errorf("operation %#02x is not one that PyTorch writes for a state dictionary: save model.state_dict(), not the model", op)
}

func (s *scanner) byte() (byte, error) {
	if s.at >= len(s.b) {
		return 0, s.end()
	}
	s.at++
	return s.b[s.at-1], nil
}

// errPickleEnd is the error of a pickle that goes on behind what there is.
var errPickleEnd = errors.New("the pickle has no end: the file is truncated or not PyTorch's")

func (s *scanner) end() error {
	if len(s.b) == maxPickle {
		return fmt.Errorf("the pickle has more than %d bytes", maxPickle)
	}
	return errPickleEnd
}

func (s *scanner) skip(n int) error {
	if n > len(s.b)-s.at {
		return s.end()
	}
	s.at += n
	return nil
}

// skipCounted skips a length of size bytes and as many bytes as it says.
func (s *scanner) skipCounted(size int) error {
	if err := s.skip(size); err != nil {
		return err
	}
	n := uint32(s.b[s.at-1])
	if size == 4 {
		n = binary.LittleEndian.Uint32(s.b[s.at-4:])
	}
	if n > maxPickle {
		return fmt.Errorf("a string of %d bytes", n)
	}
	return s.skip(int(n))
}

func (s *scanner) line() (string, error) {
	rest := s.b[s.at:]
	n := bytes.IndexByte(rest[:min(len(rest), maxGlobalName)], '\n')
	if n < 0 && len(rest) < maxGlobalName {
		return "", s.end()
	}
	if n < 0 {
		return "", fmt.Errorf("the name of a class has no end within %d bytes", maxGlobalName)
	}
	s.at += n + 1
	return string(rest[:n]), nil
}
