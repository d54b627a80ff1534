package graph

// InferNode returns the types of the outputs of a node that imports version
// opset of its domain, from those of its inputs; an absent input has the zero
// Type. There is a type for every output that the node names, at least. Errors
// are those of [Infer].
func InferNode(n *Node, opset int, in []Type) ([]Type, error) {
	c := &call{Node: n, opset: opset, in: in}
	return c.infer()
}
