package nnz_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the import path of this module's root.
const module = "github.com/nnz-dev/nnz"

// dependencies is the import policy: what each package may import of ours and
// of others, tests aside. An entry that ends in /... stands for a folder and
// all below it. The standard library is free to all.
//
// Arrows point one way, from the command down to sparse. A new edge belongs
// here only if it keeps that so.
var dependencies = map[string][]string{
	"sparse": {},
	"graph":  {"sparse", "internal/huge", "github.com/x448/float16"},

	"kernels/internal/guard": {},
	"kernels/internal/neon":  {},

	"kernels/isa":  {"github.com/klauspost/cpuid/v2", "golang.org/x/sys/cpu"},
	"kernels/gemm": {"kernels/isa", "kernels/spmm", "internal/huge"},
	"kernels/spmm": {"sparse", "kernels/isa", "internal/huge"},
	"kernels/spmv": {"sparse", "kernels/isa", "internal/huge"},
	"kernels/vec":  {"kernels/isa"},

	"loader": {
		"graph", "sparse", "internal/atomicfile", "internal/mmap", "internal/npy",
		"google.golang.org/protobuf/encoding/protowire", "github.com/minio/simdjson-go",
	},
	"prune": {"graph", "sparse", "runtime", "runtime/ops"}, // ops folds constants

	"runtime/ops":         {"graph", "kernels/isa", "kernels/vec", "github.com/x448/float16"},
	"runtime/ops/opstest": {"graph", "loader", "kernels/...", "runtime/ops"},
	"runtime/pass":        {"graph", "sparse", "runtime/ops"},
	"runtime":             {"graph", "sparse", "kernels/...", "runtime/ops", "runtime/pass", "internal/parallel", "internal/huge"},

	"bench/builtin":   {"graph", "prune", "bench/mnist", "internal/huge"},
	"bench/inspect":   {"graph", "sparse", "prune", "runtime"},
	"bench/kernels":   {"graph", "sparse", "runtime", "kernels/..."},
	"bench/mnist":     {},
	"bench/peers":     {"graph", "loader", "bench", "bench/kernels", "kernels/isa", "runtime"},
	"bench/reference": {"graph"},
	"bench/report":    {"github.com/go-echarts/go-echarts/v2/charts", "github.com/go-echarts/go-echarts/v2/opts"},
	"bench/train":     {"graph", "kernels/isa", "kernels/spmm", "kernels/vec", "internal/parallel"},
	"bench/verify":    {"graph", "loader", "runtime"},
	"bench/sweep":     {"graph", "prune", "runtime", "bench", "bench/report", "bench/verify"},
	"bench":           {"graph", "loader", "sparse", "prune", "runtime", "kernels/...", "bench/...", "internal/..."},

	".":             {"graph", "loader", "runtime"},
	"examples/edge": {"."},
	"cmd/nnz": {
		"graph", "loader", "sparse", "prune", "runtime", "kernels/...", "bench/...", "internal/...",
		"github.com/alecthomas/kong", "github.com/jedib0t/go-pretty/v6/...",
		"golang.org/x/term",
	},

	"internal/atomicfile": {},
	"internal/huge":       {"golang.org/x/sys/unix"},
	"internal/mmap":       {"golang.org/x/sys/..."},
	"internal/npy":        {"github.com/x448/float16"},
	"internal/parallel":   {},
	"internal/testdata":   {},
}

func TestDependencies(t *testing.T) {
	imports := importsByPackage(t)
	for pkg, list := range imports {
		allowed, ok := dependencies[pkg]
		if !ok {
			t.Errorf("package %s is not in the table of dependencies", pkg)
			continue
		}
		for _, imp := range list {
			if !slices.ContainsFunc(allowed, func(pattern string) bool { return covers(pattern, imp) }) {
				t.Errorf("package %s imports %s, which the table of dependencies does not allow", pkg, imp)
			}
		}
	}
	for pkg := range dependencies {
		if imports[pkg] == nil {
			t.Errorf("package %s of the table of dependencies does not exist", pkg)
		}
	}
}

// writers are the packages that make files by themselves, and why they may. All
// others have internal/atomicfile write, so that no file is ever half-written.
var writers = map[string]string{
	"internal/atomicfile": "is what others use",
	"bench":               "inputs of other engines, in a temporary folder",
	"bench/peers":         "operands of other engines, in a temporary folder",
}

func TestWriters(t *testing.T) {
	for pkg, files := range filesByPackage(t, parser.SkipObjectResolution) {
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := s.X.(*ast.Ident); !ok || x.Name != "os" || writers[pkg] != "" {
					return true
				}
				switch s.Sel.Name {
				case "Create", "CreateTemp", "OpenFile", "WriteFile", "Rename", "Truncate":
					t.Errorf("package %s uses os.%s: write with internal/atomicfile", pkg, s.Sel.Name)
				}
				return true
			})
		}
	}
}

// covers reports whether a pattern of the table stands for an import.
func covers(pattern, imp string) bool {
	folder, all := strings.CutSuffix(pattern, "/...")
	return imp == folder || all && strings.HasPrefix(imp, folder+"/")
}

// importsByPackage lists what the Go files of every package import: our own
// packages relative to the module, others in full, the standard library left
// out.
func importsByPackage(t *testing.T) map[string][]string {
	imports := make(map[string][]string)
	for pkg, files := range filesByPackage(t, parser.ImportsOnly) {
		imports[pkg] = []string{}
		for _, f := range files {
			for _, spec := range f.Imports {
				imp, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if imp == module {
					imp = "."
				} else if ours, ok := strings.CutPrefix(imp, module+"/"); ok {
					imp = ours
				} else if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
					continue // the standard library
				}
				if !slices.Contains(imports[pkg], imp) {
					imports[pkg] = append(imports[pkg], imp)
				}
			}
		}
	}
	return imports
}

// filesByPackage parses the Go files of every package, for any platform and
// without tests.
func filesByPackage(t *testing.T, mode parser.Mode) map[string][]*ast.File {
	files := make(map[string][]*ast.File)
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			hidden := strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
			if file != "." && (hidden || isModule(file)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, mode)
		if err != nil {
			return err
		}
		pkg := path.Dir(filepath.ToSlash(file))
		files[pkg] = append(files[pkg], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// isModule reports whether a folder begins another module.
func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
