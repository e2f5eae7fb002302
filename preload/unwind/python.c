/* The CPython adapter. Called by the start code, then through unwind_interpreter (each capture), sem_interpreter (each sem_trywait) and the
 * engine's interpreter hooks. Takes RANK_STACKS through interning; private tables are guarded by the interpreter lock itself, as frames are
 * read only while the caller holds it. Allocates arena strings and blobs. */
#include "python.h"

#include <pthread.h>

#include "analyze/engine.h"
#include "base/arena.h"
#include "base/hash.h"
#include "model/stack.h"
#include "modules.h"
#include "python_layout.h"
#include "sem_interpreter.h"
#include "thread_map.h"
#include "unwind.h"

#define MAX_NAME 240u
#define MAX_LINE_TABLE (1u << 20)
#define FRAME_CACHE 2048u
#define FRAME_TABLE 16384u

static const struct python_layout *layout;
static u64 runtime, code_type, tuple_type, string_type, false_object, true_object;
static struct module module;

static inline u64 word(u64 at)
{
    return *(const volatile u64 *)at;
}
static inline u32 half(u64 at)
{
    return *(const volatile u32 *)at;
}

/* ---- the interpreter lock ---- */

static u64 gil(void)
{
    if (layout->gil_in_runtime)
        return runtime + layout->gil_in_runtime;
    u64 interp = word(runtime + layout->main_interp);
    return interp ? word(interp + layout->interp_gil) : 0;
}

/* The thread state that holds the interpreter lock, 0 when it is free. */
static u64 gil_holder(void)
{
    u64 g = gil();
    return g && half(g + PY_GIL_LOCKED) == 1 ? word(g + PY_GIL_LAST_HOLDER) : 0;
}

/* The caller's thread state, if it holds the interpreter lock: only then do its frames stand still. */
static u64 own_state(void)
{
    u64 state = gil_holder();
    return state && word(state + layout->thread_id) == (u64)pthread_self() ? state : 0;
}

static ref_t interpreter_owner(void)
{
    u64 state = gil_holder();
    return state ? thread_map_get((pthread_t)word(state + layout->thread_id)) : 0;
}

static bool is_gil_wait(u64 cond)
{
    u64 g = gil();
    return g && cond == g + PY_GIL_COND;
}

/* ---- strings ---- */

struct text {
    char bytes[MAX_NAME];
    u32 n;
};

static void put_utf8(struct text *t, u32 c)
{
    if (t->n + 4 > MAX_NAME)
        return;
    char *p = t->bytes + t->n;
    if (c < 0x80) {
        p[0] = (char)c;
        t->n += 1;
    } else if (c < 0x800) {
        p[0] = (char)(0xc0 | c >> 6);
        p[1] = (char)(0x80 | (c & 63));
        t->n += 2;
    } else if (c < 0x10000) {
        p[0] = (char)(0xe0 | c >> 12);
        p[1] = (char)(0x80 | (c >> 6 & 63));
        p[2] = (char)(0x80 | (c & 63));
        t->n += 3;
    } else {
        p[0] = (char)(0xf0 | (c >> 18 & 7));
        p[1] = (char)(0x80 | (c >> 12 & 63));
        p[2] = (char)(0x80 | (c >> 6 & 63));
        p[3] = (char)(0x80 | (c & 63));
        t->n += 4;
    }
}

/* State bits of a string object: interned:2, kind:3, compact:1, ascii:1; 3.12 dropped the one behind. */
static ref_t string_of(u64 object)
{
    struct text t;
    t.n = 0;
    if (!object)
        return 0;
    u32 state = half(object + PY_STRING_STATE), kind = state >> 2 & 7;
    bool compact = state >> 5 & 1, ascii = state >> 6 & 1;
    u64 length = word(object + PY_STRING_LENGTH), data = object + (ascii ? layout->ascii_size : layout->compact_size);
    if (!compact || (kind != 1 && kind != 2 && kind != 4))
        return 0;
    /* The end of a path says more than its beginning. */
    for (u64 i = length > MAX_NAME - 4 ? length - (MAX_NAME - 4) : 0; i < length; i++)
        put_utf8(&t, kind == 1   ? *(const u8 *)(data + i)
                     : kind == 2 ? *(const u16 *)(data + 2 * i)
                                 : *(const u32 *)(data + 4 * i));
    return string_intern(t.bytes, t.n);
}

