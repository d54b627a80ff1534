package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	patience      = time.Second            // how long a command works before it shows a progress bar
	progressWidth = 30                     // characters of the bar
	progressEvery = 100 * time.Millisecond // at most so often is it drawn
)

// A progress shows on a terminal how much of a task is done, once that has
// taken a while. Elsewhere it shows nothing.
type progress struct {
	out   io.Writer // nil where nothing is shown
	start time.Time
	drawn time.Time // zero where nothing is there
	label string
}

// newProgress begins a task.
func newProgress(e *env, label string) *progress {
	p := &progress{start: time.Now(), label: label}
	if f, ok := e.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.out = f
	}
	return p
}

// update tells which fraction of the task is done.
func (p *progress) update(done float64) {
	now := time.Now()
	if p.out == nil || now.Sub(p.start) < patience || now.Sub(p.drawn) < progressEvery {
		return
	}
	p.drawn = now
	done = min(max(done, 0), 1)
	full := int(done * progressWidth)
	left := ""
	if done > 0 {
		took := now.Sub(p.start)
		left = ", " + (time.Duration(float64(took)/done) - took).Round(time.Second).String() + " left"
	}
	fmt.Fprintf(p.out, "%s%s %s%s %3.0f %%%s", clearLine, p.label, strings.Repeat("█", full), strings.Repeat("░", progressWidth-full), 100*done, left)
}

// clearLine goes back to where the line begins, and removes what is in it.
const clearLine = "\r\x1b[K"

// end removes the bar.
func (p *progress) end() {
	if !p.drawn.IsZero() {
		fmt.Fprint(p.out, clearLine)
		p.drawn = time.Time{}
	}
}
