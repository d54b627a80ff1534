package nnz_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nnz-dev/nnz"
	"github.com/nnz-dev/nnz/bench/builtin"
	"github.com/nnz-dev/nnz/loader"
	nnzruntime "github.com/nnz-dev/nnz/runtime"
)

var long = flag.Duration("long", 0, "how long TestCycles goes on: go test -run TestCycles -long 1h -timeout 0 .")

// held is what a process holds on to.
type held struct {
	goroutines, files, mapped int
	heap                      uint64
}

// holding counts what is held, with the mapped files below a folder.
func holding(t *testing.T, dir string) held {
	t.Helper()
	for range 20 { // cleanups of dropped sessions run between collections
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	h := held{goroutines: runtime.NumGoroutine(), heap: mem.HeapAlloc}
	if runtime.GOOS == "linux" {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		h.files, h.mapped = len(open), strings.Count(string(maps), dir)
	}
	return h
}

// TestCycles loads files, compiles, runs and closes again and again: from ONNX
// that is copied, mapped, or of bad content, and from .nnz. Nothing may be left
// of it: no goroutine, open file, mapping or memory.
func TestCycles(t *testing.T) {
	dir := t.TempDir()
	onnx, packed, cut := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "model.nnz"), filepath.Join(dir, "cut.onnx")
	m, err := builtin.Load("lenet5@0.9")
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.Save(onnx, m, loader.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	p, err := nnzruntime.Pack(context.Background(), m, nnz.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.SaveCompiled(packed, p); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(onnx)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, whole[:len(whole)/2], 0o666); err != nil {
		t.Fatal(err)
	}
	run := func(m *nnz.Model) {
		plan, err := nnz.Compile(context.Background(), m, nnz.Config{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		s := plan.NewSession()
		defer s.Close()
		if err := s.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	cycle := func() {
		copied, err := nnz.Load(t.Context(), onnx)
		if err != nil {
			t.Fatal(err)
		}
		run(copied)
		for _, path := range []string{onnx, packed} {
			f, err := loader.Open(t.Context(), path, loader.Options{})
			if err != nil {
				t.Fatal(err)
			}
			run(f.Model)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			r, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			read, err := nnz.LoadReader(t.Context(), path, r, nnz.LoadOptions{})
			r.Close()
			if err != nil {
				t.Fatal(err)
			}
			run(read)
		}
		if _, err := nnz.Load(t.Context(), cut); err == nil {
			t.Fatal("half a file is a model")
		}
	}
	for range 3 {
		cycle()
	}
	before := holding(t, dir)
	check := func(n int) {
		after := holding(t, dir)
		t.Logf("%d cycles: %+v, then %+v", n, before, after)
		if after.goroutines > before.goroutines || after.files > before.files || after.mapped > 0 || after.heap > before.heap+1<<20 {
			t.Errorf("after %d cycles %+v, before %+v", n, after, before)
		}
	}
	n, start, next := 0, time.Now(), time.Minute
	for ; n < 10 || time.Since(start) < *long; n++ {
		cycle()
		if took := time.Since(start); took >= next {
			check(n)
			next = took + time.Minute
		}
	}
	check(n)
}

// A looks is a context that measures how long a run goes on between two looks at
// it: the time that a run which is cancelled takes to end, at most.
type looks struct {
	context.Context
	last  time.Time
	turns []time.Duration
}

func (c *looks) Err() error {
	now := time.Now()
	if !c.last.IsZero() {
		c.turns = append(c.turns, now.Sub(c.last))
	}
	c.last = now
	return nil
}

// BenchmarkTurns measures the longest turn of a plan, the median of its runs:
// what a cancelled context waits for.
func BenchmarkTurns(b *testing.B) {
	for _, name := range []string{"resnet50", "resnet50@0.9", "vgg16", "bert_base_128"} {
		b.Run(name, func(b *testing.B) {
			m, err := builtin.Load(name)
			if err != nil {
				b.Fatal(err)
			}
			plan, err := nnz.Compile(context.Background(), m, nnz.Config{Threads: 1})
			if err != nil {
				b.Fatal(err)
			}
			s := plan.NewSession()
			defer s.Close()
			var longest []time.Duration
			n := 0
			for b.Loop() {
				c := &looks{Context: context.Background()}
				if err := s.Run(c); err != nil {
					b.Fatal(err)
				}
				c.Err() // ends the last turn
				longest, n = append(longest, slices.Max(c.turns)), len(c.turns)
			}
			slices.Sort(longest)
			b.ReportMetric(float64(longest[len(longest)/2].Microseconds())/1e3, "ms-longest-turn")
			b.ReportMetric(float64(n), "turns")
		})
	}
}

// BenchmarkPauses collects garbage while every core runs a network, and shows how
// long the world stood still for each collection.
func BenchmarkPauses(b *testing.B) {
	for _, name := range []string{"resnet50", "resnet50@0.9"} {
		b.Run(name, func(b *testing.B) {
			m, err := builtin.Load(name)
			if err != nil {
				b.Fatal(err)
			}
			plan, err := nnz.Compile(context.Background(), m, nnz.Config{Threads: 1})
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				wg.Go(func() {
					s := plan.NewSession()
					defer s.Close()
					for s.Run(ctx) == nil {
					}
				})
			}
			before := pauses()
			for b.Loop() {
				runtime.GC()
				time.Sleep(time.Millisecond)
			}
			p := pauses()
			stop()
			wg.Wait()
			total := uint64(0)
			for i := range p.Counts {
				p.Counts[i] -= before.Counts[i]
				total += p.Counts[i]
			}
			seen := uint64(0)
			var text strings.Builder
			for i, n := range p.Counts {
				if n == 0 {
					continue
				}
				if seen += n; seen >= (total+1)/2 && seen-n < (total+1)/2 {
					b.ReportMetric(p.Buckets[i+1]*1e6, "us-median")
				}
				fmt.Fprintf(&text, " %d to %.0f us;", n, p.Buckets[i+1]*1e6)
				if seen == total {
					b.ReportMetric(math.Min(p.Buckets[i+1], 1e9)*1e6, "us-longest")
				}
			}
			b.Logf("%d pauses:%s", total, text.String())
		})
	}
}

// pauses reads how long the garbage collector has stopped the world for.
func pauses() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64Histogram()
}
