/* The CPython adapter: the interpreter lock and the frames. Called by the start code, then through unwind_interpreter
 * (each capture), by python_takes.c and through the engine's interpreter hooks. Takes RANK_STACKS through interning;
 * private tables are guarded by the interpreter lock itself, as frames are read only while the caller holds it.
 * Allocates arena strings and blobs. */
#include "python.h"

#include <pthread.h>

#include "analyze/engine.h"
#include "base/arena.h"
#include "base/hash.h"
#include "interceptor.h"
#include "model/stack.h"
#include "python_internal.h"
#include "safe.h"
#include "thread_map.h"
#include "unwind.h"

#define MAX_NAME 240u
#define MAX_LINE_TABLE (1u << 20)
#define FRAME_CACHE 2048u
#define FRAME_TABLE 16384u

struct python python;

/* How far the layout is to be believed. */
static enum { UNPROVEN, PROVEN, REFUSED } trust;
#define MAX_IMPLAUSIBLE 64u
static u32 implausible;

/* ---- the interpreter lock ---- */

static u64 gil(void)
{
    u64 interp, lock;
    if (python.layout->gil_in_runtime)
        return python.runtime + python.layout->gil_in_runtime;
    interp = word(python.runtime + python.layout->main_interp);
    if (!interp || __atomic_load_n(&trust, __ATOMIC_RELAXED) == REFUSED)
        return 0;
    if (trust == PROVEN)
        return word(interp + python.layout->interp_gil);
    return safe_read(interp + python.layout->interp_gil, &lock) && safe_readable(lock) &&
                   safe_readable(lock + PY_GIL_COND)
               ? lock
               : 0;
}

/* The thread state that holds the interpreter lock, 0 when it is free. */
static u64 gil_holder(void)
{
    u64 g = gil();
    return g && half(g + PY_GIL_LOCKED) == 1 ? word(g + PY_GIL_LAST_HOLDER) : 0;
}

static bool has_type(u64 object, u64 type)
{
    u64 t;
    return object && safe_read(object + PY_OB_TYPE, &t) && t == type;
}

/* Is there a frame at f with a code object whose parts are what they should be? */
static bool plausible_frame(u64 f)
{
    u64 code, filename, name, lines;
    return safe_read(f + python.layout->f_code, &code) && has_type(code, python.code_type) &&
           safe_read(code + python.layout->co_filename, &filename) && has_type(filename, python.string_type) &&
           safe_read(code + python.layout->co_name, &name) && has_type(name, python.string_type) &&
           safe_read(code + python.layout->co_lines, &lines) && has_type(lines, python.bytes_type);
}

/* An interpreter that was built otherwise than its version says must not lead us into nowhere: until a whole frame has
 * been found where the layout says, every step is asked for first. */
static bool prove(u64 state)
{
    u64 f;
    if (trust == REFUSED || !safe_read(state + python.layout->frame, &f) || !f)
        return false;
    if (python.layout->cframe_frame != 0xffff && (!safe_read(f + python.layout->cframe_frame, &f) || !f))
        return false;
    for (u32 steps = 0; f && steps < 8; steps++) {
        if (plausible_frame(f)) {
            trust = PROVEN;
            return true;
        }
        if (!safe_read(f + python.layout->f_back, &f))
            break;
    }
    if (++implausible == MAX_IMPLAUSIBLE) {
        trust = REFUSED;
        run_lost(LOSS_python_unknown);
    }
    return false;
}

/* The caller's thread state, if it holds the interpreter lock: only then do its frames stand still. Another thread's
 * state may be freed at any moment, so only what is known to be the caller's own is looked at without asking. */
u64 python_own_state(void)
{
    static __thread u64 known_state __attribute__((tls_model("initial-exec")));
    u64 state = gil_holder(), self = (u64)pthread_self(), id;
    if (!state)
        return 0;
    if (state == known_state)
        return word(state + python.layout->thread_id) == self ? state : 0;
    if (!safe_read(state + python.layout->thread_id, &id) || id != self || (trust != PROVEN && !prove(state)))
        return 0;
    known_state = state;
    return state;
}

