/* Jumps from original code to copies. Called when the copies are complete. rewrite_commit changes the program's code;
 * the rest changes nothing but the arena and r. Takes no lock; memory from the system.
 *
 *     before             after
 *       push rbp           jmp copy          E9 aa bb cc EE
 *       mov  rbp, rsp                           |______|  |
 *       sub  rsp, 16                          mov's 3     sub's first byte
 *
 * A jump of five bytes overwrites instructions that follow. Their copies are in the arena, and execution comes to them
 * there; but perhaps somebody jumps to the original. So of each overwritten instruction the first byte becomes one of
 * those that always fault in user mode: the signal leads to the copy. That is the way of branches that nobody could know
 * of, too: with it, a jump table that has been missed costs a signal.
 *
 * So bytes of the displacement are free, or one of the trap bytes, or have to stay as they are: those of calls, which are
 * executed in place, and of code that runs on in the original. The arena lies where the last byte is a trap byte; where
 * more is asked for, the jump goes to a stub in the arena at an address that satisfies it:
 *
 *     stub: jmp copy                       where the copy is too far away for that: jmp [rip + 0], and its address
 *
 * or begins with prefixes that do nothing, so that its bytes fall elsewhere; or a short jump goes to a jump in the midst of
 * an instruction nearby that is not executed any more (its host). Heads are done from high to low addresses:
 * the ones further up are there when the next looks what must stay. */
#include "rewrite_patch.h"

#include "rewrite_emit.h"

#define JUMP 5u
#define TRIES 4000u
#define TRIES_FEW 64u /* once so many searches were in vain: where stubs are crowded most are */
#define VAIN 4000u
#define PADDING_MOST 64u
#define FIXED_BYTES(r) (((u64)text_size(r) / 32 + 1) * sizeof(u32))

enum byte_class { BYTE_FREE, BYTE_TRAP, BYTE_STAYS };

struct patcher {
    struct rewrite *r;
    struct arena *arena;
    u32 *fixed; /* a bit for each byte of text: part of a jump */
    u32 failed, unchecked;
    u32 stub_bytes;
    u32 vain; /* searches that ended without a stub */
    u32 turn; /* where the search for stubs begins: bits 8 to 15 and 16 to 23 of a displacement */
};

/* #UD: 06 07 0E 16 17 1E 1F 27 2F 37 3F 60 61 82 9A D4 D6 EA, #GP: F4 FA FB, and 6C-6F E4-E7 EC-EF (ports) */
static const u8 trap_bytes[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f,
                                0x60, 0x61, 0x82, 0x9a, 0xd4, 0xd6, 0xea, 0xf4, 0xfa, 0xfb, 0x6c,
                                0x6d, 0x6e, 0x6f, 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef};

bool patch_is_trap(u8 opcode)
{
    for (u32 i = 0; i < sizeof trap_bytes; i++)
        if (trap_bytes[i] == opcode)
            return true;
    return false;
}

/* ---- what may become of a byte ---- */

/* The last instruction that begins at or before the offset; NOWHERE if it does not reach it. */
static u32 place_around(const struct rewrite *r, u32 at)
{
    for (u32 back = 0; back < INSN_LONGEST && back <= at; back++) {
        u32 i = place_at(r, r->image.text_lo + at - back);
        if (i != NOWHERE)
            return back < r->places.item[i].length ? i : NOWHERE;
    }
    return NOWHERE;
}

static bool does_nothing(const u8 *code, const struct insn *in)
{
    u8 opcode = code[in->opcode_at];
    if (code[0] == 0xcc)
        return true;
    if (in->flow != FLOW_NEXT || in->writes || in->flags_written || in->memory != MEM_NONE)
        return false;
    return opcode == 0x90 || (opcode == 0x1f && in->opcode_at && code[in->opcode_at - 1] == 0x0f);
}

/* Between functions, no-operations that nothing falls into, from the function's end on. */
static bool is_padding(const struct rewrite *r, u32 at)
{
    u32 from = at, i = NOWHERE;
    while (from && at - from < PADDING_MOST && (i = place_around(r, from - 1)) == NOWHERE)
        from--;
    if (i == NOWHERE || flow_falls_through(r->places.item[i].flow))
        return false;
    while (from <= at) {
        struct insn in;
        const u8 *code = text_at(r, from);
        if (!insn_decode(code, text_size(r) - from, &in) || !does_nothing(code, &in))
            return false;
        from += in.length;
    }
    return true;
}

