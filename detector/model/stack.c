/* Interning of stacks and strings in the arena. Called by sensors (through the engine's hooks) and the engine. Takes
 * RANK_STACKS for new entries; looks known ones up without a lock (chains only ever grow at their head). Allocates
 * arena blobs. */
#include "stack.h"

#include "base/arena.h"
#include "base/hash.h"
#include "model/run.h"
#include "model/thread.h"

#define STACK_BUCKETS 262144u /* trees of calls have that many stacks, and more; pages of it exist as they are used */
#define STRING_BUCKETS 4096u

static ref_t *buckets(ref_t *table, u32 *size, u32 want)
{
    if (!*table) {
        ref_t b = arena_blob((u64)want * sizeof(ref_t));
        if (!b)
            return NULL;
        *size = want;
        __atomic_store_n(table, b, __ATOMIC_RELEASE);
    }
    return arena_at(*table);
}

static ref_t stack_find(ref_t head, const u64 *frames, u32 n, u32 flags, u64 hash)
{
    for (ref_t r = head; r;) {
        const struct stack_rec *s = arena_at(r);
        if (s->hash == hash && s->n == n && s->flags == flags && !__builtin_memcmp(s->frame, frames, n * sizeof(u64)))
            return r;
        r = s->next;
    }
    return 0;
}

ref_t stack_intern(const u64 *frames, u32 n, u32 flags)
{
    struct run_state *rs = run();
    u64 hash = hash_mix64(flags + n);
    for (u32 i = 0; i < n; i++)
        hash = hash_combine(hash, frames[i]);
    ref_t table = __atomic_load_n(&rs->stack_table, __ATOMIC_ACQUIRE);
    if (table) {
        const ref_t *b = arena_at(table);
        ref_t r = stack_find(__atomic_load_n(&b[hash % STACK_BUCKETS], __ATOMIC_ACQUIRE), frames, n, flags, hash);
        if (r)
            return r;
    }
    u64 mask = ilock_acquire(&rs->stacks_lock);
    ref_t *b = buckets(&rs->stack_table, &rs->stack_table_size, STACK_BUCKETS), r = 0;
    if (b) {
        ref_t *head = &b[hash % STACK_BUCKETS];
        r = stack_find(*head, frames, n, flags, hash);
        if (!r && (r = arena_blob(sizeof(struct stack_rec) + n * sizeof(u64)))) {
            struct stack_rec *s = arena_at(r);
            s->next = *head;
            s->n = n;
            s->hash = hash;
            s->flags = flags;
            __builtin_memcpy(s->frame, frames, n * sizeof(u64));
            rs->nstacks++;
            __atomic_store_n(head, r, __ATOMIC_RELEASE);
        }
    }
    ilock_release(&rs->stacks_lock, mask);
    if (!r)
        run_lost(LOSS_arena_full);
    return r;
}

static ref_t string_find(ref_t head, const char *text, u32 length)
{
    for (ref_t r = head; r;) {
        const struct string_rec *s = arena_at(r);
        if (s->length == length && !__builtin_memcmp(s->text, text, length))
            return r;
        r = s->next;
    }
    return 0;
}

ref_t string_intern(const char *text, u32 length)
{
    struct run_state *rs = run();
    u32 slot = (u32)(hash_mix64(hash_bytes(text, length, 0)) % STRING_BUCKETS);
    u64 mask = ilock_acquire(&rs->stacks_lock);
    ref_t *b = buckets(&rs->string_table, &rs->string_table_size, STRING_BUCKETS), r = 0;
    if (b) {
        r = string_find(b[slot], text, length);
        if (!r && (r = arena_blob(sizeof(struct string_rec) + length + 1))) {
            struct string_rec *s = arena_at(r);
            s->next = b[slot];
            s->length = length;
            __builtin_memcpy(s->text, text, length);
            rs->nstrings++;
            __atomic_store_n(&b[slot], r, __ATOMIC_RELEASE);
        }
    }
    ilock_release(&rs->stacks_lock, mask);
    if (!r)
        run_lost(LOSS_arena_full);
    return r;
}

const char *string_text(ref_t r)
{
    return r ? ((const struct string_rec *)arena_at(r))->text : "";
}

/* ---- modules ---- */

#define MODULE_IDS 0x3fffu /* 14 bits of a frame; 0 is "unknown" */

bool module_same_file(const struct module_rec *a, const struct module_rec *b)
{
    return a->path == b->path && a->build_id_len == b->build_id_len &&
           !__builtin_memcmp(a->build_id, b->build_id, a->build_id_len);
}

/* The first record of each number is kept in a list through `link`. */
void module_number(ref_t module)
{
    struct run_state *rs = run();
    struct module_rec *m = arena_at(module);
    u64 mask = ilock_acquire(&rs->stacks_lock);
    u32 id = 0;
    for (ref_t r = rs->module_ids; r && !id; r = ((struct module_rec *)arena_at(r))->link)
        if (module_same_file(arena_at(r), m))
            id = ((struct module_rec *)arena_at(r))->id;
    if (!id && rs->next_module < MODULE_IDS) {
        id = m->id = ++rs->next_module;
        m->link = rs->module_ids;
        __atomic_store_n(&rs->module_ids, module, __ATOMIC_RELEASE);
    }
    m->id = id;
    ilock_release(&rs->stacks_lock, mask);
}
