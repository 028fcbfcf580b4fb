// SPDX-License-Identifier: GPL-2.0
/*
 * CPU state of a running thread: general registers and flags, x87, SSE, AVX and
 * AVX-512 registers with their control words, fs and gs base, protection keys.
 *
 * Nearly all time is spent in a loop that only counts down rcx while
 * every other register holds a value that is looked at afterwards.
 */
#include <asm/prctl.h>
#include <cpuid.h>
#include <sys/syscall.h>
#include "workload.h"

#define SPINS 20000000UL

struct regs {
	uint64_t gpr[14];	/* rax rbx rdx rsi rdi rbp r8..r15 */
	uint64_t flags;
	uint64_t pad;
	uint8_t fx[512];	/* fxsave: x87, mxcsr, xmm */
	uint8_t ymm[16][32];
	uint8_t zmm[32][64];
	uint64_t k[8];
} __attribute__((aligned(64)));

enum { HAVE_AVX = 1, HAVE_AVX512 = 2 };

/* Load @in, count down @spins, store @out. */
void regs_round(const struct regs *in, struct regs *out, uint64_t spins, uint64_t have);

asm("	.text\n"
"	.globl regs_round\n"
"regs_round:\n"
"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
"	push %rsi; push %rcx\n"
"	fxrstor64 128(%rdi)\n"
"	test $1, %ecx; jz 1f\n"
"	lea 640(%rdi), %rax\n"
"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
"	vmovdqu \\n*32(%rax), %ymm\\n\n"
"	.endr\n"
"1:	test $2, %ecx; jz 1f\n"
"	lea 1152(%rdi), %rax\n"
"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
"	vmovdqu64 \\n*64(%rax), %zmm\\n\n"
"	.endr\n"
"	lea 3200(%rdi), %rax\n"
"	.irp n,0,1,2,3,4,5,6,7\n"
"	kmovq \\n*8(%rax), %k\\n\n"
"	.endr\n"
"1:	mov %rdx, %rcx\n"
"	mov 8(%rdi), %rbx; mov 16(%rdi), %rdx; mov 24(%rdi), %rsi; mov 40(%rdi), %rbp\n"
"	mov 48(%rdi), %r8; mov 56(%rdi), %r9; mov 64(%rdi), %r10; mov 72(%rdi), %r11\n"
"	mov 80(%rdi), %r12; mov 88(%rdi), %r13; mov 96(%rdi), %r14; mov 104(%rdi), %r15\n"
"	mov 0(%rdi), %rax; mov 32(%rdi), %rdi\n"
"	stc; std\n"
"1:	dec %rcx\n"		/* leaves the carry flag alone */
"	jnz 1b\n"
"	pushfq\n"
"	cld\n"
"	push %rdi\n"
"	mov 24(%rsp), %rdi\n"	/* out */
"	mov %rax, 0(%rdi); mov %rbx, 8(%rdi); mov %rdx, 16(%rdi); mov %rsi, 24(%rdi)\n"
"	mov %rbp, 40(%rdi); mov %r8, 48(%rdi); mov %r9, 56(%rdi); mov %r10, 64(%rdi)\n"
"	mov %r11, 72(%rdi); mov %r12, 80(%rdi); mov %r13, 88(%rdi); mov %r14, 96(%rdi)\n"
"	mov %r15, 104(%rdi)\n"
"	pop %rax; mov %rax, 32(%rdi)\n"
"	pop %rax; mov %rax, 112(%rdi)\n"
"	pop %rcx\n"
"	test $1, %ecx; jz 1f\n"
"	lea 640(%rdi), %rax\n"
"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
"	vmovdqu %ymm\\n, \\n*32(%rax)\n"
"	.endr\n"
"1:	test $2, %ecx; jz 1f\n"
"	lea 1152(%rdi), %rax\n"
"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
"	vmovdqu64 %zmm\\n, \\n*64(%rax)\n"
"	.endr\n"
"	lea 3200(%rdi), %rax\n"
"	.irp n,0,1,2,3,4,5,6,7\n"
"	kmovq %k\\n, \\n*8(%rax)\n"
"	.endr\n"
"1:	fxsave64 128(%rdi)\n"
"	test $1, %ecx; jz 1f\n"
"	vzeroupper\n"
"1:	pop %rsi\n"
"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
"	ret\n");

_Static_assert(offsetof(struct regs, fx) == 128 && offsetof(struct regs, ymm) == 640 &&
	       offsetof(struct regs, zmm) == 1152 && offsetof(struct regs, k) == 3200,
	       "the assembly above knows the offsets");

static const char *const names[] = { "rax", "rbx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10",
				     "r11", "r12", "r13", "r14", "r15" };