static enum byte_class class_of(const struct patcher *p, u32 at, u32 head)
{
    const struct rewrite *r = p->r;
    if (at >= text_size(r) || (p->fixed[at / 32] >> at % 32 & 1))
        return BYTE_STAYS;
    u32 i = place_around(r, at);
    if (i == head)
        return BYTE_FREE;
    if (i == NOWHERE)
        return is_padding(r, at) ? BYTE_FREE : BYTE_STAYS;
    const struct place *q = &r->places.item[i];
    if (q->copy == NOWHERE || (q->marks & (PLACE_IN_PLACE | PLACE_STAYS)))
        return BYTE_STAYS;
    return q->at == at ? BYTE_TRAP : BYTE_FREE;
}

/* ---- where a jump may go ---- */

/* Values that a byte may have: one, the trap bytes, or all. */
struct choice {
    u8 only;
    u32 n;
};

static struct choice choices(enum byte_class class, u8 now)
{
    return (struct choice){now, class == BYTE_STAYS ? 1 : class == BYTE_TRAP ? (u32)sizeof trap_bytes : 256};
}

static u8 value_of(const struct choice *c, u32 i)
{
    return c->n == 1 ? c->only : c->n == 256 ? (u8)i : trap_bytes[i];
}

static bool allowed(const struct choice *c, u8 v)
{
    return c->n == 256 || (c->n == 1 ? v == c->only : patch_is_trap(v));
}

/* A place for a stub among the 256 addresses from `lo` on, 0: none. */
static u64 stub_among(struct patcher *p, u64 lo, const struct choice *c)
{
    if (c->n == 256 && p->stub_bytes == JUMP)
        return arena_take_among(p->arena, lo);
    for (u32 i = 0; i < c->n; i += c->n == 256 ? 8 : 1)
        if (arena_take(p->arena, lo + value_of(c, i), p->stub_bytes))
            return lo + value_of(c, i);
    return 0;
}

/* A stub's displacement from `next`, 0: none. The search goes on where the last one has found room, so that stubs lie
 * close together. */
static int32_t find_stub(struct patcher *p, u64 next, const struct choice c[4])
{
    const struct arena *a = p->arena;
    u32 tries = 0, most = p->vain > VAIN ? TRIES_FEW : TRIES;
    for (u32 i = 0; i < c[3].n; i++) {
        u64 at3 = next + (u64)(int64_t)(int32_t)((u32)value_of(&c[3], i) << 24);
        if (at3 + (1 << 24) <= a->stubs || at3 >= a->stubs_end)
            continue;
        for (u32 j = 0; j < c[2].n; j++) {
            u64 at2 = at3 + ((u64)value_of(&c[2], (j + p->turn / 256) % c[2].n) << 16);
            if (at2 + (1 << 16) + 256 <= a->stubs || at2 >= a->stubs_end)
                continue;
            for (u32 k = 0; k < c[1].n && tries < most; k++, tries++) {
                u64 stub = stub_among(p, at2 + ((u64)value_of(&c[1], (k + p->turn) % c[1].n) << 8), &c[0]);
                if (!stub)
                    continue;
                if (c[2].n == 256 && c[1].n == 256) /* the values are their own numbers */
                    p->turn = (j + p->turn / 256) % 256 * 256 + (k + p->turn) % 256;
                return (int32_t)(stub - next);
            }
        }
    }
    p->vain += tries >= most;
    return 0;
}

static bool reaches_directly(int64_t displacement, const struct choice c[4])
{
    u32 v = (u32)displacement;
    if (displacement != (int32_t)displacement)
        return false;
    return allowed(&c[0], (u8)v) && allowed(&c[1], (u8)(v >> 8)) && allowed(&c[2], (u8)(v >> 16)) &&
           allowed(&c[3], (u8)(v >> 24));
}

/* ---- heads ---- */

static void fix_bytes(struct patcher *p, u32 at, u32 n)
{
    for (u32 i = at; i < at + n; i++)
        p->fixed[i / 32] |= 1u << i % 32;
}

