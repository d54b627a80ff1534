package ops

var attentionCases = []opCase{
	{"attention with a mask and scores", "Attention", 23, attrs{"scale": float32(1), "qk_matmul_output_mode": 3},
		[]Tensor{F(s(1, 1, 1, 1), 1), F(s(1, 1, 3, 1), 0, 0, 5), F(s(1, 1, 3, 1), 2, 4, 9), bools(1, 1, 0)},
		[]Tensor{F(s(1, 1, 1, 1), 3), F(s(1, 1, 3, 1), 0, 0, 5), F(s(1, 1, 3, 1), 2, 4, 9), F(s(1, 1, 1, 3), 0.5, 0.5, 0)}},
	{"packed heads share keys, causal", "Attention", 23, attrs{"q_num_heads": 2, "kv_num_heads": 1, "is_causal": 1},
		[]Tensor{F(s(1, 2, 2), 0, 0, 0, 0), F(s(1, 2, 1)), F(s(1, 2, 1), 2, 4)}, []Tensor{F(s(1, 2, 2), 2, 2, 3, 3)}},
	{"keys of the past", "Attention", 23, nil,
		[]Tensor{F(s(1, 1, 1, 1), 0), F(s(1, 1, 1, 1), 7), F(s(1, 1, 1, 1), 4), none, F(s(1, 1, 1, 1), 8), F(s(1, 1, 1, 1), 2)},
		[]Tensor{F(s(1, 1, 1, 1), 3), F(s(1, 1, 2, 1), 8, 7), F(s(1, 1, 2, 1), 2, 4)}},
}
