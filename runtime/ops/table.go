package ops

import (
	"maps"
	"math"
	"slices"
)

// table is every ONNX operator that runs here: the same as graph has a rule for,
// where the versions and the numbers of inputs are.
var table = map[string]operator{
	// Elementwise, one operand.
	"Abs":             {build: unary(each(math.Abs), absInt)},
	"Acos":            {build: unary(each(math.Acos), nil)},
	"Acosh":           {build: unary(each(math.Acosh), nil)},
	"Asin":            {build: unary(each(math.Asin), nil)},
	"Asinh":           {build: unary(each(math.Asinh), nil)},
	"Atan":            {build: unary(each(math.Atan), nil)},
	"Atanh":           {build: unary(each(math.Atanh), nil)},
	"BitwiseNot":      {build: buildBitwiseNot},
	"Cast":            {check: checkCast, build: buildCast, refuses: "text, complex numbers and types of 8 bits that are real"},
	"CastLike":        {build: inferred(buildCast)},
	"Ceil":            {build: unary(each(math.Ceil), nil)},
	"Celu":            {build: unary(celuRow, nil)},
	"Clip":            {build: buildClip},
	"Cos":             {build: unary(each(math.Cos), nil)},
	"Cosh":            {build: unary(each(math.Cosh), nil)},
	"Elu":             {build: unary(eluRow, nil)},
	"Erf":             {build: unary(each(math.Erf), nil)},
	"Exp":             {build: unary(expRow, nil)},
	"Floor":           {build: unary(each(math.Floor), nil)},
	"Gelu":            {check: checkGelu, build: unary(geluRow, nil)},
	"HardSigmoid":     {build: unary(hardSigmoidRow, nil)},
	"HardSwish":       {build: unary(hardSwishRow, nil)},
	"IsInf":           {build: inferred(question(isInf))},
	"IsNaN":           {build: inferred(question(isNaN))},
	"LeakyRelu":       {build: unary(leakyRow, nil)},
	"Log":             {build: unary(each(math.Log), nil)},
	"Mish":            {build: unary(each(mish), nil)},
	"Neg":             {build: unary(negRow, negInt)},
	"Not":             {build: buildNot},
	"Reciprocal":      {build: unary(reciprocalRow, nil)},
	"Relu":            {build: unary(reluRow, reluInt)},
	"Round":           {build: unary(each(math.RoundToEven), nil)},
	"Selu":            {build: unary(seluRow, nil)},
	"Sigmoid":         {build: unary(sigmoidRow, nil)},
	"Shrink":          {build: unary(shrinkRow, nil)},
	"Sign":            {build: unary(each(sign), signInt)},
	"Sin":             {build: unary(each(math.Sin), nil)},
	"Sinh":            {build: unary(each(math.Sinh), nil)},
	"Softplus":        {build: unary(each(softplus), nil)},
	"Softsign":        {build: unary(each(softsign), nil)},
	"Sqrt":            {build: unary(each(math.Sqrt), nil)},
	"Swish":           {build: unary(swishRow, nil)},
	"Tan":             {build: unary(each(math.Tan), nil)},
	"Tanh":            {build: unary(tanhRow, nil)},
	"ThresholdedRelu": {build: unary(thresholdedRow, nil)},

	// Elementwise, several operands under broadcasting.
	"Add":            {build: arith(addLoops, addInt)},
	"And":            {build: logic(minInt)},
	"BitShift":       {check: checkBitShift, build: buildBitShift},
	"BitwiseAnd":     {build: bitwise(andInt)},
	"BitwiseOr":      {build: bitwise(orInt)},
	"BitwiseXor":     {build: bitwise(xorInt)},
	"Div":            {build: arith(divLoops, divInt)},
	"Equal":          {build: compare(equalTo[float32], equalTo[int64])},
	"Greater":        {build: compare(greater[float32], greater[int64])},
	"GreaterOrEqual": {build: compare(greaterOrEqual[float32], greaterOrEqual[int64])},
	"Less":           {build: compare(less[float32], less[int64])},
	"LessOrEqual":    {build: compare(lessOrEqual[float32], lessOrEqual[int64])},
	"Max":            {build: variadic(maxLoops, maxInt)},
	"Mean":           {build: buildMean},
	"Min":            {build: variadic(minLoops, minInt)},
	"Mod":            {build: buildMod},
	"Mul":            {build: arith(mulLoops, mulInt)},
	"Or":             {build: logic(maxInt)},
	"PRelu":          {build: buildPRelu},
	"Pow":            {build: buildPow},
	"Sub":            {build: arith(subLoops, subInt)},
	"Sum":            {build: variadic(addLoops, addInt)},
	"Where":          {build: buildWhere},
	"Xor":            {build: logic(xorInt)},

	// Products.
	"Attention":       {check: checkAttention, build: inferred(buildAttention), refuses: "qk_matmul_output_mode 1 together with softcap: versions differ in what comes first"},
	"Conv":            {check: checkAutoPad, build: buildConv},
	"ConvTranspose":   {check: checkAutoPad, build: buildConvTranspose},
	"DeformConv":      {check: checkAutoPad, build: inferred(buildDeformConv)},
	"Det":             {build: inferred(buildDet)},
	"Einsum":          {build: inferred(buildEinsum)},
	"Gemm":            {build: buildGemm},
	"RotaryEmbedding": {build: inferred(buildRotary)},
	"MatMul":          {build: buildMatMul},

	// Normalisation.
	"BatchNormalization":           {check: checkBatchNorm, build: buildBatchNorm, refuses: "training, and statistics of every activation (spatial 0)"},
	"GroupNormalization":           {build: inferred(buildInstanceNorm)},
	"Hardmax":                      {build: inferred(buildHardmax)},
	"InstanceNormalization":        {build: inferred(buildInstanceNorm)},
	"LayerNormalization":           {build: inferred(layerNorm(false))},
	"LRN":                          {build: buildLRN},
	"LogSoftmax":                   {build: softmax(true)},
	"LpNormalization":              {check: checkLpNorm, build: inferred(buildLpNorm)},
	"MeanVarianceNormalization":    {build: inferred(buildMeanVariance)},
	"RMSNormalization":             {build: inferred(layerNorm(true))},
	"SimplifiedLayerNormalization": {build: inferred(layerNorm(true))},
	"Softmax":                      {build: softmax(false)},

	// Pooling and reductions.
	"ArgMax":            {build: argExtreme(greater[float32], greater[int64])},
	"ArgMin":            {build: argExtreme(less[float32], less[int64])},
	"AveragePool":       {check: checkAutoPad, build: buildAveragePool},
	"GlobalAveragePool": {build: buildGlobalAveragePool},
	"GlobalMaxPool":     {build: buildGlobalMaxPool},
	"LpPool":            {check: checkLpPool, build: inferred(buildLpPool)},
	"MaxPool":           {check: checkAutoPad, build: buildMaxPool},
	"MaxUnpool":         {build: inferred(buildMaxUnpool)},
	"ReduceL1":          {build: reduce(18, l1Floats, l1Ints)},
	"ReduceL2":          {build: reduce(18, l2Floats, l2Ints)},
	"ReduceLogSum":      {build: reduce(18, logSumFloats, nil)},
	"ReduceLogSumExp":   {build: reduce(18, logSumExpFloats, nil)},
	"ReduceMax":         {build: reduce(18, maxFloats, maxInts)},
	"ReduceMean":        {build: reduce(18, meanFloats, meanInts)},
	"ReduceMin":         {build: reduce(18, minFloats, minInts)},
	"ReduceProd":        {build: reduce(18, prodFloats, prodInts)},
	"ReduceSum":         {build: reduce(13, sumFloats, sumInts)},
	"ReduceSumSquare":   {build: reduce(18, squareFloats, squareInts)},

	// Shapes and the movement of elements.
	"Concat":       {build: buildConcat},
	"DepthToSpace": {check: checkDepthToSpace, build: buildDepthToSpace},
	"Dropout":      {build: buildDropout},
	"Expand":       {build: buildExpand},
	"Flatten":      {build: buildCopy},
	"Gather":       {build: buildGather},
	"Identity":     {build: buildCopy},
	"Pad":          {check: checkPad, build: buildPad},
	"Reshape":      {build: buildCopy},
	"Resize":       {check: checkResize, build: buildResize},
	"Shape":        {build: buildShape},
	"Size":         {build: buildSize},
	"Slice":        {build: buildSlice},
	"SpaceToDepth": {build: buildSpaceToDepth},
	"Split":        {build: buildSplit},
	"Squeeze":      {build: buildCopy},
	"Tile":         {build: buildTile},
	"Transpose":    {build: buildTranspose},
	"Unsqueeze":    {build: buildCopy},
	"Upsample":     {check: checkResize, build: buildResize},

	// Samples of images.
	"AffineGrid": {build: inferred(buildAffineGrid)},
	"Col2Im":     {build: inferred(buildCol2Im)},
	"GridSample": {check: checkGridSample, build: inferred(buildGridSample)},
	"RoiAlign":   {check: checkRoiAlign, build: inferred(buildRoiAlign), refuses: "sampling_ratio above 1024"},

	// Data decides how many elements come out.
	"Compress":          {eval: evalCompress},
	"NonMaxSuppression": {eval: evalNonMaxSuppression},
	"NonZero":           {eval: evalNonZero},
	"Unique":            {eval: evalUnique},

	// Graphs within the graph, which package runtime runs.
	"If":   {check: checkIf},
	"Loop": {check: checkLoop},
	"Scan": {check: checkScan},

	// Recurrent networks.
	"GRU":  {check: checkRecurrent, build: inferred(buildRecurrent), refuses: "activations with parameters", quiet: true},
	"LSTM": {check: checkRecurrent, build: inferred(buildRecurrent), refuses: "activations with parameters", quiet: true},
	"RNN":  {check: checkRecurrent, build: inferred(buildRecurrent), refuses: "activations with parameters", quiet: true},

	// Quantisation and products of integers.
	"ConvInteger":           {check: checkAutoPad, build: inferred(buildConvInteger)},
	"DequantizeLinear":      {build: inferred(buildDequantize)},
	"DynamicQuantizeLinear": {build: inferred(buildDynamicQuantize)},
	"MatMulInteger":         {build: inferred(buildMatMulInteger)},
	"QLinearConv":           {check: checkAutoPad, build: inferred(buildQLinearConv)},
	"QLinearMatMul":         {build: inferred(buildQLinearMatMul)},
	"QuantizeLinear":        {build: inferred(buildQuantize)},

	// Selection and order of elements.
	"CenterCropPad":   {build: inferred(buildCenterCropPad)},
	"CumProd":         {build: inferred(cumulate(mulFloat, mulInt, 1))},
	"CumSum":          {build: inferred(cumulate(addFloat, addInt, 0))},
	"GatherElements":  {build: inferred(buildGatherElements)},
	"GatherND":        {build: inferred(buildGatherND)},
	"Scatter":         {build: inferred(buildScatterElements)},
	"ScatterElements": {check: checkReduction, build: inferred(buildScatterElements)},
	"ScatterND":       {check: checkReduction, build: inferred(buildScatterND)},
	"EyeLike":         {check: checkEyeLike, build: inferred(buildEyeLike), refuses: "text, complex numbers and types of 8 bits that are real"},
	"OneHot":          {build: inferred(buildOneHot)},
	"ReverseSequence": {build: inferred(buildReverseSequence)},
	"TopK":            {build: inferred(buildTopK)},
	"Trilu":           {build: inferred(buildTrilu)},

	// Constants.
	"Constant":        {check: checkConstant, build: buildConstant, refuses: "text and complex numbers"},
	"ConstantOfShape": {build: buildConstantOfShape},
	"Range":           {build: buildRange},
}

