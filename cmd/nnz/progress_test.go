package main

import (
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	var out strings.Builder
	p := &progress{out: &out, start: time.Now(), label: "model"}
	p.update(0.1)
	p.end()
	if out.Len() > 0 {
		t.Errorf("a task that has just begun shows %q", out.String())
	}
	p.start = p.start.Add(-time.Hour)
	p.update(0.5)
	p.update(0.6) // at once, so that it is not drawn
	if got := strings.TrimPrefix(out.String(), clearLine); !strings.HasPrefix(got, "model █") || !strings.Contains(got, " 50 %, 1h0m0s left") || strings.Contains(got, clearLine) {
		t.Errorf("half of a task shows %q", got)
	}
	p.end()
	if !strings.HasSuffix(out.String(), clearLine) {
		t.Errorf("the bar is left at %q", out.String())
	}
	none := &progress{start: p.start} // not a terminal
	none.update(0.5)
	none.end()
}
