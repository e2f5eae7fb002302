/* What a file of the cache holds, and how a module is rewritten by it. Called while modules are prepared, by one thread
 * at a time, with handlers kept out. Takes no lock; memory from the system.
 *
 *     head | copies | ways out | text, patched | places | checks | sites | masked | stubs | pushed addresses
 *
 * Everything is as far from the module's text as it was when the file was made: then all of it is right as it stands but
 * for a few addresses, which are put right. Each part is read to where it will be used and only then compared with its
 * sum, so that what is used is what was compared. Nothing runs before all of it is known to be whole. */
#include "rewrite_cache.h"

#include "base/hash.h"
#include "base/sys.h"
#include "rewrite_patch.h"

#define MAGIC 0x3165686361632073ULL /* "s cache1" */

enum part {
    PART_COPIES,
    PART_COLD,
    PART_TEXT,
    PART_PLACES,
    PART_CHECKS,
    PART_SITES,
    PART_MASKED,
    PART_STUBS,
    PART_PUSHED,
    PARTS
};

struct head {
    u64 magic, sum; /* of the head, with 0 here */
    u64 bytes;      /* of all of it */
    u64 name[2];
    u64 text_sum, text_bytes;           /* as it was before */
    u64 image;                          /* its parts */
    u64 lo, hi, cold, stubs, stubs_end; /* the arena, from the text on */
    u32 first;
    struct check_target to;
    struct {
        u64 bytes, sum;
    } part[PARTS];
    struct rewrite_counts counts;
    struct coverage coverage;
};

/* ---- sums ---- */

static u64 turn(u64 v, u32 n)
{
    return v << n | v >> (64 - n);
}

/* For damage, not for attackers: four lanes, so that memory is the limit. */
static u64 sum_of(const void *data, u64 n)
{
    const u8 *p = data;
    u64 lane[4] = {1, 2, 3, 4}, at = 0;
    for (; at + 32 <= n; at += 32)
        for (u32 i = 0; i < 4; i++) {
            u64 v;
            __builtin_memcpy(&v, p + at + 8 * i, 8);
            lane[i] = turn(lane[i] ^ v * 0x9e3779b97f4a7c15ULL, 29) * 0xbf58476d1ce4e5b9ULL;
        }
    u64 sum = hash_combine(hash_combine(lane[0], lane[1]), hash_combine(lane[2], lane[3]));
    return hash_combine(hash_bytes(p + at, n - at, sum), n);
}

/* Where the module's parts lie, from its text on: what the code refers to. */
static u64 image_sum(const struct image *m)
{
    u64 sum = hash_combine(m->nparts, m->text_lo - m->bias);
    for (u32 i = 0; i < m->nparts; i++) {
        sum = hash_combine(sum, m->part[i].lo - m->text_lo);
        sum = hash_combine(sum, m->part[i].hi - m->text_lo);
        sum = hash_combine(sum, m->part[i].write * 2u + m->part[i].execute);
    }
    return hash_combine(hash_combine(sum, m->relro_lo - m->text_lo), m->relro_hi - m->text_lo);
}

static u64 head_sum(const struct head *h)
{
    struct head copy = *h;
    copy.sum = 0;
    return sum_of(&copy, sizeof copy);
}

static bool same_target(const struct check_target *a, const struct check_target *b)
{
    bool same = a->now == b->now && a->address == b->address;
    for (u32 i = 0; i < 3; i++)
        same &= a->spare[i] == b->spare[i] && a->saved[i] == b->saved[i];
    return same;
}

/* ---- keeping ---- */

struct source {
    const void *data;
    u64 bytes;
};

static void sources(const struct rewritten *m, const struct rewrite *r, struct source s[PARTS])
{
    const struct arena *a = &m->arena;
    s[PART_COPIES] = (struct source){(const void *)a->lo, a->copies - a->lo};
    s[PART_COLD] = (struct source){(const void *)a->copies_end, a->cold - a->copies_end};
    s[PART_TEXT] = (struct source){r->patched, text_size(r)};
    s[PART_PLACES] = (struct source){m->map.places, m->map.nplaces * sizeof *m->map.places};
    s[PART_CHECKS] = (struct source){m->map.checks, m->map.nchecks * sizeof *m->map.checks};
    s[PART_SITES] = (struct source){m->sites, m->nsites * sizeof *m->sites};
    s[PART_MASKED] = (struct source){m->masked.item, m->masked.n * sizeof *m->masked.item};
    s[PART_STUBS] = (struct source){r->stubs.item, r->stubs.n * sizeof *r->stubs.item};
    s[PART_PUSHED] = (struct source){r->pushed.item, r->pushed.n * sizeof *r->pushed.item};
}