// fused is every operator of graph.FusedDomain. Attributes of a fused
// convolution are those of Conv, and clamp_min and clamp_max.
var fused = map[string]operator{
	"Affine":       {inputs: [2]int{3, 3}, build: buildAffine},
	"Attention":    {inputs: [2]int{1, 4}, build: buildFusedAttention},
	"Clamp":        {inputs: one, build: buildClamp},
	"Conv":         {inputs: [2]int{2, 4}, check: checkAutoPad, build: buildConv},
	"DepthToSpace": {inputs: one, build: buildFusedDepthToSpace},
	"Gelu":         {inputs: one, check: checkGelu, build: unary(geluRow, nil)},
	"HardSwish":    {inputs: one, build: unary(hardSwishRow, nil)},
	"LayerNorm":    {inputs: [2]int{1, 3}, build: buildFusedLayerNorm},
	"Linear":       {inputs: [2]int{2, 4}, build: buildLinear},
	"LSTM":         {inputs: [2]int{1, 8}, check: checkRecurrent, build: buildRecurrent, quiet: true},
	"GRU":          {inputs: [2]int{1, 6}, check: checkRecurrent, build: buildRecurrent, quiet: true},
	"RNN":          {inputs: [2]int{1, 6}, check: checkRecurrent, build: buildRecurrent, quiet: true},
	"Rotary":       {inputs: [2]int{3, 3}, build: buildFusedRotary},
	"RMSNorm":      {inputs: upTo2, build: buildFusedRMSNorm},
	"Threshold":    {inputs: one, build: unary(thresholdRow, nil)},
	"SiLU":         {inputs: one, build: unary(siluRow, nil)},
}