/* ---- frames ---- */

/* What was learnt of (code object, instruction). The code object may be freed and another one made in its place: the pointers and the
 * string objects' own content hashes are compared too. */
struct known_frame {
    u64 code, last;
    u64 filename, name, filename_hash, name_hash, lines;
    u32 first_line;
    ref_t frame;
};
static struct known_frame known[FRAME_CACHE];
static ref_t frame_table[FRAME_TABLE];

/* One py_frame for equal content, so that equal stacks stay equal. */
static ref_t frame_intern(ref_t function, ref_t file, u32 line)
{
    u64 slot = hash_combine(hash_combine(function, file), line);
    for (u32 probe = 0; probe < 16; probe++, slot++) {
        ref_t *place = &frame_table[slot & (FRAME_TABLE - 1)];
        if (*place) {
            const struct py_frame *f = arena_at(*place);
            if (f->function == function && f->file == file && f->line == line)
                return *place;
            continue;
        }
        ref_t r = arena_blob(sizeof(struct py_frame));
        if (r) {
            struct py_frame *f = arena_at(r);
            f->function = function;
            f->file = file;
            f->line = line;
            *place = r;
        }
        return r;
    }
    return 0;
}

static u64 code_bytes(u64 code)
{
    return layout->lasti_scale ? word(code + layout->co_code) + PY_BYTES_DATA : code + layout->co_code;
}

/* Byte offset of the running instruction. */
static u64 last_offset(u64 frame, u64 code)
{
    if (!layout->lasti_scale)
        return word(frame + layout->f_last) - code_bytes(code);
    int last = (int)half(frame + layout->f_last);
    return last < 0 ? 0 : (u64)last * layout->lasti_scale;
}

static ref_t frame_of(u64 frame, u64 code)
{
    u64 filename = word(code + layout->co_filename), name = word(code + layout->co_name),
        lines = word(code + layout->co_lines);
    struct known_frame want = {
        code, last_offset(frame, code), filename, name, 0, 0, lines, half(code + layout->co_firstlineno), 0};
    if (!filename || !name || !lines)
        return 0;
    want.filename_hash = word(filename + PY_STRING_HASH);
    want.name_hash = word(name + PY_STRING_HASH);
    struct known_frame *k = &known[hash_combine(code, want.last) & (FRAME_CACHE - 1)];
    if (k->code == want.code && k->last == want.last && k->filename == want.filename && k->name == want.name &&
        k->lines == want.lines && k->filename_hash == want.filename_hash && k->name_hash == want.name_hash &&
        k->first_line == want.first_line)
        return k->frame;
    u64 size = word(lines + PY_OB_SIZE);
    u32 line = size < MAX_LINE_TABLE
                   ? python_line(layout->lines, (const u8 *)(lines + PY_BYTES_DATA), size, want.first_line, want.last)
                   : want.first_line;
    want.frame = frame_intern(string_of(name), string_of(filename), line);
    *k = want;
    return want.frame;
}

/* The innermost Python frame of the thread, and the one outside of another; 0 at the end. */
static u64 first_frame(u64 state)
{
    u64 f = word(state + layout->frame);
    return layout->cframe_frame == 0xffff || !f ? f : word(f + layout->cframe_frame);
}

/* The code object of a frame; 0 for a frame that stands for C code. */
static u64 frame_code(u64 frame)
{
    if (layout->f_owner && *(const u8 *)(frame + layout->f_owner) == PY_OWNED_BY_CSTACK)
        return 0;
    u64 code = word(frame + layout->f_code);
    return code && word(code + PY_OB_TYPE) == code_type ? code : 0;
}

