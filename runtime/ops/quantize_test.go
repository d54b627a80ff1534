package ops

var quantCases = []opCase{
	{"quantize rounds to even and saturates", "QuantizeLinear", 13, nil, []Tensor{F(s(5), 1, 3, -1000, 1000, notNumber), F(nil, 2), as(2, I(nil, 128))}, []Tensor{uint8s(128, 130, 0, 255, 128)}},
	{"quantize by channel to int8", "QuantizeLinear", 13, attrs{"axis": 0}, []Tensor{F(s(2, 1), 4, -600), F(s(2), 2, 4), int8s(0, 1)}, []Tensor{as(3, I(s(2, 1), 2, -128))}},
	{"quantize by blocks", "QuantizeLinear", 21, attrs{"axis": 1, "block_size": 2}, []Tensor{F(s(1, 3), 4, 6, 8), F(s(1, 2), 2, 4)}, []Tensor{as(2, I(s(1, 3), 2, 3, 2))}},
	{"dequantize", "DequantizeLinear", 13, nil, []Tensor{uint8s(0, 130), F(nil, 2), as(2, I(nil, 128))}, []Tensor{F(s(2), -256, 4)}},
	{"dequantize int32 by channel", "DequantizeLinear", 13, attrs{"axis": 0}, []Tensor{int32s(-3, 5), F(s(2), 1, 0.5)}, []Tensor{F(s(2), -3, 2.5)}},
	{"quantize by what is there", "DynamicQuantizeLinear", 11, nil, []Tensor{F(s(3), -1, 0, 254)}, []Tensor{uint8s(0, 1, 255), F(nil, 1), as(2, I(nil, 1))}},
	{"convolution of integers, padded", "ConvInteger", 10, attrs{"pads": []int{0, 1, 0, 0}}, []Tensor{as(2, I(s(1, 1, 1, 2), 2, 5)), as(2, I(s(1, 1, 1, 2), 3, 7)), as(2, I(nil, 1)), as(2, I(s(1), 2))}, []Tensor{as(6, I(s(1, 1, 1, 2), 5, 21))}},
	{"quantised convolution with bias", "QLinearConv", 10, nil, []Tensor{as(2, I(s(1, 1, 1, 2), 2, 5)), F(nil, 0.5), as(2, I(nil, 1)), as(3, I(s(1, 1, 1, 1), 4)), F(nil, 0.5), as(3, I(nil, 0)), F(nil, 2), as(2, I(nil, 10)), int32s(8)},
		[]Tensor{as(2, I(s(1, 1, 1, 2), 12, 13))}},
	{"product of integers, zero points by row and column", "MatMulInteger", 10, nil, []Tensor{as(2, I(s(2, 2))), as(3, I(s(2, 2))), uint8s(1, 3), int8s(0, 1)}, []Tensor{as(6, I(s(2, 2), 3, 3, 3, 3))}},
	{"quantised product", "QLinearMatMul", 10, nil, []Tensor{as(2, I(s(1, 2))), F(nil, 0.5), as(2, I(nil, 0)), as(2, I(s(2, 1))), F(nil, 1), as(2, I(nil, 0)), F(nil, 1), as(2, I(nil, 7))}, []Tensor{as(2, I(s(1, 1), 9))}},
	{"product of int32", "MatMul", 13, nil, []Tensor{as(6, I(s(2, 2))), as(6, I(s(2, 1)))}, []Tensor{as(6, I(s(2, 1), 5, 11))}},
}