// Numbers of inputs.
var (
	one   = [2]int{1, 1}
	two   = [2]int{2, 2}
	upTo2 = [2]int{1, 2}
)

// absent are reasons why ONNX operators are missing here, for those of which it
// is not that nobody has asked for them yet.
var absent = map[string]string{
	"Bernoulli":                 random,
	"Multinomial":               random,
	"RandomNormal":              random,
	"RandomNormalLike":          random,
	"RandomUniform":             random,
	"RandomUniformLike":         random,
	"ConcatFromSequence":        noTensor,
	"Optional":                  noTensor,
	"OptionalGetElement":        noTensor,
	"OptionalHasElement":        noTensor,
	"SequenceAt":                noTensor,
	"SequenceConstruct":         noTensor,
	"SequenceEmpty":             noTensor,
	"SequenceErase":             noTensor,
	"SequenceInsert":            noTensor,
	"SequenceLength":            noTensor,
	"SequenceMap":               noTensor,
	"SplitToSequence":           noTensor,
	"ImageDecoder":              "pictures are decoded before they are given to a model",
	"NegativeLogLikelihoodLoss": training,
	"SoftmaxCrossEntropyLoss":   training,
	"RegexFullMatch":            text,
	"StringConcat":              text,
	"StringNormalizer":          text,
	"StringSplit":               text,
	"TfIdfVectorizer":           text,
}

const (
	random   = "it draws random numbers, and the same input always gives the same output here"
	noTensor = "sequences and optional values are no tensors"
	training = "it is a loss, which training needs and inference does not"
	text     = "text is not computed with"
)

// Names returns the ONNX operators that run here, sorted.
func Names() []string { return slices.Sorted(maps.Keys(table)) }
