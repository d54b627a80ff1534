package graph

import (
	"maps"
	"math"
	"slices"
)

// An operator says which nodes a rule of shape inference is for.
type operator struct {
	since, until int                         // versions of the operator set that have it; until 0 is all later ones
	min, max     int                         // fewest and most inputs; the fewest must be present
	infer        func(*call) ([]Type, error) // returns the types of all outputs that there may be
}

// A Signature says which nodes of an operator of ai.onnx are known.
type Signature struct {
	Since, Until         int // versions of the operator set that have it; Until is 0 where the newest does
	MinInputs, MaxInputs int // the first MinInputs must be present; MaxInputs is math.MaxInt for any number
}

// SignatureOf returns the signature of an operator of ai.onnx, and false where
// it is not known.
func SignatureOf(op string) (Signature, bool) {
	o, ok := operators[op]
	return Signature{o.since, o.until, o.min, o.max}, ok
}

// Operators lists the operators of ai.onnx that Infer has a rule for, sorted.
func Operators() []string { return slices.Sorted(maps.Keys(operators)) }

// variadic stands for any number of inputs.
const variadic = math.MaxInt

// operators are the operators of domain ai.onnx that Infer has a rule for, as
// https://onnx.ai/onnx/operators/ defines them: the one place for versions and
// numbers of inputs. What computes each is in the table of package ops.
var operators = map[string]operator{
	// Real functions of one element.
	"Abs":             {6, 0, 1, 1, sameType},
	"Acos":            {7, 0, 1, 1, sameType},
	"Acosh":           {9, 0, 1, 1, sameType},
	"Asin":            {7, 0, 1, 1, sameType},
	"Asinh":           {9, 0, 1, 1, sameType},
	"Atan":            {7, 0, 1, 1, sameType},
	"Atanh":           {9, 0, 1, 1, sameType},
	"Ceil":            {6, 0, 1, 1, sameType},
	"Celu":            {12, 0, 1, 1, sameType},
	"BitwiseNot":      {18, 0, 1, 1, sameType},
	"Clip":            {6, 0, 1, 3, sameType},
	"Cos":             {7, 0, 1, 1, sameType},
	"Cosh":            {9, 0, 1, 1, sameType},
	"Elu":             {6, 0, 1, 1, sameType},
	"Erf":             {9, 0, 1, 1, sameType},
	"Exp":             {6, 0, 1, 1, sameType},
	"Floor":           {6, 0, 1, 1, sameType},
	"Gelu":            {20, 0, 1, 1, sameType},
	"HardSigmoid":     {6, 0, 1, 1, sameType},
	"HardSwish":       {14, 0, 1, 1, sameType},
	"Identity":        {1, 0, 1, 1, identity},
	"IsInf":           {10, 0, 1, 1, isBool},
	"IsNaN":           {9, 0, 1, 1, isBool},
	"LeakyRelu":       {6, 0, 1, 1, sameType},
	"Log":             {6, 0, 1, 1, sameType},
	"Mish":            {18, 0, 1, 1, sameType},
	"Neg":             {6, 0, 1, 1, sameType},
	"PRelu":           {7, 0, 2, 2, prelu},
	"Reciprocal":      {6, 0, 1, 1, sameType},
	"Relu":            {6, 0, 1, 1, sameType},
	"Round":           {11, 0, 1, 1, sameType},
	"Selu":            {6, 0, 1, 1, sameType},
	"Sigmoid":         {6, 0, 1, 1, sameType},
	"Sign":            {9, 0, 1, 1, sameType},
	"Sin":             {7, 0, 1, 1, sameType},
	"Sinh":            {9, 0, 1, 1, sameType},
	"Softplus":        {1, 0, 1, 1, sameType},
	"Softsign":        {1, 0, 1, 1, sameType},
	"Swish":           {24, 0, 1, 1, sameType},
	"Shrink":          {9, 0, 1, 1, sameType},
	"Sqrt":            {6, 0, 1, 1, sameType},
	"Tan":             {7, 0, 1, 1, sameType},
	"Tanh":            {6, 0, 1, 1, sameType},
	"ThresholdedRelu": {10, 0, 1, 1, sameType},

	// Functions of several elements that broadcast.
	"Add":            {7, 0, 2, 2, arithmetic},
	"And":            {7, 0, 2, 2, logic},
	"BitShift":       {11, 0, 2, 2, arithmetic},
	"BitwiseAnd":     {18, 0, 2, 2, arithmetic},
	"BitwiseOr":      {18, 0, 2, 2, arithmetic},
	"BitwiseXor":     {18, 0, 2, 2, arithmetic},
	"Div":            {7, 0, 2, 2, arithmetic},
	"Equal":          {7, 0, 2, 2, comparison},
	"Greater":        {7, 0, 2, 2, comparison},
	"GreaterOrEqual": {12, 0, 2, 2, comparison},
	"Less":           {7, 0, 2, 2, comparison},
	"LessOrEqual":    {12, 0, 2, 2, comparison},
	"Max":            {6, 0, 1, variadic, arithmetic},
	"Mean":           {6, 0, 1, variadic, arithmetic},
	"Min":            {6, 0, 1, variadic, arithmetic},
	"Mod":            {10, 0, 2, 2, arithmetic},
	"Mul":            {7, 0, 2, 2, arithmetic},
	"Not":            {1, 0, 1, 1, logic},
	"Or":             {7, 0, 2, 2, logic},
	"Pow":            {7, 0, 2, 2, pow},
	"Sub":            {7, 0, 2, 2, arithmetic},
	"Sum":            {6, 0, 1, variadic, arithmetic},
	"Where":          {9, 0, 3, 3, where},
	"Xor":            {7, 0, 2, 2, logic},

	// Products, windows and normalisations.
	"Attention":                    {23, 0, 3, 7, attention},
	"AveragePool":                  {1, 0, 1, 1, pool},
	"BatchNormalization":           {7, 0, 5, 5, batchNormalization},
	"AffineGrid":                   {20, 0, 2, 2, affineGrid},
	"Col2Im":                       {18, 0, 3, 3, col2Im},
	"Conv":                         {1, 0, 2, 3, conv},
	"ConvTranspose":                {1, 0, 2, 3, convTranspose},
	"Einsum":                       {12, 0, 1, variadic, einsum},
	"DeformConv":                   {19, 0, 3, 5, deformConv},
	"Det":                          {11, 0, 1, 1, det},
	"RoiAlign":                     {10, 0, 3, 3, roiAlign},
	"GroupNormalization":           {18, 0, 3, 3, channelNormalization},
	"Hardmax":                      {1, 0, 1, 1, softmax},
	"InstanceNormalization":        {6, 0, 3, 3, channelNormalization},
	"LayerNormalization":           {17, 0, 2, 3, layerNormalization},
	"LpNormalization":              {1, 0, 1, 1, alongAxis},
	"MeanVarianceNormalization":    {9, 0, 1, 1, meanVariance},
	"RMSNormalization":             {23, 0, 2, 2, layerNormalization},
	"SimplifiedLayerNormalization": {1, 0, 2, 2, layerNormalization}, // an extension that ONNX Runtime's exporters use
	"Gemm":                         {7, 0, 2, 3, gemm},
	"GlobalAveragePool":            {1, 0, 1, 1, globalPool},
	"GlobalMaxPool":                {1, 0, 1, 1, globalPool},
	"GridSample":                   {16, 0, 2, 2, gridSample},
	"LRN":                          {1, 0, 1, 1, sameType},
	"LpPool":                       {2, 0, 1, 1, pool},
	"RotaryEmbedding":              {23, 0, 3, 4, rotaryEmbedding},
	"LogSoftmax":                   {1, 0, 1, 1, softmax},
	"MatMul":                       {1, 0, 2, 2, matMul},
	"MaxPool":                      {1, 0, 1, 1, pool},
	"MaxUnpool":                    {9, 0, 2, 3, maxUnpool},
	"Softmax":                      {1, 0, 1, 1, softmax},

	// Data decides how many elements come out.
	"Compress":          {9, 0, 2, 2, dataDependent},
	"NonMaxSuppression": {10, 0, 2, 5, dataDependent},
	"NonZero":           {9, 0, 1, 1, dataDependent},
	"Unique":            {11, 0, 1, 1, dataDependent},

	// Graphs within the graph.
	"If":   {1, 0, 1, 1, dataDependent},
	"Loop": {1, 0, 0, variadic, dataDependent},
	"Scan": {9, 0, 1, variadic, dataDependent},

	// Recurrent networks.
	"GRU":  {7, 0, 3, 6, recurrent},
	"LSTM": {7, 0, 3, 8, recurrent},
	"RNN":  {7, 0, 3, 6, recurrent},

	// Quantisation and products of integers.
	"ConvInteger":           {10, 0, 2, 4, convInteger},
	"DequantizeLinear":      {10, 0, 2, 3, dequantizeLinear},
	"DynamicQuantizeLinear": {11, 0, 1, 1, dynamicQuantizeLinear},
	"MatMulInteger":         {10, 0, 2, 4, matMulInteger},
	"QLinearConv":           {10, 0, 8, 9, qLinearConv},
	"QLinearMatMul":         {10, 0, 8, 8, qLinearMatMul},
	"QuantizeLinear":        {10, 0, 2, 3, quantizeLinear},

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
	"CastLike":        {15, 0, 2, 2, castLike},
	"CumProd":         {26, 0, 2, 2, cumulate},
	"CumSum":          {11, 0, 2, 2, cumulate},
	"EyeLike":         {9, 0, 1, 1, eyeLike},
	"OneHot":          {9, 0, 3, 3, oneHot},
	"ReverseSequence": {10, 0, 2, 2, reverseSequence},
	"TopK":            {1, 0, 1, 2, topK},
	"Trilu":           {14, 0, 1, 2, trilu},
	"CenterCropPad":   {18, 0, 2, 2, centerCropPad},
	"Concat":          {4, 0, 1, variadic, concat},
	"Constant":        {1, 0, 0, 0, constant},
	"ConstantOfShape": {9, 0, 1, 1, constantOfShape},
	"DepthToSpace":    {1, 0, 1, 1, depthToSpace},
	"Dropout":         {7, 0, 1, 3, dropout},
	"Expand":          {8, 0, 2, 2, expand},
	"Flatten":         {1, 0, 1, 1, flatten},
	"Gather":          {1, 0, 2, 2, gather},
	"GatherElements":  {11, 0, 2, 2, gatherElements},
	"GatherND":        {11, 0, 2, 2, gatherND},
	"Scatter":         {9, 10, 3, 3, scatterElements},
	"ScatterElements": {11, 0, 3, 3, scatterElements},
	"ScatterND":       {11, 0, 3, 3, scatterND},
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
