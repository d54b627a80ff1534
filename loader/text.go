package loader

import "strconv"

// A scanner reads the words of a text file: runs of characters other than
// space, line ends and the separators.
type scanner struct {
	data []byte
	pos  int
	sep  byte // counts as space
}

// word returns the next word, which is empty at the end of the file, and where
// it starts.
func (s *scanner) word() (word []byte, at int) {
	for s.pos < len(s.data) && s.blank(s.data[s.pos]) {
		s.pos++
	}
	at = s.pos
	for s.pos < len(s.data) && !s.blank(s.data[s.pos]) {
		s.pos++
	}
	return s.data[at:s.pos], at
}

func (s *scanner) blank(c byte) bool {
	return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == s.sep
}

// line returns the rest of the line and steps behind it.
func (s *scanner) line() []byte {
	at := s.pos
	for s.pos < len(s.data) {
		s.pos++
		if s.data[s.pos-1] == '\n' {
			break
		}
	}
	return s.data[at:s.pos]
}

// int reads an integer from lo to hi, at most 2^31. what names it in errors.
func (s *scanner) int(what string, lo, hi int) (int, error) {
	word, at := s.word()
	n := int64(0)
	for _, c := range word {
		if c < '0' || c > '9' || n > int64(hi) {
			n = -1
			break
		}
		n = n*10 + int64(c-'0')
	}
	if len(word) == 0 || n < int64(lo) || n > int64(hi) {
		return 0, formatError(at, "expected %s from %d to %d, got %q", what, lo, hi, clip(word))
	}
	return int(n), nil
}

// float reads a number.
func (s *scanner) float() (float32, error) {
	word, at := s.word()
	v, err := strconv.ParseFloat(string(word), 32)
	if err != nil {
		return 0, formatError(at, "expected a number that fits a float32, got %q", clip(word))
	}
	return float32(v), nil
}

// end checks that nothing but space is left.
func (s *scanner) end() error {
	if word, at := s.word(); len(word) > 0 {
		return formatError(at, "expected the end of the file, got %q", clip(word))
	}
	return nil
}

// clip shortens what is quoted in an error.
func clip(word []byte) []byte { return word[:min(len(word), 40)] }
