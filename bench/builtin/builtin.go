// Package builtin makes well-known networks without a file: the graphs that
// torchvision and Hugging Face export to ONNX, batch normalisation folded into convolutions,
// with seeded random weights; and a trained LeNet-5 with images to try it on.
//
// Speed does not depend on what the weights are, only on where their zeros
// are, so the networks of random weights stand in for trained ones in
// benchmarks. The same name always gives the same weights.
package builtin

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
)

// networks makes each network for a batch size.
var networks = []struct {
	name string
	make func(batch int) *graph.Model
}{
	{"lenet5", lenet5},
	{"resnet50", resnet50},
	{"mobilenet_v1", mobileNetV1},
	{"mobilenet_v2", mobileNetV2},
	{"vgg16", vgg16},
	{"bert_base_128", bertBase},
	{"vit_b_16", vitB16},
}

// Names lists the networks that [Load] knows.
func Names() []string {
	names := make([]string, len(networks))
	for i, n := range networks {
		names[i] = n.name
	}
	return names
}

// Load makes the network of the given name for one image at a time. "NAME@0.9"
// prunes it to 90 % zeros by magnitude, "NAME@0.9:4x1" in blocks of four
// outputs, and "NAME@2:4" leaves two of four inputs: every weight of a Conv, Gemm or MatMul but the first convolution
// and the last classifier, each to the same fraction.
func Load(name string) (*graph.Model, error) { return LoadBatch(name, 1) }

// LoadBatch is [Load] for several images at a time.
func LoadBatch(name string, batch int) (*graph.Model, error) {
	if batch < 1 {
		return nil, fmt.Errorf("builtin:%s: a batch of %d images", name, batch)
	}
	base, spec, pruned := strings.Cut(name, "@")
	i := slices.Index(Names(), base)
	if i < 0 {
		return nil, fmt.Errorf("builtin:%s: no such network, there are %s", base, strings.Join(Names(), ", "))
	}
	if pruned {
		if err := CheckSpec(spec); err != nil {
			return nil, fmt.Errorf("builtin:%s: %w", name, err)
		}
	}
	m := networks[i].make(batch)
	if !pruned {
		return m, nil
	}
	// Magnitude needs no activations, so there is nothing to interrupt.
	m, err := Impose(context.Background(), m, spec)
	if err != nil {
		return nil, fmt.Errorf("builtin:%s: %w", name, err)
	}
	return m, nil
}

// Impose prunes any model as what follows the @ of a name says. Whether it is of
// use afterwards is not considered.
func Impose(ctx context.Context, m *graph.Model, spec string) (*graph.Model, error) {
	o, err := parseSpec(spec)
	if err != nil {
		return nil, err
	}
	o.Exclude = Kept(m)
	m, _, err = prune.Apply(ctx, m, o)
	return m, err
}

// Kept lists the weights that pruning leaves as they are where only speed
// counts: the ends of a network, and none where it has nothing else.
func Kept(m *graph.Model) []string {
	ends := prune.Ends(m)
	if len(ends) == len(prune.Layers(m)) {
		return nil
	}
	return ends
}

// CheckSpec reports what is wrong with what follows the @ of a name.
func CheckSpec(spec string) error {
	_, err := parseSpec(spec)
	return err
}

// parseSpec reads what follows the @ of a name: a sparsity, and the
// granularity after a colon; or a pattern: two whole
// numbers.
func parseSpec(spec string) (prune.Options, error) {
	fraction, block, blocks := strings.Cut(spec, ":")
	_, errN := strconv.Atoi(fraction)
	if _, errM := strconv.Atoi(block); errN == nil && errM == nil {
		p, err := prune.ParsePattern(spec)
		return prune.Options{Granularity: p}, err
	}
	s, err := strconv.ParseFloat(fraction, 64)
	if err != nil || !(s >= 0 && s <= 1) {
		return prune.Options{}, fmt.Errorf("sparsity %q: expected a fraction between 0 and 1, such as 0.9", fraction)
	}
	o := prune.Options{Sparsity: s}
	if blocks {
		o.Granularity, err = prune.ParseGranularity(block)
	}
	return o, err
}
