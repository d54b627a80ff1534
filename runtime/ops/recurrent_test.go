package ops

var recurrentCases = []opCase{
	{"rnn in both directions", "RNN", 14, attrs{"direction": "bidirectional"},
		[]Tensor{F(s(2, 1, 1), 1, 0), F(s(2, 1, 1), 1, 1), F(s(2, 1, 1), 0, 1)},
		[]Tensor{F(s(2, 2, 1, 1), 0.7615942, 0.7615942, 0, 0), F(s(2, 1, 1), 0, 0.7615942)}},
	{"rnn of sequences of their own lengths", "RNN", 14, nil,
		[]Tensor{F(s(2, 1, 1), 1, 1), F(s(1, 1, 1), 1), F(s(1, 1, 1), 0), none, int32s(1)},
		[]Tensor{F(s(2, 1, 1, 1), 0.7615942, 0), F(s(1, 1, 1), 0.7615942)}},
	{"gru keeps half", "GRU", 14, attrs{"layout": 1},
		[]Tensor{F(s(1, 1, 1), 0), F(s(1, 3, 1), 0, 0, 0), F(s(1, 3, 1), 0, 0, 0), none, none, F(s(1, 1, 1), 4)},
		[]Tensor{F(s(1, 1, 1, 1), 2), F(s(1, 1, 1), 2)}},
	{"lstm keeps half of the cell", "LSTM", 14, nil,
		[]Tensor{F(s(1, 1, 1), 0), F(s(1, 4, 1), 0, 0, 0, 0), F(s(1, 4, 1), 0, 0, 0, 0), none, none, none, F(s(1, 1, 1), 2)},
		[]Tensor{F(s(1, 1, 1, 1), 0.3807971), F(s(1, 1, 1), 0.3807971), F(s(1, 1, 1), 1)}},
}
