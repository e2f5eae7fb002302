/* Instructions of which a mask says what they access: AVX's masked moves, gathers and scatters, everything with an
 * AVX-512 mask register, maskmovdqu. Called by the slow path of checks, before the instruction is executed. Reads
 * registers as they were saved; takes no lock, allocates nothing.
 *
 *     vpmaskmovd [rdi], ymm1, ymm2     element i if the highest bit of ymm1's is set
 *     vmovdqu32  [rdi] {k1}, zmm2      element i if bit i of k1 is
 *     vpcompressd [rdi] {k1}, zmm2     as many elements as k1 has bits, side by side
 *     vpgatherdd ymm2, [rdi + ymm3 * 4], ymm1     each at an address of its own
 *
 * The places of registers in the state are those of XSAVE's standard form. */
#include "rewrite_masked.h"

#define XMM_AT 160u /* in the legacy region */

struct masked {
    const struct insn *in;
    const u8 *state;
    bool evex;
    u8 prefix[4]; /* VEX or EVEX */
    u8 opcode, modrm, sib;
    u32 length; /* bytes of a vector */
    struct masked_run *runs;
    u32 n;
};

/* ---- registers ---- */

static u64 bytes_at(const u8 *p, u32 n)
{
    u64 v = 0;
    for (u32 i = 0; i < n; i++)
        v |= (u64)p[i] << 8 * i;
    return v;
}

/* Bytes of vector register r from `at` on; they do not cross 16. */
static u64 vector_bytes(const u8 *state, u32 r, u32 at, u32 n)
{
    const u8 *p = state + XMM_AT + 16 * r + at;
    if (r >= 16)
        p = state + rewrite_state_at.zmm_high + 64 * (r - 16) + at;
    else if (at >= 32)
        p = state + rewrite_state_at.zmm_upper + 32 * r + (at - 32);
    else if (at >= 16)
        p = state + rewrite_state_at.ymm_upper + 16 * r + (at - 16);
    return bytes_at(p, n);
}

static u64 mask_register(const struct masked *m)
{
    return bytes_at(m->state + rewrite_state_at.masks + 8 * (m->prefix[3] & 7), 8);
}

static u32 mask_vector(const struct masked *m)
{
    return ~m->prefix[2] >> 3 & 15; /* vvvv */
}

/* A bit for each of n elements. */
static u64 chosen(const struct masked *m, u32 n, u32 element)
{
    u64 bits = 0;
    if (m->evex) {
        bits = mask_register(m);
        return n < 64 ? bits & ((1ULL << n) - 1) : bits;
    }
    for (u32 i = 0; i < n; i++)
        bits |= (vector_bytes(m->state, mask_vector(m), i * element + element - 1, 1) >> 7) << i;
    return bits;
}

/* ---- what is accessed ---- */

static void add(struct masked *m, u64 address, u32 bytes)
{
    struct masked_run *last = m->n ? &m->runs[m->n - 1] : NULL;
    if (last && last->address + last->bytes == address)
        last->bytes += bytes;
    else if (m->n < MASKED_RUNS)
        m->runs[m->n++] = (struct masked_run){address, bytes};
}

/* Bytes of [rdi] whose mask byte has its highest bit set. */
static void mask_store(struct masked *m, u64 operand)
{
    u32 r = (m->modrm & 7) | (m->prefix[0] & 1u) << 3;
    for (u32 i = 0; i < 16; i++)
        if (vector_bytes(m->state, r, i, 1) >> 7)
            add(m, operand + i, 1);
}

static void vector_of_addresses(struct masked *m, u64 operand)
{
    u32 element = m->in->size, index_bytes = m->opcode & 1 ? 8 : 4;
    u32 n = m->length / (element > index_bytes ? element : index_bytes);
    u32 index = (m->sib >> 3 & 7) | (~m->prefix[1] >> 6 & 1) << 3;
    if (m->evex)
        index |= (~m->prefix[3] >> 3 & 1) << 4;
    u64 bits = chosen(m, n, element);
    for (u32 i = 0; i < n; i++) {
        u64 v = vector_bytes(m->state, index, i * index_bytes, index_bytes);
        if (index_bytes == 4)
            v = (u64)(int64_t)(int32_t)v;
        u64 address = operand + (v << (m->sib >> 6));
        if (bits >> i & 1)
            add(m, m->in->address_32 ? (u32)address : address, element);
    }
}

/* Of what is broadcast each element of memory goes to several of the register. */
static void elements(struct masked *m, u64 operand)
{
    u32 element = m->in->element, n = m->in->size / element;
    u64 bits = chosen(m, m->in->bits, element);
    if (m->in->what & OP_PACKED) {
        u32 bytes = (u32)__builtin_popcountll(bits) * element;
        if (bytes)
            add(m, operand, bytes);
        return;
    }
    for (u32 i = 0; i < n; i++) {
        bool any = false;
        for (u32 k = i; k < m->in->bits && !any; k += n)
            any = bits >> k & 1;
        if (any)
            add(m, operand + (u64)i * element, element);
    }
}

/* The bytes before the opcode: behind legacy prefixes C4, or 62; or the last of them is REX. */
static void take_prefix(struct masked *m, const u8 *code)
{
    u32 at = 0;
    while (at < m->in->opcode_at && code[at] != 0xc4 && code[at] != 0xc5 && code[at] != 0x62)
        at++;
    m->evex = code[at] == 0x62;
    for (u32 i = 0; i < 4 && at + i < m->in->opcode_at; i++)
        m->prefix[i] = code[at + i]; /* C4 RXBmmmmm WvvvvLpp; 62 RXBR0mmm Wvvvv1pp zLLbVaaa */
    if (code[at] == 0xc5) {          /* as C4 would say it */
        m->prefix[2] = m->prefix[1];
        m->prefix[1] = 0x61;
    }
    m->length = 16u << (m->evex ? m->prefix[3] >> 5 & 3 : m->prefix[2] >> 2 & 1);
}

/* 66 [REX] 0F F7, or VEX: the number of the mask's register has its fourth bit there. */
static void take_mask_store_prefix(struct masked *m, const u8 *code)
{
    u32 at = m->in->opcode_at;
    if (code[0] == 0xc4 || code[0] == 0xc5)
        m->prefix[0] = code[0] == 0xc4 ? ~code[1] >> 5 & 1 : 0;
    else
        m->prefix[0] = at >= 2 && (code[at - 2] & 0xf0) == 0x40 ? code[at - 2] & 1 : 0;
}

u32 masked_runs(const u8 *code, const struct insn *in, u64 operand, const struct slow_frame *f, const u8 *state,
                struct masked_run runs[MASKED_RUNS])
{
    struct masked m = {.in = in, .state = state, .runs = runs};
    m.opcode = code[in->opcode_at];
    m.modrm = code[in->opcode_at + 1];
    if (in->memory == MEM_MASK_STORE) {
        take_mask_store_prefix(&m, code);
        mask_store(&m, in->address_32 ? (u32)f->reg[RDI] : f->reg[RDI]);
        return m.n;
    }
    m.sib = code[in->opcode_at + 2];
    take_prefix(&m, code);
    if (in->memory == MEM_VECTOR)
        vector_of_addresses(&m, operand);
    else if (in->element && in->size >= in->element)
        elements(&m, operand);
    return m.n;
}
