package ops

import (
	"maps"
	"math"
	"slices"
)

// table is every ONNX operator that runs here.
var table = map[string]operator{
	// Elementwise, one operand.
	"Abs":             {since: 6, inputs: one, build: unary(each(math.Abs), absInt)},
	"Acos":            {since: 7, inputs: one, build: unary(each(math.Acos), nil)},
	"Acosh":           {since: 9, inputs: one, build: unary(each(math.Acosh), nil)},
	"Asin":            {since: 7, inputs: one, build: unary(each(math.Asin), nil)},
	"Asinh":           {since: 9, inputs: one, build: unary(each(math.Asinh), nil)},
	"Atan":            {since: 7, inputs: one, build: unary(each(math.Atan), nil)},
	"Atanh":           {since: 9, inputs: one, build: unary(each(math.Atanh), nil)},
	"BitwiseNot":      {since: 18, inputs: one, build: buildBitwiseNot},
	"Cast":            {since: 6, inputs: one, check: checkCast, build: buildCast},
	"CastLike":        {since: 15, inputs: two, build: inferred(buildCast)},
	"Ceil":            {since: 6, inputs: one, build: unary(each(math.Ceil), nil)},
	"Celu":            {since: 12, inputs: one, build: unary(celuRow, nil)},
	"Clip":            {since: 6, inputs: [2]int{1, 3}, build: buildClip},
	"Cos":             {since: 7, inputs: one, build: unary(each(math.Cos), nil)},
	"Cosh":            {since: 9, inputs: one, build: unary(each(math.Cosh), nil)},
	"Elu":             {since: 6, inputs: one, build: unary(eluRow, nil)},
	"Erf":             {since: 9, inputs: one, build: unary(each(math.Erf), nil)},
	"Exp":             {since: 6, inputs: one, build: unary(expRow, nil)},
	"Floor":           {since: 6, inputs: one, build: unary(each(math.Floor), nil)},
	"Gelu":            {since: 20, inputs: one, check: checkGelu, build: unary(geluRow, nil)},
	"HardSigmoid":     {since: 6, inputs: one, build: unary(hardSigmoidRow, nil)},
	"HardSwish":       {since: 14, inputs: one, build: unary(hardSwishRow, nil)},
	"IsInf":           {since: 10, inputs: one, build: inferred(question(isInf))},
	"IsNaN":           {since: 9, inputs: one, build: inferred(question(isNaN))},
	"LeakyRelu":       {since: 6, inputs: one, build: unary(leakyRow, nil)},
	"Log":             {since: 6, inputs: one, build: unary(each(math.Log), nil)},
	"Mish":            {since: 18, inputs: one, build: unary(each(mish), nil)},
	"Neg":             {since: 6, inputs: one, build: unary(negRow, negInt)},
	"Not":             {since: 1, inputs: one, build: buildNot},
	"Reciprocal":      {since: 6, inputs: one, build: unary(reciprocalRow, nil)},
	"Relu":            {since: 6, inputs: one, build: unary(reluRow, reluInt)},
	"Round":           {since: 11, inputs: one, build: unary(each(math.RoundToEven), nil)},
	"Selu":            {since: 6, inputs: one, build: unary(seluRow, nil)},
	"Sigmoid":         {since: 6, inputs: one, build: unary(sigmoidRow, nil)},
	"Shrink":          {since: 9, inputs: one, build: unary(shrinkRow, nil)},
	"Sign":            {since: 9, inputs: one, build: unary(each(sign), signInt)},
	"Sin":             {since: 7, inputs: one, build: unary(each(math.Sin), nil)},
	"Sinh":            {since: 9, inputs: one, build: unary(each(math.Sinh), nil)},
	"Softplus":        {since: 1, inputs: one, build: unary(each(softplus), nil)},
	"Softsign":        {since: 1, inputs: one, build: unary(each(softsign), nil)},
	"Sqrt":            {since: 6, inputs: one, build: unary(each(math.Sqrt), nil)},
	"Swish":           {since: 24, inputs: one, build: unary(swishRow, nil)},
	"Tan":             {since: 7, inputs: one, build: unary(each(math.Tan), nil)},
	"Tanh":            {since: 6, inputs: one, build: unary(tanhRow, nil)},
	"ThresholdedRelu": {since: 10, inputs: one, build: unary(thresholdedRow, nil)},

	// Elementwise, several operands under broadcasting.
	"Add":            {since: 7, inputs: two, build: arith(addLoops, addInt)},
	"And":            {since: 7, inputs: two, build: logic(minInt)},
	"BitShift":       {since: 11, inputs: two, check: checkBitShift, build: buildBitShift},
	"BitwiseAnd":     {since: 18, inputs: two, build: bitwise(andInt)},
	"BitwiseOr":      {since: 18, inputs: two, build: bitwise(orInt)},
	"BitwiseXor":     {since: 18, inputs: two, build: bitwise(xorInt)},
	"Div":            {since: 7, inputs: two, build: arith(divLoops, divInt)},
	"Equal":          {since: 7, inputs: two, build: compare(equalTo[float32], equalTo[int64])},
	"Greater":        {since: 7, inputs: two, build: compare(greater[float32], greater[int64])},
	"GreaterOrEqual": {since: 12, inputs: two, build: compare(greaterOrEqual[float32], greaterOrEqual[int64])},
	"Less":           {since: 7, inputs: two, build: compare(less[float32], less[int64])},
	"LessOrEqual":    {since: 12, inputs: two, build: compare(lessOrEqual[float32], lessOrEqual[int64])},
	"Max":            {since: 6, inputs: some, build: variadic(maxLoops, maxInt)},
	"Mean":           {since: 6, inputs: some, build: buildMean},
	"Min":            {since: 6, inputs: some, build: variadic(minLoops, minInt)},
	"Mod":            {since: 10, inputs: two, build: buildMod},
	"Mul":            {since: 7, inputs: two, build: arith(mulLoops, mulInt)},
	"Or":             {since: 7, inputs: two, build: logic(maxInt)},
	"PRelu":          {since: 7, inputs: two, build: buildPRelu},
	"Pow":            {since: 7, inputs: two, build: buildPow},
	"Sub":            {since: 7, inputs: two, build: arith(subLoops, subInt)},
	"Sum":            {since: 6, inputs: some, build: variadic(addLoops, addInt)},
	"Where":          {since: 9, inputs: [2]int{3, 3}, build: buildWhere},
	"Xor":            {since: 7, inputs: two, build: logic(xorInt)},

	// Products.
	"Attention":       {since: 23, inputs: [2]int{3, 7}, check: checkAttention, build: inferred(buildAttention)},
	"Conv":            {since: 1, inputs: [2]int{2, 3}, check: checkAutoPad, build: buildConv},
	"ConvTranspose":   {since: 1, inputs: [2]int{2, 3}, check: checkAutoPad, build: buildConvTranspose},
	"DeformConv":      {since: 19, inputs: [2]int{3, 5}, check: checkAutoPad, build: inferred(buildDeformConv)},
	"Det":             {since: 11, inputs: one, build: inferred(buildDet)},
	"Einsum":          {since: 12, inputs: some, build: inferred(buildEinsum)},
	"Gemm":            {since: 7, inputs: [2]int{2, 3}, build: buildGemm},
	"RotaryEmbedding": {since: 23, inputs: [2]int{3, 4}, build: inferred(buildRotary)},
	"MatMul":          {since: 1, inputs: two, build: buildMatMul},

	// Normalisation.
	"BatchNormalization":           {since: 7, inputs: [2]int{5, 5}, check: checkBatchNorm, build: buildBatchNorm},
	"GroupNormalization":           {since: 18, inputs: [2]int{3, 3}, build: inferred(buildInstanceNorm)},
	"Hardmax":                      {since: 1, inputs: one, build: inferred(buildHardmax)},
	"InstanceNormalization":        {since: 6, inputs: [2]int{3, 3}, build: inferred(buildInstanceNorm)},
	"LayerNormalization":           {since: 17, inputs: [2]int{2, 3}, build: inferred(layerNorm(false))},
	"LRN":                          {since: 1, inputs: one, build: buildLRN},
	"LogSoftmax":                   {since: 1, inputs: one, build: softmax(true)},
	"LpNormalization":              {since: 1, inputs: one, check: checkLpNorm, build: inferred(buildLpNorm)},
	"MeanVarianceNormalization":    {since: 9, inputs: one, build: inferred(buildMeanVariance)},
	"RMSNormalization":             {since: 23, inputs: two, build: inferred(layerNorm(true))},
	"SimplifiedLayerNormalization": {since: 1, inputs: two, build: inferred(layerNorm(true))},
	"Softmax":                      {since: 1, inputs: one, build: softmax(false)},

	// Pooling and reductions.
	"ArgMax":            {since: 1, inputs: one, build: argExtreme(greater[float32], greater[int64])},
	"ArgMin":            {since: 1, inputs: one, build: argExtreme(less[float32], less[int64])},
	"AveragePool":       {since: 1, inputs: one, check: checkAutoPad, build: buildAveragePool},
	"GlobalAveragePool": {since: 1, inputs: one, build: buildGlobalAveragePool},
	"GlobalMaxPool":     {since: 1, inputs: one, build: buildGlobalMaxPool},
	"LpPool":            {since: 2, inputs: one, check: checkLpPool, build: inferred(buildLpPool)},
	"MaxPool":           {since: 1, inputs: one, check: checkAutoPad, build: buildMaxPool},
	"ReduceL1":          {since: 1, inputs: upTo2, build: reduce(18, l1Floats, l1Ints)},
	"ReduceL2":          {since: 1, inputs: upTo2, build: reduce(18, l2Floats, l2Ints)},
	"ReduceLogSum":      {since: 1, inputs: upTo2, build: reduce(18, logSumFloats, nil)},
	"ReduceLogSumExp":   {since: 1, inputs: upTo2, build: reduce(18, logSumExpFloats, nil)},
	"ReduceMax":         {since: 1, inputs: upTo2, build: reduce(18, maxFloats, maxInts)},
	"ReduceMean":        {since: 1, inputs: upTo2, build: reduce(18, meanFloats, meanInts)},
	"ReduceMin":         {since: 1, inputs: upTo2, build: reduce(18, minFloats, minInts)},
	"ReduceProd":        {since: 1, inputs: upTo2, build: reduce(18, prodFloats, prodInts)},
	"ReduceSum":         {since: 1, inputs: upTo2, build: reduce(13, sumFloats, sumInts)},
	"ReduceSumSquare":   {since: 1, inputs: upTo2, build: reduce(18, squareFloats, squareInts)},

	// Shapes and the movement of elements.
	"Concat":       {since: 4, inputs: some, build: buildConcat},
	"DepthToSpace": {since: 1, inputs: one, check: checkDepthToSpace, build: buildDepthToSpace},
	"Dropout":      {since: 7, inputs: [2]int{1, 3}, build: buildDropout},
	"Expand":       {since: 8, inputs: two, build: buildExpand},
	"Flatten":      {since: 1, inputs: one, build: buildCopy},
	"Gather":       {since: 1, inputs: two, build: buildGather},
	"Identity":     {since: 1, inputs: one, build: buildCopy},
	"Pad":          {since: 2, inputs: [2]int{1, 4}, check: checkPad, build: buildPad},
	"Reshape":      {since: 5, inputs: two, build: buildCopy},
	"Resize":       {since: 10, inputs: [2]int{1, 4}, check: checkResize, build: buildResize},
	"Shape":        {since: 1, inputs: one, build: buildShape},
	"Size":         {since: 1, inputs: one, build: buildSize},
	"Slice":        {since: 1, inputs: [2]int{1, 5}, build: buildSlice},
	"SpaceToDepth": {since: 1, inputs: one, build: buildSpaceToDepth},
	"Split":        {since: 2, inputs: upTo2, build: buildSplit},
	"Squeeze":      {since: 1, inputs: upTo2, build: buildCopy},
	"Tile":         {since: 6, inputs: two, build: buildTile},
	"Transpose":    {since: 1, inputs: one, build: buildTranspose},
	"Unsqueeze":    {since: 1, inputs: upTo2, build: buildCopy},
	"Upsample":     {since: 7, inputs: upTo2, check: checkResize, build: buildResize},

	// Samples of images.
	"AffineGrid": {since: 20, inputs: two, build: inferred(buildAffineGrid)},
	"Col2Im":     {since: 18, inputs: [2]int{3, 3}, build: inferred(buildCol2Im)},
	"GridSample": {since: 16, inputs: two, check: checkGridSample, build: inferred(buildGridSample)},
	"RoiAlign":   {since: 10, inputs: [2]int{3, 3}, check: checkRoiAlign, build: inferred(buildRoiAlign)},

	// Recurrent networks.
	"GRU":  {since: 7, inputs: [2]int{3, 6}, check: checkRecurrent, build: inferred(buildRecurrent), quiet: true},
	"LSTM": {since: 7, inputs: [2]int{3, 8}, check: checkRecurrent, build: inferred(buildRecurrent), quiet: true},
	"RNN":  {since: 7, inputs: [2]int{3, 6}, check: checkRecurrent, build: inferred(buildRecurrent), quiet: true},

	// Quantisation and products of integers.
	"ConvInteger":           {since: 10, inputs: [2]int{2, 4}, check: checkAutoPad, build: inferred(buildConvInteger)},
	"DequantizeLinear":      {since: 10, inputs: [2]int{2, 3}, build: inferred(buildDequantize)},
	"DynamicQuantizeLinear": {since: 11, inputs: one, build: inferred(buildDynamicQuantize)},
	"MatMulInteger":         {since: 10, inputs: [2]int{2, 4}, build: inferred(buildMatMulInteger)},
	"QLinearConv":           {since: 10, inputs: [2]int{8, 9}, check: checkAutoPad, build: inferred(buildQLinearConv)},
	"QLinearMatMul":         {since: 10, inputs: [2]int{8, 8}, build: inferred(buildQLinearMatMul)},
	"QuantizeLinear":        {since: 10, inputs: [2]int{2, 3}, build: inferred(buildQuantize)},

	// Selection and order of elements.
	"CenterCropPad":   {since: 18, inputs: two, build: inferred(buildCenterCropPad)},
	"CumProd":         {since: 26, inputs: two, build: inferred(cumulate(mulFloat, mulInt, 1))},
	"CumSum":          {since: 11, inputs: two, build: inferred(cumulate(addFloat, addInt, 0))},
	"GatherElements":  {since: 11, inputs: two, build: inferred(buildGatherElements)},
	"GatherND":        {since: 11, inputs: two, build: inferred(buildGatherND)},
	"Scatter":         {since: 9, inputs: [2]int{3, 3}, build: inferred(buildScatterElements)},
	"ScatterElements": {since: 11, inputs: [2]int{3, 3}, check: checkReduction, build: inferred(buildScatterElements)},
	"ScatterND":       {since: 11, inputs: [2]int{3, 3}, check: checkReduction, build: inferred(buildScatterND)},
	"EyeLike":         {since: 9, inputs: one, check: checkEyeLike, build: inferred(buildEyeLike)},
	"OneHot":          {since: 9, inputs: [2]int{3, 3}, build: inferred(buildOneHot)},
	"ReverseSequence": {since: 10, inputs: two, build: inferred(buildReverseSequence)},
	"TopK":            {since: 1, inputs: upTo2, build: inferred(buildTopK)},
	"Trilu":           {since: 14, inputs: upTo2, build: inferred(buildTrilu)},

	// Constants.
	"Constant":        {since: 1, inputs: [2]int{0, 0}, check: checkConstant, build: buildConstant},
	"ConstantOfShape": {since: 9, inputs: one, build: buildConstantOfShape},
	"Range":           {since: 11, inputs: [2]int{3, 3}, build: buildRange},
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
	"RMSNorm":      {inputs: upTo2, build: buildFusedRMSNorm},
	"SiLU":         {inputs: one, build: unary(siluRow, nil)},
}

// Numbers of inputs.
var (
	one   = [2]int{1, 1}
	two   = [2]int{2, 2}
	upTo2 = [2]int{1, 2}
	some  = [2]int{1, -1}
)

// Names returns the ONNX operators that run here, sorted.
func Names() []string { return slices.Sorted(maps.Keys(table)) }