static void put_jump(struct patcher *p, u32 at, u32 prefixes, int32_t displacement)
{
    static const u8 harmless[] = {0x3e, 0x2e, 0x26, 0x3e};
    u8 *code = p->r->patched + at;
    __builtin_memcpy(code, harmless, prefixes);
    code[prefixes] = 0xe9;
    __builtin_memcpy(code + prefixes + 1, &displacement, sizeof displacement);
    fix_bytes(p, at, prefixes + JUMP);
}

static u32 stub_bytes(const struct arena *a)
{
    return a->stubs_end < a->lo + INT32_MAX && a->hi < a->stubs + INT32_MAX ? JUMP : EMIT_FAR_JUMP;
}

void patch_write_stub(const struct arena *a, u64 stub, u64 body)
{
    u32 n = stub_bytes(a);
    struct emit e = {.p = (u8 *)stub, .end = (u8 *)stub + n};
    if (n == JUMP)
        emit_jump(&e, body);
    else
        emit_far_jump(&e, body);
}

static bool try_head(struct patcher *p, u32 head, u32 prefixes)
{
    struct rewrite *r = p->r;
    struct place *h = &r->places.item[head];
    u32 first = h->at + prefixes + 1;
    u64 next = r->image.text_lo + first + 4, body = p->arena->lo + h->copy;
    struct choice c[4];
    if (first + 4 > text_size(r))
        return false;
    for (u32 i = 0; i < 4; i++)
        c[i] = choices(class_of(p, first + i, head), r->patched[first + i]);
    int64_t displacement = (int64_t)(body - next);
    if (reaches_directly(displacement, c)) {
        r->counts.direct++;
    } else {
        int32_t to_stub = find_stub(p, next, c);
        if (!to_stub)
            return false;
        u64 stub = next + (u64)(int64_t)to_stub;
        if (!LIST_GROW(&r->stubs))
            return false;
        r->stubs.item[r->stubs.n++] = (struct stub){(u32)(stub - p->arena->stubs), h->copy};
        patch_write_stub(p->arena, stub, body);
        displacement = to_stub;
        r->counts.stubs++;
    }
    put_jump(p, h->at, prefixes, (int32_t)displacement);
    h->marks |= PLACE_PATCHED;
    return true;
}

/* ---- short jumps ---- */

#define SHORT_JUMP 2u

/* Instruction q has room for a jump behind its first byte, and nobody executes it. */
static bool can_host(const struct patcher *p, u32 q)
{
    const struct place *host = &p->r->places.item[q];
    if (host->length < 1 + JUMP || class_of(p, host->at, NOWHERE) != BYTE_TRAP)
        return false;
    if (place_is_head(host)) /* will want its bytes itself */
        return false;
    for (u32 i = 1; i <= JUMP; i++)
        if (class_of(p, host->at + i, NOWHERE) != BYTE_FREE)
            return false;
    return true;
}

static bool try_host(struct patcher *p, u32 head, u32 q)
{
    struct rewrite *r = p->r;
    struct place *h = &r->places.item[head];
    const struct place *host = &r->places.item[q];
    int64_t distance = (int64_t)host->at + 1 - (h->at + SHORT_JUMP);
    struct choice c = choices(class_of(p, h->at + 1, head), r->patched[h->at + 1]);
    if (distance < -128 || distance > 127 || !allowed(&c, (u8)distance) || !can_host(p, q))
        return false;
    u64 next = r->image.text_lo + host->at + 1 + JUMP;
    int32_t to_body = (int32_t)(p->arena->lo + h->copy - next);
    r->patched[host->at] = trap_bytes[0];
    r->patched[host->at + 1] = 0xe9;
    __builtin_memcpy(r->patched + host->at + 2, &to_body, sizeof to_body);
    r->patched[h->at] = 0xeb;
    r->patched[h->at + 1] = (u8)distance;
    fix_bytes(p, host->at, 1 + JUMP);
    fix_bytes(p, h->at, SHORT_JUMP);
    h->marks |= PLACE_PATCHED;
    r->counts.hosted++;
    return true;
}

