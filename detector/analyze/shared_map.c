/* Which mappings of this process are shared, and since when their accesses are looked at for all processes. Called by the
 * interceptors of mmap and its relatives, and around forks. Takes RANK_MAPPINGS, across a fork too, and RANK_SHARED
 * inside. Allocates nothing; maps memory over parts of the shadow. */
#include "analyze/shared.h"

#define MAPPINGS 1024u

static struct mapping {
    u64 lo, hi;
    u64 device, inode, offset; /* of what lies at lo; with `known` */
    ref_t object;              /* 0: this process has not said yet that it uses it */
    bool known, writes, on;
} mappings[MAPPINGS];
static u32 n;
static struct ilock lock = ILOCK_INIT(RANK_MAPPINGS);
static u64 fork_mask;
static bool forking;

bool shared_active;
u32 shared_changes; /* odd: they are being changed */

static void change_begin(void)
{
    __atomic_store_n(&shared_changes, shared_changes + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
static void change_end(void)
{
    bool some = false;
    for (u32 i = 0; i < n; i++)
        some |= mappings[i].on;
    __atomic_store_n(&shared_active, some, __ATOMIC_RELEASE);
    __atomic_store_n(&shared_changes, shared_changes + 1, __ATOMIC_RELEASE);
}

bool shared_at(u64 addr, ref_t *object, u64 *offset)
{
    for (;;) {
        u32 before = __atomic_load_n(&shared_changes, __ATOMIC_ACQUIRE), count = __atomic_load_n(&n, __ATOMIC_RELAXED);
        bool found = false;
        for (u32 i = 0; i < count && i < MAPPINGS && !found; i++) {
            const struct mapping *m = &mappings[i];
            if (!m->on || addr < m->lo || addr >= m->hi)
                continue;
            *object = m->object;
            *offset = m->offset + (addr - m->lo);
            found = true;
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(before & 1) && __atomic_load_n(&shared_changes, __ATOMIC_RELAXED) == before)
            return found;
        sys_call3(SYS_sched_yield, 0, 0, 0);
    }
}

/* ---- looking at them ---- */

static bool mapping_identify(struct mapping *m)
{
    u64 key[3];
    if (m->known)
        return true;
    if (!engine_hooks.shared_key || !engine_hooks.shared_key(m->lo, key))
        return false;
    m->device = key[0];
    m->inode = key[1];
    m->offset = key[2];
    return m->known = true;
}

/* Somebody reads it only, as far as is known, and so do all others. */
static bool is_read_only(const struct mapping *m)
{
    return !m->writes && !((const struct shared_object *)arena_at(m->object))->writers;
}

static void mapping_turn_on(struct thread *t, struct mapping *m)
{
    if (m->on || !mapping_identify(m))
        return;
    if (!m->object && !(m->object = shared_attach(m->device, m->inode, m->writes)))
        return;
    if (is_read_only(m))
        return;
    shared_adopt(t && t->accesses && t->accesses->number ? t->accesses : NULL, m->lo, m->hi - m->lo, m->object,
                 m->offset);
    if (shadow_stencil(m->lo, m->hi - m->lo, CELL_SHARED))
        m->on = true;
    else
        run_lost(LOSS_shared_unwatched);
}

static void turn_on_all(struct thread *t)
{
    if (!n)
        return;
    change_begin();
    for (u32 i = 0; i < n; i++)
        mapping_turn_on(t, &mappings[i]);
    change_end();
}

/* From now on the thread's accesses are looked at even if it is the only one of its process. */
static void watch(struct thread *t)
{
    if (shared_active && !access_now && accesses_of(t) && !t->accesses->over)
        access_now = ACCESS_NO_EPOCH;
}

/* Another process of the run is there, or was until lately. */
static bool has_company(void)
{
    for (ref_t r = __atomic_load_n(&run()->processes, __ATOMIC_ACQUIRE); r; r = PROCESS_AT(r)->next_process)
        if (r != engine_process_ref && PROCESS_AT(r)->state == PROCESS_RUNNING)
            return true;
    return false;
}

bool access_has_shared(void)
{
    return __atomic_load_n(&n, __ATOMIC_RELAXED) != 0;
}

void access_relatives(struct thread *t)
{
    if (!access_on)
        return;
    lives_on = true;
    u64 mask = ilock_acquire(&lock);
    turn_on_all(t);
    ilock_release(&lock, mask);
    watch(t);
    hb_forked_parent(t);
}

void access_mapping_shared(struct thread *t, u64 addr, u64 size, bool writes)
{
    if (!access_on || !size)
        return;
    bool company = has_company();
    u64 mask = ilock_acquire(&lock);
    if (n < MAPPINGS) {
        change_begin();
        mappings[n] = (struct mapping){.lo = addr, .hi = addr + size, .writes = writes};
        if (company)
            mapping_turn_on(t, &mappings[n]);
        n++;
        change_end();
    } else {
        run_lost(LOSS_shared_unwatched);
    }
    ilock_release(&lock, mask);
    watch(t);
}

/* ---- their end ---- */

/* Mapping i loses [lo, hi). */
static void mapping_cut(u32 i, u64 lo, u64 hi)
{
    struct mapping *m = &mappings[i], rest = *m;
    lo = lo > m->lo ? lo : m->lo;
    hi = hi < m->hi ? hi : m->hi;
    if (m->on)
        shadow_plain(lo, hi - lo);
    if (hi < m->hi && lo > m->lo) { /* two are left */
        rest.lo = hi;
        rest.offset += hi - m->lo;
        m->hi = lo;
        if (n == MAPPINGS) {
            if (rest.on)
                shadow_plain(rest.lo, rest.hi - rest.lo);
            run_lost(LOSS_shared_unwatched);
            return;
        }
        if (rest.object)
            shared_attach(rest.device, rest.inode, rest.writes);
        mappings[n++] = rest;
    } else if (hi < m->hi) {
        m->offset += hi - m->lo;
        m->lo = hi;
    } else if (lo > m->lo) {
        m->hi = lo;
    } else {
        mappings[i] = mappings[--n];
        if (rest.object)
            shared_detach(rest.object);
    }
}

/* With `known` still false the offset means nothing yet, and the key is asked for the new place. */
static bool mappings_cut(u64 lo, u64 hi)
{
    bool any = false;
    for (u32 i = n; i-- > 0;)
        any |= mappings[i].lo < hi && lo < mappings[i].hi;
    if (!any)
        return false;
    change_begin();
    for (u32 i = n; i-- > 0;)
        if (mappings[i].lo < hi && lo < mappings[i].hi)
            mapping_cut(i, lo, hi);
    change_end();
    return true;
}

void access_mapping_gone(struct thread *t, u64 addr, u64 size)
{
    if (access_on && __atomic_load_n(&n, __ATOMIC_RELAXED) && size) {
        u64 mask = ilock_acquire(&lock);
        mappings_cut(addr, addr + size);
        ilock_release(&lock, mask);
    }
    access_forget(t, addr, size);
}

bool shared_forget(u64 addr, u64 size)
{
    u64 mask = ilock_acquire(&lock), hi = addr + size;
    bool some = false;
    for (u32 i = 0; i < n; i++) {
        const struct mapping *m = &mappings[i];
        u64 from = addr > m->lo ? addr : m->lo, to = hi < m->hi ? hi : m->hi;
        if (!m->on || from >= to)
            continue;
        shared_forget_bytes(m->object, m->offset + (from - m->lo), to - from);
        some = true;
    }
    ilock_release(&lock, mask);
    return some;
}

/* ---- processes ---- */

void shared_fork_prepare(struct thread *t)
{
    if (!access_on)
        return;
    if (t)
        accesses_of(t);
    fork_mask = ilock_acquire(&lock);
    forking = true;
    turn_on_all(t);
    for (u32 i = 0; i < n; i++)
        if (mappings[i].object)
            shared_forks(mappings[i].object);
}

void shared_fork_parent(struct thread *t)
{
    if (!forking)
        return;
    forking = false;
    ilock_release(&lock, fork_mask);
    if (t)
        watch(t);
}

void shared_fork_child(void)
{
    if (!forking)
        return;
    forking = false;
    ilock_release(&lock, fork_mask);
}

void shared_fork_uses(void)
{
    for (u32 i = 0; access_on && i < n; i++)
        if (mappings[i].object)
            shared_forked(mappings[i].object, 1);
}

void shared_fork_watch(struct thread *t)
{
    if (access_on)
        watch(t);
}

/* The only thread of the process ends it. */
void shared_process_end(void)
{
    if (!n)
        return;
    u64 mask = ilock_acquire(&lock);
    u32 all = n;
    change_begin();
    n = 0;
    change_end();
    for (u32 i = 0; i < all; i++)
        if (mappings[i].object)
            shared_detach(mappings[i].object);
    ilock_release(&lock, mask);
}
