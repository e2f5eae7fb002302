/* CPython's frames in the memory of another process. Called by subject.c. Takes no locks; allocates with malloc.
 *
 * The interpreter's state leads to the states of all threads, a thread's state to its frames. A thread that stands still
 * outside of the interpreter keeps what these refer to. */
#include "python.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TABLE (1u << 20)
#define MAX_STEPS 512u
#define MAX_FRAMES 64u
#define MAX_INTERPRETERS 64u

/* ---- which one ---- */

struct known {
    u64 runtime, version, code, string, function;
    bool is_310, is_39, is_debug;
};

static const struct python_layout *layout_of(u32 version)
{
    for (u32 i = 0; i < ARRAY_LEN(python_layouts); i++)
        if (python_layouts[i].version == version)
            return &python_layouts[i];
    return NULL;
}

/* As preload/unwind/python.c: what tells the version, and a debug build. */
static void look_up(Dwfl_Module *m, struct known *k)
{
    const struct {
        const char *name;
        u64 *at;
        bool *is;
    } wanted[] = {{"_PyRuntime", &k->runtime, NULL},        {"Py_Version", &k->version, NULL},
                  {"PyCode_Type", &k->code, NULL},          {"PyUnicode_Type", &k->string, NULL},
                  {"PyCFunction_Type", &k->function, NULL}, {"PyIter_Send", NULL, &k->is_310},
                  {"PyFrame_GetCode", NULL, &k->is_39},     {"_Py_NegativeRefcount", NULL, &k->is_debug}};
    int n = dwfl_module_getsymtab(m);
    for (int i = 0; i < n; i++) {
        GElf_Sym symbol;
        GElf_Addr at;
        const char *name = dwfl_module_getsym_info(m, i, &symbol, &at, NULL, NULL, NULL);
        if (!name || (name[0] != '_' && name[0] != 'P') || symbol.st_shndx == SHN_UNDEF)
            continue;
        for (u32 w = 0; w < ARRAY_LEN(wanted); w++)
            if (strcmp(name, wanted[w].name) == 0) {
                if (wanted[w].at)
                    *wanted[w].at = at;
                else
                    *wanted[w].is = true;
            }
    }
}

/* From 3.13 on the interpreter tells most offsets itself; it must not be the build without interpreter lock. */
static bool offsets_agree(const struct subject *s, const struct python_layout *l, u64 runtime)
{
    u64 d[39];
    return l->version < 0x030d ||
           (subject_read(s, runtime, d, sizeof d) && !memcmp(d, "xdebugpy", 8) && !d[2] && d[23] == l->frame &&
            d[24] == l->thread_id && d[29] == l->f_back && d[30] == l->f_code && d[31] == l->f_last &&
            d[33] == l->f_owner && d[35] == l->co_filename && d[37] == l->co_name && d[38] == l->co_lines);
}

static bool find_in(struct subject *s, struct subject_module *m)
{
    struct known k = {0};
    look_up(m->dwfl, &k);
    if (!k.runtime)
        return false;
    m->is_python = true;
    s->python_version = k.version ? python_half(s, k.version) >> 16 : k.is_310 ? 0x030a : k.is_39 ? 0x0309 : 0;
    s->has_python = true;
    const struct python_layout *l = k.is_debug ? NULL : layout_of(s->python_version);
    if (l && k.code && k.string && offsets_agree(s, l, k.runtime)) {
        s->python = l;
        s->python_runtime = k.runtime;
        s->python_code = k.code;
        s->python_string = k.string;
        s->python_function = k.function;
    }
    return true;
}

static void find(struct subject *s)
{
    for (u32 i = 0; i < s->nmodules && !s->has_python; i++) {
        const char *slash = strrchr(s->module[i].path, '/');
        if (s->module[i].is_main || strncmp(slash ? slash + 1 : s->module[i].path, "libpython3", 10) == 0)
            find_in(s, &s->module[i]);
    }
}

