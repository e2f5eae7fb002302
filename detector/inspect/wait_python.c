/* What a thread of a Python program waits for. Called by wait.c. Takes no locks; allocates with malloc.
 *
 * Locks of Python are semaphores of glibc's. Conditions, queues, events and futures are built of such locks in Python: what
 * waits then is a call of the library, and the object whose method it is has a name in the program. */
#include <stdio.h>
#include <string.h>

#include "python.h"
#include "wait.h"

static u32 thread_with(const struct subject *s, u64 pthread)
{
    for (u32 i = 0; i < s->nthreads; i++)
        if (pthread && s->thread[i].pthread == pthread)
            return s->thread[i].tid;
    return 0;
}

/* ---- the interpreter's lock ---- */

static u64 interpreter_lock(const struct subject *s)
{
    const struct python_layout *l = s->python;
    if (l->gil_in_runtime)
        return s->python_runtime + l->gil_in_runtime;
    u64 interpreter = python_word(s, s->python_runtime + l->main_interp);
    return interpreter ? python_word(s, interpreter + l->interp_gil) : 0;
}

static void look_at_interpreter(const struct subject *s, struct wait *w)
{
    u64 lock = interpreter_lock(s);
    if (!lock || w->object != lock + PY_GIL_COND)
        return;
    u64 holder = python_half(s, lock + PY_GIL_LOCKED) == 1 ? python_word(s, lock + PY_GIL_LAST_HOLDER) : 0;
    for (u32 i = 0; i < s->nthreads; i++)
        if (holder && s->thread[i].python_state == holder)
            w->owner = s->thread[i].tid;
    w->what = WAIT_FOR_INTERPRETER;
    w->object = lock;
    w->timed = false; /* it waits in slices, and asks again */
}

/* ---- calls of the library ---- */

/* Modules whose methods wait for what another thread is to do. */
static bool is_waiting_library(const char *file)
{
    static const char *const ends[] = {"/threading.py", "/queue.py", "/concurrent/futures/_base.py",
                                       "/multiprocessing/pool.py", "/multiprocessing/synchronize.py"};
    size_t n = strlen(file);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (n > strlen(ends[i]) && strcmp(file + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

/* The outermost of the library's methods, as the program has called it. */
static void look_at_call(const struct subject *s, const struct subject_thread *t, struct wait *w)
{
    u32 n = 0;
    while (n < t->npython && is_waiting_library(t->python[n].file) && strncmp(t->python[n].function, "Thread.", 7) != 0)
        n++;
    if (!n)
        return;
    const struct python_frame *f = &t->python[n - 1];
    if (w->is_python)
        w->what = WAIT_FOR_PYTHON_CALL;
    w->call = f->function;
    if (s->python->attributes)
        w->own_name = python_name(s, python_word(s, f->at + s->python->f_locals));
}

/* ---- locks ---- */

static void look_at_lock(const struct subject *s, const struct subject_thread *t, struct wait *w)
{
    const struct python_hold *h = python_hold_of(s, w->object);
    u64 lock = h ? h->lock : python_lock_of(s, t, w->object);
    if (!lock) {
        look_at_call(s, t, w);
        return;
    }
    w->is_python = true;
    w->owner = h ? s->thread[h->thread].tid : thread_with(s, python_owner(s, lock));
    w->what = h && h->is_end ? WAIT_FOR_JOIN : WAIT_FOR_PYTHON_LOCK;
    if (w->what == WAIT_FOR_JOIN)
        return;
    w->own_name = python_name(s, lock);
    if (!w->own_name && !w->owner)
        look_at_call(s, t, w);
}

void wait_look_python(const struct subject *s, const struct subject_thread *t, struct wait *w)
{
    if (w->what == WAIT_FOR_SEMAPHORE)
        look_at_lock(s, t, w);
    else
        look_at_interpreter(s, w);
}