/* Sites hold addresses: as distances from the text, in the file. */
static void move_sites(struct access_site *s, u32 n, u64 by)
{
    for (u32 i = 0; i < n; i++) {
        s[i].pc += by;
        if (s[i].base == SITE_RIP)
            s[i].disp += by;
    }
}

static bool write_all(int fd, const struct head *h, const struct source s[PARTS])
{
    bool good = sys_write_all(fd, h, sizeof *h) == 0;
    for (u32 i = 0; good && i < PARTS; i++)
        good = !s[i].bytes || sys_write_all(fd, s[i].data, s[i].bytes) == 0;
    return good;
}

void cache_keep(const struct rewritten *m, const struct rewrite *r, const struct cache_key *key)
{
    struct source s[PARTS];
    const struct arena *a = &m->arena;
    u64 text = r->image.text_lo;
    sources(m, r, s);
    struct head h;
    __builtin_memset(&h, 0, sizeof h);
    h.magic = MAGIC;
    h.bytes = sizeof h;
    h.name[0] = key->name[0], h.name[1] = key->name[1];
    h.text_bytes = text_size(r);
    h.text_sum = sum_of(text_at(r, 0), text_size(r));
    h.image = image_sum(&r->image);
    h.lo = a->lo - text, h.hi = a->hi - text, h.cold = a->copies_end - text;
    h.stubs = a->stubs - text, h.stubs_end = a->stubs_end - text;
    h.first = key->first;
    h.to = key->to;
    h.counts = r->counts;
    h.coverage = m->coverage;
    move_sites(m->sites, m->nsites, 0 - text);
    for (u32 i = 0; i < PARTS; i++) {
        h.part[i].bytes = s[i].bytes;
        h.part[i].sum = sum_of(s[i].data, s[i].bytes);
        h.bytes += s[i].bytes;
    }
    h.sum = head_sum(&h);
    int fd = cache_create(h.bytes);
    if (fd >= 0)
        cache_finish(fd, key, write_all(fd, &h, s));
    move_sites(m->sites, m->nsites, text);
}

/* ---- using ---- */

struct reader {
    int fd;
    const struct head *head;
    bool bad;
};

static bool read_all(int fd, void *to, u64 n)
{
    for (u8 *p = to; n;) {
        long got = sys_read(fd, p, n);
        if (got <= 0)
            return false;
        p += got;
        n -= (u64)got;
    }
    return true;
}

static void take_part(struct reader *r, enum part i, void *to)
{
    u64 n = r->head->part[i].bytes;
    r->bad |= !to || !read_all(r->fd, to, n) || sum_of(to, n) != r->head->part[i].sum;
}

static void *take_new(struct reader *r, enum part i)
{
    u64 n = r->head->part[i].bytes;
    void *p = r->bad ? NULL : sys_map(n ? n : 1);
    if (!r->bad)
        take_part(r, i, p);
    return p;
}

/* All numbers are within what they count. */
static bool is_sound(const struct head *h, const struct image *image, const struct cache_key *key, u64 bytes)
{
    u64 sum = sizeof *h;
    if (h->magic != MAGIC || h->bytes != bytes || h->sum != head_sum(h))
        return false;
    for (u32 i = 0; i < PARTS; i++)
        sum += h->part[i].bytes <= bytes ? h->part[i].bytes : bytes;
    return sum == bytes && h->name[0] == key->name[0] && h->name[1] == key->name[1] && h->first == key->first &&
           same_target(&h->to, &key->to) && h->text_bytes == image->text_hi - image->text_lo &&
           h->image == image_sum(image) && h->part[PART_TEXT].bytes == h->text_bytes &&
           h->cold - h->lo <= h->hi - h->lo && h->part[PART_COPIES].bytes <= h->cold - h->lo &&
           h->part[PART_COLD].bytes <= h->hi - h->cold && h->part[PART_COPIES].bytes >= sizeof(struct arena_head);
}

static struct arena arena_of(const struct head *h, u64 text)
{
    return (struct arena){.lo = text + h->lo,
                          .hi = text + h->hi,
                          .copies = text + h->lo + h->part[PART_COPIES].bytes,
                          .copies_end = text + h->cold,
                          .cold = text + h->cold + h->part[PART_COLD].bytes,
                          .cold_end = text + h->hi,
                          .stubs = text + h->stubs,
                          .stubs_end = text + h->stubs_end};
}

