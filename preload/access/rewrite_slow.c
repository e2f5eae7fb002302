/* What checks of rewritten code call when they cannot tell by themselves: the engine is told of the access. Called on the
 * program's stack, before the access is made. May wait for a guard of the engine's (hb_hold_take); takes its locks in slow
 * paths; allocates what the engine does.
 *
 * The engine unwinds from a frame {rbp, return address}. The check has none, so one is made for the time being where the
 * program may have its red zone, as if the instruction had called:
 *
 *      rsp ->  ...
 *              pc + 1        fp[1]
 *      fp  ->  rbp           fp[0]
 *              ...           the rest of the red zone, and below it this code
 *
 * Rewritten code does not tell of the functions that it enters. In the place of the path to there stands the stack, as
 * the unwinder's memo proves it: word by word (unwind/unwind.c). So the engine's memo of instructions holds for it, too.
 *
 * An atomic instruction has a check before and one behind it. In between the thread stays inside, and holds the guard of
 * the variable: what other threads do to that comes before or after, as the values tell. */
#include "analyze/access_hot.h"
#include "interceptor.h"
#include "rewrite_enter.h"
#include "rewrite_watch.h"
#include "unwind/unwind.h"

const struct access_site *rewrite_sites[REWRITE_MODULES];
__thread u64 rewrite_words[REWRITE_WORDS];

static SNARL_HOT bool in_operation(void)
{
    return access_frames && access_frames->operation.bucket;
}

struct slow {
    struct thread *t;
    const struct access_site *site;
    const struct masked_site *masked;
    const u8 *state;
    const struct slow_frame *f;
    const u64 *fp;
    u32 kind;
};

/* ---- plain accesses ---- */

/* The same by the stack, as access_hot.h wants it. */
static u64 context_begin(struct thread *t, const u64 *fp)
{
    u64 before = access_frames->context;
    access_frames->context = (u64)unwind_capture(t, fp) * 0x9e3779b97f4a7c15ULL;
    return before;
}

static void granules(const struct slow *s, u64 addr, u64 size)
{
    bool done = true;
    for (u64 at = addr, end = addr + size, next; done && at < end; at = next) {
        next = (at | (GRANULE - 1)) + 1;
        next = next < end ? next : end;
        u32 mask = granule_mask(at, (u32)(next - at));
        done = access_is_known(at, mask, s->kind) || access_quick(s->t, at, mask, s->kind, s->fp);
    }
    if (!done)
        access_seen(s->t, addr, (u32)size, s->kind, s->fp);
}

#define SMALL 64u
static void touched(const struct slow *s, u64 addr, u64 size)
{
    if (size > SMALL || !access_frames) {
        access_range(s->t, addr, size, s->kind, s->fp);
        return;
    }
    u64 before = context_begin(s->t, s->fp);
    granules(s, addr, size);
    access_frames->context = before;
}

/* ---- operands ---- */

static u64 operand(const struct access_site *site, const struct slow_frame *f)
{
    if (site->how & SITE_INLINE)
        return rewrite_words[3];
    u64 addr = site->disp;
    if (site->base < REG_NONE)
        addr += f->reg[site->base];
    if (site->index < REG_NONE)
        addr += f->reg[site->index] << site->shift;
    return site->how & SITE_ADDRESS_32 ? (u32)addr : addr;
}

/* n times, upwards or downwards. */
static void string(struct slow *s, u64 addr, u64 n, u32 kind)
{
    u64 size = s->site->size;
    if (s->f->flags & 0x400)
        addr -= (n - 1) * size;
    s->kind = kind;
    touched(s, addr, n * size);
}

/* Of a comparison the first element: it may end there. */
static void strings(struct slow *s)
{
    u32 how = s->site->how;
    bool compares = s->site->memory != MEM_STRING_SRC && !(how & SITE_WRITE);
    u64 n = s->site->rep ? s->f->reg[RCX] : 1, first = n && compares ? 1 : n;
    if (!first || !s->site->size)
        return;
    if (s->site->memory != MEM_STRING_DST)
        string(s, s->f->reg[RSI], first, ACCESS_READ);
    if (s->site->memory != MEM_STRING_SRC)
        string(s, s->f->reg[RDI], first, how & SITE_WRITE ? ACCESS_WRITE : ACCESS_READ);
}

/* Others' order, or what was excused, is not looked at yet (analyze/moves.c). */
static SNARL_HOT bool is_old(const struct access_frames *f)
{
    return f->loaded || f->excuses != __atomic_load_n(&move_excuses, __ATOMIC_RELAXED);
}

static void renew(struct thread *t, struct access_frames *f)
{
    u32 now = __atomic_load_n(&move_excuses, __ATOMIC_ACQUIRE);
    if (f->loaded)
        hb_fence_acquire(t);
    if (f->excuses != now)
        move_renew(t);
    f->loaded = false;
    f->excuses = now;
}

