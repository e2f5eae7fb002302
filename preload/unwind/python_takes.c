/* Semaphores that are CPython's locks: what an uncontended take stands for, and the frames of a contended one. Called
 * by the semaphore interceptors through sem_interpreter. Takes RANK_STACKS through interning; allocates arena strings
 * and blobs. */
#include "model/stack.h"
#include "python_internal.h"

#define MAX_CODE (1u << 24)

/* ---- uncontended takes ---- */

/* The call that the innermost frame is executing: its instruction and its code's constants. */
struct running_call {
    u64 at; /* address of the instruction */
    u64 begin;
    u64 consts;
};

/* The constant loaded by the instruction `back` code units before the call, if it has one of those opcodes; else 0. */
static u64 constant_before(const struct running_call *c, u32 back, u32 opcode, u32 or_opcode)
{
    const u8 *unit = (const u8 *)(c->at - 2u * back);
    if (c->at - c->begin < 2u * back || (unit[0] != opcode && unit[0] != or_opcode) ||
        unit[1] >= word(c->consts + PY_OB_SIZE))
        return 0;
    return word(c->consts + PY_TUPLE_ITEMS + 8u * unit[1]);
}

static bool is_ascii(u64 string, const char *text)
{
    u64 n = __builtin_strlen(text);
    return (half(string + PY_STRING_STATE) >> 6 & 1) && word(string + PY_STRING_LENGTH) == n &&
           !__builtin_memcmp((const char *)(string + python.layout->ascii_size), text, n);
}

static bool names_timeout(u64 names)
{
    u64 n = names && word(names + PY_OB_TYPE) == python.tuple_type ? word(names + PY_OB_SIZE) : 0;
    for (u64 i = 0; i < n && i < 4; i++) {
        u64 name = word(names + PY_TUPLE_ITEMS + 8u * i);
        if (word(name + PY_OB_TYPE) == python.string_type && is_ascii(name, "timeout"))
            return true;
    }
    return false;
}

/* What the program asks for, as far as its constants say: lock.acquire(False) and lock.acquire(blocking=False) try,
 * lock.acquire(timeout=x) and lock.acquire(True, x) give up by themselves. */
static u32 how_asked(u64 state)
{
    u64 f = python_first_frame(state), code = f ? python_frame_code(f) : 0;
    if (!code)
        return HOW_PYTRY;
    u64 bytes = python_code_bytes(code), last = python_last_offset(f, code);
    struct running_call c = {bytes + last, bytes, word(code + python.layout->co_consts)};
    if (last > MAX_CODE)
        return HOW_PYTRY;
    u32 near = python.layout->call_gap + 1u;
    for (u32 back = near; back <= near + 1; back++)
        if (constant_before(&c, back, python.layout->op_load_const, python.layout->op_load_const) ==
            python.false_object)
            return HOW_TRY;
    bool two = ((const u8 *)c.at)[1] == 2; /* arguments */
    if (names_timeout(constant_before(&c, near, python.layout->op_kw_names, python.layout->op_kw_names)) ||
        (two && constant_before(&c, near + 1, python.layout->op_load_const, python.layout->op_load_const_fast) ==
                    python.true_object))
        return HOW_PYTRY | HOW_TIMED;
    return HOW_PYTRY;
}

/* The interpreter, or the extension module behind multiprocessing's locks (which is built into some interpreters). */
static bool called_by_python(const u64 *fp)
{
    static const char multiprocessing[] = "/_multiprocessing.";
    if (!fp || python_owns(fp[1]))
        return fp;
    const struct module_rec *m = modules_find(fp[1]);
    const char *path = m ? string_text(m->path) : "", *name = __builtin_strrchr(path, '/');
    return name && !__builtin_strncmp(name, multiprocessing, sizeof multiprocessing - 1);
}

static bool ends_with(u64 string, const char *end)
{
    u64 n = __builtin_strlen(end), length = word(string + PY_STRING_LENGTH);
    return (half(string + PY_STRING_STATE) >> 6 & 1) /* ASCII */ && length >= n &&
           !__builtin_memcmp((const char *)(string + python.layout->ascii_size + length - n), end, n);
}

static u32 arguments_of_call(u64 frame, u64 code)
{
    u64 last = python_last_offset(frame, code);
    return last <= MAX_CODE ? ((const u8 *)(python_code_bytes(code) + last))[1] : ~0u;
}

/* Locks of threading.py that mean something else, by the method that takes them.
 *
 * Up to 3.12 a thread takes a lock of its own at its start, in one of two methods (the second is for the thread that a
 * fork has left); the interpreter gives it back at the thread's very end, and join() is taking it. Condition.wait makes
 * a lock and takes it twice: the second time it waits for the one who notifies to release it. */
static u32 special_lock(u64 state)
{
    u64 f = python_first_frame(state), code = f ? python_frame_code(f) : 0;
    u64 name = code ? word(code + python.layout->co_name) : 0,
        file = code ? word(code + python.layout->co_filename) : 0;
    if (!name || !file)
        return 0;
    u32 how = 0;
    if (ends_with(name, "_set_tstate_lock") || ends_with(name, "_reset_internal_locks"))
        how = HOW_THREAD_END;
    else if (is_ascii(name, "Condition.wait") || is_ascii(name, "wait"))
        how = arguments_of_call(f, code) == 0 ? HOW_SIGNAL
                                              : 0; /* one argument: it takes the condition's own RLock again */
    return how && ends_with(file, "/threading.py") ? how : 0;
}

static u32 try_how(const u64 *fp)
{
    u64 state = called_by_python(fp) ? python_own_state() : 0;
    if (!state)
        return HOW_TRY;
    u32 special = special_lock(state);
    return special ? HOW_PYTRY | special : how_asked(state);
}

static u32 lock_attrs(const u64 *fp)
{
    return called_by_python(fp) ? ATTR_PYTHON : 0;
}

/* ---- contended takes ---- */

/* Giving up the interpreter lock takes its mutex, and sometimes the one for switching. Taking it again takes both, and
 * they count as lock operations though they are hidden: a thread that has made at most so many cannot have had the
 * interpreter lock in between. */
#define OPERATIONS_OF_GIVING_UP 2u

static void try_busy(struct thread *t, u64 sem, const u64 *fp)
{
    struct wait_frames *w = &t->wait_frames;
    u64 state = called_by_python(fp) ? python_own_state() : 0;
    w->sem = 0;
    if (!state)
        return;
    w->n = python_frames(state, w->frame, WAIT_FRAMES);
    w->operations = t->rec->operations;
    w->waiting = false;
    w->sem = sem;
}

/* What was read at the failed try is still true if the thread has not run Python code since. */
static void wait_begins(struct thread *t, u64 sem, const u64 *fp)
{
    struct wait_frames *w = &t->wait_frames;
    (void)fp;
    if (w->sem != sem || w->waiting || t->rec->operations - w->operations > OPERATIONS_OF_GIVING_UP)
        w->sem = 0;
    w->waiting = true;
}

const struct sem_interpreter python_semaphores = {try_how, lock_attrs, try_busy, wait_begins};
