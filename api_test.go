package nnz_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files anew")

// public are the packages that a service or a tool may build on. What they
// export changes only on purpose: testdata/api.txt lists it.
var public = []string{".", "graph", "loader", "prune", "runtime", "sparse"}

// TestAPI compares what the public packages export with the golden file;
// go test -run TestAPI . -update writes it.
func TestAPI(t *testing.T) {
	var all []string
	for _, dir := range public {
		all = append(all, exported(t, dir)...)
	}
	got := strings.Join(all, "\n") + "\n"
	const golden = "testdata/api.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(file), "\n"), "\n")
	for _, line := range want {
		if !slices.Contains(all, line) {
			t.Errorf("is gone:  %s", line)
		}
	}
	for _, line := range all {
		if !slices.Contains(want, line) {
			t.Errorf("is new:   %s", line)
		}
	}
	if t.Failed() {
		t.Log("where that is meant: go test -run TestAPI . -update")
	}
}

// exported lists what a package exports, a line each: functions, methods and
// fields with their types, constants and variables.
func exported(t *testing.T, dir string) []string {
	t.Helper()
	pkg, err := build.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	d, err := doc.NewFromFiles(fset, files, module+"/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	text := func(node any) string {
		var b bytes.Buffer
		if err := printer.Fprint(&b, fset, node); err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(b.String()), " ")
	}
	add := func(s string) { lines = append(lines, pkg.Name+": "+s) }
	function := func(f *doc.Func) {
		f.Decl.Body, f.Decl.Doc = nil, nil
		add(text(f.Decl))
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			for _, name := range v.Names {
				if ast.IsExported(name) {
					add(v.Decl.Tok.String() + " " + name)
				}
			}
		}
	}
	values(d.Consts)
	values(d.Vars)
	for _, f := range d.Funcs {
		function(f)
	}
	for _, typ := range d.Types {
		for _, spec := range typ.Decl.Specs {
			spec := spec.(*ast.TypeSpec)
			s, ok := spec.Type.(*ast.StructType)
			if !ok {
				spec.Doc, spec.Comment = nil, nil
				add("type " + text(spec))
				continue
			}
			add("type " + spec.Name.Name + " struct")
			for _, f := range s.Fields.List {
				if len(f.Names) == 0 {
					add("type " + spec.Name.Name + " struct, " + text(f.Type))
				}
				for _, name := range f.Names {
					add("type " + spec.Name.Name + " struct, " + name.Name + " " + text(f.Type))
				}
			}
		}
		values(typ.Consts)
		values(typ.Vars)
		for _, f := range typ.Funcs {
			function(f)
		}
		for _, f := range typ.Methods {
			function(f)
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}
