package neon

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

const header = "neon_arm64.h"

// A macro is one #define line: its parameters name registers, and its comment
// is the instruction as objdump prints it.
type macro struct {
	name   string
	params []string
	text   string
}

var define = regexp.MustCompile(`^#define (\w+)\(([dnm, ]+)\) +WORD \$\(.*\) +// (.+)$`)

func readMacros(t *testing.T) []macro {
	t.Helper()
	b, err := os.ReadFile(header)
	if err != nil {
		t.Fatal(err)
	}
	var list []macro
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		m := define.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("not a macro with its disassembly: %q", line)
		}
		list = append(list, macro{m[1], strings.Split(m[2], ", "), m[3]})
	}
	if len(list) == 0 {
		t.Fatal("no macros")
	}
	return list
}

var operand = regexp.MustCompile(`\b([vs])([dnm])\b`)

// registers are the operands (d, n, m) that every macro is tried with: all
// alike, all different, each field's highest and lowest.
var registers = []map[string]int{
	{"d": 0, "n": 0, "m": 0},
	{"d": 31, "n": 0, "m": 0},
	{"d": 0, "n": 31, "m": 0},
	{"d": 0, "n": 0, "m": 31},
	{"d": 31, "n": 31, "m": 31},
	{"d": 1, "n": 2, "m": 4},
	{"d": 8, "n": 16, "m": 21},
	{"d": 26, "n": 13, "m": 7},
}

// TestMacros assembles every macro and compares with the disassembler.
func TestMacros(t *testing.T) {
	objdump := tool(t, "aarch64-linux-gnu-objdump")
	var source strings.Builder
	fmt.Fprintf(&source, "#include %q\nTEXT ·macros(SB), 4, $0-0\n", header)
	var want []string
	for _, m := range readMacros(t) {
		for _, reg := range registers {
			var args []string
			for _, p := range m.params {
				args = append(args, strconv.Itoa(reg[p]))
			}
			call := fmt.Sprintf("%s(%s)", m.name, strings.Join(args, ", "))
			fmt.Fprintf(&source, "\t%s\n", call)
			text := operand.ReplaceAllStringFunc(m.text, func(s string) string {
				return s[:1] + strconv.Itoa(reg[s[1:]])
			})
			want = append(want, call+": "+text)
		}
	}

	code := assemble(t, source.String())
	if len(code) != 4*len(want) {
		t.Fatalf("assembled %d bytes of %d instructions", len(code), len(want))
	}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`(?m)^ +[0-9a-f]+:\t[0-9a-f]{8} \t(.*)$`).
		FindAllStringSubmatch(run(t, exec.Command(objdump, "-D", "-b", "binary", "-m", "aarch64", file)), -1)
	if len(got) != len(want) {
		t.Fatalf("%d instructions disassembled, want %d", len(got), len(want))
	}
	for i, w := range want {
		call, text, _ := strings.Cut(w, ": ")
		if g := strings.ReplaceAll(got[i][1], "\t", " "); g != text {
			t.Errorf("%s is %s, want %s", call, g, text)
		}
	}
}

// TestCopies compares the copies that the kernel families hold.
func TestCopies(t *testing.T) {
	want, err := os.ReadFile(header)
	if err != nil {
		t.Fatal(err)
	}
	copies, err := filepath.Glob(filepath.Join("..", "..", "*", header))
	if err != nil || len(copies) == 0 {
		t.Fatalf("no copies: %v", err)
	}
	for _, name := range copies {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from %s (go generate copies it): %v", name, header, err)
		}
	}
}

// tool returns the path of a program that the test cannot do without.
func tool(t *testing.T, name string) string {
	t.Helper()
	if runtime.GOOS == "wasip1" {
		t.Skip("no processes")
	}
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
	return path
}

// assemble returns the machine code of a source whose instructions are all
// WORDs, read from the assembler's listing.
func assemble(t *testing.T, source string) []byte {
	t.Helper()
	gotool := tool(t, "go")
	dir := t.TempDir()
	file := filepath.Join(dir, "macros_arm64.s")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(gotool, "tool", "asm", "-S", "-p", "neon", "-I", ".", "-o", filepath.Join(dir, "macros.o"), file)
	cmd.Env = append(os.Environ(), "GOARCH=arm64")
	var code []byte
	for _, w := range regexp.MustCompile(`\tWORD\t\$(\d+)`).FindAllStringSubmatch(run(t, cmd), -1) {
		word, err := strconv.ParseUint(w[1], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		code = binary.LittleEndian.AppendUint32(code, uint32(word))
	}
	return code
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}
