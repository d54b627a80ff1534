package loader

import "fmt"

// A FormatError reports a file that does not hold what its format demands.
type FormatError struct {
	File   string
	Offset int64  // of the byte where reading failed; -1 where that is unknown
	Msg    string // what was expected there, such as "expected 12 values, got 3"
}

func (e *FormatError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s: at byte %d: %s", e.File, e.Offset, e.Msg)
}