static bool find_host(struct patcher *p, u32 head)
{
    const struct place *places = p->r->places.item;
    u32 at = places[head].at;
    for (u32 q = head; q-- > 0 && places[q].at + 1 + 128 >= at + SHORT_JUMP;)
        if (try_host(p, head, q))
            return true;
    for (u32 q = head + 1; q < p->r->places.n && places[q].at + 1 <= at + SHORT_JUMP + 127; q++)
        if (try_host(p, head, q))
            return true;
    return false;
}

static void patch_head(struct patcher *p, u32 head)
{
    struct rewrite *r = p->r;
    const struct place *h = &r->places.item[head];
    if (h->marks & PLACE_IN_PLACE) {
        p->unchecked += h->checks != NOWHERE;
        return;
    }
    u32 most = h->length - 1u < 4 ? h->length - 1u : 4;
    for (u32 prefixes = 0; prefixes <= most; prefixes++)
        if (try_head(p, head, prefixes))
            return;
    if (find_host(p, head))
        return;
    r->places.item[head].marks |= PLACE_FAILED;
    p->failed++;
}

/* Calls within the module go to copies at once. */
static void retarget_calls(struct patcher *p)
{
    struct rewrite *r = p->r;
    for (u32 i = 0; i < r->places.n; i++) {
        const struct place *q = &r->places.item[i];
        struct insn in;
        if (q->flow != FLOW_CALL || q->target == NOWHERE || !(q->marks & PLACE_IN_PLACE))
            continue;
        const struct place *target = &r->places.item[q->target];
        if (target->copy == NOWHERE || !(target->marks & PLACE_NEEDED) || !place_decode(r, q, &in))
            continue;
        int32_t to = (int32_t)(p->arena->lo + target->copy - (place_address(r, q) + q->length));
        __builtin_memcpy(r->patched + q->at + in.imm_at, &to, sizeof to);
        r->counts.retargeted++;
    }
}

static void all_heads(struct patcher *p)
{
    struct rewrite *r = p->r;
    __builtin_memcpy(r->patched, text_at(r, 0), text_size(r));
    r->counts.direct = r->counts.stubs = r->counts.hosted = r->counts.entries = r->counts.retargeted = 0;
    p->turn = p->unchecked = 0;
    r->stubs.n = 0;
    retarget_calls(p);
    for (u32 i = r->places.n; i-- > 0;) {
        const struct place *q = &r->places.item[i];
        if (!place_is_head(q) || q->copy == NOWHERE)
            continue;
        r->counts.entries++;
        patch_head(p, i);
    }
}

/* Where an entry has found no room for a jump, original code runs on: what it runs through has to stay as it is. So all
 * is done again. */
#define ROUNDS 4u
bool rewrite_patch(struct rewrite *r, struct arena *a)
{
    struct patcher p = {.r = r, .arena = a, .stub_bytes = stub_bytes(a), .fixed = sys_map(FIXED_BYTES(r))};
    r->patched = sys_map(text_size(r));
    bool ok = p.fixed && r->patched;
    for (u32 round = 0, before = 0; ok && round < ROUNDS; round++, before = p.failed) {
        all_heads(&p);
        if (p.failed == before)
            break;
        __builtin_memset(p.fixed, 0, FIXED_BYTES(r));
        arena_release_all(a);
        ok = rewrite_stays(r);
    }
    r->counts.failed = p.failed + p.unchecked;
    r->counts.unchecked = p.unchecked;
    sys_unmap(p.fixed, FIXED_BYTES(r));
    return ok;
}

/* Only pages that change become the process's own. */
bool patch_text(const struct image *m, const u8 *patched)
{
    u64 from = m->text_lo & ~4095ULL, bytes = ((m->text_hi + 4095) & ~4095ULL) - from, n = m->text_hi - m->text_lo;
    if (sys_call3(SYS_mprotect, from, bytes, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
        return false;
    u8 *text = (u8 *)m->text_lo;
    for (u64 at = 0; at < n; at += 8) {
        u64 rest = n - at < 8 ? n - at : 8, old = 0, new = 0;
        __builtin_memcpy(&old, text + at, rest);
        __builtin_memcpy(&new, patched + at, rest);
        if (old != new)
            __builtin_memcpy(text + at, &new, rest);
    }
    sys_call3(SYS_mprotect, from, bytes, PROT_READ | PROT_EXEC);
    return true;
}

bool rewrite_commit(struct rewrite *r)
{
    return patch_text(&r->image, r->patched);
}
