package peers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/nnz-dev/nnz/bench/kernels"
)

// A process is an engine that answers a line with a line: first "ready
// VERSION", then to each line sent as [process.Run], [process.Turn] and
// [process.Write] say, or "error MESSAGE" in place of any.
type process struct {
	name, version string
	cmd           *exec.Cmd
	in            io.WriteCloser
	out           *bufio.Reader
	stderr        bytes.Buffer
}

// start runs the command and waits until it is ready.
func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd}
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(stdout)
	cmd.Stderr = &p.stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	answer, err := p.answer()
	version, ok := strings.CutPrefix(answer, "ready ")
	if err == nil && !ok {
		err = fmt.Errorf("answered %q to the start", answer)
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	p.version = version
	return p, nil
}

// answer reads a line. It is an error where the line says one, or where there
// is none as the process has ended; then what it wrote to its standard error
// is the reason.
func (p *process) answer() (string, error) {
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.Close()
		if reason := strings.TrimSpace(p.stderr.String()); reason != "" {
			return "", fmt.Errorf("ended: %s", reason)
		}
		return "", errors.New("ended without an answer")
	}
	line = strings.TrimSpace(line)
	if message, ok := strings.CutPrefix(line, "error "); ok {
		return "", errors.New(message)
	}
	return line, nil
}

// Engine implements [bench.Peer].
func (p *process) Engine() (name, version string) { return p.name, p.version }

// Run implements [bench.Peer]: "run" is answered with the milliseconds of one
// run.
func (p *process) Run(ctx context.Context) (time.Duration, error) { return p.time(ctx, "run") }

// Turn implements [kernels.Runner]: "turn N" is answered with the milliseconds
// of a run in a turn of at least N milliseconds.
func (p *process) Turn(ctx context.Context) (time.Duration, error) {
	return p.time(ctx, fmt.Sprintf("turn %g", kernels.TurnTime.Seconds()*1e3))
}

// Write implements [bench.Writer]: "write PATH" runs and writes the output to
// a file, and is answered with "ok".
func (p *process) Write(ctx context.Context, path string) error {
	answer, err := p.ask(ctx, "write "+path)
	if err == nil && answer != "ok" {
		err = fmt.Errorf("%s: answered %q, expected ok", p.name, answer)
	}
	return err
}

// ask sends a line and returns the answer. Where the context ends, which may
// end the process, that is the error.
func (p *process) ask(ctx context.Context, line string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	_, err := io.WriteString(p.in, line+"\n")
	var answer string
	if err == nil {
		answer, err = p.answer()
	}
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	}
	return "", fmt.Errorf("%s: %w", p.name, err)
}

// time asks for a time.
func (p *process) time(ctx context.Context, line string) (time.Duration, error) {
	answer, err := p.ask(ctx, line)
	if err != nil {
		return 0, err
	}
	ms, err := strconv.ParseFloat(answer, 64)
	if err != nil || !(ms >= 0) {
		return 0, fmt.Errorf("%s: answered %q, expected milliseconds", p.name, answer)
	}
	return time.Duration(ms * float64(time.Millisecond)), nil
}

// Close ends the process: its input ends, and it gets a second to follow.
func (p *process) Close() error {
	p.in.Close()
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(time.Second):
		p.cmd.Process.Kill()
		<-done
	}
	return nil
}
