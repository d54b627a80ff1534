package graph

import "fmt"

// Constant returns the value of a Constant node, which stands in one of its
// attributes.
func (n *Node) Constant() (*Tensor, error) {
	var t *Tensor
	for name, a := range n.Attrs {
		var v *Tensor
		switch {
		case name == "value" && a.Kind == AttrTensor, name == "sparse_value" && a.Kind == AttrSparseTensor:
			v = a.Tensor
		case name == "value_float" && a.Kind == AttrFloat:
			v = FromFloats([]int{}, []float32{a.Float})
		case name == "value_floats" && a.Kind == AttrFloats:
			v = FromFloats([]int{len(a.Floats)}, a.Floats)
		case name == "value_int" && a.Kind == AttrInt:
			v = FromInts(Int64, []int{}, []int64{a.Int})
		case name == "value_ints" && a.Kind == AttrInts:
			v = FromInts(Int64, []int{len(a.Ints)}, a.Ints)
		case name == "value_string" && a.Kind == AttrString:
			v = &Tensor{DType: String, Shape: []int{}, str: []string{a.String}}
		case name == "value_strings" && a.Kind == AttrStrings:
			v = &Tensor{DType: String, Shape: []int{len(a.Strings)}, str: a.Strings}
		}
		if v == nil {
			return nil, fmt.Errorf("attribute %.80q holds no value of a constant", name)
		}
		if t != nil {
			return nil, fmt.Errorf("%d attributes, expected one value", len(n.Attrs))
		}
		t = v
	}
	if t == nil {
		return nil, fmt.Errorf("no attribute, expected a value")
	}
	return t, nil
}
