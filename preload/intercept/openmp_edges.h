/* What orders the threads of an OpenMP program, for gcc's library (openmp_order.c) and for LLVM's (openmp_tool.c). Every
 * region and task has a number, from which the keys of its edges are made. */
#ifndef SNARL_INTERCEPT_OPENMP_EDGES_H
#define SNARL_INTERCEPT_OPENMP_EDGES_H

#include "touch.h"

/* The edges of a region, or of a task. */
enum edge {
    EDGE_START, /* from the maker to whoever runs it */
    EDGE_END,   /* from the members of a region to who goes on behind it */
    EDGE_ROUND, /* a barrier; and the next one, for nobody arrives there before all have left this one */
    EDGE_ROUND_2,
    EDGE_ORDERED,  /* from one ordered section to the next */
    EDGE_TASKS,    /* from a region's tasks to its barriers */
    EDGE_CHILDREN, /* from a task's tasks to its taskwait */
    EDGE_GROUP,    /* from all tasks of a taskgroup to its end; the number is that of the task that began it */
};
#define NUMBERED (1ULL << 59) /* no address looks like that */
#define DEPENDS (3ULL << 58)
#define DEPENDS_MAX 64u

extern u64 openmp_last_number __attribute__((visibility("hidden")));

static inline u64 new_number(void)
{
    return __atomic_add_fetch(&openmp_last_number, 1, __ATOMIC_RELAXED);
}

static inline u64 edge(u64 number, enum edge e)
{
    return number ? hb_key(HB_ADDRESS, NUMBERED | number << 3 | e) : 0;
}

static inline void acquire(u64 key, const u64 *fp)
{
    struct thread *t = key ? touch_enter(fp) : NULL;
    if (!t)
        return;
    hb_acquire(t, key);
    interceptor_leave(t);
}

static inline void release(u64 key, const u64 *fp)
{
    struct thread *t = key ? touch_enter(fp) : NULL;
    if (!t)
        return;
    hb_release(t, key);
    interceptor_leave(t);
}

static inline void forget(u64 number, const u64 *fp)
{
    struct thread *t = touch_enter(fp);
    if (!t)
        return;
    for (enum edge e = EDGE_START; e <= EDGE_GROUP; e++)
        hb_forget(t, edge(number, e));
    interceptor_leave(t);
}

/* A reader comes behind writers, a writer behind all. */
static inline void depend_acquire(u64 depend, const u64 *fp)
{
    acquire(hb_key(HB_ADDRESS, DEPENDS | depend | 1), fp);
    if (depend & 1)
        acquire(hb_key(HB_ADDRESS, DEPENDS | (depend & ~1ULL)), fp);
}

#endif
