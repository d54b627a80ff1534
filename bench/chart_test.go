package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the expected charts anew")

// chartReports are two networks, of which the second lacks a variant.
func chartReports() []*NetworkReport {
	cell := func(variant string, threads int, p50, ratio, goal float64) NetworkCell {
		return NetworkCell{Engine: ours, Variant: variant, Threads: threads, Latency: Latency{P50: p50}, RatioPeer: ratio, Goal: goal}
	}
	peer := NetworkCell{Engine: "onnxruntime", Version: "1.2", Variant: denseVariant, Threads: 1, Latency: Latency{P50: 40}, RatioPeer: 1}
	return []*NetworkReport{
		{Network: "a<b & c", ISA: "avx512", Batch: 1, Cells: []NetworkCell{
			cell("dense", 1, 40, 1, 1), cell("0.9", 1, 10, 4, 5), cell("0.9:4x1", 1, 8, 5, 0), peer, cell("0.9", 2, 5, 4.5, 0),
		}},
		{Network: "d", ISA: "avx512", Batch: 1, Cells: []NetworkCell{cell("dense", 1, 40, 1, 0), cell("2:4", 1, 20, 2, 0), peer}},
	}
}

func TestDrawNetworks(t *testing.T) {
	var b bytes.Buffer
	if err := DrawNetworks(&b, chartReports()); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "networks.svg")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the chart differs from %s; -update writes it anew:\n%s", golden, b.String())
	}
	bars := 0
	for d := xml.NewDecoder(&b); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 5+4 { // and the key's
		t.Errorf("%d rectangles, want those of 5 bars and 4 entries of the key", bars)
	}
}

func TestDrawNothing(t *testing.T) {
	infinite := NetworkCell{Engine: ours, Threads: 1, RatioPeer: math.Inf(1)}
	huge := NetworkCell{Engine: ours, Threads: 1, RatioPeer: 1, Goal: math.MaxFloat64}
	for _, r := range [][]*NetworkReport{nil, {{}}, {{Cells: []NetworkCell{{Engine: ours, Threads: 1}}}}, {{Cells: []NetworkCell{infinite, huge}}}} {
		if err := DrawNetworks(io.Discard, r); err == nil || !strings.Contains(err.Error(), "nothing to draw") {
			t.Errorf("%+v: error %v", r, err)
		}
	}
}

func TestVariantName(t *testing.T) {
	for v, want := range map[string]string{"dense": "dense", "0": "0 %", "0.9": "90 %", "0.95:4x1": "95 %, 4x1", "2:4": "2:4", "1:4": "1:4", "as given": "as given"} {
		if got := variantName(v); got != want {
			t.Errorf("%s: %q, want %q", v, got, want)
		}
	}
}
