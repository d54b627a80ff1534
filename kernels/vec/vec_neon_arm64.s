//go:build !purego

#include "textflag.h"
#include "funcdata.h"
#include "neon_arm64.h"

// Tails are done one element at a time, in lane 0 of a vector, by the same
// instructions as whole vectors: an element's result does not depend on where
// it stands.

// PARAM sets every lane of a vector to the float32 in its lane 0, where FMOVS
// has put a parameter.
#define PARAM(v) VDUP v.S[0], v.S4

// BITS sets every lane of a vector to an integer constant.
#define BITS(c, v) \
	MOVD $c, R8 \
	VDUP R8, v.S4

// BINARY is the rest of a function of (dst, a, b): op(d, n, m) is d = n op m.
#define BINARY(op) \
	MOVD dst_base+0(FP), R0 \
	MOVD dst_len+8(FP), R1 \
	MOVD a_base+24(FP), R2 \
	MOVD b_base+48(FP), R3 \
	SUBS $16, R1 \
	BLT few \
many: \
	VLD1.P 64(R2), [V0.S4, V1.S4, V2.S4, V3.S4] \
	VLD1.P 64(R3), [V4.S4, V5.S4, V6.S4, V7.S4] \
	op(0, 0, 4) \
	op(1, 1, 5) \
	op(2, 2, 6) \
	op(3, 3, 7) \
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0) \
	SUBS $16, R1 \
	BGE many \
few: \
	ADDS $12, R1 \
	BLT tail \
four: \
	FMOVQ.P 16(R2), F0 \
	FMOVQ.P 16(R3), F4 \
	op(0, 0, 4) \
	FMOVQ.P F0, 16(R0) \
	SUBS $4, R1 \
	BGE four \
tail: \
	ADDS $4, R1 \
	BEQ done \
one: \
	FMOVS.P 4(R2), F0 \
	FMOVS.P 4(R3), F4 \
	op(0, 0, 4) \
	FMOVS.P F0, 4(R0) \
	SUBS $1, R1 \
	BNE one \
done: \
	RET

// UNARY is the rest of a function of (dst, x, …): op(v) changes vector v and
// nothing else.
#define UNARY(op) \
	MOVD dst_base+0(FP), R0 \
	MOVD dst_len+8(FP), R1 \
	MOVD x_base+24(FP), R2 \
	SUBS $16, R1 \
	BLT few \
many: \
	VLD1.P 64(R2), [V0.S4, V1.S4, V2.S4, V3.S4] \
	op(0) \
	op(1) \
	op(2) \
	op(3) \
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0) \
	SUBS $16, R1 \
	BGE many \
few: \
	ADDS $12, R1 \
	BLT tail \
four: \
	FMOVQ.P 16(R2), F0 \
	op(0) \
	FMOVQ.P F0, 16(R0) \
	SUBS $4, R1 \
	BGE four \
tail: \
	ADDS $4, R1 \
	BEQ done \
one: \
	FMOVS.P 4(R2), F0 \
	op(0) \
	FMOVS.P F0, 4(R0) \
	SUBS $1, R1 \
	BNE one \
done: \
	RET

// EACH is UNARY for what needs many instructions: OP changes V0. The vectors
// overlap in the processor as no result depends on the one before.
#define EACH(OP) \
	MOVD dst_base+0(FP), R0 \
	MOVD dst_len+8(FP), R1 \
	MOVD x_base+24(FP), R2 \
	SUBS $4, R1 \
	BLT tail \
four: \
	FMOVQ.P 16(R2), F0 \
	OP \
	FMOVQ.P F0, 16(R0) \
	SUBS $4, R1 \
	BGE four \
tail: \
	ADDS $4, R1 \
	BEQ done \
one: \
	FMOVS.P 4(R2), F0 \
	OP \
	FMOVS.P F0, 4(R0) \
	SUBS $1, R1 \
	BNE one \
done: \
	RET

