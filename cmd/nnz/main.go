// Command nnz prunes neural networks, runs them and shows how much faster that
// makes them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/nnz-dev/nnz/runtime"
)

// The exit codes.
const (
	exitDone        = 0
	exitFailed      = 1 // a comparison or a verification failed
	exitUsage       = 2
	exitFile        = 3
	exitUnsupported = 4
	exitInterrupted = 130 // as a shell reports SIGINT
)

// A subcommand is the first word of a command line.
type subcommand struct {
	name, help string
	cmd        any // its flags, and Run
}

// commands are those of the command line, in the order of the help.
func commands() []subcommand {
	return []subcommand{
		{"inspect", "Show a model's layers: shapes, zeros, block structure, and the kernels they would run on.", &inspectCmd{}},
		{"prune", "Set the least important weights of a model to zero.", &pruneCmd{}},
		{"sweep", "Show what each layer would lose and gain at several sparsities, before anything is pruned.", &sweepCmd{}},
		{"shrink", "Take channels that do nothing out of a model: the same outputs from a smaller file.", &shrinkCmd{}},
		{"run", "Run a model on inputs from files.", &runCmd{}},
		{"bench", "Compare dense with sparse, whole and layer by layer; or measure kernels.", &benchCmds{}},
		{"verify", "Run models on inputs whose outputs are known, and compare.", &verifyCmd{}},
		{"compile", "Write a model with its weights packed for this CPU, which starts faster.", &compileCmd{}},
		{"lab", "Experiments: what dropout is for, and what pruning is for.", &labCmds{}},
		{"export", "Write a builtin network as an ONNX file.", &exportCmd{}},
		{"cpu", "Show this CPU and the kernels made for it.", &cpuCmd{}},
		{"demo", "Prune a trained network and see what it costs and what it gains, in under two minutes.", &demoCmd{}},
	}
}

// grammar describes the command that is called, or all of them where none is.
// Parsing needs no other, and all together take some 8 ms of every start.
func grammar(args []string) []kong.Option {
	var all []kong.Option
	for _, c := range commands() {
		option := kong.DynamicCommand(c.name, c.help, "", c.cmd)
		if len(args) > 0 && args[0] == c.name {
			return []kong.Option{option}
		}
		all = append(all, option)
	}
	return all
}

const description = `Makes pruned neural networks run faster on CPUs.

MODEL is an ONNX file, a .nnz file that compile wrote, or builtin:NAME, one of lenet5 (trained), resnet50, mobilenet_v1, mobilenet_v2, vgg16, bert_base_128 and vit_b_16 (random weights). builtin:resnet50@0.9 is pruned to 90 % zeros, builtin:resnet50@0.9:4x1 in blocks of four outputs, builtin:resnet50@2:4 to two of each four inputs.

The environment variable NNZ_ISA (generic, avx2, avx512, neon) chooses a lesser instruction set than this CPU has.

Exit codes: 0 done, 1 a comparison or verification failed, 2 bad usage, 3 bad file, 4 unsupported model, 130 interrupted.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	exited := false
	methods, methodHelp := methodVars()
	parser, err := kong.New(&struct {
		Version kong.VersionFlag `help:"Print the version and exit."`
	}{}, append(grammar(args),
		kong.Name("nnz"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { exited = true }),
		kong.Vars{"version": version(), "methods": methods, "method_help": methodHelp, "data_help": dataHelp},
		kong.WithHyphenPrefixedParameters(true), // as in --passes -gelu
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)...)
	if err != nil {
		return conclude(stderr, err) // a mistake in the struct tags
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	switch {
	case exited: // after --help or --version
		return exitDone
	case err != nil:
		return conclude(stderr, usageError{fmt.Errorf("%w (see nnz --help)", err)})
	}
	return conclude(stderr, parsed.Run(&env{ctx: ctx, out: stdout, err: stderr}))
}

// An env is what a command works in.
type env struct {
	ctx      context.Context
	out, err io.Writer
}

var (
	// errFailed ends a command whose comparison failed, once it has said so.
	errFailed = errors.New("failed")
	// errUnsupported ends a command that could run none of its models.
	errUnsupported = errors.New("none of the models can be run")
)

// A usageError is a mistake in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// conclude prints an error as one line and returns the exit code that it stands
// for.
func conclude(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	code := exitCode(err)
	var unsupported *runtime.UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		fmt.Fprintf(stderr, "nnz: %s (nnz inspect --ops lists what runs)\n", oneLine(err.Error()))
	case errors.Is(err, errFailed): // the command has printed what failed
	case code == exitInterrupted:
		fmt.Fprintln(stderr, "nnz: interrupted")
	default:
		fmt.Fprintln(stderr, "nnz:", oneLine(err.Error()))
	}
	return code
}

func exitCode(err error) int {
	var (
		usage       usageError
		unsupported *runtime.UnsupportedError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, errFailed):
		return exitFailed
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unsupported), errors.Is(err, errUnsupported):
		return exitUnsupported
	}
	// Whatever else goes wrong lies in what a file holds or where it is:
	// a damaged or missing file, a graph whose shapes do not fit.
	return exitFile
}

// oneLine joins the lines of a message.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// version is what the build knows of itself.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return "nnz " + info.Main.Version
	}
	return "nnz (devel)"
}
