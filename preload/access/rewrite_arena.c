/* Where copies lie. Called while a module is prepared, one thread at a time. Raw system calls; takes no lock.
 *
 * A jump of five bytes (E9 and a displacement) often overwrites the beginning of the next instruction. If each such byte
 * faults when it is executed, no harm is done (rewrite_patch.c). The displacement's last byte says in which 16 MiB,
 * relative to the jump, its target lies: so arenas are put where that byte is one that faults.
 *
 *      EC..EF  256 to 320 MiB below        6C..6F  1.7 GiB above
 *      E4..E7  384 to 448 MiB below        and others
 *
 * Copies of a large module do not fit there: then they lie anywhere within reach, and only the stubs in the window.
 *
 * Text of more than 48 MiB has no such window, seen from all of it. There the whole range from E4 to EF is taken: of its
 * twelve last bytes nine fault, and where the others fall a jump is tried in another form. */
#include "rewrite_arena.h"

#include <sys/mman.h>

#include "base/sys.h"

#define MIB (1ULL << 20)
/* The more, the more freely stubs can be placed; but there are many modules, and windows are narrow. */
#define STUB_BYTES (16 * MIB)
#define STUB_BYTES_LESS (2 * MIB)
#define STUB_BYTES_MOST (64 * MIB)
#define LARGE_TEXT (48 * MIB)
#define SMALL_TEXT (MIB / 2)
/* A bit for each byte of the stubs; one word more is there to be read. */
#define TAKEN_BYTES (STUB_BYTES_MOST / 8 + sizeof(u64))
#define REACH (1900 * MIB) /* of a displacement, with something to spare for operands beyond the text */
#define STEP MIB
#define LOWEST 0x10000ULL
#define HIGHEST 0x7ffffffff000ULL

#define ROOM (1536 * MIB)

struct window {
    u8 first, n; /* last bytes of displacements */
};
static const struct window windows[] = {{0xec, 4}, {0xe4, 4}, {0x6c, 4}, {0xfa, 2}, {0x60, 2},
                                        {0x1e, 2}, {0x16, 2}, {0x06, 2}, {0xe4, 12}};

static long room;

