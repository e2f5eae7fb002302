/* Epochs and sets of readers that serve again (analyze/recycle.h), with tables so small that it happens all the time:
 * made-up threads against an oracle, real threads that must stay free of findings, and a full table. */
#include <pthread.h>
#include <sys/mman.h>

#include "analyze/accesses.h"
#include "analyze/cap.h"
#include "analyze/recycle.h"
#include "engine_fixture.h"

#define THREADS 6
#define BYTES 2048
#define LOCKS 4
#define KINDS 4

static char memory[1 << 20] __attribute__((aligned(4096)));

/* ---- the oracle: of each byte and thread, the time of the last access of each kind ---- */

static struct {
    u32 clock[THREADS][THREADS], lock[LOCKS][THREADS];
    u32 past[BYTES][THREADS][KINDS];
    bool raced[BYTES];
} oracle;

static void learn(u32 *to, const u32 *from)
{
    for (u32 i = 0; i < THREADS; i++)
        to[i] = from[i] > to[i] ? from[i] : to[i];
}

static bool byte_races(u32 t, u32 b, u32 kind)
{
    for (u32 other = 0; other < THREADS; other++) {
        for (u32 k = 0; k < KINDS; k++) {
            bool conflict = ((kind | k) & ACCESS_WRITE) && !(kind & k & ACCESS_ATOMIC);
            if (other != t && conflict && oracle.clock[t][other] < oracle.past[b][other][k])
                return true;
        }
    }
    return false;
}

/* -1: one of the bytes has raced before, so nothing is promised. */
static int oracle_access(u32 t, u32 at, u32 size, u32 kind)
{
    bool found = false, spoilt = false;
    for (u32 b = at; b < at + size; b++) {
        spoilt |= oracle.raced[b];
        if (!oracle.raced[b])
            found |= oracle.raced[b] = byte_races(t, b, kind);
        oracle.past[b][t][kind] = oracle.clock[t][t];
    }
    return spoilt ? -1 : found;
}

/* ---- the engine, as sensors call it ---- */

static struct thread *threads[THREADS];
static int held[THREADS];
static u32 current, saved_now[THREADS], active; /* threads that do something */

static struct thread *as(u32 i)
{
    if (i != current) {
        saved_now[current] = access_now;
        access_now = saved_now[i];
        access_frames = &threads[i]->accesses->frames;
        current = i;
    }
    return threads[i];
}

static ref_t stack_now(struct thread *t, const u64 *fp)
{
    (void)t;
    return (ref_t)fp[1];
}

static void hook(struct thread *t, u64 addr, u32 size, u32 kind)
{
    u64 fp[2] = {0, 1000 + (addr >> 3 & 15)};
    u32 mask = granule_mask(addr, size);
    if (access_is_known(addr, mask, kind) || access_quick(t, addr, mask, kind, fp))
        return;
    t->inside = (u64)fp;
    access_seen(t, addr, size, kind, fp);
    t->inside = 0;
}

static int engine_access(u32 t, u32 at, u32 size, u32 kind)
{
    u64 before = as(t)->accesses->races;
    if (rand() % 2) /* sets of readers, whether they are worth it or not */
        threads[t]->accesses->set_credit = 1;
    hook(threads[t], (u64)memory + at, size, kind);
    return threads[t]->accesses->races != before;
}

static void begin(u32 blocks, u32 sets)
{
    epoch_limit = epoch_most = blocks;
    readers_limit = sets;
    memset(&oracle, 0, sizeof oracle);
    memset(held, -1, sizeof held);
    fx_begin(ON_DEADLOCK_REPORT);
    hb_forked();
    epoch_reset();
    readers_reset();
    crowd_reset();
    recycle_forked();
    run()->options.detect |= DETECT_RACE;
    threads[0] = fx_main();
    CU_ASSERT_EQUAL_FATAL(access_turn_on(threads[0]) & ~-16, 0); /* -EBUSY from the second time on */
    access_on = true;
    engine_hooks.capture = stack_now;
    for (u32 i = 0; i < THREADS; i++) {
        oracle.clock[i][i] = 1;
        if (i)
            threads[i] = fx_spawn(threads[0]);
        saved_now[i] = ACCESS_NO_EPOCH;
    }
    active = THREADS;
    current = 1;
    access_forget(as(0), (u64)memory, sizeof memory);
}

