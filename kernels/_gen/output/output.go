// Package output writes what generators have emitted.
package output

import (
	"os"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

// Assembly writes the functions of a context as the assembly of a package of
// kernels, which has the generator's name.
func Assembly(c *build.Context, pkg, file string) error {
	f, err := c.Result()
	if err != nil {
		return err
	}
	if err := pass.Compile.Execute(f); err != nil {
		return err
	}
	text, err := printer.NewGoAsm(printer.Config{Name: "kernels/_gen/" + pkg, Pkg: pkg}).Print(f)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
