/* Incremental reachability against a brute-force oracle, on random graphs. */
#include "engine_fixture.h"

#define N 24

static bool edge[N][N];
static ref_t lock[N];
static u32 seed;

static u32 rnd(u32 n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void closure(bool r[N][N])
{
    memcpy(r, edge, sizeof edge);
    for (int k = 0; k < N; k++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                r[i][j] |= r[i][k] && r[k][j];
}

static void random_graphs(void)
{
    static bool reach[N][N];
    for (u32 round = 0; round < 20; round++) {
        fx_begin(ON_DEADLOCK_REPORT);
        struct thread *t = fx_main();
        seed = round;
        memset(edge, 0, sizeof edge);
        for (int i = 0; i < N; i++)
            lock[i] = arena_ref(engine_lock(t, LOCK(i), OBJ_MUTEX, 0, NULL));
        for (u32 e = 0; e < 20 + round * 6; e++) {
            u32 a = rnd(N), b = rnd(N);
            if (a == b)
                continue;
            reach_add_edge(lock[a], lock[b]);
            edge[a][b] = true;
            closure(reach);
            int wrong = 0;
            for (int i = 0; i < N; i++)
                for (int j = 0; j < N; j++)
                    wrong += i != j && reach_tangled(lock[i], lock[j]) != (reach[i][j] && reach[j][i]);
            CU_ASSERT_EQUAL_FATAL(wrong, 0);
        }
    }
}

static void many_under_one(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    struct thread *t = fx_main(), *inner = fx_spawn(t), *other = fx_spawn(t);
    enum { MANY = 10000 };
    u64 begin = sys_now();
    for (int i = 1; i < MANY; i++)
        fx_nest(t, 0, i); /* one lock outside of all others */
    for (int i = 1; i < MANY; i++)
        fx_nest(inner, i, MANY); /* and one inside */
    CU_ASSERT(sys_now() - begin < 20000000000ULL);
    CU_ASSERT_FALSE(reach_tangled(arena_ref(engine_lock_peek(LOCK(0))), arena_ref(engine_lock_peek(LOCK(MANY)))));
    fx_nest(other, MANY, 0);
    CU_ASSERT(CYCLES() > 0);
}

static void forgotten_when_dead(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    struct thread *t = fx_main();
    for (int i = 0; i < 140000; i++) {
        fx_nest(t, 1, 2);
        engine_memory_gone(t, LOCK(2), 64, NULL);
    }
    CU_ASSERT(run()->lost[LOSS_orders_forgotten] > 60000);
    CU_ASSERT(run()->nnodes < 150000);
    CU_ASSERT(arena_used() < 64u << 20);
    struct thread *other = fx_spawn(t);
    fx_nest(t, 1, 2);
    fx_nest(other, 2, 1);
    CU_ASSERT_EQUAL(CYCLES(), 1);
}

UNIT_TESTS("reachability", {"random_graphs", random_graphs}, {"many_under_one", many_under_one},
           {"forgotten_when_dead", forgotten_when_dead})
