package ops

var sampleCases = []opCase{
	{"sample between elements and beyond", "GridSample", 20, nil, []Tensor{F(s(1, 1, 2)), F(s(1, 3, 1), 0, 1, notNumber)}, []Tensor{F(s(1, 1, 3), 1.5, 1, 0)}},
	{"sample rows and columns in the border", "GridSample", 16, attrs{"mode": "nearest", "padding_mode": "border", "align_corners": 1}, []Tensor{F(s(1, 1, 2, 2)), F(s(1, 1, 2, 2), 1, -1, -9, big)}, []Tensor{F(s(1, 1, 1, 2), 2, 3)}},
	{"sample in a mirror", "GridSample", 22, attrs{"mode": "nearest", "padding_mode": "reflection"}, []Tensor{F(s(1, 1, 3)), F(s(1, 4, 1), -1.2, 1.2, 2.6, -2)}, []Tensor{F(s(1, 1, 4), 1, 3, 1, 2)}},
	{"turn halves", "RotaryEmbedding", 23, nil, []Tensor{F(s(1, 1, 1, 4)), F(s(1, 1, 2), 0, 1), F(s(1, 1, 2), 1, 0)}, []Tensor{F(s(1, 1, 1, 4), -3, 2, 1, 4)}},
	{"turn neighbours of packed heads", "RotaryEmbedding", 23, attrs{"interleaved": 1, "num_heads": 2, "rotary_embedding_dim": 2}, []Tensor{F(s(1, 1, 6)), F(s(2, 1), 1, 0), F(s(2, 1), 0, 1), I(s(1, 1), 1)}, []Tensor{F(s(1, 1, 6), -2, 1, 3, -5, 4, 6)}},
	{"L2 of windows", "LpPool", 18, attrs{"kernel_shape": []int{2}, "pads": []int{0, 1}}, []Tensor{F(s(1, 1, 2), 3, -4)}, []Tensor{F(s(1, 1, 2), 5, 4)}},
	{"L1 of windows", "LpPool", 18, attrs{"kernel_shape": []int{2}, "p": 1}, []Tensor{F(s(1, 1, 3), 3, -4, 5)}, []Tensor{F(s(1, 1, 2), 7, 9)}},
	{"matrix product", "Einsum", 12, attrs{"equation": "ij, jk -> ik"}, []Tensor{F(s(2, 2)), F(s(2, 1))}, []Tensor{F(s(2, 1), 5, 11)}},
	{"trace", "Einsum", 12, attrs{"equation": "ii"}, []Tensor{I(s(2, 2))}, []Tensor{I(nil, 5)}},
	{"stacks that broadcast", "Einsum", 12, attrs{"equation": "...i,...i"}, []Tensor{F(s(2, 2)), F(s(2), 1, -1)}, []Tensor{F(s(2), -1, -1)}},
	{"letters in order", "Einsum", 12, attrs{"equation": "ba"}, []Tensor{F(s(2, 2))}, []Tensor{F(s(2, 2), 1, 3, 2, 4)}},
	{"grid that swaps axes", "AffineGrid", 20, nil, []Tensor{F(s(1, 2, 3), 0, 1, 0, 1, 0, 2), I(s(4), 1, 1, 1, 2)}, []Tensor{F(s(1, 1, 2, 2), 0, 1.5, 0, 2.5)}},
	{"grid to the corners", "AffineGrid", 20, attrs{"align_corners": 1}, []Tensor{F(s(1, 2, 3), 1, 0, 0, 0, 1, 0), I(s(4), 1, 1, 1, 2)}, []Tensor{F(s(1, 1, 2, 2), -1, -1, 1, -1)}},
	{"columns that overlap", "Col2Im", 18, nil, []Tensor{F(s(1, 2, 2)), I(s(1), 3), I(s(1), 2)}, []Tensor{F(s(1, 1, 3), 1, 5, 4)}},
	{"mean of a region", "RoiAlign", 16, nil, []Tensor{F(s(1, 1, 2, 2)), F(s(2, 4), 0, 0, 2, 2, 0, 0, 1, 1), I(s(2), 0, 1)}, []Tensor{F(s(2, 1, 1, 1), 2.5, notNumber)}},
	{"largest weighted neighbour of a region", "RoiAlign", 10, attrs{"mode": "max", "sampling_ratio": 1}, []Tensor{F(s(1, 1, 2, 2)), F(s(1, 4), 0, 0, 1, 1), I(s(1), 0)}, []Tensor{F(s(1, 1, 1, 1), 1)}},
	{"taps that move", "DeformConv", 19, nil, []Tensor{F(s(1, 1, 2, 2)), F(s(1, 1, 1, 1), 2), F(s(1, 2, 2, 2), 1, 0, 0, 0, 0, 0.5, 0, -9), F(s(1), 1), F(s(1, 1, 2, 2), 1, 1, 0, 1)}, []Tensor{F(s(1, 1, 2, 2), 7, 3, 1, 1)}},
	{"determinants", "Det", 11, nil, []Tensor{F(s(3, 2, 2), 2, 3, 4, 4, 0, 1, 1, 0, 1, 2, 2, 4)}, []Tensor{F(s(3), -4, -1, 0)}},
}
