/* What OpenMP's constructs order, and what they do not.
 *
 * @needs openmp
 *
 * What is before a parallel region is before its members, what they do is before what follows it.
 * @case omp_region region
 * @clean
 * @case omp_region_races region races
 * @finding data-race memory=shared max=4
 * @case omp_barrier barrier
 * @clean
 * @case omp_no_barrier no_barrier
 * @finding data-race memory=cells*
 * Rounds: a cell changes hands at each.
 * @case omp_barriers barriers
 * @clean
 * @case omp_loop loop
 * @clean
 * @case omp_loop_nowait loop nowait
 * @finding data-race memory=cells*
 * @case omp_sections sections
 * @clean
 * @case omp_single_copy single_copy
 * @clean
 * @case omp_ordered ordered
 * @clean
 * @case omp_reduction reduction
 * @clean
 *
 * Tasks come after what their maker had done, and before its taskwait, the end of its taskgroup, the next barrier.
 * @case omp_task task
 * @clean
 * @case omp_task_races task races
 * @finding data-race memory=shared max=4
 * @case omp_taskwait taskwait
 * @clean
 * @case omp_taskwait_missing taskwait missing
 * @finding data-race memory=shared side=makes_tasks
 * @case omp_taskgroup taskgroup
 * @clean
 * Only children are waited for, not theirs.
 * (LLVM's library may run the grandchild in the thread that waits.)
 * @case omp_taskwait_grandchild grandchild
 * @skip-status 77
 * @finding data-race memory=shared max=4
 * @case omp_taskgroup_grandchild grandchild taskgroup
 * @clean
 * @case omp_depend depend
 * @clean
 * @case omp_depend_missing depend missing
 * @finding data-race memory=shared max=4
 * @case omp_taskloop taskloop
 * @clean
 */
#include "case.h"

#include <omp.h>

#define MEMBERS 4
static int shared, cells[MEMBERS], other[64];
static char **words;

static int said(const char *word)
{
    for (int i = 1; words[i]; i++)
        if (!strcmp(words[i], word))
            return 1;
    return 0;
}

static NOINLINE void put(int *p)
{
    *(volatile int *)p += 1;
}

static void region(void)
{
    int races = said("races");
    for (int round = 0; round < 10; round++) {
        put(&shared);
        for (int i = 0; i < MEMBERS; i++)
            put(&cells[i]);
#pragma omp parallel num_threads(MEMBERS)
        {
            meet(round, MEMBERS);
            CHECK(races || cells[omp_get_thread_num()] == 2 * round + 1);
            put(races ? &shared : &cells[omp_get_thread_num()]);
        }
    }
}

static void barriers(int rounds, int missing)
{
#pragma omp parallel num_threads(MEMBERS)
    for (int round = 0; round < rounds; round++) {
        put(&cells[(omp_get_thread_num() + round) % MEMBERS]);
        if (missing)
            meet(round, MEMBERS);
        else {
#pragma omp barrier
        }
        put(&cells[(omp_get_thread_num() + round + 1) % MEMBERS]);
#pragma omp barrier
    }
}

static void loop(void)
{
    int nowait = said("nowait");
#pragma omp parallel num_threads(MEMBERS)
    {
        if (nowait) {
#pragma omp for schedule(dynamic) nowait
            for (int i = 0; i < MEMBERS; i++) {
                meet(1, MEMBERS);
                put(&cells[i]);
            }
            meet(2, MEMBERS);
        } else {
#pragma omp for schedule(dynamic)
            for (int i = 0; i < MEMBERS; i++)
                put(&cells[i]);
        }
        for (int i = 0; i < MEMBERS; i++)
            CHECK(*(volatile int *)&cells[i] == 1);
#pragma omp barrier
#pragma omp for schedule(guided)
        for (int i = 0; i < MEMBERS; i++)
            put(&cells[MEMBERS - 1 - i]);
    }
}

static void sections(void)
{
#pragma omp parallel num_threads(MEMBERS)
    {
#pragma omp sections
        {
#pragma omp section
            put(&cells[0]);
#pragma omp section
            put(&cells[1]);
        }
        CHECK(*(volatile int *)&cells[0] + *(volatile int *)&cells[1] == 2);
    }
    put(&cells[0]);
}

static void single_copy(void)
{
    int *told;
#pragma omp parallel num_threads(MEMBERS) private(told)
    {
#pragma omp single copyprivate(told)
        {
            told = &shared;
            put(told);
        }
        CHECK(*(volatile int *)told == 1);
    }
    put(&shared);
}

