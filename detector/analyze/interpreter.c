/* An interpreter's global lock. Its mutex and condition are the interpreter's business; what counts is that a thread
 * which waits for it waits for the thread that holds it, so that "holds the interpreter lock, wants a mutex" against
 * "holds the mutex, wants the interpreter lock" is seen as the deadlock that it is. While accesses are watched, its mutexes
 * order them, as all others do. Called by the adapter at start and
 * by waits and locks. Takes RANK_TABLE when a record is made. */
#include "analyze/internal.h"

struct engine_interpreter interpreter;
static ref_t lock, lock_process;

void engine_interpreter(const struct engine_interpreter *i)
{
    interpreter = *i;
}

ref_t interpreter_lock(void)
{
    if (!interpreter.size)
        return 0;
    if (lock_process != engine_process_ref) { /* first use, or a forked child */
        bool fresh;
        struct object_head *o =
            objects_make(interpreter.lo, OBJ_CUSTOM, ATTR_INTERPRETER | ATTR_INITIALISED, NULL, NULL, &fresh);
        if (!o)
            return 0;
        engine_lock_name((struct lock_rec *)o, "interpreter lock");
        lock = arena_ref(o);
        lock_process = engine_process_ref;
    }
    return lock;
}

struct lock_rec *interpreter_mutex(u64 addr)
{
    struct object_head *o = objects_get(addr);
    bool fresh;
    if (!access_on)
        return NULL;
    if (!o || o->state != OBJECT_LIVE || !(o->attrs & ATTR_INTERPRETER))
        o = objects_make(addr, OBJ_MUTEX, ATTR_INTERPRETER | ATTR_INITIALISED | ATTR_CLOCKED, NULL, NULL, &fresh);
    return (struct lock_rec *)o;
}
