package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nnz-dev/nnz"
	"github.com/nnz-dev/nnz/graph"
)

// newServer serves y = relu(x·w), with three numbers in and two out, and also
// puts out which of the three is the largest.
func newServer(t *testing.T, limits Limits) *Server {
	t.Helper()
	n := &graph.Node{Name: "largest", Op: "ArgMax", Inputs: []string{"x"}, Outputs: []string{"i"}}
	n.Set("axis", 1)
	m := &nnz.Model{
		Inputs: []*graph.Value{{Name: "x", DType: graph.Float32, Shape: graph.Dims(1, 3)}},
		Outputs: []*graph.Value{
			{Name: "y", DType: graph.Float32, Shape: graph.Dims(1, 2)},
			{Name: "i", DType: graph.Int64, Shape: graph.Dims(1, 1)},
		},
		Nodes: []*graph.Node{
			{Name: "linear", Op: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"h"}},
			{Name: "relu", Op: "Relu", Inputs: []string{"h"}, Outputs: []string{"y"}},
			n,
		},
		Weights: map[string]*graph.Tensor{"w": graph.FromFloats([]int{3, 2}, []float32{1, 0, 0, -2, 0, 1})},
		Opset:   map[string]int{"": 17},
		IR:      8,
	}
	plan, err := nnz.Compile(context.Background(), m, nnz.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	return NewServer(plan, limits)
}

func TestAnswers(t *testing.T) {
	s := newServer(t, Limits{Sessions: 1, Body: 200})
	defer s.Close()
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/run", `{"inputs": {"x": [1, 2, 5]}}`, 200, `{"outputs":{"i":{"shape":[1,1],"data":[2]},"y":{"shape":[1,2],"data":[1,1]}}}`},
		{"POST", "/run", `{"inputs": {"x": [1e39, 0, 0]}}`, 200, `{"outputs":{"i":{"shape":[1,1],"data":[0]},"y":{"shape":[1,2],"data":[null,null]}}}`},
		{"POST", "/run", `{"inputs": {"x": [1, 2]}}`, 400, `input \"x\": expected 3 numbers, got 2`},
		{"POST", "/run", `{"inputs": {}}`, 400, `input \"x\" is missing`},
		{"POST", "/run", `{"inputs": {"x": [1, 2, 3], "z": []}}`, 400, `2 inputs, the model has 1`},
		{"POST", "/run", `{"input": {"x": [1, 2, 3]}}`, 400, `unknown field`},
		{"POST", "/run", `{"inputs": {"x": ["a"]}}`, 400, `expected {\"inputs\"`},
		{"POST", "/run", `{"inputs": {"x": [1, 2, 3]}} {}`, 400, `nothing after it`},
		{"POST", "/run", `{"inputs": {"x": [` + strings.Repeat("0, ", 100) + `0]}}`, 413, `at most 200 bytes`},
		{"POST", "/run", ``, 400, `EOF`},
		{"RAW", "/run", "\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\xa0\x40", 200, `"data":[1,1]`}, // 1, 2, 5
		{"RAW", "/run", "\x00\x00\x80\x3f", 400, `expected 12 bytes, 4 are left`},
		{"RAW", "/run", strings.Repeat("\x00", 14), 400, `2 bytes more`},
		{"RAW", "/run", ``, 400, `expected 12 bytes, 0 are left`},
		{"GET", "/run", ``, 405, ``},
		{"GET", "/health", ``, 200, `ok`},
		{"GET", "/model", ``, 200, `"x"`},
		{"GET", "/nothing", ``, 404, ``},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(strings.Replace(test.method, "RAW", "POST", 1), test.path, strings.NewReader(test.body))
		if test.method == "RAW" {
			r.Header.Set("Content-Type", "application/octet-stream")
		}
		s.ServeHTTP(w, r)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s %s %.60s: %d %s, want %d %s", test.method, test.path, test.body, w.Code, w.Body, test.status, test.want)
		}
	}
}

// TestFull has all sessions in use.
func TestFull(t *testing.T) {
	s := newServer(t, Limits{Sessions: 1, Waiting: 1, Body: 1 << 10})
	const body = `{"inputs": {"x": [1, 2, 3]}}`
	busy := <-s.idle
	first := make(chan int)
	go func() {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("POST", "/run", strings.NewReader(body)))
		first <- w.Code
	}()
	for s.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("POST", "/run", strings.NewReader(body)))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("a request beyond those that may wait: %d %s", w.Code, w.Body)
	}
	s.idle <- busy
	if code := <-first; code != http.StatusOK {
		t.Errorf("the one that waited: %d", code)
	}
	// One whose client has gone gives up its place.
	busy = <-s.idle
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/run", strings.NewReader(body)).WithContext(ctx))
	if n := s.waiting.Load(); n != 0 {
		t.Errorf("%d requests wait", n)
	}
	s.idle <- busy
	s.Close()
}

// TestStop ends the server while a request is under way.
func TestStop(t *testing.T) {
	s := newServer(t, Limits{Sessions: 1, Waiting: 1, Body: 1 << 10})
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	busy := <-s.idle
	answer := make(chan string)
	go func() {
		resp, err := http.Post("http://"+l.Addr().String()+"/run", "", strings.NewReader(`{"inputs": {"x": [1, 2, 5]}}`))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		answer <- fmt.Sprint(resp.StatusCode, " ", string(text))
	}()
	for s.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	stop()
	s.idle <- busy
	if got := <-answer; !strings.HasPrefix(got, "200 ") {
		t.Errorf("the request that was under way: %s", got)
	}
	if err := <-served; err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestLoad(t *testing.T) {
	s := newServer(t, Limits{Waiting: 8, Body: 1 << 10})
	r, err := s.Load(context.Background(), 300*time.Millisecond, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if r.Errors > 0 || r.Requests < 10 || r.P50 <= 0 || r.P99 < r.P50 {
		t.Error(r)
	}
	if r.After > r.Before+4<<20 {
		t.Errorf("live memory grew from %d to %d bytes", r.Before, r.After)
	}
}

// TestSize builds the command as the Makefile does, and weighs it.
func TestSize(t *testing.T) {
	out := filepath.Join(t.TempDir(), "edge")
	cmd := exec.Command("go", "build", "-trimpath", "-tags=nethttpomithttp2", "-ldflags=-s -w", "-o", out, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB", float64(info.Size())/1e6)
	if info.Size() >= 10e6 {
		t.Errorf("the command has %d bytes, expected less than 10 MB", info.Size())
	}
}

// TestModelFile runs the whole command once, on a file that is none and on one
// that is broken.
func TestModelFile(t *testing.T) {
	limits := Limits{Body: 1 << 10}
	if err := run(context.Background(), filepath.Join(t.TempDir(), "none.onnx"), "", limits, 0, 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	broken := filepath.Join(t.TempDir(), "broken.onnx")
	if err := os.WriteFile(broken, []byte("not a model"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(context.Background(), broken, "", limits, 0, 1); err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("a broken file: %v", err)
	}
}