static void pattern(struct regs *r, uint64_t seed)
{
	static const uint16_t cw = 0x0f7f;	/* round to zero, extended precision */
	static const uint32_t mxcsr = 0x5f80;	/* round up, everything masked */

	wl_fill(r, sizeof(*r), seed);
	memset(r->fx, 0, 32);
	memcpy(r->fx, &cw, 2);
	r->fx[4] = 0xff;			/* abridged tag word: all eight in use */
	memcpy(r->fx + 24, &mxcsr, 4);
	for (int i = 0; i < 8; i++) {
		uint8_t *st = r->fx + 32 + 16 * i;

		st[7] |= 0x80;			/* a normal number */
		st[8] = (uint8_t)(i + 1);
		st[9] = 0x40;
		memset(st + 10, 0, 6);
	}
	/* The wider views of the same registers say the same. */
	for (int i = 0; i < 16; i++) {
		memcpy(r->ymm[i], r->fx + 160 + 16 * i, 16);
		memcpy(r->zmm[i], r->ymm[i], 32);
	}
}

static uint64_t cpu_has(void)
{
	uint64_t have = 0;

	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx"))
		have |= HAVE_AVX;
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"))
		have |= HAVE_AVX512;
	return have;
}

static void compare(const struct regs *in, const struct regs *out, uint64_t have)
{
	uint32_t mask = 0xffc0;		/* MXCSR without the exception flags */

	for (int i = 0; i < 14; i++)
		wl_check(in->gpr[i] == out->gpr[i], "%s was %#lx and is %#lx", names[i],
			 in->gpr[i], out->gpr[i]);
	wl_check((out->flags & 0x401) == 0x401, "carry or direction flag is lost: flags %#lx",
		 out->flags);
	wl_check(memcmp(in->fx, out->fx, 2) == 0, "the x87 control word changed");
	wl_check(in->fx[4] == out->fx[4], "the x87 tag word changed");
	wl_check(((*(uint32_t *)(in->fx + 24) ^ *(uint32_t *)(out->fx + 24)) & mask) == 0,
		 "MXCSR was %#x and is %#x", *(uint32_t *)(in->fx + 24), *(uint32_t *)(out->fx + 24));
	for (int i = 0; i < 8; i++)
		wl_check(memcmp(in->fx + 32 + 16 * i, out->fx + 32 + 16 * i, 10) == 0,
			 "x87 register st%d changed", i);
	for (int i = 0; i < 16; i++)
		wl_check(memcmp(in->fx + 160 + 16 * i, out->fx + 160 + 16 * i, 16) == 0,
			 "xmm%d changed", i);
	for (int i = 0; i < 16 && (have & HAVE_AVX); i++)
		wl_check(memcmp(in->ymm[i], out->ymm[i], 32) == 0, "ymm%d changed", i);
	for (int i = 0; i < 32 && (have & HAVE_AVX512); i++)
		wl_check(memcmp(in->zmm[i], out->zmm[i], 64) == 0, "zmm%d changed", i);
	for (int i = 0; i < 8 && (have & HAVE_AVX512); i++)
		wl_check(in->k[i] == out->k[i], "k%d changed", i);
}

static bool has_pku(void)
{
	unsigned int a, b, c = 0, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & (1U << 4));	/* OSPKE */
}

static uint32_t rdpkru(void)
{
	uint32_t value;

	asm volatile("rdpkru" : "=a"(value) : "c"(0) : "rdx");
	return value;
}

static _Thread_local uint64_t tls = 0x746c732d76616c75ULL;

int main(int argc, char **argv)
{
	static struct regs in, out, plain;
	static uint64_t gs_block[2] = { 0x67732d62617365ULL, 0 };
	uint64_t have = cpu_has(), seed = 1;
	uint32_t pkru = 0;
	bool pku = has_pku();

	wl_start(argc, argv);
	wl_must(syscall(SYS_arch_prctl, ARCH_SET_GS, gs_block));
	if (pku) {
		pkru = rdpkru() ^ 0x0c000000;	/* key 13, which nothing uses */
		asm volatile("wrpkru" :: "a"(pkru), "c"(0), "d"(0));
	}
	asm volatile("fxsave64 %0" : "=m"(plain.fx));
	wl_ready();
	do {
		uint64_t gs;

		pattern(&in, ++seed);
		memset(&out, 0, sizeof(out));
		regs_round(&in, &out, SPINS, have);
		asm volatile("fxrstor64 %0" :: "m"(plain.fx));
		compare(&in, &out, have);
		asm volatile("mov %%gs:0, %0" : "=r"(gs));
		wl_check(gs == gs_block[0], "the gs base is lost");
		wl_check(tls == 0x746c732d76616c75ULL, "thread-local storage (fs base) is lost");
		wl_check(!pku || rdpkru() == pkru, "PKRU was %#x and is %#x", pkru, rdpkru());
	} while (!wl_stopping());
	wl_passed();
	return 0;
}