static int late_races(void)
{
    u64 before = 0, after = 0;
    for (u32 i = 0; i < THREADS; i++)
        before += threads[i]->accesses->races;
    for (u32 i = 0; i < THREADS; i++)
        accesses_flush(as(i), threads[i]->accesses);
    for (u32 i = 0; i < THREADS; i++)
        after += threads[i]->accesses->races;
    return after != before;
}

static void lock_step(u32 t)
{
    as(t);
    if (held[t] < 0) {
        int l = rand() % LOCKS;
        for (u32 i = 0; i < THREADS; i++)
            if (held[i] == l)
                return;
        fx_lock(threads[t], held[t] = l);
        learn(oracle.clock[t], oracle.lock[l]);
    } else {
        fx_unlock(threads[t], held[t]);
        memcpy(oracle.lock[held[t]], oracle.clock[t], sizeof oracle.clock[t]);
        oracle.clock[t][t]++;
        held[t] = -1;
    }
}

/* Mostly what the held lock protects, or reads of what nobody writes often; so most of it is old, and no race. */
static void access_step(u32 t, bool exact)
{
    u32 granule = (u32)rand() % (BYTES / 8), size = 1u << rand() % 4, kind = (u32)rand() & ACCESS_ATOMIC;
    bool stray = rand() % 200 == 0, shared = granule % 8 == 7;
    if (!stray && !shared && held[t] < 0)
        return;
    if (!stray && !shared)
        granule = (granule & ~7u) | (u32)held[t];
    kind |= shared && !stray ? ACCESS_READ : (u32)rand() & ACCESS_WRITE;
    u32 at = granule * 8 + (u32)rand() % 8 / size * size;
    int expected = oracle_access(t, at, size, kind), found = engine_access(t, at, size, kind);
    if (expected && late_races())
        found = true;
    if (expected == 0 || (expected > 0 && exact))
        CU_ASSERT_EQUAL(found, expected);
}

/* What has raced begins anew. */
static void raced_forget(void)
{
    for (u32 g = 0; g < BYTES; g += 8) {
        bool raced = false;
        for (u32 b = g; b < g + 8; b++)
            raced |= oracle.raced[b];
        if (!raced)
            continue;
        late_races();
        access_forget(as(0), (u64)memory + g, 8);
        memset(oracle.past[g], 0, 8 * sizeof oracle.past[g]);
        memset(&oracle.raced[g], 0, 8);
    }
}

static void steps(unsigned seed, u32 n, bool exact)
{
    u32 failed = CU_get_number_of_failures();
    srand(seed);
    for (u32 i = 0; i < n && CU_get_number_of_failures() == failed; i++) {
        u32 t = (u32)rand() % active;
        if (rand() % 3 == 0)
            lock_step(t);
        else
            access_step(t, exact);
        if (i % 64 == 0)
            raced_forget();
    }
    if (CU_get_number_of_failures() != failed)
        fprintf(stderr, "seed %u\n", seed);
}

static void against_oracle(void)
{
    for (unsigned seed = 1; seed <= 3; seed++) {
        begin(40, 600);
        u32 cycles = recycle_cycle;
        steps(seed, 400000, true);
        CU_ASSERT_TRUE(recycle_cycle - cycles > 20);
        CU_ASSERT_EQUAL(run()->lost[LOSS_epochs_reused], 0);
        u64 races = 0;
        for (u32 i = 0; i < THREADS; i++)
            races += threads[i]->accesses->races;
        CU_ASSERT_TRUE(races > 40);
    }
}

/* More is alive than there are numbers: the oldest are forgotten, counted, and no race is invented. */
static void full(void)
{
    begin(10, 64);
    for (u32 i = 0; i < 30000; i++) {
        fx_lock(as(1 + i % 2), 0);
        CU_ASSERT_FALSE(engine_access(1 + i % 2, i % 8192 * 8, 8, ACCESS_WRITE));
        fx_unlock(threads[1 + i % 2], 0);
    }
    CU_ASSERT_TRUE(run()->lost[LOSS_epochs_reused] > 0);
    CU_ASSERT_TRUE(engine_access(3, 29999 % 8192 * 8, 8, ACCESS_WRITE)); /* the youngest is not forgotten */
    fx_lock(as(0), 0);
    for (u32 i = 0; i < 8192; i++)
        if (i != 29999 % 8192)
            CU_ASSERT_FALSE(engine_access(0, i * 8, 8, ACCESS_WRITE));
    fx_unlock(threads[0], 0);
}

