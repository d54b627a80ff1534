// Command gomlx times gomlx's backend in Go on a model: a peer of whole
// networks, see process.go for the lines that it answers. The one argument is
// the JSON object that ort.mjs describes.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gomlx/gomlx/backends/simplego"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	"github.com/gomlx/gomlx/pkg/ml/context"
	"github.com/gomlx/onnx-gomlx/onnx"
)

// arguments are what ort.mjs takes.
type arguments struct {
	Model   string
	Threads int
	Inputs  []struct {
		Name, Type, File string
		Shape            []int
	}
}

// answers is standard output, which gomlx prints to as well.
var answers = os.Stdout

// say writes an answer, which is one line.
func say(line string) { fmt.Fprintln(answers, strings.ReplaceAll(line, "\n", " ")) }

func main() {
	if err := run(); err != nil {
		say("error " + err.Error())
		os.Exit(1)
	}
}

func run() (err error) {
	defer func() { // gomlx panics on what it does not support
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	var a arguments
	if err := json.Unmarshal([]byte(os.Args[len(os.Args)-1]), &a); err != nil {
		return err
	}
	os.Stdout = os.Stderr
	runtime.GOMAXPROCS(a.Threads)
	// Operators in parallel wait for each other's workers for ever where there
	// are few, so each has all of them in turn.
	config := fmt.Sprintf("parallelism=%d,ops_sequential", a.Threads)
	if a.Threads == 1 {
		config = "parallelism=0,ops_sequential"
	}
	backend, err := simplego.New(config)
	if err != nil {
		return err
	}
	model, err := onnx.ReadFile(a.Model)
	if err != nil {
		return err
	}
	ctx := context.New()
	if err := model.VariablesToContext(ctx); err != nil {
		return err
	}
	ctx = ctx.Reuse()
	var feeds []any
	for _, in := range a.Inputs {
		x, err := feed(in.File, in.Type, in.Shape)
		if err != nil {
			return fmt.Errorf("input %s: %w", in.Name, err)
		}
		feeds = append(feeds, x)
	}
	exec, err := context.NewExec(backend, ctx, func(ctx *context.Context, inputs []*graph.Node) []*graph.Node {
		byName := make(map[string]*graph.Node)
		for i, in := range a.Inputs {
			byName[in.Name] = inputs[i]
		}
		return model.CallGraph(ctx, inputs[0].Graph(), byName)
	})
	if err != nil {
		return err
	}
	// A run ends when the outputs are there, which are then freed.
	infer := func(use func(out *tensors.Tensor) error) error {
		outs, err := exec.Exec(feeds...)
		if err != nil {
			return err
		}
		if use != nil {
			err = use(outs[0])
		}
		for _, o := range outs {
			o.FinalizeAll()
		}
		return err
	}
	if err := infer(nil); err != nil {
		return err
	}
	say("ready " + version())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		order, path, _ := strings.Cut(lines.Text(), " ")
		switch order {
		case "run":
			start := time.Now()
			if err := infer(nil); err != nil {
				return err
			}
			say(fmt.Sprint(float64(time.Since(start)) / 1e6))
		case "write":
			if err := infer(func(out *tensors.Tensor) error { return write(path, out) }); err != nil {
				return err
			}
			say("ok")
		default:
			return fmt.Errorf("asked to %s", order)
		}
	}
	return nil
}

// feed reads the elements of an input.
func feed(file, dtype string, shape []int) (*tensors.Tensor, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	switch dtype {
	case "float32":
		list := make([]float32, len(data)/4)
		for i := range list {
			list[i] = math.Float32frombits(binary.NativeEndian.Uint32(data[4*i:]))
		}
		return tensors.FromFlatDataAndDimensions(list, shape...), nil
	case "int64":
		list := make([]int64, len(data)/8)
		for i := range list {
			list[i] = int64(binary.NativeEndian.Uint64(data[8*i:]))
		}
		return tensors.FromFlatDataAndDimensions(list, shape...), nil
	}
	return nil, fmt.Errorf("type %s, expected float32 or int64", dtype)
}

// write writes elements of float32 to a file.
func write(path string, out *tensors.Tensor) error {
	if out.DType() != dtypes.Float32 {
		return fmt.Errorf("an output of %v, expected float32", out.Shape())
	}
	var b []byte
	tensors.ConstFlatData(out, func(flat []float32) {
		for _, x := range flat {
			b = binary.NativeEndian.AppendUint32(b, math.Float32bits(x))
		}
	})
	return os.WriteFile(path, b, 0o600)
}

// version is that of the module of gomlx.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/gomlx/gomlx" {
				return m.Version
			}
		}
	}
	return "unknown"
}