// POOL is the rest of a pooling function, four vectors of dst at a time, then
// one. V16 has the result without taps.
#define POOL(op) \
	MOVD dst_base+0(FP), R0 \
	MOVD dst_len+8(FP), R1 \
	MOVD src_base+24(FP), R2 \
	MOVD taps_base+48(FP), R3 \
	MOVD taps_len+56(FP), R4 \
	MOVD step+72(FP), R5 \
	LSL $4, R5 \
	SUBS $16, R1 \
	BLT few \
many: \
	ADD R5, R2, R6 \
	ADD R5, R6, R7 \
	ADD R5, R7, R8 \
	VMOV V16.B16, V0.B16 \
	VMOV V16.B16, V1.B16 \
	VMOV V16.B16, V2.B16 \
	VMOV V16.B16, V3.B16 \
	MOVD R3, R9 \
	MOVD R4, R10 \
	CBZ R10, manyDone \
manyTap: \
	MOVWU.P 4(R9), R11 \
	ADD R2, R11, R12 \
	ADD R6, R11, R13 \
	ADD R7, R11, R14 \
	ADD R8, R11, R15 \
	FMOVQ (R12), F4 \
	FMOVQ (R13), F5 \
	FMOVQ (R14), F6 \
	FMOVQ (R15), F7 \
	op(0, 0, 4) \
	op(1, 1, 5) \
	op(2, 2, 6) \
	op(3, 3, 7) \
	SUBS $1, R10 \
	BNE manyTap \
manyDone: \
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0) \
	ADD R5, R8, R2 \
	SUBS $16, R1 \
	BGE many \
few: \
	ADDS $16, R1 \
	BEQ done \
one: \
	VMOV V16.B16, V0.B16 \
	MOVD R3, R9 \
	MOVD R4, R10 \
	CBZ R10, oneDone \
oneTap: \
	MOVWU.P 4(R9), R11 \
	ADD R2, R11, R12 \
	FMOVQ (R12), F4 \
	op(0, 0, 4) \
	SUBS $1, R10 \
	BNE oneTap \
oneDone: \
	FMOVQ.P F0, 16(R0) \
	ADD R5, R2 \
	SUBS $4, R1 \
	BNE one \
done: \
	RET

// func addNEON(dst, a, b []float32)
TEXT ·addNEON(SB), 0, $128-72
	NO_LOCAL_POINTERS
	BINARY(FADD_4S)

// func subNEON(dst, a, b []float32)
TEXT ·subNEON(SB), 0, $128-72
	NO_LOCAL_POINTERS
	BINARY(FSUB_4S)

// func mulNEON(dst, a, b []float32)
TEXT ·mulNEON(SB), 0, $128-72
	NO_LOCAL_POINTERS
	BINARY(FMUL_4S)

// func divNEON(dst, a, b []float32)
TEXT ·divNEON(SB), 0, $128-72
	NO_LOCAL_POINTERS
	BINARY(FDIV_4S)

// v = v*V16 + V17, rounded twice.
#define AFFINE(v) \
	FMUL_4S(v, v, 16) \
	FADD_4S(v, v, 17)

// func affineNEON(dst, x []float32, scale, shift float32)
TEXT ·affineNEON(SB), 0, $128-56
	NO_LOCAL_POINTERS
	FMOVS scale+48(FP), F16
	FMOVS shift+52(FP), F17
	PARAM(V16)
	PARAM(V17)
	UNARY(AFFINE)

#define DIV_SCALAR(v) FDIV_4S(v, v, 16)

// func divScalarNEON(dst, x []float32, c float32)
TEXT ·divScalarNEON(SB), 0, $128-52
	NO_LOCAL_POINTERS
	FMOVS c+48(FP), F16
	PARAM(V16)
	UNARY(DIV_SCALAR)

#define SCALAR_DIV(v) FDIV_4S(v, 16, v)

