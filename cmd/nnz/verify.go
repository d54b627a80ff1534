package main

import (
	"fmt"

	"github.com/nnz-dev/nnz/bench/verify"
	"github.com/nnz-dev/nnz/runtime"
)

// verifyCmd runs models on inputs whose outputs are known.
type verifyCmd struct {
	Dirs      []string `arg:"" optional:"" name:"dir" help:"Folders of model.onnx and test_data_set_K, or folders that hold such folders."`
	Manifest  string   `placeholder:"DIR" help:"Take cases and tolerances from DIR/manifest.json."`
	RTol      float64  `name:"rtol" default:"1e-3" help:"Relative tolerance."`
	ATol      float64  `name:"atol" default:"1e-4" help:"Absolute tolerance."`
	LSB       int64    `name:"lsb" default:"1" help:"How many steps outputs may differ besides that a model ends in rounding to integers, or to a scale of integers. Cases that needed it are shown."`
	RoundTrip bool     `help:"Write each model as an ONNX file first, and run what that holds."`
	Mode      string   `default:"auto" enum:"auto,dense,sparse" help:"Which layers run on sparse kernels: the ones that are faster so (auto), none (dense) or all (sparse)."`
	compileFlags
	jsonFlag
}

// A verifyReport is what `nnz verify --json` writes.
type verifyReport struct {
	Passed   int             `json:"passed"`
	Failed   int             `json:"failed"`
	Skipped  int             `json:"skipped"`
	Disputed int             `json:"disputed"`
	Cases    []verify.Result `json:"cases"`
}

func (c *verifyCmd) Run(e *env) error {
	config, err := c.configIn(c.Mode)
	if err != nil {
		return err
	}
	cases, err := c.cases()
	if err != nil {
		return err
	}
	r, runErr := c.run(e, config, cases)
	// What was done before an interrupt is shown too.
	if !c.stdout() {
		disputed := ""
		if r.Disputed > 0 {
			disputed = fmt.Sprintf(", %d disputed", r.Disputed)
		}
		fmt.Fprintf(e.out, "%d passed, %d failed, %d skipped%s\n", r.Passed, r.Failed, r.Skipped, disputed)
	}
	if err := c.write(e, r); err != nil {
		return err
	}
	switch {
	case runErr != nil:
		return runErr
	case r.Failed > 0:
		return errFailed
	case r.Passed == 0:
		return errUnsupported
	}
	return nil
}

func (c *verifyCmd) cases() ([]verify.Case, error) {
	t := verify.Tolerance{RTol: c.RTol, ATol: c.ATol, LSB: c.LSB}
	if !(t.RTol >= 0 && t.ATol >= 0 && t.LSB >= 0) {
		return nil, usagef("--rtol %g --atol %g --lsb %d: expected numbers that are not negative", t.RTol, t.ATol, t.LSB)
	}
	if c.Manifest == "" && len(c.Dirs) == 0 {
		return nil, usagef("expected DIR… or --manifest DIR")
	}
	cases, err := verify.Find(c.Dirs, t)
	if err != nil || c.Manifest == "" {
		return cases, err
	}
	listed, err := verify.Manifest(c.Manifest)
	return append(cases, listed...), err
}

// run runs the cases and prints a line for each that does not pass, or
// only because quantised results may round either way.
func (c *verifyCmd) run(e *env, config runtime.Config, cases []verify.Case) (*verifyReport, error) {
	r := &verifyReport{Cases: []verify.Result{}}
	p := newProgress(e, "verify")
	defer p.end()
	for i, vc := range cases {
		p.update(float64(i) / float64(len(cases)))
		vc.RoundTrip = c.RoundTrip
		result, err := vc.Run(e.ctx, config)
		if err != nil {
			return r, err
		}
		r.Cases = append(r.Cases, result)
		note := result.Reason
		switch result.Outcome {
		case verify.Passed:
			r.Passed++
			if result.Rounded == 0 {
				continue
			}
			note = plural(result.Rounded, "element") + " a step of quantisation off"
		case verify.Failed:
			r.Failed++
		case verify.Skipped:
			r.Skipped++
		case verify.Disputed:
			r.Disputed++
		}
		if !c.stdout() {
			p.end()
			fmt.Fprintf(e.out, "%s %s: %s\n", result.Outcome, result.Case, oneLine(note))
		}
	}
	return r, nil
}
