/* Arena, address map, internal locks and the clock of lock operations. */
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

#include "engine_fixture.h"

#include "base/addrmap.h"
#include "base/ticks.h"

static void addrmap_against_oracle(void)
{
    enum { SPACE = 3000, STEPS = 200000 };
    static ref_t oracle[SPACE];
    struct addrmap m = {0};
    u32 seed = 7, live = 0;
    memset(oracle, 0, sizeof oracle);
    for (int i = 0; i < STEPS; i++) {
        seed = seed * 1664525u + 1013904223u;
        u32 k = (seed >> 10) % SPACE;
        ref_t v = (seed >> 3) % 3 ? (ref_t)i + 1 : 0;
        CU_ASSERT_EQUAL_FATAL(addrmap_get(&m, 0x1000 + 8ULL * k), oracle[k]);
        CU_ASSERT_EQUAL_FATAL(addrmap_set(&m, 0x1000 + 8ULL * k, v), 0);
        live += (v != 0) - (oracle[k] != 0);
        oracle[k] = v;
    }
    CU_ASSERT_EQUAL(m.live, live);
    for (u32 k = 0; k < SPACE; k++)
        CU_ASSERT_EQUAL_FATAL(addrmap_get(&m, 0x1000 + 8ULL * k), oracle[k]);
}

static void arena_pools(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    enum { MANY = 5000 };
    static ref_t r[MANY];
    for (u32 i = 0; i < MANY; i++) {
        r[i] = arena_alloc(POOL_HOLD, sizeof(struct hold_rec));
        CU_ASSERT_FATAL(r[i] != 0);
        HOLD_AT(r[i])->lock = i + 1;
    }
    u32 seen = 0;
    struct arena_cursor c = {0, 0};
    for (ref_t x; (x = arena_next(POOL_HOLD, &c));)
        seen += HOLD_AT(x)->lock == seen + 1;
    CU_ASSERT_EQUAL(seen, MANY);
    arena_free(POOL_HOLD, r[10]);
    CU_ASSERT_EQUAL(arena_alloc(POOL_HOLD, sizeof(struct hold_rec)), r[10]);
    CU_ASSERT_EQUAL(HOLD_AT(r[10])->lock, 0);
    CU_ASSERT_PTR_NULL(arena_check(0, 1));
    CU_ASSERT_PTR_NULL(arena_check(~0u, 16));
    CU_ASSERT_PTR_NOT_NULL(arena_check(r[10], 32));
}

static void arena_exhausted(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    u32 n = 0;
    while (arena_blob(1 << 20) && n < 1000)
        n++;
    CU_ASSERT(n > 100 && n < 1000);
    CU_ASSERT(arena_header()->exhausted > 0);
    /* The engine goes on without records. */
    struct thread *t = engine_thread_adopt(1, true);
    for (int i = 0; t && i < 5000; i++)
        fx_lock(t, i), engine_release(t, engine_lock(t, LOCK(i), OBJ_MUTEX, 0, NULL), NULL);
}

static void arena_refuses(void)
{
    char path[] = "/tmp/snarl-unit-XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_EQUAL(arena_open_read(path), -EPROTO);
    CU_ASSERT_EQUAL(ftruncate(fd, 64 << 20), 0);
    CU_ASSERT_EQUAL(arena_open_read(path), -EPROTO);
    CU_ASSERT_EQUAL(arena_create(path, 64 << 20), -EEXIST);
    unlink(path);
    CU_ASSERT_EQUAL(arena_open(path), -ENOENT);
    close(fd);
}

static struct ilock contended = ILOCK_INIT(RANK_ARENA);
static u64 counter;

static void *count(void *arg)
{
    for (int i = 0; i < 50000; i++) {
        u64 mask = ilock_acquire(&contended);
        counter++;
        ilock_release(&contended, mask);
    }
    return arg;
}

static void ilock_excludes(void)
{
    pthread_t t[4];
    counter = 0;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, count, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    CU_ASSERT_EQUAL(counter, 200000);
}

static pid_t die_holding(struct ilock *l)
{
    pid_t pid = fork();
    if (!pid) {
        ilock_forked();
        ilock_acquire(l);
        _exit(0);
    }
    siginfo_t info;
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    CU_ASSERT(l->word != 0);
    return pid;
}

static void acquire_release(struct ilock *l)
{
    u64 mask = ilock_acquire(l);
    ilock_release(l, mask);
    CU_ASSERT_EQUAL(l->word, 0);
}

static void ilock_of_killed_owner(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    struct ilock *l = &run()->graph_lock;
    waitpid(die_holding(l), NULL, 0);
    acquire_release(l);
}

/* Its parent is the one who needs the lock, and would wait for it only afterwards. */
static void ilock_of_killed_owner_unwaited(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    struct ilock *l = &run()->graph_lock;
    pid_t pid = die_holding(l);
    acquire_release(l);
    waitpid(pid, NULL, 0);
}

/* Readings of the other clock around, and in between: a pause of this thread anywhere does no harm. */
static void ticks_like_the_kernels(void)
{
    u64 rate = ticks_calibrate(), outside = sys_now(), begin = ticks_now(rate), inside = sys_now();
    while (sys_now() - inside < 20000000)
        ;
    inside = sys_now() - inside;
    u64 ticks = ticks_now(rate) - begin;
    outside = sys_now() - outside;
    CU_ASSERT(ticks >= inside - inside / 500);
    CU_ASSERT(ticks <= outside + outside / 500);
    CU_ASSERT(ticks_now(0) - sys_now() + 1000000000 < 2000000000); /* without it, the same clock */
}

UNIT_TESTS("base", {"ticks_like_the_kernels", ticks_like_the_kernels},
           {"addrmap_against_oracle", addrmap_against_oracle}, {"arena_pools", arena_pools},
           {"arena_exhausted", arena_exhausted}, {"arena_refuses", arena_refuses}, {"ilock_excludes", ilock_excludes},
           {"ilock_of_killed_owner", ilock_of_killed_owner},
           {"ilock_of_killed_owner_unwaited", ilock_of_killed_owner_unwaited})
