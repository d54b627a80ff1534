//go:build !(amd64 || arm64)

package isa

func describe() CPU { return CPU{} }