// func scalarDivNEON(dst, x []float32, c float32)
TEXT ·scalarDivNEON(SB), 0, $128-52
	NO_LOCAL_POINTERS
	FMOVS c+48(FP), F16
	PARAM(V16)
	UNARY(SCALAR_DIV)

// v = min(max(v, V18), V19). FMAX and FMIN give NaN where an operand is.
#define CLAMP(v) \
	FMAX_4S(v, v, 18) \
	FMIN_4S(v, v, 19)

// func clampNEON(dst, x []float32, lo, hi float32)
TEXT ·clampNEON(SB), 0, $128-56
	NO_LOCAL_POINTERS
	FMOVS lo+48(FP), F18
	FMOVS hi+52(FP), F19
	PARAM(V18)
	PARAM(V19)
	UNARY(CLAMP)

#define HARD_SIGMOID(v) \
	AFFINE(v) \
	CLAMP(v)

// func hardSigmoidNEON(dst, x []float32, alpha, beta float32)
TEXT ·hardSigmoidNEON(SB), 0, $128-56
	NO_LOCAL_POINTERS
	FMOVS alpha+48(FP), F16
	FMOVS beta+52(FP), F17
	PARAM(V16)
	PARAM(V17)
	BITS(0, V18)
	BITS(0x3f800000, V19) // 1
	UNARY(HARD_SIGMOID)

// V0 = V0 < 0 ? V0*V16 : V0
#define LEAKY_RELU \
	FMUL_4S(1, 0, 16) \
	FCMLT0_4S(2, 0) \
	VBIT V2.B16, V1.B16, V0.B16

// func leakyReluNEON(dst, x []float32, alpha float32)
TEXT ·leakyReluNEON(SB), 0, $128-52
	NO_LOCAL_POINTERS
	FMOVS alpha+48(FP), F16
	PARAM(V16)
	EACH(LEAKY_RELU)

// V0 = |V16| >= |V0| ? 0 : V0
#define THRESHOLD \
	FACGE_4S(1, 16, 0) \
	VBIT V1.B16, V17.B16, V0.B16

// func thresholdNEON(dst, x []float32, limit float32)
TEXT ·thresholdNEON(SB), 0, $128-52
	NO_LOCAL_POINTERS
	FMOVS limit+48(FP), F16
	PARAM(V16)
	BITS(0, V17)
	EACH(THRESHOLD)

#define HARD_SWISH \
	FMUL_4S(1, 0, 16) \
	FADD_4S(1, 1, 17) \
	CLAMP(1) \
	FMUL_4S(0, 0, 1)

// func hardSwishNEON(dst, x []float32)
TEXT ·hardSwishNEON(SB), 0, $128-48
	NO_LOCAL_POINTERS
	BITS(0x3e2aaaab, V16) // 1/6
	BITS(0x3f000000, V17) // 1/2
	BITS(0, V18)
	BITS(0x3f800000, V19) // 1
	EACH(HARD_SWISH)

// Constants of the exponential, as kernels/_gen/vec/exp.go derives them.
DATA exponential<>+0(SB)/4, $0x3fb8aa3b  // log2 e
DATA exponential<>+4(SB)/4, $0x3f318000  // ln 2, the first bits
DATA exponential<>+8(SB)/4, $0xb95e8083  // and what they lack
DATA exponential<>+12(SB)/4, $0x3ab511e8 // (e**r - 1 - r) / r**2, degree 4
DATA exponential<>+16(SB)/4, $0x3c091d10
DATA exponential<>+20(SB)/4, $0x3d2aac79
DATA exponential<>+24(SB)/4, $0x3e2aaa49
DATA exponential<>+28(SB)/4, $0x3efffffe
DATA exponential<>+32(SB)/4, $0x3f800000 // 1
DATA exponential<>+36(SB)/4, $127        // the bias of an exponent
GLOBL exponential<>(SB), RODATA|NOPTR, $40

