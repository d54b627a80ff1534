// Package neon keeps neon_arm64.h: the Advanced SIMD instructions that the
// kernels use and Go's assembler lacks, as WORD macros.
//
// Every kernel family holds a copy. Included from here instead, the file would
// be missing after go mod vendor, which takes only folders of packages that
// somebody imports, and the build cache would not notice an edit.
package neon

//go:generate cp neon_arm64.h ../../spmm/neon_arm64.h
//go:generate cp neon_arm64.h ../../spmv/neon_arm64.h
//go:generate cp neon_arm64.h ../../vec/neon_arm64.h
//go:generate go run -C ../../_gen ./spmm_neon -asm ../spmm/spmm_neon_arm64.s -go ../spmm/spmm_neon_arm64.go
//go:generate go run -C ../../_gen ./spmv_neon -asm ../spmv/spmv_neon_arm64.s -go ../spmv/spmv_neon_arm64.go