/* ---- frames ---- */

static u64 offset_of_last(const struct subject *s, u64 frame, u64 code)
{
    const struct python_layout *l = s->python;
    if (!l->lasti_scale)
        return python_word(s, frame + l->f_last) - (code + l->co_code);
    int last = (int)python_half(s, frame + l->f_last);
    return last < 0 ? 0 : (u64)last * l->lasti_scale;
}

u32 python_line_at(const struct subject *s, u64 code, u64 offset)
{
    const struct python_layout *l = s->python;
    u32 first = python_half(s, code + l->co_firstlineno), line = first;
    u64 table = python_word(s, code + l->co_lines), size = python_word(s, table + PY_OB_SIZE);
    u8 *bytes = size && size < MAX_TABLE ? malloc(size) : NULL;
    if (bytes && subject_read(s, table + PY_BYTES_DATA, bytes, size))
        line = python_line(l->lines, bytes, size, first, offset);
    free(bytes);
    return line;
}

static bool read_frame(const struct subject *s, u64 f, struct python_frame *out)
{
    const struct python_layout *l = s->python;
    u64 code = python_word(s, f + l->f_code);
    if (!code || python_word(s, code + PY_OB_TYPE) != s->python_code ||
        !python_text(s, python_word(s, code + l->co_name), out->function) ||
        !python_text(s, python_word(s, code + l->co_filename), out->file))
        return false;
    out->at = f;
    out->code = code;
    out->offset = offset_of_last(s, f, code);
    out->line = python_line_at(s, code, out->offset);
    return true;
}

static void read_frames(const struct subject *s, u64 state, struct subject_thread *t)
{
    static struct python_frame all[MAX_FRAMES];
    const struct python_layout *l = s->python;
    u64 f = python_word(s, state + l->frame);
    u32 n = 0;
    if (f && l->cframe_frame != 0xffff)
        f = python_word(s, f + l->cframe_frame);
    for (u32 steps = 0; f && n < MAX_FRAMES && steps < MAX_STEPS; f = python_word(s, f + l->f_back), steps++) {
        u8 owner = 0;
        if (l->f_owner && subject_read(s, f + l->f_owner, &owner, 1) && owner == PY_OWNED_BY_CSTACK)
            continue;
        if (!read_frame(s, f, &all[n]))
            break;
        n++;
    }
    t->python = n ? malloc(n * sizeof *t->python) : NULL;
    t->npython = t->python ? n : 0;
    if (t->python)
        memcpy(t->python, all, n * sizeof *t->python);
}

/* A forked child's main thread may have kept its parent's number in there, and a thread that was not stopped has no
 * pthread_t that is known. */
static struct subject_thread *thread_of_state(const struct subject *s, u64 state)
{
    const struct python_layout *l = s->python;
    u64 id = python_word(s, state + l->thread_id);
    for (u32 i = 0; i < s->nthreads; i++)
        if (id && s->thread[i].pthread == id)
            return &s->thread[i];
    return l->native_id ? subject_thread_of(s, (u32)python_word(s, state + l->native_id)) : NULL;
}

void python_look(struct subject *s)
{
    find(s);
    const struct python_layout *l = s->python;
    u64 interpreter = l ? python_word(s, s->python_runtime + l->interps) : 0;
    for (u32 i = 0; interpreter && i < MAX_INTERPRETERS; i++) {
        u64 state = python_word(s, interpreter + l->interp_threads);
        for (u32 steps = 0; state && steps < SUBJECT_THREADS; steps++) {
            struct subject_thread *t = thread_of_state(s, state);
            if (t && !t->python_state) {
                t->python_state = state;
                read_frames(s, state, t);
            }
            state = python_word(s, state + PY_THREAD_NEXT);
        }
        interpreter = python_word(s, interpreter + l->interp_next);
    }
    if (l)
        python_find_holds(s);
}