static void take_map(struct reader *r, struct rewrite_map *m, const struct arena *a, const struct image *image)
{
    const struct head *h = r->head;
    u64 places = h->part[PART_PLACES].bytes, bytes = places + h->part[PART_CHECKS].bytes;
    *m = (struct rewrite_map){.text_lo = image->text_lo,
                              .text_hi = image->text_hi,
                              .lo = a->lo,
                              .hi = a->hi,
                              .stubs_lo = a->stubs,
                              .stubs_hi = a->stubs_end,
                              .cold = a->copies_end,
                              .bytes = bytes,
                              .nplaces = (u32)(places / sizeof *m->places),
                              .nchecks = (u32)(h->part[PART_CHECKS].bytes / sizeof *m->checks)};
    m->places = r->bad ? NULL : sys_map(bytes ? bytes : 1);
    m->checks = m->places ? (struct map_check *)((u8 *)m->places + places) : NULL;
    take_part(r, PART_PLACES, m->places);
    take_part(r, PART_CHECKS, m->checks);
}

static void take_sites(struct reader *r, struct rewritten *out, u64 text)
{
    out->nsites = (u32)(r->head->part[PART_SITES].bytes / sizeof *out->sites);
    out->sites = take_new(r, PART_SITES);
    if (!r->bad)
        move_sites(out->sites, out->nsites, text);
    u32 n = (u32)(r->head->part[PART_MASKED].bytes / sizeof *out->masked.item);
    if (!r->bad && LIST_HOLD(&out->masked, n + 1ULL))
        take_part(r, PART_MASKED, out->masked.item);
    else
        r->bad = true;
    out->masked.n = r->bad ? 0 : n;
}

/* Jumps among the stubs, and addresses that copies push. */
static void put_right(struct reader *r, struct arena *a, u64 text)
{
    const struct head *h = r->head;
    u64 nstubs = h->part[PART_STUBS].bytes / sizeof(struct stub),
        npushed = h->part[PART_PUSHED].bytes / sizeof(struct pushed);
    struct stub *stubs = take_new(r, PART_STUBS);
    struct pushed *pushed = take_new(r, PART_PUSHED);
    for (u64 i = 0; !r->bad && i < nstubs; i++)
        patch_write_stub(a, a->stubs + stubs[i].at, a->lo + stubs[i].copy);
    for (u64 i = 0; !r->bad && i < npushed; i++) {
        struct emit e = {.p = (u8 *)a->lo + pushed[i].copy, .end = (u8 *)a->copies};
        emit_push_address(&e, text + pushed[i].back);
    }
    sys_unmap(stubs, h->part[PART_STUBS].bytes ? h->part[PART_STUBS].bytes : 1);
    sys_unmap(pushed, h->part[PART_PUSHED].bytes ? h->part[PART_PUSHED].bytes : 1);
}

static bool take(struct reader *r, struct rewritten *out, const struct image *image, const struct cache_key *key)
{
    const struct head *h = r->head;
    struct arena like = arena_of(h, image->text_lo), *a = &out->arena;
    if (sum_of((const void *)image->text_lo, h->text_bytes) != h->text_sum || !arena_again(a, &like))
        return false;
    take_part(r, PART_COPIES, (void *)a->lo);
    take_part(r, PART_COLD, (void *)a->copies_end);
    u8 *patched = take_new(r, PART_TEXT);
    take_map(r, &out->map, a, image);
    take_sites(r, out, image->text_lo);
    put_right(r, a, image->text_lo);
    arena_set_head(a, key->slow, key->cells);
    bool good = !r->bad && arena_seal(a) && patch_text(image, patched);
    sys_unmap(patched, h->text_bytes);
    out->copy_bytes = h->part[PART_COPIES].bytes;
    out->cold_bytes = h->part[PART_COLD].bytes;
    out->counts = h->counts;
    out->coverage = h->coverage;
    return good;
}

bool cache_use(struct rewritten *out, const struct image *image, const struct cache_key *key)
{
    u64 bytes = 0;
    struct head h;
    int fd = cache_open(key, &bytes);
    if (fd < 0)
        return false;
    *out = (struct rewritten){.text = image->text_lo, .text_bytes = image->text_hi - image->text_lo};
    struct reader r = {.fd = fd, .head = &h};
    bool good =
        bytes >= sizeof h && read_all(fd, &h, sizeof h) && is_sound(&h, image, key, bytes) && take(&r, out, image, key);
    sys_close(fd);
    if (!good)
        rewritten_drop(out);
    return good;
}
