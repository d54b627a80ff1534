package graph

import "math"

// An operator says which nodes a rule of shape inference is for.
type operator struct {
	since, until int                         // versions of the operator set that have it; until 0 is all later ones
	min, max     int                         // fewest and most inputs; the fewest must be present
	infer        func(*call) ([]Type, error) // returns the types of all outputs that there may be
}

// variadic stands for any number of inputs.
const variadic = math.MaxInt

// operators are the operators of domain ai.onnx that Infer has a rule for, as
// https://onnx.ai/onnx/operators/ defines them. A rule holds for all versions
// from 7 on.
var operators = map[string]operator{
	// Real functions of one element.
	"Abs":             {1, 0, 1, 1, sameType},
	"Acos":            {7, 0, 1, 1, sameType},
	"Acosh":           {9, 0, 1, 1, sameType},
	"Asin":            {7, 0, 1, 1, sameType},
	"Asinh":           {9, 0, 1, 1, sameType},
	"Atan":            {7, 0, 1, 1, sameType},
	"Atanh":           {9, 0, 1, 1, sameType},
	"Ceil":            {1, 0, 1, 1, sameType},
	"Celu":            {12, 0, 1, 1, sameType},
	"Clip":            {1, 0, 1, 3, sameType},
	"Cos":             {7, 0, 1, 1, sameType},
	"Cosh":            {9, 0, 1, 1, sameType},
	"Elu":             {1, 0, 1, 1, sameType},
	"Erf":             {9, 0, 1, 1, sameType},
	"Exp":             {1, 0, 1, 1, sameType},
	"Floor":           {1, 0, 1, 1, sameType},
	"Gelu":            {20, 0, 1, 1, sameType},
	"HardSigmoid":     {1, 0, 1, 1, sameType},
	"HardSwish":       {14, 0, 1, 1, sameType},
	"Identity":        {1, 0, 1, 1, identity},
	"LeakyRelu":       {1, 0, 1, 1, sameType},
	"Log":             {1, 0, 1, 1, sameType},
	"Mish":            {18, 0, 1, 1, sameType},
	"Neg":             {1, 0, 1, 1, sameType},
	"PRelu":           {1, 0, 2, 2, prelu},
	"Reciprocal":      {1, 0, 1, 1, sameType},
	"Relu":            {1, 0, 1, 1, sameType},
	"Round":           {11, 0, 1, 1, sameType},
	"Selu":            {1, 0, 1, 1, sameType},
	"Sigmoid":         {1, 0, 1, 1, sameType},
	"Sign":            {9, 0, 1, 1, sameType},
	"Sin":             {7, 0, 1, 1, sameType},
	"Sinh":            {9, 0, 1, 1, sameType},
	"Softplus":        {1, 0, 1, 1, sameType},
	"Softsign":        {1, 0, 1, 1, sameType},
	"Sqrt":            {1, 0, 1, 1, sameType},
	"Tan":             {7, 0, 1, 1, sameType},
	"Tanh":            {1, 0, 1, 1, sameType},
	"ThresholdedRelu": {10, 0, 1, 1, sameType},

	// Functions of several elements that broadcast.
	"Add":            {7, 0, 2, 2, arithmetic},
	"And":            {7, 0, 2, 2, logic},
	"Div":            {7, 0, 2, 2, arithmetic},
	"Equal":          {7, 0, 2, 2, comparison},
	"Greater":        {7, 0, 2, 2, comparison},
	"GreaterOrEqual": {12, 0, 2, 2, comparison},
	"Less":           {7, 0, 2, 2, comparison},
	"LessOrEqual":    {12, 0, 2, 2, comparison},
	"Max":            {1, 0, 1, variadic, arithmetic},
	"Mean":           {1, 0, 1, variadic, arithmetic},
	"Min":            {1, 0, 1, variadic, arithmetic},
	"Mod":            {10, 0, 2, 2, arithmetic},
	"Mul":            {7, 0, 2, 2, arithmetic},
	"Not":            {1, 0, 1, 1, logic},
	"Or":             {7, 0, 2, 2, logic},
	"Pow":            {7, 0, 2, 2, pow},
	"Sub":            {7, 0, 2, 2, arithmetic},
	"Sum":            {1, 0, 1, variadic, arithmetic},
	"Where":          {9, 0, 3, 3, where},
	"Xor":            {7, 0, 2, 2, logic},

	// Products, windows and normalisations.
	"AveragePool":        {1, 0, 1, 1, pool},
	"BatchNormalization": {1, 0, 5, 5, batchNormalization},
	"Conv":               {1, 0, 2, 3, conv},
	"ConvTranspose":      {1, 0, 2, 3, convTranspose},
	"Gemm":               {7, 0, 2, 3, gemm},
	"GlobalAveragePool":  {1, 0, 1, 1, globalPool},
	"GlobalMaxPool":      {1, 0, 1, 1, globalPool},
	"LRN":                {1, 0, 1, 1, sameType},
	"LogSoftmax":         {1, 0, 1, 1, softmax},
	"MatMul":             {1, 0, 2, 2, matMul},
	"MaxPool":            {1, 0, 1, 1, pool},
	"Softmax":            {1, 0, 1, 1, softmax},

	// Reductions.
	"ArgMax":          {1, 0, 1, 1, argMax},
	"ArgMin":          {1, 0, 1, 1, argMax},
	"ReduceL1":        {1, 0, 1, 2, reduceSince18},
	"ReduceL2":        {1, 0, 1, 2, reduceSince18},
	"ReduceLogSum":    {1, 0, 1, 2, reduceSince18},
	"ReduceLogSumExp": {1, 0, 1, 2, reduceSince18},
	"ReduceMax":       {1, 0, 1, 2, reduceSince18},
	"ReduceMean":      {1, 0, 1, 2, reduceSince18},
	"ReduceMin":       {1, 0, 1, 2, reduceSince18},
	"ReduceProd":      {1, 0, 1, 2, reduceSince18},
	"ReduceSum":       {1, 0, 1, 2, reduceSince13},
	"ReduceSumSquare": {1, 0, 1, 2, reduceSince18},

	// Constants, shapes and moves of elements.
	"Cast":            {6, 0, 1, 1, cast},
	"Concat":          {4, 0, 1, variadic, concat},
	"Constant":        {1, 0, 0, 0, constant},
	"ConstantOfShape": {9, 0, 1, 1, constantOfShape},
	"DepthToSpace":    {1, 0, 1, 1, depthToSpace},
	"Dropout":         {7, 0, 1, 3, dropout},
	"Expand":          {8, 0, 2, 2, expand},
	"Flatten":         {1, 0, 1, 1, flatten},
	"Gather":          {1, 0, 2, 2, gather},
	"Pad":             {2, 0, 1, 4, pad},
	"Range":           {11, 0, 3, 3, rangeOf},
	"Reshape":         {5, 0, 2, 2, reshape},
	"Resize":          {10, 0, 1, 4, resize},
	"Shape":           {1, 0, 1, 1, shapeOf},
	"Size":            {1, 0, 1, 1, sizeOf},
	"Slice":           {1, 0, 1, 5, slice},
	"SpaceToDepth":    {1, 0, 1, 1, spaceToDepth},
	"Split":           {2, 0, 1, 2, split},
	"Squeeze":         {1, 0, 1, 2, squeeze},
	"Tile":            {6, 0, 2, 2, tile},
	"Transpose":       {1, 0, 1, 1, transpose},
	"Unsqueeze":       {1, 0, 1, 2, unsqueeze},
	"Upsample":        {7, 9, 1, 2, resize},
}
