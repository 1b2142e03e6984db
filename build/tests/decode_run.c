/* SPDX-License-Identifier: MIT */
/* Runs the decoders made from good*.decode on words whose meaning the manual gives. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    char text[80];
    bool refuse_nop;
} Ctx;

#include "good.inc"
#include "good16.inc"
#include "good64.inc"

#define SAY(...) (snprintf(ctx->text, sizeof ctx->text, __VA_ARGS__), true)

static bool trans_beq(Ctx *ctx, const ArgsB *a)
{
    return SAY("beq %d %d %d", a->rs1, a->rs2, a->imm);
}

static bool trans_addi(Ctx *ctx, const ArgsI *a)
{
    return SAY("addi %d %d %d", a->rd, a->rs1, a->imm);
}

static bool trans_nop(Ctx *ctx, const ArgsNone *a)
{
    return !ctx->refuse_nop && SAY("nop");
}

static bool trans_jal(Ctx *ctx, const ArgsJ *a)
{
    return SAY("jal %d %d", a->rd, a->imm);
}

static bool trans_ecall(Ctx *ctx, const ArgsNone *a)
{
    return SAY("ecall");
}

static bool trans_li(Ctx *ctx, const ArgsK *a)
{
    return SAY("li %d %d %d", a->rd, a->rs1, a->imm);
}

static bool trans_addi16(Ctx *ctx, const ArgsCi *a)
{
    return SAY("addi16 %d %d", a->rd, a->imm);
}

static bool trans_lui(Ctx *ctx, const ArgsCi *a)
{
    return SAY("lui %d %d", a->rd, a->imm);
}

static bool trans_lw(Ctx *ctx, const ArgsCl *a)
{
    return SAY("lw %d %d %d", a->rd, a->rs1, a->imm);
}

static bool trans_paddi(Ctx *ctx, const ArgsD *a)
{
    return SAY("paddi %d %lld", a->rt, (long long)a->imm);
}

static int number, failed;

static void expect(uint64_t insn, int unit, bool refuse_nop, const char *want)
{
    Ctx ctx = { .refuse_nop = refuse_nop };
    bool known = unit == 16 ? good16_decode(&ctx, (uint32_t)insn)
                 : unit == 32 ? good_decode(&ctx, (uint32_t)insn)
                              : good64_decode(&ctx, insn);
    const char *got = known ? ctx.text : "none";
    bool ok = !strcmp(got, want);
    failed |= !ok;
    printf("%s %d - %0*llx decodes as '%s'\n", ok ? "ok" : "not ok", ++number, unit / 4,
           (unsigned long long)insn, want);
    if (!ok)
        printf("# got '%s'\n", got);
}

int main(void)
{
    printf("1..19\n");
    expect(0xfff10093, 32, false, "addi 1 2 -1");
    expect(0x7ff10093, 32, false, "addi 1 2 2047");
    expect(0x80010093, 32, false, "addi 1 2 -2048");
    expect(0xfe208ee3, 32, false, "beq 1 2 -4");
    expect(0x7e208fe3, 32, false, "beq 1 2 4094");
    expect(0x80208063, 32, false, "beq 1 2 -4096");
    expect(0xffdff0ef, 32, false, "jal 1 -4");
    expect(0x0010006f, 32, false, "jal 0 2048");
    expect(0x00000013, 32, false, "nop");
    expect(0x00000013, 32, true, "addi 0 0 0");
    expect(0x00000073, 32, false, "ecall");
    expect(0x00100073, 32, false, "none");
    expect(0xffe01093, 32, false, "li 1 -5 -2");
    expect(0x0050a093, 32, false, "addi 9 1 5");
    expect(0x157d, 16, false, "addi 10 10 -1");
    expect(0x717d, 16, false, "addi16 2 -16");
    expect(0x757d, 16, false, "lui 10 -1");
    expect(0x41c8, 16, false, "lw 11 11 4");
    expect(0x0603fffe386affffULL, 64, false, "paddi 3 -65537");
    return failed;
}