// EXP_CONSTANTS loads them into V22 to V31.
#define EXP_CONSTANTS \
	MOVD $exponential<>(SB), R8 \
	VLD1R.P 4(R8), [V22.S4] \
	VLD1R.P 4(R8), [V23.S4] \
	VLD1R.P 4(R8), [V24.S4] \
	VLD1R.P 4(R8), [V25.S4] \
	VLD1R.P 4(R8), [V26.S4] \
	VLD1R.P 4(R8), [V27.S4] \
	VLD1R.P 4(R8), [V28.S4] \
	VLD1R.P 4(R8), [V29.S4] \
	VLD1R.P 4(R8), [V30.S4] \
	VLD1R (R8), [V31.S4]

// REDUCE splits V0 into n ln 2 + r: V1 = n, an integer, V0 = r, and V3 = p with
// e**r = 1 + r + r*r*p.
#define REDUCE \
	FMUL_4S(1, 0, 22) \
	FCVTNS_4S(1, 1) \
	SCVTF_4S(2, 1) \
	VFMLS V23.S4, V2.S4, V0.S4 \
	VFMLS V24.S4, V2.S4, V0.S4 \
	VMOV V26.B16, V2.B16 \
	VFMLA V25.S4, V0.S4, V2.S4 \
	VMOV V27.B16, V3.B16 \
	VFMLA V2.S4, V0.S4, V3.S4 \
	VMOV V28.B16, V2.B16 \
	VFMLA V3.S4, V0.S4, V2.S4 \
	VMOV V29.B16, V3.B16 \
	VFMLA V2.S4, V0.S4, V3.S4

// EXP_WITHIN is V0 = e**V0 for -104 <= V0 <= 89. The factor 2**n is applied as
// two, each of which has an exponent in range: a subnormal result is rounded
// once.
#define EXP_WITHIN \
	REDUCE \
	VMOV V30.B16, V2.B16 \
	VFMLA V3.S4, V0.S4, V2.S4 \
	VMOV V30.B16, V3.B16 \
	VFMLA V2.S4, V0.S4, V3.S4 \
	SSHR1_4S(2, 1) \
	VSUB V2.S4, V1.S4, V1.S4 \
	VADD V31.S4, V2.S4, V2.S4 \
	VADD V31.S4, V1.S4, V1.S4 \
	VSHL $23, V2.S4, V2.S4 \
	VSHL $23, V1.S4, V1.S4 \
	FMUL_4S(3, 3, 2) \
	FMUL_4S(0, 3, 1)

// EXP_LIMITS sets V18 and V19 to the limits past which e**x is Inf, or 0 even
// as a subnormal.
#define EXP_LIMITS \
	BITS(0xc2d00000, V18) /* -104 */ \
	BITS(0x42b20000, V19) /* 89 */

#define EXP \
	CLAMP(0) \
	EXP_WITHIN

// func expNEON(dst, x []float32)
TEXT ·expNEON(SB), 0, $128-48
	NO_LOCAL_POINTERS
	EXP_CONSTANTS
	EXP_LIMITS
	EACH(EXP)

// e**V0 / (1 + e**V0) where V0 is negative, 1 / (1 + e**-V0) elsewhere: the
// power is at most 1 and a small result keeps its digits. V17 has sign bits.
#define SIGMOID \
	FCMLT0_4S(4, 0) \
	VORR V17.B16, V0.B16, V0.B16 \
	FMAX_4S(0, 0, 18) \
	EXP_WITHIN \
	FADD_4S(1, 0, 30) \
	VBIF V4.B16, V30.B16, V0.B16 \
	FDIV_4S(0, 0, 1)

// func sigmoidNEON(dst, x []float32)
TEXT ·sigmoidNEON(SB), 0, $128-48
	NO_LOCAL_POINTERS
	EXP_CONSTANTS
	EXP_LIMITS
	BITS(0x80000000, V17)
	EACH(SIGMOID)

