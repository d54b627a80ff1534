//go:build purego || !(amd64 || arm64)

package isa

func supported() []ISA { return nil }
