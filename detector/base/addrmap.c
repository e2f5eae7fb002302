/* Address -> object record. Called by the model's object table. Allocates by sys_map only; takes no lock itself. */
#include "addrmap.h"

#include <errno.h>
#include <sys/mman.h>

#include "hash.h"
#include "sys.h"

#define FIRST_ENTRIES 1024u

static size_t table_bytes(u64 entries)
{
    return sizeof(struct addrmap_table) + entries * sizeof(struct addrmap_entry);
}

static struct addrmap_table *table_new(u64 entries)
{
    struct addrmap_table *t = sys_map(table_bytes(entries));
    if (t)
        t->mask = entries - 1;
    return t;
}

ref_t addrmap_get(const struct addrmap *m, u64 addr)
{
    const struct addrmap_table *t = __atomic_load_n(&m->table, __ATOMIC_ACQUIRE);
    if (!t)
        return 0;
    for (u64 i = hash_mix64(addr);; i++) {
        const struct addrmap_entry *e = &t->entry[i & t->mask];
        u64 a = __atomic_load_n(&e->addr, __ATOMIC_ACQUIRE);
        if (a == addr)
            return __atomic_load_n(&e->ref, __ATOMIC_ACQUIRE);
        if (!a)
            return 0;
    }
}

static void put(struct addrmap_table *t, u64 addr, ref_t ref)
{
    for (u64 i = hash_mix64(addr);; i++) {
        struct addrmap_entry *e = &t->entry[i & t->mask];
        if (e->addr == addr) {
            __atomic_store_n(&e->ref, ref, __ATOMIC_RELEASE);
            return;
        }
        if (!e->addr) {
            if (!ref)
                return;
            t->used++;
            __atomic_store_n(&e->ref, ref, __ATOMIC_RELEASE);
            __atomic_store_n(&e->addr, addr, __ATOMIC_RELEASE);
            return;
        }
    }
}

/* Makes room for one more entry. */
static int make_room(struct addrmap *m)
{
    struct addrmap_table *old = m->table;
    if (old && (old->used + 1) * 10 <= (old->mask + 1) * 6)
        return 0;
    u64 entries = FIRST_ENTRIES;
    while (entries * 3 < (m->live + 1) * 10)
        entries *= 2;
    struct addrmap_table *t = table_new(entries);
    if (!t)
        return -ENOMEM;
    for (u64 i = 0; old && i <= old->mask; i++)
        if (old->entry[i].ref)
            put(t, old->entry[i].addr, old->entry[i].ref);
    __atomic_store_n(&m->table, t, __ATOMIC_RELEASE);
    /* Readers may still look at the old table, so its address range stays; its memory is given back. They then read
     * zeroes: "not found", which sends them to the locked path. */
    if (old)
        sys_call3(SYS_madvise, old, table_bytes(old->mask + 1), MADV_DONTNEED);
    return 0;
}

int addrmap_set(struct addrmap *m, u64 addr, ref_t ref)
{
    ref_t before = addrmap_get(m, addr);
    if (ref && !before) {
        int err = make_room(m);
        if (err)
            return err;
    }
    if (m->table)
        put(m->table, addr, ref);
    m->live += (u64)(ref != 0) - (u64)(before != 0);
    return 0;
}

void addrmap_reset(struct addrmap *m)
{
    m->table = NULL;
    m->live = 0;
}

void addrmap_each(const struct addrmap *m, u64 lo, u64 hi, bool (*fn)(u64, ref_t, void *), void *arg)
{
    const struct addrmap_table *t = m->table;
    for (u64 i = 0; t && i <= t->mask; i++) {
        const struct addrmap_entry *e = &t->entry[i];
        if (e->ref && e->addr >= lo && e->addr < hi && !fn(e->addr, e->ref, arg))
            return;
    }
}
