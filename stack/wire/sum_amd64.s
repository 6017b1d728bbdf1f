//go:build !purego

#include "textflag.h"

// Each vector of four words of 64 bits is added as it is (Y0 to Y3), modulo 2^64, and once more
// shifted right by 32 bits (Y4 to Y7). The latter is the sum of the upper halves, which cannot
// overflow below 2^32 words; taken off the former, shifted back, it leaves the sum of the lower
// halves. Both are words of a checksum: 2^32 is 1 modulo 2^16-1.

// ADD4 adds the vectors Y8 to Y11.
#define ADD4 \
	VPADDQ Y8, Y0, Y0    \
	VPADDQ Y9, Y1, Y1    \
	VPADDQ Y10, Y2, Y2   \
	VPADDQ Y11, Y3, Y3   \
	VPSRLQ $32, Y8, Y8   \
	VPSRLQ $32, Y9, Y9   \
	VPSRLQ $32, Y10, Y10 \
	VPSRLQ $32, Y11, Y11 \
	VPADDQ Y8, Y4, Y4    \
	VPADDQ Y9, Y5, Y5    \
	VPADDQ Y10, Y6, Y6   \
	VPADDQ Y11, Y7, Y7

#define CLEAR \
	VPXOR Y0, Y0, Y0 \
	VPXOR Y1, Y1, Y1 \
	VPXOR Y2, Y2, Y2 \
	VPXOR Y3, Y3, Y3 \
	VPXOR Y4, Y4, Y4 \
	VPXOR Y5, Y5, Y5 \
	VPXOR Y6, Y6, Y6 \
	VPXOR Y7, Y7, Y7

// FOLD leaves the sum of all in AX. The words of eight octets that are left are added to that.
#define FOLD \
	VPADDQ Y1, Y0, Y0        \
	VPADDQ Y3, Y2, Y2        \
	VPADDQ Y2, Y0, Y0        \
	VPADDQ Y5, Y4, Y4        \
	VPADDQ Y7, Y6, Y6        \
	VPADDQ Y6, Y4, Y4        \
	VPSLLQ $32, Y4, Y5       \
	VPSUBQ Y5, Y0, Y0        \
	VPADDQ Y4, Y0, Y0        \
	VEXTRACTI128 $1, Y0, X1  \
	VPADDQ X1, X0, X0        \
	VPSRLDQ $8, X0, X1       \
	VPADDQ X1, X0, X0        \
	VMOVQ X0, AX             \
	VZEROUPPER

// func sumAVX2(b []byte) uint64
TEXT ·sumAVX2(SB), NOSPLIT, $0-32
	MOVQ b_base+0(FP), SI
	MOVQ b_len+8(FP), CX
	CLEAR

sum128:
	CMPQ CX, $128
	JB   sum32
	VMOVDQU (SI), Y8
	VMOVDQU 32(SI), Y9
	VMOVDQU 64(SI), Y10
	VMOVDQU 96(SI), Y11
	ADD4
	ADDQ $128, SI
	SUBQ $128, CX
	JMP  sum128

sum32:
	CMPQ CX, $32
	JB   sumDone
	VMOVDQU (SI), Y8
	VPADDQ Y8, Y0, Y0
	VPSRLQ $32, Y8, Y8
	VPADDQ Y8, Y4, Y4
	ADDQ $32, SI
	SUBQ $32, CX
	JMP  sum32

sumDone:
	FOLD

sum8:
	CMPQ CX, $8
	JB   sumEnd
	ADDQ (SI), AX
	ADCQ $0, AX
	ADDQ $8, SI
	SUBQ $8, CX
	JMP  sum8

sumEnd:
	MOVQ AX, ret+24(FP)
	RET

// func copySumAVX2(dst, src []byte) uint64
TEXT ·copySumAVX2(SB), NOSPLIT, $0-56
	MOVQ dst_base+0(FP), DI
	MOVQ src_base+24(FP), SI
	MOVQ src_len+32(FP), CX
	CLEAR

copy128:
	CMPQ CX, $128
	JB   copy32
	VMOVDQU (SI), Y8
	VMOVDQU 32(SI), Y9
	VMOVDQU 64(SI), Y10
	VMOVDQU 96(SI), Y11
	VMOVDQU Y8, (DI)
	VMOVDQU Y9, 32(DI)
	VMOVDQU Y10, 64(DI)
	VMOVDQU Y11, 96(DI)
	ADD4
	ADDQ $128, SI
	ADDQ $128, DI
	SUBQ $128, CX
	JMP  copy128

copy32:
	CMPQ CX, $32
	JB   copyDone
	VMOVDQU (SI), Y8
	VMOVDQU Y8, (DI)
	VPADDQ Y8, Y0, Y0
	VPSRLQ $32, Y8, Y8
	VPADDQ Y8, Y4, Y4
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $32, CX
	JMP  copy32

copyDone:
	FOLD

copy8:
	CMPQ CX, $8
	JB   copyEnd
	MOVQ (SI), DX
	MOVQ DX, (DI)
	ADDQ DX, AX
	ADCQ $0, AX
	ADDQ $8, SI
	ADDQ $8, DI
	SUBQ $8, CX
	JMP  copy8

copyEnd:
	MOVQ AX, ret+48(FP)
	RET

// func hasAVX2() bool
//
// The processor has AVX2 (leaf 7, EBX bit 5), and the system saves its registers: OSXSAVE and AVX
// (leaf 1, ECX bits 27 and 28), and the states of XMM and YMM are enabled (XCR0 bits 1 and 2).
TEXT ·hasAVX2(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	XORL AX, AX
	CPUID
	CMPL AX, $7
	JB   no
	MOVL $1, AX
	XORL CX, CX
	CPUID
	ANDL $0x18000000, CX
	CMPL CX, $0x18000000
	JNE  no
	XORL CX, CX
	XGETBV
	ANDL $6, AX
	CMPL AX, $6
	JNE  no
	MOVL $7, AX
	XORL CX, CX
	CPUID
	BTL  $5, BX
	JCC  no
	MOVB $1, ret+0(FP)

no:
	RET
