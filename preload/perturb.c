/* --perturb: random delays before lock operations, so that schedules that are rare on a quiet machine are seen. Called
 * by interceptors outside enter/leave; takes no locks, allocates nothing, keeps errno (raw system calls).
 *
 * The decisions of a thread are a function of the seed and its number alone: every operation draws exactly once, and a
 * used-up budget skips the delay but not the draw. */
#include "base/hash.h"
#include "base/sys.h"
#include "interceptor.h"
#include "start.h"

/* A thread sleeps at most this long, or this share of its time since it first slept, whichever is more. */
#define BUDGET_NS 2000000000ULL
#define BUDGET_SHARE 5

bool perturb_on;

static __thread struct {
    u64 since, spent;
} budget __attribute__((tls_model("initial-exec")));

void perturb_start(void)
{
    perturb_on = run()->options.perturb != 0;
}

/* xorshift64* (Vigna 2016): one multiplication, no zero state. */
static u64 draw(struct thread *t)
{
    u64 x = t->perturb_state;
    if (snarl_unlikely(!x))
        x = hash_mix64(run()->options.perturb_seed ^ (u64)t->rec->number * 0x9e3779b97f4a7c15ULL) | 1;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    t->perturb_state = x;
    return x * 0x2545f4914f6cdd1dULL;
}

static void sleep_within_budget(u64 ns)
{
    u64 now = sys_now();
    if (!budget.since)
        budget.since = now;
    if (budget.spent > BUDGET_NS && budget.spent * BUDGET_SHARE > now - budget.since)
        return;
    sys_sleep_ns(ns);
    budget.spent += sys_now() - now;
}

void perturb_delay(struct thread *t)
{
    u64 x = draw(t);
    u32 dice = (u32)(x >> 56), amount = (u32)(x >> 24);
    if (dice < 1) /* 1 of 256: long enough for the others to do a whole critical section or several */
        sleep_within_budget(100000 + amount % 400000);
    else if (dice < 8)
        sleep_within_budget(10000 + amount % 50000);
    else if (dice < 40)
        sys_call3(SYS_sched_yield, 0, 0, 0);
}