// -m / (m + 2) with m = e**(-2|V0|) - 1, and V0's sign. V16 has 2, V17 sign
// bits.
#define TANH \
	VMOV V0.B16, V4.B16 \
	VORR V17.B16, V0.B16, V0.B16 \
	FADD_4S(0, 0, 0) \
	FMAX_4S(0, 0, 18) \
	REDUCE \
	FMUL_4S(2, 0, 0) /* e**r - 1 without losing the digits of a small r */ \
	VFMLA V3.S4, V2.S4, V0.S4 \
	VADD V31.S4, V1.S4, V1.S4 /* s = 2**n, then s*m + (s - 1) */ \
	VSHL $23, V1.S4, V1.S4 \
	FSUB_4S(2, 1, 30) \
	VFMLA V0.S4, V1.S4, V2.S4 \
	FADD_4S(1, 2, 16) \
	FDIV_4S(0, 2, 1) \
	VBIT V17.B16, V4.B16, V0.B16

// func tanhNEON(dst, x []float32)
TEXT ·tanhNEON(SB), 0, $128-48
	NO_LOCAL_POINTERS
	EXP_CONSTANTS
	BITS(0x40000000, V16) // 2
	BITS(0x80000000, V17)
	BITS(0xc1a00000, V18) // -20, from where on the result is 1
	EACH(TANH)

// ADD_LANE adds a lane of a vector to F8, in double precision.
#define ADD_LANE(v, i) \
	VMOV v.S[i], R8 \
	FMOVS R8, F0 \
	FCVTSD F0, F0 \
	FADDD F0, F8, F8

// func expSumNEON(dst, x []float32, max float32) float32
TEXT ·expSumNEON(SB), 0, $128-60
	NO_LOCAL_POINTERS
	EXP_CONSTANTS
	EXP_LIMITS
	MOVD dst_base+0(FP), R0
	MOVD dst_len+8(FP), R1
	MOVD x_base+24(FP), R2
	FMOVS max+48(FP), F16
	PARAM(V16)
	// V5 is a sum that begins with 1, so that no power is larger: then what the
	// subtractions find is exactly the error of each addition; V6 is the sum of
	// those.
	VMOV V30.B16, V5.B16
	BITS(0, V6)
	SUBS $4, R1
	BLT tail
four:
	FMOVQ.P 16(R2), F0
	FSUB_4S(0, 0, 16)
	EXP
	FMOVQ.P F0, 16(R0)
	FADD_4S(7, 5, 0)
	FSUB_4S(5, 7, 5)
	FSUB_4S(0, 0, 5)
	FADD_4S(6, 6, 0)
	VMOV V7.B16, V5.B16
	SUBS $4, R1
	BGE four
tail:
	FSUB_4S(5, 5, 30)
	FMOVD ZR, F8
	ADD_LANE(V5, 0)
	ADD_LANE(V5, 1)
	ADD_LANE(V5, 2)
	ADD_LANE(V5, 3)
	ADD_LANE(V6, 0)
	ADD_LANE(V6, 1)
	ADD_LANE(V6, 2)
	ADD_LANE(V6, 3)
	ADDS $4, R1
	BEQ done
one:
	FMOVS.P 4(R2), F0
	FSUB_4S(0, 0, 16)
	EXP
	FMOVS.P F0, 4(R0)
	FCVTSD F0, F0
	FADDD F0, F8, F8
	SUBS $1, R1
	BNE one
done:
	FCVTDS F8, F5
	FMOVS F5, ret+56(FP)
	RET

// func sumNEON(x []float32) float32
TEXT ·sumNEON(SB), 0, $128-28
	NO_LOCAL_POINTERS
	MOVD x_base+0(FP), R2
	MOVD x_len+8(FP), R1
	BITS(0, V0)
	BITS(0, V1)
	BITS(0, V2)
	BITS(0, V3)
	SUBS $16, R1
	BLT few