static u32 read_frames(u64 state, u64 *out, u32 max)
{
    u32 n = 0;
    u64 f = first_frame(state);
    for (u32 steps = 0; f && n < max && steps < 4 * WAIT_FRAMES; f = word(f + layout->f_back), steps++) {
        u64 code = frame_code(f);
        ref_t r = code ? frame_of(f, code) : 0;
        if (r)
            out[n++] = FRAME_PYTHON | r;
    }
    return n;
}

static bool in_interpreter(u64 pc)
{
    return pc >= module.lo && pc < module.hi;
}

/* Python's frames stand for the interpreter's own, and go where those begin: in front stay the innermost native frames outside of it, behind
 * those of other modules (extensions that called back, the thread's start). */
static u32 insert_frames(struct thread *t, u64 *frames, const u64 *pcs, u32 n, u32 max)
{
    u64 python[WAIT_FRAMES];
    const struct wait_frames *w = &t->wait_frames;
    u64 state = own_state();
    if (!state && !(w->sem && w->waiting))
        return n;
    u32 at = 0;
    while (at < n && !in_interpreter(pcs[at]))
        at++;
    if (at == n)
        return n; /* the unwinder did not get as far as the interpreter */
    u32 room = WAIT_FRAMES < max - at ? WAIT_FRAMES : max - at, count = w->n < room ? w->n : room;
    if (state)
        count = read_frames(state, python, room);
    else
        __builtin_memcpy(python, w->frame, count * sizeof *python);
    if (!count)
        return n;
    u32 rest = 0;
    for (u32 i = at; i < n; i++)
        if (!in_interpreter(pcs[i]))
            frames[at + rest++] = frames[i];
    rest = rest < max - at - count ? rest : max - at - count;
    __builtin_memmove(frames + at + count, frames + at, rest * sizeof *frames);
    __builtin_memcpy(frames + at, python, count * sizeof *frames);
    return at + count + rest;
}

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
           !__builtin_memcmp((const char *)(string + layout->ascii_size), text, n);
}

static bool names_timeout(u64 names)
{
    u64 n = names && word(names + PY_OB_TYPE) == tuple_type ? word(names + PY_OB_SIZE) : 0;
    for (u64 i = 0; i < n && i < 4; i++) {
        u64 name = word(names + PY_TUPLE_ITEMS + 8u * i);
        if (word(name + PY_OB_TYPE) == string_type && is_ascii(name, "timeout"))
            return true;
    }
    return false;
}

/* What the program asks for, as far as its constants say: lock.acquire(False) and lock.acquire(blocking=False) try, lock.acquire(timeout=x) and
 * lock.acquire(True, x) give up by themselves. */
static u32 how_asked(u64 state)
{
    u64 f = first_frame(state), code = f ? frame_code(f) : 0;
    if (!code)
        return HOW_PYTRY;
    u64 bytes = code_bytes(code), last = last_offset(f, code);
    struct running_call c = {bytes + last, bytes, word(code + layout->co_consts)};
    if (last > 1u << 24)
        return HOW_PYTRY;
    u32 near = layout->call_gap + 1u;
    for (u32 back = near; back <= near + 1; back++)
        if (constant_before(&c, back, layout->op_load_const, layout->op_load_const) == false_object)
            return HOW_TRY;
    bool two = ((const u8 *)c.at)[1] == 2; /* arguments */
    if (names_timeout(constant_before(&c, near, layout->op_kw_names, layout->op_kw_names)) ||
        (two && constant_before(&c, near + 1, layout->op_load_const, layout->op_load_const_fast) == true_object))
        return HOW_PYTRY | HOW_TIMED;
    return HOW_PYTRY;
}

/* The interpreter, or the extension module behind multiprocessing's locks (which is built into some interpreters). */
static bool called_by_python(const u64 *fp)
{
    static const char multiprocessing[] = "/_multiprocessing.";
    if (!fp || in_interpreter(fp[1]))
        return fp;
    const struct module_rec *m = modules_find(fp[1]);
    const char *path = m ? string_text(m->path) : "", *name = __builtin_strrchr(path, '/');
    return name && !__builtin_strncmp(name, multiprocessing, sizeof multiprocessing - 1);
}

