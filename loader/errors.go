package loader

import (
	"context"
	"errors"
	"fmt"
)

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

// formatError returns a [*FormatError] at byte at of a file that the caller
// names with [inFile].
func formatError(at int, format string, args ...any) error {
	return &FormatError{Offset: int64(at), Msg: fmt.Sprintf(format, args...)}
}

// inFile names the file in a FormatError that lacks one, and leaves any other
// error as it is.
func inFile(path string, err error) error {
	var f *FormatError
	if errors.As(err, &f) && f.File == "" {
		f.File = path
	}
	return err
}

// stopped returns the error of reading a file that the end of ctx stops, or nil.
func stopped(ctx context.Context, file string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