/* What every living thread knows needs no number any more. */
static void known_to_all(void)
{
    begin(12, 64);
    for (u32 i = 0; i < 20000; i++) {
        for (u32 g = 0; g < 8; g++)
            CU_ASSERT_FALSE(engine_access(1, (i * 8 + g) % 4096 * 8, 8, ACCESS_WRITE));
        as(1);
        fx_lock(threads[1], 0);
        fx_unlock(threads[1], 0);
        for (u32 t = 0; t < THREADS && i % 64 == 0; t++) {
            as(t);
            fx_lock(threads[t], 0);
            fx_unlock(threads[t], 0);
        }
    }
    CU_ASSERT_EQUAL(run()->lost[LOSS_epochs_reused], 0);
}

/* A thread that stays inside keeps numbers from being used again, and nothing else. */
static void one_stays_inside(void)
{
    begin(24, 64);
    u32 before = recycle_cycle;
    threads[5]->inside = 1;
    active = 5;
    steps(3, 200000, false);
    CU_ASSERT_TRUE(recycle_cycle - before == 1);
    CU_ASSERT_TRUE(run()->lost[LOSS_epochs_reused] > 0);
    threads[5]->inside = 0;
    active = THREADS;
    memset(oracle.raced, true, sizeof oracle.raced); /* what was not seen meanwhile */
    raced_forget();
    u64 lost = run()->lost[LOSS_epochs_reused];
    steps(4, 300000, true);
    CU_ASSERT_TRUE(recycle_cycle - before > 20);
    CU_ASSERT_EQUAL(run()->lost[LOSS_epochs_reused], lost);
}

/* ---- what atomics leave ---- */

static bool handed_over(u64 key)
{
    engine_access(1, 0, 8, ACCESS_WRITE);
    hb_release(as(1), key);
    hb_acquire(as(2), key);
    bool raced = engine_access(2, 0, 8, ACCESS_WRITE);
    access_forget(as(0), (u64)memory, 8);
    return !raced;
}

static void atomics_end_with_memory(void)
{
    begin(EPOCH_BLOCKS, 64);
    hb_limit = 64;
    for (u64 i = 0; i < 2000; i++) {
        u64 addr = (u64)memory + 4096 + i * 24, size = i % 3 ? 24 : sizeof memory / 2;
        CU_ASSERT_TRUE(handed_over(hb_key(HB_ADDRESS, addr + i % 24)));
        if (i % 2)
            access_forget(as(0), addr, size);
        else
            access_block_gone(as(2), addr, size, false, (u64[]){0, 1});
        hb_acquire(as(3), hb_key(HB_ADDRESS, addr + i % 24)); /* nothing is left of it */
    }
    CU_ASSERT_EQUAL(run()->lost[LOSS_releases_joined], 0);
    engine_access(1, 8, 8, ACCESS_WRITE);
    CU_ASSERT_TRUE(engine_access(3, 8, 8, ACCESS_WRITE));
    /* Too many: more is ordered than was, never less. */
    for (u64 i = 0; i < 200; i++)
        CU_ASSERT_TRUE(handed_over(hb_key(HB_ADDRESS, (u64)memory + 4096 + i * 8)));
    CU_ASSERT_TRUE(run()->lost[LOSS_releases_joined] > 0);
    hb_limit = 1u << 26;
}

/* ---- memory ---- */

#define LARGE (256ULL << 20)