static bool ends_with(const char *text, u64 length, const char *end)
{
    u64 n = __builtin_strlen(end);
    return length >= n && !__builtin_memcmp(text + length - n, end, n);
}

/* Up to 3.12 a thread takes a lock of its own at its start, in one of these methods (the other is for the thread that a fork has left); the
 * interpreter gives it back at the thread's very end, and join() is taking it. */
static bool is_thread_start(u64 state)
{
    u64 f = first_frame(state), code = f ? frame_code(f) : 0, name = code ? word(code + layout->co_name) : 0;
    if (!name || !(half(name + PY_STRING_STATE) >> 6 & 1)) /* ASCII */
        return false;
    u64 length = word(name + PY_STRING_LENGTH);
    const char *text = (const char *)(name + layout->ascii_size);
    return ends_with(text, length, "_set_tstate_lock") || ends_with(text, length, "_reset_internal_locks");
}

static u32 try_how(const u64 *fp)
{
    u64 state = called_by_python(fp) ? own_state() : 0;
    if (!state)
        return HOW_TRY;
    return is_thread_start(state) ? HOW_PYTRY | HOW_THREAD_END : how_asked(state);
}

static u32 lock_attrs(const u64 *fp)
{
    return called_by_python(fp) ? ATTR_PYTHON : 0;
}

/* ---- contended takes ---- */

/* Giving up the interpreter lock takes its mutex, and sometimes the one for switching. Taking it again takes both, and they count as lock
 * operations though they are hidden: a thread that has made at most so many cannot have had the interpreter lock in between. */
#define OPERATIONS_OF_GIVING_UP 2u

static void try_busy(struct thread *t, u64 sem, const u64 *fp)
{
    struct wait_frames *w = &t->wait_frames;
    u64 state = called_by_python(fp) ? own_state() : 0;
    w->sem = 0;
    if (!state)
        return;
    w->n = read_frames(state, w->frame, WAIT_FRAMES);
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

static const struct sem_interpreter semaphores = {try_how, lock_attrs, try_busy, wait_begins};

/* ---- start ---- */

static const struct python_layout *find_layout(void)
{
    const u64 *hex = modules_symbol_in(&module, "Py_Version"); /* since 3.11 */
    u32 version = hex                                                               ? (u32)(*hex >> 16)
                  : modules_symbol_in(&module, "PyCode_NewWithPosOnlyArgs") == NULL ? 0
                  : modules_symbol_in(&module, "PyIter_Send")                       ? 0x030a
                                                              : 0x0309; /* each came with that release */
    /* A debug build has other layouts; its reference counting exports this. */
    if (modules_symbol_in(&module, "_Py_NegativeRefcount"))
        return NULL;
    for (u32 i = 0; i < ARRAY_LEN(python_layouts); i++)
        if (python_layouts[i].version == version)
            return &python_layouts[i];
    return NULL;
}

void python_start(void)
{
    u64 at = (u64)modules_symbol("_PyRuntime");
    if (!at || !modules_lookup(at, &module))
        return;
    runtime = at;
    layout = find_layout();
    code_type = (u64)modules_symbol_in(&module, "PyCode_Type");
    tuple_type = (u64)modules_symbol_in(&module, "PyTuple_Type");
    string_type = (u64)modules_symbol_in(&module, "PyUnicode_Type");
    false_object = (u64)modules_symbol_in(&module, "_Py_FalseStruct");
    true_object = (u64)modules_symbol_in(&module, "_Py_TrueStruct");
    if (!layout || !code_type || !tuple_type || !string_type || !false_object || !true_object) {
        run_lost(LOSS_python_unknown);
        layout = NULL;
        return;
    }
    ((struct process_rec *)arena_at(engine_process()))->python = layout->version;
    engine_interpreter(&(struct engine_interpreter){runtime, layout->runtime_size, interpreter_owner, is_gil_wait});
    sem_interpreter = &semaphores;
    unwind_interpreter = insert_frames;
}
