package runtime

import "github.com/nnz-dev/nnz/runtime/ops"

// An Operator is an ONNX operator: whether it runs, in which versions, and what
// of it is refused.
type Operator = ops.Operator

// Operators lists the operators that run, and then those that are refused for a
// reason. Any other operator is refused too.
func Operators() []Operator { return ops.Operators() }