many:
	VLD1.P 64(R2), [V4.S4, V5.S4, V6.S4, V7.S4]
	FADD_4S(0, 0, 4)
	FADD_4S(1, 1, 5)
	FADD_4S(2, 2, 6)
	FADD_4S(3, 3, 7)
	SUBS $16, R1
	BGE many
few:
	FADD_4S(0, 0, 1)
	FADD_4S(2, 2, 3)
	FADD_4S(0, 0, 2)
	ADDS $12, R1
	BLT tail
four:
	FMOVQ.P 16(R2), F4
	FADD_4S(0, 0, 4)
	SUBS $4, R1
	BGE four
tail:
	FADDP_4S(0, 0, 0)
	FADDP_4S(0, 0, 0)
	ADDS $4, R1
	BEQ done
one:
	FMOVS.P 4(R2), F4
	FADDS F4, F0, F0
	SUBS $1, R1
	BNE one
done:
	FMOVS F0, ret+24(FP)
	RET

// func maxNEON(x []float32) float32
TEXT ·maxNEON(SB), 0, $128-28
	NO_LOCAL_POINTERS
	MOVD x_base+0(FP), R2
	MOVD x_len+8(FP), R1
	BITS(0xff800000, V0) // -Inf
	BITS(0xff800000, V1)
	BITS(0xff800000, V2)
	BITS(0xff800000, V3)
	SUBS $16, R1
	BLT few
many:
	VLD1.P 64(R2), [V4.S4, V5.S4, V6.S4, V7.S4]
	FMAX_4S(0, 0, 4)
	FMAX_4S(1, 1, 5)
	FMAX_4S(2, 2, 6)
	FMAX_4S(3, 3, 7)
	SUBS $16, R1
	BGE many
few:
	FMAX_4S(0, 0, 1)
	FMAX_4S(2, 2, 3)
	FMAX_4S(0, 0, 2)
	ADDS $12, R1
	BLT tail
four:
	FMOVQ.P 16(R2), F4
	FMAX_4S(0, 0, 4)
	SUBS $4, R1
	BGE four
tail:
	FMAXV_4S(0, 0)
	ADDS $4, R1
	BEQ done
one:
	FMOVS.P 4(R2), F4
	FMAXS F4, F0, F0
	SUBS $1, R1
	BNE one
done:
	FMOVS F0, ret+24(FP)
	RET

// func dotNEON(a, b []float32) float32
TEXT ·dotNEON(SB), 0, $128-52
	NO_LOCAL_POINTERS
	MOVD a_base+0(FP), R2
	MOVD a_len+8(FP), R1
	MOVD b_base+24(FP), R3
	BITS(0, V0)
	BITS(0, V1)
	BITS(0, V2)
	BITS(0, V3)
	SUBS $16, R1
	BLT few
many:
	VLD1.P 64(R2), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R3), [V16.S4, V17.S4, V18.S4, V19.S4]
	VFMLA V16.S4, V4.S4, V0.S4
	VFMLA V17.S4, V5.S4, V1.S4
	VFMLA V18.S4, V6.S4, V2.S4
	VFMLA V19.S4, V7.S4, V3.S4
	SUBS $16, R1
	BGE many
few:
	FADD_4S(0, 0, 1)
	FADD_4S(2, 2, 3)
	FADD_4S(0, 0, 2)
	ADDS $12, R1
	BLT tail
four:
	FMOVQ.P 16(R2), F4
	FMOVQ.P 16(R3), F16
	VFMLA V16.S4, V4.S4, V0.S4
	SUBS $4, R1
	BGE four
tail:
	FADDP_4S(0, 0, 0)
	FADDP_4S(0, 0, 0)
	ADDS $4, R1
	BEQ done
one:
	FMOVS.P 4(R2), F4
	FMOVS.P 4(R3), F16
	FMADDS F16, F0, F4, F0
	SUBS $1, R1
	BNE one
done:
	FMOVS F0, ret+48(FP)
	RET