static void ordered(void)
{
#pragma omp parallel for ordered schedule(dynamic) num_threads(MEMBERS)
    for (int i = 0; i < 64; i++) {
#pragma omp ordered
        put(&shared);
    }
    CHECK(shared == 64);
}

static void reduction(void)
{
    long sum = 0;
    long double wide = 0;
    (void)wide;
#pragma omp parallel for reduction(+ : sum) num_threads(MEMBERS)
    for (int i = 0; i < 64; i++)
        sum += i;
    CHECK(sum == 64 * 63 / 2);
#ifndef __clang__ /* needs another library */
#pragma omp parallel num_threads(MEMBERS)
    {
#pragma omp atomic
        wide += 1;
    }
    CHECK(wide == MEMBERS);
#endif
}

/* Tasks that run at the same time, in threads of their own. */
static void task(void)
{
    int races = said("races");
#pragma omp parallel num_threads(MEMBERS)
#pragma omp single
    {
        put(&shared);
        for (int i = 0; i < MEMBERS; i++)
#pragma omp task firstprivate(i)
        {
            meet(1, MEMBERS);
            CHECK(*(volatile int *)&shared >= 1);
            put(races ? &shared : &cells[i]);
        }
    }
    put(&cells[0]);
}

static NOINLINE void makes_tasks(int missing)
{
#pragma omp task
    {
        meet(1, 2);
        put(&shared);
        step_done(1);
    }
    meet(1, 2);
    step_wait(1);
    if (!missing) {
#pragma omp taskwait
    }
    put(&shared);
}

static void makes_group(void)
{
#pragma omp taskgroup
    {
#pragma omp task
        {
            meet(1, 2);
            put(&shared);
        }
        meet(1, 2);
    }
    put(&shared);
}

static void grandchild(int group)
{
#pragma omp task
    {
#pragma omp task
        {
            meet(1, 2);
            put(&shared);
            step_done(1);
        }
        if (!group)
            meet(2, 2);
    }
    if (!group) {
        meet(2, 2);
#pragma omp taskwait
    }
    meet(1, 2);
    step_wait(1);
}

static void grandchildren(void)
{
    int group = said("taskgroup");
    if (group) {
#pragma omp taskgroup
        grandchild(1);
    } else {
#ifdef __clang__
        _exit(77);
#endif
        grandchild(0);
    }
    put(&shared);
}

static void depend(void)
{
    if (said("missing")) {
        for (int i = 0; i < 2; i++)
#pragma omp task
        {
            meet(1, 2);
            put(&shared);
        }
        return;
    }
    for (int i = 0; i < 20; i++) {
#pragma omp task depend(out : shared)
        put(&shared);
        for (int k = 0; k < MEMBERS; k++)
#pragma omp task depend(in : shared) firstprivate(k, i)
            CHECK(*(volatile int *)&shared == i + 1 && k < MEMBERS);
    }
}

static void taskloop(void)
{
    put(&other[7]);
#pragma omp taskloop num_tasks(8)
    for (int i = 0; i < 64; i++)
        put(&other[i]);
    for (int i = 0; i < 64; i++)
        CHECK(*(volatile int *)&other[i] == 1 + (i == 7));
}

static void with_tasks(const char *name)
{
#pragma omp parallel num_threads(MEMBERS)
#pragma omp single
    {
        if (!strcmp(name, "taskwait"))
            makes_tasks(said("missing"));
        else if (!strcmp(name, "taskgroup"))
            makes_group();
        else if (!strcmp(name, "grandchild"))
            grandchildren();
        else if (!strcmp(name, "depend"))
            depend();
        else
            taskloop();
    }
    put(&shared);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } shapes[] = {{"region", region},   {"loop", loop},           {"sections", sections}, {"single_copy", single_copy},
                  {"ordered", ordered}, {"reduction", reduction}, {"task", task}};
    (void)argc;
    words = argv;
    omp_set_dynamic(0);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (shape_is(words, shapes[i].name)) {
            shapes[i].run();
            return 0;
        }
    }
    if (shape_is(words, "barrier") || shape_is(words, "barriers"))
        barriers(shape_is(words, "barriers") ? 20 : 1, 0);
    else if (shape_is(words, "no_barrier"))
        barriers(1, 1);
    else
        with_tasks(words[1]);
    return 0;
}