/* Both counts of a std::shared_ptr are read in one. */
#define COUNT 4u

static void taken(struct slow *s)
{
    u64 addr = operand(s->site, s->f);
    if (s->site->how & SITE_READ) {
        move_read(s->t, hb_key(HB_ADDRESS, addr));
        if (s->site->size == 2 * COUNT)
            move_read(s->t, hb_key(HB_ADDRESS, addr + COUNT));
        if (access_frames)
            access_frames->loaded = true;
    }
    if (s->site->how & SITE_WRITE)
        hb_release(s->t, hb_key(HB_ADDRESS, addr));
}

static void plain(struct slow *s)
{
    const struct access_site *site = s->site;
    switch (site->memory) {
    case MEM_STRING_SRC:
    case MEM_STRING_DST:
    case MEM_STRING_TWO:
        strings(s);
        break;
    case MEM_TABLE:
        touched(s, s->f->reg[RBX] + (s->f->reg[RAX] & 0xff), 1);
        break;
    case MEM_OPERAND:
    case MEM_ABSOLUTE:
        if (site->size && !(site->how & SITE_SOME_BYTES))
            touched(s, operand(site, s->f), site->size);
        break;
    default: /* which bytes is not known */
        break;
    }
}

static bool is_masked(const struct access_site *site)
{
    return site->memory == MEM_VECTOR || site->memory == MEM_MASK_STORE || (site->how & SITE_SOME_BYTES);
}

static void masked(struct slow *s)
{
    struct masked_run runs[MASKED_RUNS];
    struct insn in;
    if (s->site->memory == MEM_OTHER || (s->site->how & SITE_SEGMENT) ||
        !insn_decode(s->masked->code, s->masked->length, &in) ||
        (s->site->memory == MEM_MASK_STORE && s->site->size != 16))
        return;
    u32 n = masked_runs(s->masked->code, &in, operand(s->site, s->f), s->f, s->state, runs);
    for (u32 i = 0; i < n; i++)
        touched(s, runs[i].address, runs[i].bytes);
}

/* ---- atomic ones ---- */

/* The program's own fault comes before anything has begun. */
static bool readable(u64 addr)
{
    u8 byte;
    __asm__ goto volatile("1: movb %1, %0\n\t"
                          ".pushsection snarl_faults, \"a\"\n\t"
                          ".quad 1b - ., %l[wild] - .\n\t"
                          ".popsection"
                          : "=r"(byte)
                          : "m"(*(const u8 *)addr)
                          :
                          : wild);
    return true;
wild:
    return false;
}

/* True: the thread stays inside. */
static bool atomic_begin(struct slow *s)
{
    u64 addr = operand(s->site, s->f);
    if (!readable(addr))
        return false;
    if (access_now == ACCESS_NO_EPOCH)
        access_epoch_begin(s->t);
    touched(s, addr, s->site->size);
    if (!access_frames)
        return false;
    hb_hold_take(&access_frames->operation, s->t, hb_key(HB_ADDRESS, addr));
    hb_hold_tell(&access_frames->operation, HB_ACQUIRE | HB_RELEASE);
    s->t->inside = s->f->reg[RSP] & ~7ULL; /* all of this is gone by then */
    return true;
}

static void atomic_end(void)
{
    hb_hold_give(&access_frames->operation);
    access_frames->operation.bucket = NULL;
}

/* ---- the door ---- */

static const struct masked_site *masked_of(const struct slow_frame *f)
{
    const struct rewritten *m = rewrite_watched((u32)f->number >> REWRITE_CHECKS_SHIFT);
    return m ? rewritten_masked(m, (u32)f->number & ((1u << REWRITE_CHECKS_SHIFT) - 1)) : NULL;
}

static void told(const struct access_site *site, const struct slow_frame *f, const u64 *fp, const u8 *state)
{
    struct slow s = {.site = site, .f = f, .fp = fp, .state = state};
    bool stays = false;
    if (in_operation()) /* left by a jump */
        atomic_end();
    s.t = interceptor_enter(fp);
    if (!s.t)
        return;
    unwind_native = true;
    s.kind = site->how & SITE_WRITE ? ACCESS_WRITE | (site->how & SITE_READ ? ACCESS_READ_TOO : 0) : ACCESS_READ;
    if (site->how & SITE_ATOMIC) {
        s.kind = ACCESS_WRITE | ACCESS_ATOMIC;
        stays = atomic_begin(&s);
    } else {
        if (access_frames && is_old(access_frames))
            renew(s.t, access_frames);
        if (site->how & SITE_TAKEN)
            s.kind = ACCESS_ATOMIC | (s.kind & ACCESS_WRITE);
        if (is_masked(site) && (s.masked = masked_of(f)) != NULL)
            masked(&s);
        else
            plain(&s);
        if (__atomic_load_n(&site->how, __ATOMIC_RELAXED) & SITE_TAKEN) /* perhaps by now */
            taken(&s);
    }
    unwind_native = false;
    if (!stays)
        interceptor_leave(s.t);
}

