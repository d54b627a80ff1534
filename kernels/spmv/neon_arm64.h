// Advanced SIMD instructions that Go's assembler lacks, as macros.
//
// Arguments are register numbers in the order of the Arm manual, destination
// first; the comment behind each macro is its disassembly, and a test compares
// the two. The file is edited in kernels/internal/neon and copied from there.

#define FADD_4S(d, n, m)         WORD $(0x4e20d400 | (m)<<16 | (n)<<5 | (d)) // fadd vd.4s, vn.4s, vm.4s
#define FSUB_4S(d, n, m)         WORD $(0x4ea0d400 | (m)<<16 | (n)<<5 | (d)) // fsub vd.4s, vn.4s, vm.4s
#define FMUL_4S(d, n, m)         WORD $(0x6e20dc00 | (m)<<16 | (n)<<5 | (d)) // fmul vd.4s, vn.4s, vm.4s
#define FDIV_4S(d, n, m)         WORD $(0x6e20fc00 | (m)<<16 | (n)<<5 | (d)) // fdiv vd.4s, vn.4s, vm.4s
#define FMAX_4S(d, n, m)         WORD $(0x4e20f400 | (m)<<16 | (n)<<5 | (d)) // fmax vd.4s, vn.4s, vm.4s
#define FMIN_4S(d, n, m)         WORD $(0x4ea0f400 | (m)<<16 | (n)<<5 | (d)) // fmin vd.4s, vn.4s, vm.4s
#define FMLA_4S_S0(d, n, m)      WORD $(0x4f801000 | (m)<<16 | (n)<<5 | (d)) // fmla vd.4s, vn.4s, vm.s[0]
#define FMLA_4S_S1(d, n, m)      WORD $(0x4fa01000 | (m)<<16 | (n)<<5 | (d)) // fmla vd.4s, vn.4s, vm.s[1]
#define FMLA_4S_S2(d, n, m)      WORD $(0x4f801800 | (m)<<16 | (n)<<5 | (d)) // fmla vd.4s, vn.4s, vm.s[2]
#define FMLA_4S_S3(d, n, m)      WORD $(0x4fa01800 | (m)<<16 | (n)<<5 | (d)) // fmla vd.4s, vn.4s, vm.s[3]
#define FCMLT0_4S(d, n)          WORD $(0x4ea0e800 | (n)<<5 | (d))           // fcmlt vd.4s, vn.4s, #0.0
#define FACGE_4S(d, n, m)        WORD $(0x6e20ec00 | (m)<<16 | (n)<<5 | (d)) // facge vd.4s, vn.4s, vm.4s
#define FCVTNS_4S(d, n)          WORD $(0x4e21a800 | (n)<<5 | (d))           // fcvtns vd.4s, vn.4s
#define SCVTF_4S(d, n)           WORD $(0x4e21d800 | (n)<<5 | (d))           // scvtf vd.4s, vn.4s
#define FADDP_4S(d, n, m)        WORD $(0x6e20d400 | (m)<<16 | (n)<<5 | (d)) // faddp vd.4s, vn.4s, vm.4s
#define FMAXV_4S(d, n)           WORD $(0x6e30f800 | (n)<<5 | (d))           // fmaxv sd, vn.4s
#define SSHR1_4S(d, n)           WORD $(0x4f3f0400 | (n)<<5 | (d))           // sshr vd.4s, vn.4s, #1
