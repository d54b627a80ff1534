package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// patience is how long a command works before it shows a progress bar.
const patience = time.Second

// progressSteps is how finely a bar counts.
const progressSteps = 1000

// A progress shows on a terminal how much of a task is done, once that has
// taken a while. Elsewhere it shows nothing.
type progress struct {
	out   io.Writer // nil where nothing is shown
	start time.Time
	label string
	bar   *progressbar.ProgressBar
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
	if p.out == nil || time.Since(p.start) < patience {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions(progressSteps,
			progressbar.OptionSetWriter(p.out),
			progressbar.OptionSetDescription(p.label),
			progressbar.OptionSetWidth(30),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(true),
		)
	}
	// An error here is one of writing to the terminal, where it could only be
	// told in the same way.
	_ = p.bar.Set(int(done * progressSteps))
}

// end removes the bar.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