static void ended(const u64 *fp)
{
    struct thread *t = snarl_thread;
    if (!in_operation() || (uintptr_t)t <= 1)
        return;
    t->inside = (u64)fp;
    atomic_end();
    interceptor_leave(t);
}

/* The instruction's frame, for as long as the engine is at work. */
struct made_frame {
    volatile u64 *fp;
    u64 red[2];
};
static SNARL_HOT struct made_frame frame_make(const struct slow_frame *f, const struct access_site *site)
{
    volatile u64 *fp = (u64 *)(f->reg[RSP] - 16);
    struct made_frame m = {fp, {fp[0], fp[1]}};
    fp[0] = f->reg[RBP];
    fp[1] = site->pc + 1;
    return m;
}
static SNARL_HOT void frame_undo(const struct made_frame *m)
{
    m->fp[0] = m->red[0];
    m->fp[1] = m->red[1];
}

static SNARL_HOT const struct access_site *site_of(const struct slow_frame *f)
{
    u64 number = f->number & ~(u64)CHECK_AFTER;
    return &rewrite_sites[number >> REWRITE_CHECKS_SHIFT][number & ((1u << REWRITE_CHECKS_SHIFT) - 1)];
}

static SNARL_HOT u32 kind_of(const struct access_site *site)
{
    return site->how & SITE_WRITE ? ACCESS_WRITE | (site->how & SITE_READ ? ACCESS_READ_TOO : 0) : ACCESS_READ;
}

/* The inlined check looks at the granule's newest record only. */
static SNARL_HOT bool is_known(const struct access_site *site)
{
    u32 kind = kind_of(site) & ACCESS_WRITE;
    for (u64 at = rewrite_words[3], end = at + site->size, next; at < end; at = next) {
        next = (at | (GRANULE - 1)) + 1;
        next = next < end ? next : end;
        u32 mask = granule_mask(at, (u32)(next - at));
        if (!access_is_known(at, mask, kind) && !access_is_in_crowd(at, mask, kind))
            return false;
    }
    return true;
}

/* In general registers alone; false: not all of it is done. */
static SNARL_HOT bool quickly(struct thread *t, const struct access_site *site, const u64 *fp)
{
    u32 kind = kind_of(site);
    ref_t stack = unwind_remembered(t, fp);
    if (!stack)
        return false;
    u64 before = access_frames->context, at = rewrite_words[3], end = at + site->size;
    bool done = true;
    access_frames->context = (u64)stack * 0x9e3779b97f4a7c15ULL;
    for (u64 next; done && at < end; at = next) {
        next = (at | (GRANULE - 1)) + 1;
        next = next < end ? next : end;
        u32 mask = granule_mask(at, (u32)(next - at));
        done = access_is_known(at, mask, kind) || access_quick_plain(t, at, mask, kind, fp);
    }
    access_frames->context = before;
    return done && !t->signals_wait;
}

bool rewrite_slow(struct slow_frame *f)
{
    struct thread *t = snarl_thread;
    if (f->number & CHECK_AFTER)
        return in_operation();
    if (!access_now)
        return false;
    const struct access_site *site = site_of(f);
    if ((site->how & (SITE_INLINE | SITE_TAKEN)) == SITE_INLINE && is_known(site))
        return false;
    if ((site->how & (SITE_INLINE | SITE_TAKEN)) != SITE_INLINE || (uintptr_t)t <= 1 || t->inside || t->signals_wait ||
        !access_frames || access_now == ACCESS_NO_EPOCH || in_operation() || is_old(access_frames))
        return true;
    struct made_frame m = frame_make(f, site);
    bool done = quickly(t, site, (const u64 *)m.fp);
    frame_undo(&m);
    return !done;
}

void rewrite_slow_deep(struct slow_frame *f, const u8 *state)
{
    const struct access_site *site = site_of(f);
    u64 words[REWRITE_WORDS];
    struct made_frame m = frame_make(f, site);
    __builtin_memcpy(words, rewrite_words, sizeof words); /* handlers run checks, too, when the thread leaves */
    if (f->number & CHECK_AFTER)
        ended((const u64 *)m.fp);
    else
        told(site, f, (const u64 *)m.fp, state);
    __builtin_memcpy(rewrite_words, words, sizeof words);
    frame_undo(&m);
}