void arena_keep_room(void)
{
    room = sys_call6(SYS_mmap, 0, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

void arena_give_room(void)
{
    if (room > 0)
        sys_call3(SYS_munmap, room, ROOM, 0);
    room = 0;
}

static bool map_at(u64 at, u64 bytes)
{
    long r = sys_call6(SYS_mmap, (long)at, (long)bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (r == (long)at)
        return true;
    if (r >= 0 || r < -4095)
        sys_call3(SYS_munmap, r, bytes, 0); /* an older kernel: elsewhere */
    return false;
}

/* The lowest and the highest address of which every jump in the text has its last byte in the window. */
static bool window_range(const struct window *w, const struct image *m, u64 bytes, u64 *lo, u64 *hi)
{
    int64_t from = (int32_t)((u32)w->first << 24), to = from + ((int64_t)w->n << 24);
    int64_t first = (int64_t)m->text_hi + 5 + from, end = (int64_t)m->text_lo + to;
    first = (first + 4095) & ~4095LL;
    end &= ~4095LL;
    if (first < (int64_t)LOWEST || end > (int64_t)HIGHEST || end - first < (int64_t)bytes)
        return false;
    *lo = (u64)first;
    *hi = (u64)end;
    return true;
}

static u64 place_between(u64 lo, u64 hi, u64 bytes)
{
    if (hi < lo + bytes)
        return 0;
    for (u64 at = (hi - bytes) & ~4095ULL; at >= lo; at -= STEP)
        if (map_at(at, bytes))
            return at;
    return 0;
}

static u64 place_in_window(const struct image *m, u64 bytes)
{
    for (u32 i = 0; i < ARRAY_LEN(windows); i++) {
        u64 lo, hi, at;
        if (window_range(&windows[i], m, bytes, &lo, &hi) && (at = place_between(lo, hi, bytes)) != 0)
            return at;
    }
    return 0;
}

static u64 place_in_reach(const struct image *m, u64 bytes)
{
    u64 lo = m->text_hi > LOWEST + REACH ? m->text_hi - REACH : LOWEST;
    u64 at = place_between(lo, m->text_lo - MIB, bytes);
    return at ? at : place_between(m->text_hi + MIB, m->text_lo + REACH, bytes);
}

static bool map_both(struct arena *a, const struct image *image, u64 bytes, u64 stubs)
{
    a->lo = place_in_window(image, bytes + stubs);
    if (a->lo) {
        a->stubs = a->lo + bytes;
    } else {
        a->stubs = place_in_window(image, stubs);
        a->lo = a->stubs ? place_in_reach(image, bytes) : 0;
    }
    a->hi = a->lo + bytes;
    a->stubs_end = a->stubs + stubs;
    if (!a->lo && a->stubs) {
        sys_call3(SYS_munmap, a->stubs, stubs, 0);
        a->stubs = 0;
    }
    return a->lo != 0;
}

static bool map_somewhere(struct arena *a, const struct image *image, u64 bytes)
{
    u64 text = image->text_hi - image->text_lo;
    return (text > LARGE_TEXT && map_both(a, image, bytes, STUB_BYTES_MOST)) ||
           (text > SMALL_TEXT && map_both(a, image, bytes, STUB_BYTES)) || map_both(a, image, bytes, STUB_BYTES_LESS);
}

static u64 stub_bytes(const struct arena *a)
{
    return a->stubs_end - a->stubs;
}

bool arena_near(struct arena *a, const struct image *image, u64 copies, u64 cold)
{
    copies = (copies + sizeof(struct arena_head) + 4095) & ~4095ULL;
    cold = (cold + 4095) & ~4095ULL;
    *a = (struct arena){.taken = sys_map(TAKEN_BYTES)};
    if (!a->taken || !map_somewhere(a, image, copies + cold)) {
        arena_drop(a);
        return false;
    }
    a->copies = a->lo + sizeof(struct arena_head);
    a->copies_end = a->cold = a->lo + copies;
    a->cold_end = a->cold + cold;
    return true;
}

bool arena_again(struct arena *a, const struct arena *like)
{
    *a = (struct arena){0};
    if (like->lo < LOWEST || like->hi > HIGHEST || like->stubs < LOWEST || like->stubs_end > HIGHEST ||
        !map_at(like->lo, like->hi - like->lo))
        return false;
    if (!map_at(like->stubs, like->stubs_end - like->stubs)) {
        sys_call3(SYS_munmap, like->lo, like->hi - like->lo, 0);
        return false;
    }
    *a = *like;
    a->taken = NULL;
    return true;
}

void arena_set_head(struct arena *a, u64 slow, u64 cells)
{
    static const u8 jump[] = {0xff, 0x25};
    struct arena_head *head = (struct arena_head *)a->lo;
    int32_t to_slow = (int32_t)((u64)&head->slow - ((u64)head->call_slow + 6));
    __builtin_memcpy(head->call_slow, jump, sizeof jump);
    __builtin_memcpy(head->call_slow + sizeof jump, &to_slow, sizeof to_slow);
    head->slow = slow;
    head->cells = cells;
}

bool arena_take(struct arena *a, u64 at, u32 n)
{
    u64 word, mask = (1ULL << n) - 1;
    if (at < a->stubs || at + n > a->stubs_end)
        return false;
    u64 first = at - a->stubs;
    u8 *p = (u8 *)a->taken + first / 8;
    __builtin_memcpy(&word, p, sizeof word);
    if (word >> first % 8 & mask)
        return false;
    word |= mask << first % 8;
    __builtin_memcpy(p, &word, sizeof word);
    return true;
}

/* Eight slots at a time: in each byte of v the five bits of one. */
u64 arena_take_among(struct arena *a, u64 lo)
{
    static const u64 ones = 0x0101010101010101ULL;
    if (lo < a->stubs || lo + 256 > a->stubs_end)
        return 0;
    u64 first = lo - a->stubs, shift = first % 8;
    const u8 *p = (const u8 *)a->taken + first / 8;
    for (u32 i = 0; i < 4; i++, p += sizeof(u64)) {
        u64 v;
        __builtin_memcpy(&v, p, sizeof v);
        v = shift ? v >> shift | (u64)p[sizeof v] << (64 - shift) : v;
        v &= 0x1f * ones;
        u64 zeros = (v - ones) & ~v & 0x80 * ones, at = lo + 64 * i + (u64)__builtin_ctzll(zeros | 1ULL << 63) / 8 * 8;
        if (zeros)
            return arena_take(a, at, 5) ? at : 0;
    }
    return 0;
}

void arena_release_all(struct arena *a)
{
    __builtin_memset(a->taken, 0, stub_bytes(a) / 8);
}

bool arena_seal(struct arena *a)
{
    return sys_call3(SYS_mprotect, a->lo, a->hi - a->lo, PROT_READ | PROT_EXEC) == 0 &&
           sys_call3(SYS_mprotect, a->stubs, stub_bytes(a), PROT_READ | PROT_EXEC) == 0;
}

void arena_free_taken(struct arena *a)
{
    sys_unmap(a->taken, TAKEN_BYTES);
    a->taken = NULL;
}

void arena_drop(struct arena *a)
{
    if (a->lo)
        sys_call3(SYS_munmap, a->lo, a->hi - a->lo, 0);
    if (a->stubs)
        sys_call3(SYS_munmap, a->stubs, stub_bytes(a), 0);
    arena_free_taken(a);
    *a = (struct arena){0};
}
