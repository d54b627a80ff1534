package builtin

import (
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// Extents of ViT-B/16 on images of 224 x 224.
const (
	vitPatch  = 16
	vitTokens = 1 + (224/vitPatch)*(224/vitPatch)
	vitLayers = 12
	vitHeads  = 12
	vitWidth  = 768
	vitHidden = 3072
)

// vitB16 is torchvision's vit_b_16, as torch.onnx exports it: the queries, keys
// and values of a layer are one product, tokens first. Source: Dosovitskiy et
// al., An Image is Worth 16x16 Words, 2020.
func vitB16(batch int) *graph.Model {
	n, in := newNet("vit_b_16", batch, 3, 224)
	p := n.conv("conv_proj", in, conv{out: vitWidth, kernel: vitPatch, stride: vitPatch, gain: linearGain})
	x := n.transpose("patches", n.reshape("conv_proj.reshape", p.name, batch, vitWidth, vitTokens-1), 0, 2, 1)
	_, class := n.shaped("Expand", "class_token.expand", []int{batch, 1, vitWidth},
		n.weight("class_token", 1, 1, 1, vitWidth), n.ints("class_token.shape", batch, 1, vitWidth))
	shape := []int{batch, vitTokens, vitWidth}
	node, x := n.shaped("Concat", "tokens", shape, class, x)
	node.Set("axis", 1)
	_, x = n.shaped("Add", "encoder.embedded", shape, x, n.weight("encoder.pos_embedding", 1, 1, vitTokens, vitWidth))
	for i := range vitLayers {
		x = n.vitLayer(layerName("encoder.layers.encoder_layer_", i), x)
	}
	x = n.layerNorm("encoder.ln", x, 1e-6)
	return n.finish(n.gemm("heads.head", n.first("heads.first", x), 1000, linearGain))
}

// vitLayer adds attention and a feed-forward block, each of which normalises
// its input first.
func (n *net) vitLayer(name, x string) string {
	y := n.vitAttention(name+".self_attention", n.layerNorm(name+".ln_1", x, 1e-6))
	x = n.sum(name+".attended", y, x)
	y = n.gelu(name+".mlp.1", n.dense(name+".mlp.0", n.layerNorm(name+".ln_2", x, 1e-6), vitHidden, linearGain))
	return n.sum(name+".out", x, n.dense(name+".mlp.3", y, vitWidth, branchGain))
}

// vitAttention is torch.nn.MultiheadAttention, which works on [tokens, batch,
// features].
func (n *net) vitAttention(name, x string) string {
	const depth = vitWidth / vitHeads
	batch := n.shape(x)[0]
	packed := n.dense(name+".in_proj", n.transpose(name+".tokens_first", x, 1, 0, 2), 3*vitWidth, linearGain)
	heads := func(part string, i int) string {
		_, y := n.shaped("Slice", name+"."+part, []int{vitTokens, batch, vitWidth}, packed,
			n.ints(name+"."+part+".start", i*vitWidth), n.ints(name+"."+part+".end", (i+1)*vitWidth), n.ints("last_axis", -1))
		return n.reshape(name+"."+part+".heads", y, vitTokens, batch*vitHeads, depth)
	}
	q := n.transpose(name+".query.transpose", heads("query", 0), 1, 0, 2)
	_, q = n.shaped("Div", name+".scale", n.shape(q), q, n.scalar("attention.root", float32(math.Sqrt(depth))))
	k := n.transpose(name+".key.transpose", heads("key", 1), 1, 2, 0)
	v := n.transpose(name+".value.transpose", heads("value", 2), 1, 0, 2)
	_, s := n.shaped("MatMul", name+".scores", []int{batch * vitHeads, vitTokens, vitTokens}, q, k)
	_, y := n.shaped("MatMul", name+".context", []int{batch * vitHeads, vitTokens, depth}, n.softmax(name+".softmax", s), v)
	y = n.reshape(name+".rows", n.transpose(name+".context.transpose", y, 1, 0, 2), vitTokens*batch, vitWidth)
	out := n.gemm(name+".out_proj", value{name: y, batch: vitTokens * batch, channels: vitWidth}, vitWidth, branchGain)
	return n.transpose(name+".batch_first", n.reshape(name+".reshape", out.name, vitTokens, batch, vitWidth), 1, 0, 2)
}
