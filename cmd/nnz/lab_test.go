package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nnz-dev/nnz/bench"
	"github.com/nnz-dev/nnz/bench/mnist"
	"github.com/nnz-dev/nnz/internal/testdata"
)

// TestDropoutVsPruning trains little, and holds what the numbers must be
// whatever the networks have learned.
func TestDropoutVsPruning(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	data := file("digits")
	writeDigits(t, data, 1000)
	out := succeed(t, "lab", "dropout-vs-pruning", "--data", data, "--samples", "900", "--epochs", "2", "--runs", "3", "--threads", "1",
		"--json", file("report.json"), "--html", file("report.html"), "--save", file("nets"))
	text, err := os.ReadFile(file("report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r bench.DropoutReport
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	const parameters = 784*300 + 300 + 300*100 + 100 + 100*10 + 10
	const weights = parameters - 410
	for _, n := range []bench.TrainedNetwork{r.Plain, r.Dropout} {
		if n.Steps != 2*(900/64) || len(n.Curve) != 2 || len(n.Pruned) != len(dropoutSparsities) || n.Hidden != 400 {
			t.Fatalf("%s: %d steps, %d epochs, %d sparsities, %d hidden neurons", n.Name, n.Steps, len(n.Curve), len(n.Pruned), n.Hidden)
		}
		if n.Curve[1].Fit != n.Pruned[0].Fit {
			t.Errorf("%s: after training %+v, pruned of nothing %+v", n.Name, n.Curve[1].Fit, n.Pruned[0].Fit)
		}
		if n.Curve[1].Test.Accuracy < 0.7 {
			t.Errorf("%s: test accuracy %.3f", n.Name, n.Curve[1].Test.Accuracy)
		}
		for i, p := range n.Pruned {
			if want := parameters - int(p.Sparsity*weights+0.5); p.Parameters != parameters || p.Alive > want || p.Alive < want-300 {
				t.Errorf("%s at %g: %d of %d alive, want %d", n.Name, p.Sparsity, p.Alive, p.Parameters, want)
			}
			if i > 0 && !(p.MeanRemoved < p.LargestRemoved && p.LargestRemoved < p.MeanKept && p.NNZ < n.Pruned[i-1].NNZ) {
				t.Errorf("%s at %g: %+v", n.Name, p.Sparsity, p)
			}
			if p.Latency.P50 <= 0 || p.Speedup <= 0 {
				t.Errorf("%s at %g: latency %+v, speed-up %v", n.Name, p.Sparsity, p.Latency, p.Speedup)
			}
		}
	}
	if r.Plain.MostDropped != 0 || r.Dropout.LeastDropped < 0.2 || r.Dropout.MostDropped > 0.4 {
		t.Errorf("left out: %v, %v to %v", r.Plain.MostDropped, r.Dropout.LeastDropped, r.Dropout.MostDropped)
	}
	for _, want := range []string{"784-300-100-10", "Trained with dropout", "266,610", "98.0 %", "removes weights for good", "deactivates neurons"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	page, err := os.ReadFile(file("report.html"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(page, []byte(`class="chart"`)); n != 7 {
		t.Errorf("the page has %d charts, want 7", n)
	}
	// What was written is a model like any other.
	for _, name := range []string{"plain", "dropout"} {
		succeed(t, "prune", file("nets/"+name+".onnx"), "--sparsity", "0.9", "-o", file("pruned.onnx"))
	}

	out = succeed(t, "lab", "dropout-vs-pruning", "--data", data, "--samples", "100", "--epochs", "1", "--runs", "1", "--threads", "1", "--json", "-")
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Samples != 100 {
		t.Errorf("--json - gives %v and %s", err, out)
	}
}

// writeDigits writes the first n digits of both halves of MNIST to a folder.
func writeDigits(t *testing.T, dir string, n int) {
	t.Helper()
	known, unknown, err := mnist.Read(testdata.Path(t, "datasets", "mnist"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for i, set := range []mnist.Set{known.First(n), unknown.First(n)} {
		images := binary.BigEndian.AppendUint32([]byte{0, 0, 8, 3}, uint32(n))
		for range 2 {
			images = binary.BigEndian.AppendUint32(images, mnist.Size)
		}
		labels := binary.BigEndian.AppendUint32([]byte{0, 0, 8, 1}, uint32(n))
		name := func(file int) string { return filepath.Join(dir, strings.TrimSuffix(mnist.Files[2*i+file], ".gz")) }
		saveBytes(t, name(0), append(images, set.Raw...))
		saveBytes(t, name(1), append(labels, set.Labels...))
	}
}

func TestLabMistakes(t *testing.T) {
	lab := func(args ...string) []string { return append([]string{"lab", "dropout-vs-pruning"}, args...) }
	empty := t.TempDir()
	damaged := t.TempDir()
	saveBytes(t, filepath.Join(damaged, "train-images-idx3-ubyte"), []byte("garbage"))
	data := filepath.Join(t.TempDir(), "digits")
	writeDigits(t, data, 10)
	t.Setenv("NNZ_TESTDATA", empty)
	for _, test := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no experiment", []string{"lab"}, exitUsage, "dropout-vs-pruning"},
		{"no data", lab(), exitUsage, "get them from https://"},
		{"empty folder", lab("--data", empty), exitUsage, "t10k-labels-idx1-ubyte.gz"},
		{"damaged data", lab("--data", damaged), exitFile, "train-images-idx3-ubyte: "},
		{"more than there are", lab("--data", data), exitUsage, "at most 10,"},
		{"no samples", lab("--samples", "0"), exitUsage, "--samples 0"},
		{"no epochs", lab("--epochs=-1"), exitUsage, "--epochs -1"},
		{"dropout of all", lab("--dropout", "1"), exitUsage, "--dropout 1"},
		{"no dropout", lab("--dropout", "0"), exitUsage, "--dropout 0"},
		{"percent", lab("--dropout", "30"), exitUsage, "such as 0.3"},
		{"NaN", lab("--dropout", "NaN"), exitUsage, "--dropout NaN"},
		{"negative runs", lab("--runs=-1"), exitUsage, "--runs -1"},
		{"negative threads", lab("--threads=-1"), exitUsage, "--threads -1"},
		{"no seed", lab("--seed", "random"), exitUsage, "random"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := command(t, test.args...)
			if code != test.code || !strings.Contains(stderr, test.says) || strings.Count(stderr, "\n") != 1 || stdout != "" {
				t.Errorf("exit code %d, want %d; printed %q and %q, want one line with %q", code, test.code, stdout, stderr, test.says)
			}
		})
	}
}

// TestLabInterrupted ends training half-way: nothing may be written.
func TestLabInterrupted(t *testing.T) {
	data, html := filepath.Join(t.TempDir(), "digits"), filepath.Join(t.TempDir(), "report.html")
	writeDigits(t, data, 200)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Second, cancel)
	var stderr bytes.Buffer
	code := run(ctx, []string{"lab", "dropout-vs-pruning", "--data", data, "--samples", "200", "--epochs", "1000000", "--html", html}, io.Discard, &stderr)
	if code != exitInterrupted || stderr.String() != "nnz: interrupted\n" {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
	if _, err := os.Stat(html); err == nil {
		t.Error("a page was written")
	}
}
