package bench

import (
	"encoding/json"
	"fmt"
	"io"
)

// A traceEvent is an event of the Trace Event Format that chrome://tracing and
// Perfetto read: "Trace Event Format", Google, 2016. Times are microseconds.
type traceEvent struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Phase    string         `json:"ph"` // X, a complete event; M, metadata
	TS       float64        `json:"ts"`
	Duration *float64       `json:"dur,omitempty"`
	PID      int            `json:"pid"`
	TID      int            `json:"tid"`
	Args     map[string]any `json:"args,omitempty"`
}

// WriteTrace writes the profile as a trace: the steps of a run one after the
// other, each as long as its median.
func (p *Profile) WriteTrace(w io.Writer) error {
	const pid, tid = 1, 1
	name := func(what, name string) traceEvent {
		return traceEvent{Name: what, Phase: "M", PID: pid, TID: tid, Args: map[string]any{"name": name}}
	}
	events := []traceEvent{
		name("process_name", p.Model),
		name("thread_name", fmt.Sprintf("%s, %s, threads: %d", p.Mode, p.ISA, p.Threads)),
	}
	at := 0.0
	for _, s := range p.Steps {
		args := map[string]any{
			"op": s.Op, "moved_bytes": s.Moved, "weight_bytes": s.Weight,
			"bound": s.Bound.Name, "bound_us": s.Bound.US, "bound_share": s.BoundShare,
		}
		if s.M > 0 {
			args["product"] = fmt.Sprintf("%d x %d x %d", s.M, s.K, s.N)
			args["sparsity"], args["format"] = s.Sparsity, s.Format
		}
		if s.Kernel != "" {
			args["kernel"], args["gflops"] = s.Kernel, s.GFlops
		}
		events = append(events, traceEvent{Name: s.Name, Category: s.Kind, Phase: "X", TS: at, Duration: &s.US, PID: pid, TID: tid, Args: args})
		at += s.US
	}
	return json.NewEncoder(w).Encode(struct {
		Events []traceEvent `json:"traceEvents"`
		Unit   string       `json:"displayTimeUnit"`
	}{events, "ms"})
}
