package ops

var scatterCases = []opCase{
	{"gather elements", "GatherElements", 13, attrs{"axis": 1}, []Tensor{F(s(2, 2)), I(s(2, 3), 0, -1, 1, 1, 0, 0)}, []Tensor{F(s(2, 3), 1, 2, 2, 4, 3, 3)}},
	{"scatter elements", "ScatterElements", 18, nil, []Tensor{F(s(3), 1, 2, 3), I(s(2), -1, 0), F(s(2), 9, 8)}, []Tensor{F(s(3), 8, 2, 9)}},
	{"scatter elements and add", "ScatterElements", 18, attrs{"reduction": "add"}, []Tensor{I(s(2)), I(s(2), 0, 0), I(s(2), 5, 6)}, []Tensor{I(s(2), 12, 2)}},
	{"scatter", "Scatter", 9, attrs{"axis": 1}, []Tensor{F(s(1, 3)), I(s(1, 1), 1), F(s(1, 1), 9)}, []Tensor{F(s(1, 3), 1, 9, 3)}},
	{"gather slices", "GatherND", 13, nil, []Tensor{F(s(2, 2)), I(s(2, 1), 1, 0)}, []Tensor{F(s(2, 2), 3, 4, 1, 2)}},
	{"gather by batch", "GatherND", 13, attrs{"batch_dims": 1}, []Tensor{I(s(2, 2)), I(s(2, 1), 1, -2)}, []Tensor{I(s(2), 2, 3)}},
	{"scatter slices", "ScatterND", 18, nil, []Tensor{F(s(2, 2)), I(s(1, 1), -1), F(s(1, 2), 8, 9)}, []Tensor{F(s(2, 2), 1, 2, 8, 9)}},
	{"scatter the larger", "ScatterND", 18, attrs{"reduction": "max"}, []Tensor{F(s(3)), I(s(2, 1), 0, 2), F(s(2), 8, 1)}, []Tensor{F(s(3), 8, 2, 3)}},
}