static ref_t interpreter_owner(void)
{
    u64 state = gil_holder(), id;
    return state && safe_read(state + python.layout->thread_id, &id) ? thread_map_get((pthread_t)id) : 0;
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
    u64 length = word(object + PY_STRING_LENGTH),
        data = object + (ascii ? python.layout->ascii_size : python.layout->compact_size);
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

/* What was learnt of (code object, instruction). The code object may be freed and another one made in its place: the
 * pointers and the string objects' own content hashes are compared too. */
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

u64 python_code_bytes(u64 code)
{
    return python.layout->lasti_scale ? word(code + python.layout->co_code) + PY_BYTES_DATA
                                      : code + python.layout->co_code;
}

/* Byte offset of the running instruction. */
u64 python_last_offset(u64 frame, u64 code)
{
    if (!python.layout->lasti_scale)
        return word(frame + python.layout->f_last) - python_code_bytes(code);
    int last = (int)half(frame + python.layout->f_last);
    return last < 0 ? 0 : (u64)last * python.layout->lasti_scale;
}

static ref_t frame_of(u64 frame, u64 code)
{
    u64 filename = word(code + python.layout->co_filename), name = word(code + python.layout->co_name),
        lines = word(code + python.layout->co_lines);
    struct known_frame want = {
        code, python_last_offset(frame, code), filename, name, 0, 0, lines, half(code + python.layout->co_firstlineno),
        0};
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
    u32 line = size < MAX_LINE_TABLE ? python_line(python.layout->lines, (const u8 *)(lines + PY_BYTES_DATA), size,
                                                   want.first_line, want.last)
                                     : want.first_line;
    want.frame = frame_intern(string_of(name), string_of(filename), line);
    *k = want;
    return want.frame;
}

/* The innermost Python frame of the thread, and the one outside of another; 0 at the end. */
u64 python_first_frame(u64 state)
{
    u64 f = word(state + python.layout->frame);
    return python.layout->cframe_frame == 0xffff || !f ? f : word(f + python.layout->cframe_frame);
}

/* The code object of a frame; 0 for a frame that stands for C code. */
u64 python_frame_code(u64 frame)
{
    if (python.layout->f_owner && *(const u8 *)(frame + python.layout->f_owner) == PY_OWNED_BY_CSTACK)
        return 0;
    u64 code = word(frame + python.layout->f_code);
    return code && word(code + PY_OB_TYPE) == python.code_type ? code : 0;
}

u32 python_frames(u64 state, u64 *out, u32 max)
{
    u32 n = 0;
    u64 f = python_first_frame(state);
    for (u32 steps = 0; f && n < max && steps < 4 * WAIT_FRAMES; f = word(f + python.layout->f_back), steps++) {
        u64 code = python_frame_code(f);
        ref_t r = code ? frame_of(f, code) : 0;
        if (r)
            out[n++] = FRAME_PYTHON | r;
    }
    return n;
}

/* Python's frames stand for the interpreter's own, and go where those begin: in front stay the innermost native frames
 * outside of it, behind those of other modules (extensions that called back, the thread's start). */
static u32 insert_frames(struct thread *t, u64 *frames, const u64 *pcs, u32 n, u32 max)
{
    u64 own[WAIT_FRAMES];
    const struct wait_frames *w = &t->wait_frames;
    u64 state = python_own_state();
    if (!state && !(w->sem && w->waiting))
        return n;
    u32 at = 0;
    while (at < n && !python_owns(pcs[at]))
        at++;
    if (at == n)
        return n; /* the unwinder did not get as far as the interpreter */
    u32 room = WAIT_FRAMES < max - at ? WAIT_FRAMES : max - at, count = w->n < room ? w->n : room;
    if (state)
        count = python_frames(state, own, room);
    else
        __builtin_memcpy(own, w->frame, count * sizeof *own);
    if (!count)
        return n;
    u32 rest = 0;
    for (u32 i = at; i < n; i++)
        if (!python_owns(pcs[i]))
            frames[at + rest++] = frames[i];
    rest = rest < max - at - count ? rest : max - at - count;
    __builtin_memmove(frames + at + count, frames + at, rest * sizeof *frames);
    __builtin_memcpy(frames + at, own, count * sizeof *frames);
    return at + count + rest;
}

/* ---- start ---- */

/* From 3.13 on the interpreter tells most offsets itself (_Py_DebugOffsets, at the start of its state; here counted in
 * words): they must be those of the layout, and it must not be the build without interpreter lock. */
static bool offsets_agree(const struct python_layout *l)
{
    const u64 *d = (const u64 *)python.runtime;
    return l->version < 0x030d ||
           (!__builtin_memcmp(d, "xdebugpy", 8) && !d[2] /* free-threaded */ && d[5] + 8 == l->main_interp &&
            d[14] == l->interp_gil && d[23] == l->frame && d[24] == l->thread_id && d[29] == l->f_back &&
            d[30] == l->f_code && d[31] == l->f_last && d[33] == l->f_owner && d[35] == l->co_filename &&
            d[37] == l->co_name && d[38] == l->co_lines && d[39] == l->co_firstlineno && d[43] == l->co_code);
}

static const struct python_layout *find_layout(void)
{
    const u64 *hex = modules_symbol_in(&python.module, "Py_Version"); /* since 3.11 */
    u32 version = hex ? (u32)(*hex >> 16) : 0;
    /* Each of these came with its release. */
    if (!hex && modules_symbol_in(&python.module, "PyIter_Send"))
        version = 0x030a;
    else if (!hex && modules_symbol_in(&python.module, "PyFrame_GetCode"))
        version = 0x0309;
    /* A debug build has other layouts; its reference counting exports this. */
    if (modules_symbol_in(&python.module, "_Py_NegativeRefcount"))
        return NULL;
    for (u32 i = 0; i < ARRAY_LEN(python_layouts); i++)
        if (python_layouts[i].version == version && offsets_agree(&python_layouts[i]))
            return &python_layouts[i];
    return NULL;
}

void python_start(void)
{
    u64 at = (u64)modules_symbol("_PyRuntime");
    if (!at || !modules_lookup(at, &python.module))
        return;
    python.runtime = at;
    python.layout = find_layout();
    python.code_type = (u64)modules_symbol_in(&python.module, "PyCode_Type");
    python.tuple_type = (u64)modules_symbol_in(&python.module, "PyTuple_Type");
    python.string_type = (u64)modules_symbol_in(&python.module, "PyUnicode_Type");
    python.bytes_type = (u64)modules_symbol_in(&python.module, "PyBytes_Type");
    python.false_object = (u64)modules_symbol_in(&python.module, "_Py_FalseStruct");
    python.true_object = (u64)modules_symbol_in(&python.module, "_Py_TrueStruct");
    if (!python.layout || !python.code_type || !python.tuple_type || !python.string_type || !python.bytes_type ||
        !python.false_object || !python.true_object) {
        run_lost(LOSS_python_unknown);
        python.layout = NULL;
        return;
    }
    ((struct process_rec *)arena_at(engine_process()))->python = python.layout->version;
    u64 size = python.layout->version < 0x030d ? python.layout->runtime_size : ((const u64 *)at)[3];
    engine_interpreter(&(struct engine_interpreter){at, size, interpreter_owner, is_gil_wait});
    sem_interpreter = &python_semaphores;
    unwind_interpreter = insert_frames;
}
