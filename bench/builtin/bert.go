package builtin

import (
	"math"

	"github.com/nnz-dev/nnz/graph"
)

// Extents of BERT-base, uncased.
const (
	bertTokens     = 128
	bertLayers     = 12
	bertHeads      = 12
	bertWidth      = 768
	bertHidden     = 3072
	bertVocabulary = 30522
	bertPositions  = 512
)

// bertBase is the BertModel of Hugging Face's transformers with its pooler, for
// 128 tokens, as torch.onnx exports it. Source: Devlin et al., BERT:
// Pre-training of Deep Bidirectional Transformers for Language Understanding,
// 2018.
func bertBase(batch int) *graph.Model {
	n, _ := newNet("bert_base_128", batch, 0, 0)
	n.model.Inputs = nil
	for _, name := range []string{"input_ids", "attention_mask", "token_type_ids"} {
		n.model.Inputs = append(n.model.Inputs, &graph.Value{Name: name, DType: graph.Int64, Shape: graph.Dims(batch, bertTokens)})
	}
	mask := n.bertMask(batch)
	x := n.bertEmbeddings(batch)
	for i := range bertLayers {
		x = n.bertLayer(layerName("encoder.layer.", i), x, mask)
	}
	hidden := n.rename(x, "last_hidden_state")
	pooled := n.gemm("pooler.dense", n.first("pooler.first", hidden), bertWidth, linearGain)
	_, pooler := n.shaped("Tanh", "pooler_output", n.shape(pooled.name), pooled.name)
	for _, name := range []string{hidden, pooler} {
		n.model.Outputs = append(n.model.Outputs, n.model.Values[name])
		delete(n.model.Values, name)
	}
	n.draw()
	return n.model
}

// rename gives the output of the last node another name.
func (n *net) rename(from, to string) string {
	last := n.model.Nodes[len(n.model.Nodes)-1]
	last.Outputs[0] = to
	v := n.model.Values[from]
	delete(n.model.Values, from)
	v.Name = to
	n.model.Values[to] = v
	return to
}

// bertMask makes a term for the scores: zero for the tokens that count, the
// lowest number for the others.
func (n *net) bertMask(batch int) string {
	node, x := n.shaped("Unsqueeze", "mask.heads", []int{batch, 1, bertTokens}, "attention_mask", n.ints("mask.heads.axes", 1))
	n.model.Values[node.Name].DType = graph.Int64
	node, x = n.shaped("Unsqueeze", "mask.queries", []int{batch, 1, 1, bertTokens}, x, n.ints("mask.queries.axes", 2))
	n.model.Values[node.Name].DType = graph.Int64
	shape := n.shape(x)
	node, x = n.shaped("Cast", "mask.cast", shape, x)
	node.Set("to", int(graph.Float32))
	_, x = n.shaped("Sub", "mask.sub", shape, n.scalar("mask.one", 1), x)
	_, x = n.shaped("Mul", "mask", shape, x, n.scalar("mask.lowest", -math.MaxFloat32))
	return x
}

// bertEmbeddings adds the embeddings of words, segments and positions.
func (n *net) bertEmbeddings(batch int) string {
	positions := make([]int64, bertTokens)
	for i := range positions {
		positions[i] = int64(i)
	}
	n.model.Weights["embeddings.position_ids"] = graph.FromInts(graph.Int64, []int{1, bertTokens}, positions)
	shape := []int{batch, bertTokens, bertWidth}
	table := func(name string, rows int) string { return n.weight("embeddings."+name+".weight", 1, rows, bertWidth) }
	_, x := n.shaped("Gather", "embeddings.word", shape, table("word", bertVocabulary), "input_ids")
	_, s := n.shaped("Gather", "embeddings.segment", shape, table("segment", 2), "token_type_ids")
	x = n.sum("embeddings.add", x, s)
	_, p := n.shaped("Gather", "embeddings.position", []int{1, bertTokens, bertWidth}, table("position", bertPositions), "embeddings.position_ids")
	x = n.sum("embeddings.sum", x, p)
	return n.layerNorm("embeddings.LayerNorm", x, 1e-12)
}

// bertLayer adds attention and a feed-forward block, each normalised after the
// sum with its input.
func (n *net) bertLayer(name, x, mask string) string {
	y := n.bertAttention(name+".attention", x, mask)
	y = n.dense(name+".attention.output", y, bertWidth, linearGain)
	x = n.layerNorm(name+".attention.LayerNorm", n.sum(name+".attention.add", y, x), 1e-12)
	y = n.gelu(name+".gelu", n.dense(name+".intermediate", x, bertHidden, linearGain))
	y = n.dense(name+".output", y, bertWidth, reluGain)
	return n.layerNorm(name+".LayerNorm", n.sum(name+".add", y, x), 1e-12)
}

func (n *net) bertAttention(name, x, mask string) string {
	const depth = bertWidth / bertHeads
	batch := n.shape(x)[0]
	heads := func(part string, perm ...int) string {
		y := n.dense(name+"."+part, x, bertWidth, linearGain)
		y = n.reshape(name+"."+part+".heads", y, batch, bertTokens, bertHeads, depth)
		return n.transpose(name+"."+part+".transpose", y, perm...)
	}
	q, k := heads("query", 0, 2, 1, 3), heads("key", 0, 2, 3, 1)
	scores := []int{batch, bertHeads, bertTokens, bertTokens}
	_, s := n.shaped("MatMul", name+".scores", scores, q, k)
	_, s = n.shaped("Div", name+".scale", scores, s, n.scalar("attention.root", float32(math.Sqrt(depth))))
	_, s = n.shaped("Add", name+".mask", scores, s, mask)
	s = n.softmax(name+".softmax", s)
	_, y := n.shaped("MatMul", name+".context", []int{batch, bertHeads, bertTokens, depth}, s, heads("value", 0, 2, 1, 3))
	return n.reshape(name+".reshape", n.transpose(name+".transpose", y, 0, 2, 1, 3), batch, bertTokens, bertWidth)
}
