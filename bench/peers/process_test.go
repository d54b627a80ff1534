package peers

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nnz-dev/nnz/bench/kernels"
	"github.com/nnz-dev/nnz/graph"
	"github.com/nnz-dev/nnz/internal/testdata"
)

func shell(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell to play an engine")
	}
	return exec.Command(sh, "-c", script)
}

func TestProcess(t *testing.T) {
	cases := []struct {
		name, script string
		start, run   string // part of the error, empty for none
	}{
		{"answers", `echo ready 1.2; while read l; do [ "$l" = run ] && echo 2.5; done`, "", ""},
		{"does not load", `echo error no such file; exit 1`, "no such file", ""},
		{"crashes", `echo broken library >&2; exit 1`, "broken library", ""},
		{"says nothing", `exit 0`, "without an answer", ""},
		{"says something else", `echo hello`, "hello", ""},
		{"fails later", `echo ready 1.2; read l; echo error out of memory`, "", "out of memory"},
		{"ends later", `echo ready 1.2; read l`, "", "without an answer"},
		{"answers no number", `echo ready 1.2; read l; echo fast`, "", "milliseconds"},
		{"answers NaN", `echo ready 1.2; read l; echo NaN`, "", "milliseconds"},
		{"will not end", `echo ready 1.2; while read l; do echo 2.5; done; exec sleep 100`, "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := start(shell(t, c.script))
			if !says(err, c.start) {
				t.Fatalf("start: error %v, want %q", err, c.start)
			}
			if err != nil {
				return
			}
			if _, v := p.Engine(); v != "1.2" {
				t.Errorf("version %q", v)
			}
			d, err := p.Run(context.Background())
			if !says(err, c.run) {
				t.Errorf("run: error %v, want %q", err, c.run)
			}
			if err == nil && d != 2500*time.Microsecond {
				t.Errorf("%v, want 2.5 ms", d)
			}
			began := time.Now()
			if err := p.Close(); err != nil || time.Since(began) > 10*time.Second {
				t.Errorf("Close: error %v after %v", err, time.Since(began))
			}
		})
	}
}

// TestInterrupted cancels a run, which ends the process: the error is the
// cancellation.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := shell(t, `echo ready 1.2; read l; exec sleep 100`)
	p, err := start(exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := p.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestTurn plays a driver that wants to be asked as driver.h does.
func TestTurn(t *testing.T) {
	p, err := start(shell(t, `echo ready 1.2
while read order argument; do
	case $order in
	turn) echo $argument;;
	write) [ $argument = there ] && echo ok || echo not there;;
	esac
done`))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.name = "engine"
	ctx, cancel := context.WithCancel(context.Background())
	if d, err := p.Turn(ctx); err != nil || d != kernels.TurnTime {
		t.Errorf("asked for a turn of %v, error %v", d, err)
	}
	if err := p.Write(ctx, "there"); err != nil {
		t.Error(err)
	}
	if err := p.Write(ctx, "elsewhere"); !says(err, `engine: answered "not there"`) {
		t.Errorf("error %v", err)
	}
	cancel()
	if _, err := p.Turn(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled turn: error %v", err)
	}
}

func says(err error, want string) bool {
	if want == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), want)
}

func TestORT(t *testing.T) {
	ctx := context.Background()
	inputs := []graph.Value{{Name: "input", DType: graph.Float32, Shape: graph.Dims(1, 1, 28, 28)}}
	model := testdata.Path(t, "trained", "lenet5_dense.opset17", "model.onnx")
	if _, err := (ORT{Model: model, Node: "no-such-command"}).Start(ctx, inputs); err == nil {
		t.Error("a missing command gave no error")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("no Node.js: ", err)
	}
	open := []graph.Value{{Name: "input", DType: graph.Float32, Shape: []graph.Dim{{Symbol: "batch"}}}}
	if _, err := (ORT{Model: model}).Start(ctx, open); !says(err, "no fixed shape") {
		t.Errorf("an open shape gave the error %v", err)
	}
	p, err := ORT{Model: model, Modules: t.TempDir()}.Start(ctx, inputs)
	if says(err, "not installed") {
		t.Skip(err, "; NODE_PATH may name a folder that has it")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 3 {
		if d, err := p.Run(ctx); err != nil || d <= 0 {
			t.Fatalf("%v, error %v", d, err)
		}
	}
	if _, err := (ORT{Model: model + ".absent", Modules: t.TempDir()}).Start(ctx, inputs); !says(err, "model.onnx.absent") {
		t.Errorf("a missing file gave the error %v", err)
	}
}

// TestGoMLX plays the program, which is asked as that of ONNX Runtime is.
func TestGoMLX(t *testing.T) {
	ctx := context.Background()
	inputs := []graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(1, 4)}}
	g := GoMLX{Folder: t.TempDir(), Model: "m.onnx", Threads: 2, Files: []string{"x.bin"}}
	if _, err := g.Start(ctx, inputs); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("a missing program gave the error %v", err)
	}
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell to play an engine")
	}
	script := "#!/bin/sh\necho ready \"$1\"\nread line\necho 2.5\n"
	if err := os.WriteFile(filepath.Join(g.Folder, GoMLXName), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := g.Start(ctx, inputs)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	name, argument := p.Engine()
	want := `{"model":"m.onnx","threads":2,"modules":".","inputs":[{"name":"x","type":"float32","shape":[1,4],"file":"x.bin"}],"outputs":[],"session":null}`
	if name != GoMLXName || argument != want {
		t.Errorf("%s was given %s, want %s", name, argument, want)
	}
	if d, err := p.Run(ctx); err != nil || d != 2500*time.Microsecond {
		t.Errorf("%v, error %v", d, err)
	}
	if _, err := g.Start(ctx, []graph.Value{{Name: "x", Shape: []graph.Dim{{Symbol: "batch"}}}}); !says(err, "no fixed shape") {
		t.Errorf("an open shape gave the error %v", err)
	}
}