static void shadow_is_capped(void)
{
    begin(EPOCH_BLOCKS, 64);
    char *large = mmap(NULL, LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cap_bytes = 8ULL * SHADOW_REGION;
    cap_regions = 4;
    as(1);
    for (u64 at = 0; at < LARGE; at += 8)
        hook(threads[1], (u64)large + at, 8, ACCESS_WRITE);
    u64 sum = 0;
    for (u32 r = 0; r < SHADOW_REGIONS; r++)
        sum += shadow_touched[r] ? cap_resident(r) : 0;
    CU_ASSERT_TRUE(sum <= cap_bytes + 2ULL * SHADOW_REGION);
    CU_ASSERT_TRUE(run()->lost[LOSS_shadow_forgotten] > 0);
    u64 last = (u64)large + LARGE - 8, races = as(2)->accesses->races;
    hook(threads[2], last, 8, ACCESS_WRITE);
    CU_ASSERT_EQUAL(threads[2]->accesses->races, races + 1);
    hook(threads[2], (u64)large, 8, ACCESS_WRITE);
    CU_ASSERT_EQUAL(threads[2]->accesses->races, races + 1);
    access_forget(threads[2], (u64)large, LARGE);
    munmap(large, LARGE);
    cap_start();
}

/* ---- processes ---- */

static void parent_goes_on(void)
{
    begin(EPOCH_BLOCKS, 64);
    engine_access(1, 0, 8, ACCESS_WRITE);
    u64 time = clock_now(&threads[1]->accesses->clock);
    engine_fork_prepare(threads[1], NULL);
    engine_fork_parent(threads[1], 0);
    CU_ASSERT_EQUAL(clock_now(&threads[1]->accesses->clock), time + 1);
    CU_ASSERT_EQUAL(access_now, ACCESS_NO_EPOCH);
}

static void process_ends(void)
{
    begin(EPOCH_BLOCKS, 64);
    engine_access(1, 0, 8, ACCESS_WRITE);
    engine_process_end(threads[1]);
    CU_ASSERT_EQUAL(access_now, 0);
    CU_ASSERT_EQUAL(threads[1]->accesses->number, 0);
    hb_release(threads[1], hb_key(HB_PIPE, 0)); /* does not bring it back */
    CU_ASSERT_EQUAL(threads[1]->accesses->number, 0);
}

/* ---- real threads ---- */

#define REAL 4
#define REAL_LOCKS 16
#define REAL_ROUNDS 400000u

static pthread_mutex_t real_locks[REAL_LOCKS];
static u64 real_races[REAL];

static void guarded(struct thread *t, u32 l, u32 *random)
{
    pthread_mutex_lock(&real_locks[l]);
    t->inside = (u64)__builtin_frame_address(0);
    fx_lock(t, (int)l);
    t->inside = 0;
    for (u32 i = 0; i < 3; i++) {
        *random = *random * 1664525u + 1013904223u;
        u32 granule = (*random >> 8) % 1024 * REAL_LOCKS + l;
        hook(t, (u64)memory + granule * 8ULL + (*random >> 20 & 4), 4, *random >> 24 & ACCESS_WRITE);
    }
    t->inside = (u64)__builtin_frame_address(0);
    fx_unlock(t, (int)l);
    t->inside = 0;
    pthread_mutex_unlock(&real_locks[l]);
}

static void *real_thread(void *arg)
{
    u32 i = (u32)(u64)arg, random = i * 77 + 5;
    struct thread *t = threads[i];
    access_thread_switched(t);
    for (u32 n = 0; n < REAL_ROUNDS; n++) {
        random = random * 1664525u + 1013904223u;
        guarded(t, (random >> 10) % REAL_LOCKS, &random);
        hook(t, (u64)memory + (1u << 19) + (random >> 12) % 512 * 8, 8, ACCESS_READ);
    }
    real_races[i] = t->accesses->races;
    access_thread_switched(NULL);
    return NULL;
}

static void real_threads(void)
{
    pthread_t id[REAL];
    begin(64, 512);
    u32 cycles = recycle_cycle;
    for (u32 i = 0; i < REAL_LOCKS; i++)
        pthread_mutex_init(&real_locks[i], NULL);
    for (u64 i = 0; i < REAL; i++)
        pthread_create(&id[i], NULL, real_thread, (void *)i);
    for (u32 i = 0; i < REAL; i++) {
        pthread_join(id[i], NULL);
        CU_ASSERT_EQUAL(real_races[i], 0);
    }
    CU_ASSERT_TRUE(recycle_cycle - cycles > 20);
}

UNIT_TESTS("recycling", {"against_oracle", against_oracle}, {"full", full}, {"known_to_all", known_to_all},
           {"one_stays_inside", one_stays_inside}, {"atomics_end_with_memory", atomics_end_with_memory},
           {"shadow_is_capped", shadow_is_capped}, {"parent_goes_on", parent_goes_on}, {"process_ends", process_ends},
           {"real_threads", real_threads})