// func sumWhereNEON(x []float32, where []uint32) float32
TEXT ·sumWhereNEON(SB), 0, $128-52
	NO_LOCAL_POINTERS
	MOVD x_base+0(FP), R2
	MOVD x_len+8(FP), R1
	MOVD where_base+24(FP), R3
	BITS(0, V0)
	BITS(0, V1)
	BITS(0, V2)
	BITS(0, V3)
	SUBS $16, R1
	BLT few
many:
	VLD1.P 64(R2), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R3), [V16.S4, V17.S4, V18.S4, V19.S4]
	VAND V16.B16, V4.B16, V4.B16
	FADD_4S(0, 0, 4)
	VAND V17.B16, V5.B16, V5.B16
	FADD_4S(1, 1, 5)
	VAND V18.B16, V6.B16, V6.B16
	FADD_4S(2, 2, 6)
	VAND V19.B16, V7.B16, V7.B16
	FADD_4S(3, 3, 7)
	SUBS $16, R1
	BGE many
few:
	FADD_4S(0, 0, 1)
	FADD_4S(2, 2, 3)
	FADD_4S(0, 0, 2)
	ADDS $12, R1
	BLT tail
four:
	FMOVQ.P 16(R2), F4
	FMOVQ.P 16(R3), F16
	VAND V16.B16, V4.B16, V4.B16
	FADD_4S(0, 0, 4)
	SUBS $4, R1
	BGE four
tail:
	FADDP_4S(0, 0, 0)
	FADDP_4S(0, 0, 0)
	ADDS $4, R1
	BEQ done
one:
	FMOVS.P 4(R2), F4
	FMOVS.P 4(R3), F16
	VAND V16.B16, V4.B16, V4.B16
	FADDS F4, F0, F0
	SUBS $1, R1
	BNE one
done:
	FMOVS F0, ret+48(FP)
	RET

// func maxPoolNEON(dst, src []float32, taps []uint32, step int)
TEXT ·maxPoolNEON(SB), 0, $128-80
	NO_LOCAL_POINTERS
	BITS(0xff800000, V16) // -Inf
	POOL(FMAX_4S)

// func sumPoolNEON(dst, src []float32, taps []uint32, step int)
TEXT ·sumPoolNEON(SB), 0, $128-80
	NO_LOCAL_POINTERS
	BITS(0, V16)
	POOL(FADD_4S)

// func permuteNEON(dst, src []float32, target, from []uint32, lane []uint8, planes, dstPlane, srcPlane int, fill float32)
TEXT ·permuteNEON(SB), 0, $128-148
	NO_LOCAL_POINTERS
	MOVD dst_base+0(FP), R0
	MOVD src_base+24(FP), R1
	MOVD target_base+48(FP), R2
	MOVD target_len+56(FP), R3
	MOVD from_base+72(FP), R4
	MOVD lane_base+96(FP), R5
	MOVD planes+120(FP), R6
	MOVD dstPlane+128(FP), R7
	MOVD srcPlane+136(FP), R8
	FMOVS fill+144(FP), F16
	PARAM(V16)
	ADD R3<<2, R2, R3
	B check
plane:
	MOVD R2, R9
	MOVD R4, R10
	MOVD R5, R11
	B checkTarget
target:
	LDPW (R9), (R12, R13)
	ADD $8, R9
	VMOV V16.B16, V0.B16
	CBZ R13, store
piece:
	MOVWU.P 4(R10), R14
	FMOVQ.P 16(R11), F1
	ADD R1, R14
	FMOVQ (R14), F2
	VTBX V1.B16, [V2.B16], V0.B16 // leaves what has no byte among the 16
	SUBS $1, R13
	BNE piece
store:
	ADD R0, R12
	FMOVQ F0, (R12)
checkTarget:
	CMP R3, R9
	BLO target
	ADD R7<<2, R0
	ADD R8<<2, R1
	SUB $1, R6
check:
	CBNZ R6, plane
	RET
