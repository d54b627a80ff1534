//go:build !purego

#include "textflag.h"
#include "funcdata.h"

#define TWELVE(a, b, c, d, e, f, g, h, i, j, k, l) \
	VFMLA V24.S4, V24.S4, a.S4 \
	VFMLA V24.S4, V24.S4, b.S4 \
	VFMLA V24.S4, V24.S4, c.S4 \
	VFMLA V24.S4, V24.S4, d.S4 \
	VFMLA V24.S4, V24.S4, e.S4 \
	VFMLA V24.S4, V24.S4, f.S4 \
	VFMLA V24.S4, V24.S4, g.S4 \
	VFMLA V24.S4, V24.S4, h.S4 \
	VFMLA V24.S4, V24.S4, i.S4 \
	VFMLA V24.S4, V24.S4, j.S4 \
	VFMLA V24.S4, V24.S4, k.S4 \
	VFMLA V24.S4, V24.S4, l.S4

#define FIRST TWELVE(V0, V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11)
#define SECOND TWELVE(V12, V13, V14, V15, V16, V17, V18, V19, V20, V21, V22, V23)

// Two dozen accumulators take turns: some processors have four pipes of a
// latency of four, which a dozen would not fill.
//
// func peak_neon(n int)
TEXT ·peak_neon(SB), 0, $128-8
	NO_LOCAL_POINTERS
	MOVD n+0(FP), R0
	VEOR V24.B16, V24.B16, V24.B16
	TBZ $0, R0, even
	FIRST
even:
	LSR $1, R0
	CBZ R0, done
again:
	FIRST
	SECOND
	SUBS $1, R0
	BNE again
done:
	RET

#define FOUR(from, a, b, c, d) \
	VLD1.P 64(from), [V24.S4, V25.S4, V26.S4, V27.S4] \
	VFMLA V24.S4, V28.S4, a.S4 \
	VFMLA V25.S4, V28.S4, b.S4 \
	VFMLA V26.S4, V28.S4, c.S4 \
	VFMLA V27.S4, V28.S4, d.S4

// func loads_neon(x *float32, stride, blocks, passes int)
TEXT ·loads_neon(SB), 0, $128-32
	NO_LOCAL_POINTERS
	MOVD x+0(FP), R0
	MOVD stride+8(FP), R1
	MOVD blocks+16(FP), R2
	MOVD passes+24(FP), R3
	VEOR V28.B16, V28.B16, V28.B16
pass:
	MOVD R0, R4
	ADD R1, R4, R5
	ADD R1, R5, R6
	ADD R1, R6, R7
	MOVD R2, R8
block:
	FOUR(R4, V0, V1, V2, V3)
	FOUR(R5, V4, V5, V6, V7)
	FOUR(R6, V8, V9, V10, V11)
	FOUR(R7, V12, V13, V14, V15)
	FOUR(R4, V0, V1, V2, V3)
	FOUR(R5, V4, V5, V6, V7)
	FOUR(R6, V8, V9, V10, V11)
	FOUR(R7, V12, V13, V14, V15)
	SUBS $1, R8
	BNE block
	SUBS $1, R3
	BNE pass
	RET
