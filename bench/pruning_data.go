package bench

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/nnz-dev/nnz/bench/mnist"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/prune"
	"github.com/nnz-dev/nnz/runtime"
)

// digitBatch is how many digits a set of calibration data holds where the model
// leaves that open.
const digitBatch = 32

// DigitsTask judges a classifier of MNIST by its accuracy over the test images,
// and calibrates on the first so many training images.
func DigitsTask(name string, m *graph.Model, train, test mnist.Set, samples int, c runtime.Config) PruningTask {
	input := m.Inputs[0]
	batch := digitBatch
	if d := input.Shape[0]; d.Known() {
		batch = d.Size
	}
	extents := func(n int) []int { return []int{n, 1, mnist.Size, mnist.Size} }
	digits := train.First(samples).Images()
	var sets []map[string]*graph.Tensor
	for some := range slices.Chunk(digits, batch) {
		if len(some) == batch {
			sets = append(sets, map[string]*graph.Tensor{input.Name: graph.FromFloats(extents(batch), slices.Concat(some...))})
		}
	}
	images := test.Images()
	judged := c
	judged.Shapes = map[string][]int{input.Name: extents(batch)}
	return PruningTask{
		Name: name, Model: m, Metric: "accuracy",
		Calibration: prune.Calibration{Data: prune.Sets(sets...), Config: c},
		Judge: func(ctx context.Context, m *graph.Model) (float64, error) {
			r, err := Accuracy(ctx, m, images, test.Labels, judged)
			return r.Accuracy, err
		},
	}
}

// InputsTask judges a model by how far its outputs are from those of the dense
// model on given inputs, and calibrates on so many random crops of them, see
// [Crops].
func InputsTask(name string, m *graph.Model, inputs []map[string]*graph.Tensor, samples int, c runtime.Config) PruningTask {
	given := prune.Calibration{Data: prune.Sets(inputs...), Config: c}
	return PruningTask{
		Name: name, Model: m, Metric: "error",
		Calibration: prune.Calibration{Data: prune.Sets(Crops(inputs, samples, 1)...), Config: c},
		Judge: func(ctx context.Context, pruned *graph.Model) (float64, error) {
			errors, err := prune.OutputErrors(ctx, m, pruned, given)
			worst := 0.0
			for _, e := range errors {
				worst = max(worst, e)
			}
			return worst, err
		},
	}
}

// Crops makes n sets of other pictures out of some: a piece of a quarter of the
// area or more, scaled up, every other time mirrored, with its contrast changed
// by up to a fifth. Inputs that are no float32 images of four extents stay as
// they are. The same seed gives the same crops.
func Crops(sets []map[string]*graph.Tensor, n int, seed uint64) []map[string]*graph.Tensor {
	r := rand.New(rand.NewPCG(seed, 0))
	var all []map[string]*graph.Tensor
	for i := range n {
		from := sets[i%len(sets)]
		set := make(map[string]*graph.Tensor)
		side, x, y := 0.5+r.Float64()/2, r.Float64(), r.Float64()
		mirror, contrast := r.IntN(2) == 1, float32(0.8+0.4*r.Float64())
		for name, t := range from {
			if set[name] = t; len(t.Shape) == 4 && t.DType == graph.Float32 {
				set[name] = crop(t, side, x, y, mirror, contrast)
			}
		}
		all = append(all, set)
	}
	return all
}

// crop scales a piece of the images of t, whose sides are a fraction of theirs,
// to their size. x and y say where it lies, from 0 to 1.
func crop(t *graph.Tensor, side, x, y float64, mirror bool, contrast float32) *graph.Tensor {
	h, w := t.Shape[2], t.Shape[3]
	src, dst := t.Floats(), make([]float32, t.Len())
	// at returns the two pixels around a place and how far it is from the first.
	at := func(i, n int, offset float64) (a, b int, f float32) {
		p := offset*(1-side)*float64(n-1) + side*float64(i)
		a = min(int(p), n-1)
		return a, min(a+1, n-1), float32(p - float64(a))
	}
	for plane := 0; plane < len(src); plane += h * w {
		for i := range h {
			y0, y1, fy := at(i, h, y)
			for j := range w {
				x0, x1, fx := at(j, w, x)
				top := src[plane+y0*w+x0]*(1-fx) + src[plane+y0*w+x1]*fx
				bottom := src[plane+y1*w+x0]*(1-fx) + src[plane+y1*w+x1]*fx
				to := j
				if mirror {
					to = w - 1 - j
				}
				dst[plane+i*w+to] = contrast * (top*(1-fy) + bottom*fy)
			}
		}
	}
	return graph.FromFloats(t.Shape, dst)
}
