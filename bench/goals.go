package bench

// networkGoals are how many times as fast as ONNX Runtime on the unpruned
// network a variant should be, with one image and thread on AVX-512, and below
// which a network is not done; 0 where there is no such floor.
var networkGoals = map[string]map[string][2]float64{
	"resnet50":      {"0.8": {3, 2.4}, "0.9": {5, 4}, "0.95": {7, 5.9}, "0.9:4x1": {7, 5.7}, denseVariant: {1, 0}},
	"mobilenet_v1":  {"0.8": {2.4, 2}, "0.9": {3.4, 2.8}, "0.95": {4.2, 3.5}, "0.9:4x1": {4, 3.3}, denseVariant: {1, 0}},
	"mobilenet_v2":  {"0.8": {1.9, 0}, "0.9": {2.5, 0}, "0.95": {3, 0}, "0.9:4x1": {3, 0}, denseVariant: {1, 0}},
	"vgg16":         {"0.8": {3.3, 0}, "0.9": {6, 0}, "0.95": {10, 0}, "0.9:4x1": {8, 0}, denseVariant: {1, 0}},
	"bert_base_128": {"0.8": {4, 3.4}, "0.9": {6.5, 5.3}, "0.95": {9.5, 7.5}, "0.9:4x1": {9, 7.1}, denseVariant: {1.25, 1.3}},
	"vit_b_16":      {"0.8": {3.7, 3.1}, "0.9": {5.8, 4.7}, "0.95": {8, 6.3}, "0.9:4x1": {8, 6.3}, denseVariant: {1.2, 1.25}},
}

// ScalingGoal is how many times as fast two threads should be as one.
const ScalingGoal = 1.8

// networkGoal returns the goal and the floor of a variant, 0 for none.
func networkGoal(network, variant string) (goal, floor float64) {
	g := networkGoals[network][variant]
	return g[0], g[1]
}

// Verdict compares a cell with its goal: "met", "floor" where only the floor is
// reached, or "below"; empty where there is no goal or nothing to compare with.
func (c NetworkCell) Verdict() string {
	switch {
	case c.Goal == 0 || c.RatioPeer == 0:
		return ""
	case c.RatioPeer >= c.Goal:
		return "met"
	case c.Floor > 0 && c.RatioPeer >= c.Floor:
		return "floor"
	}
	return "below"
}
