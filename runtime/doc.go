// Package runtime compiles a graph.Model to a Plan and runs it.
//
// [Compile] rewrites the model (package pass), decides where every value lies,
// chooses for every weight between dense and sparse kernels, packs the weights
// and plans the memory. A [Plan] is immutable; each goroutine runs it in a
// [Session] of its own, which owns the memory of one inference, so Run
// allocates nothing. [Plan.Explain] tells what was decided, and why.
//
// Values lie either in row-major order, as ONNX has them, or split over the
// lanes of vectors (see layout), which is what the kernels of convolutions and
// matrix products work on. Steps in between move a value from one placement to
// the other where a consumer needs it; nodes that have no lane-split step run
// on the row-major operators of package ops.
//
// The package opens no file.
package runtime
