/* CPython's frames in the memory of another process. Called by stacks.c. Takes no locks; allocates with malloc.
 *
 * The thread stands still outside of the interpreter, so its frames do; what they refer to they keep alive. Nothing read is
 * believed before its type has been looked at: a code object has the same type as the others, its strings and its line
 * table have lengths that strings have. */
#include "python.h"

#include <stdlib.h>
#include <string.h>

#include "model/python_layout.h"

#define MAX_STRING 4096u
#define MAX_TABLE (1u << 20)
#define MAX_STEPS 512u

static const struct python_layout *layout_of(u32 version)
{
    for (u32 i = 0; i < ARRAY_LEN(python_layouts); i++)
        if (python_layouts[i].version == version)
            return &python_layouts[i];
    return NULL;
}

static u64 word(const struct subject *s, u64 at)
{
    u64 value = 0;
    return subject_read(s, at, &value, sizeof value) ? value : 0;
}

static u32 half(const struct subject *s, u64 at)
{
    u32 value = 0;
    return subject_word(s, at, &value) ? value : 0;
}

static u32 put_utf8(char *to, u32 c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    u32 more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    for (u32 i = more; i > 0; i--, c >>= 6)
        to[i] = (char)(0x80 | (c & 63));
    to[0] = (char)((more == 1 ? 0xc0 : more == 2 ? 0xe0 : 0xf0) | c);
    return more + 1;
}

/* The end of a path says more than its beginning. */
static bool string(const struct subject *s, const struct python_layout *l, u64 object, char *to)
{
    static u8 bytes[4 * PYTHON_TEXT];
    u32 state = half(s, object + PY_STRING_STATE), kind = state >> 2 & 7, n = 0;
    u64 length = word(s, object + PY_STRING_LENGTH), room = PYTHON_TEXT - 5,
        data = object + (state >> 6 & 1 ? l->ascii_size : l->compact_size);
    to[0] = 0;
    if (!(state >> 5 & 1) || (kind != 1 && kind != 2 && kind != 4) || !length || length > MAX_STRING)
        return false;
    u64 count = length < room ? length : room;
    if (!subject_read(s, data + (length - count) * kind, bytes, count * kind))
        return false;
    for (u64 i = 0; i < count && n + 5 < PYTHON_TEXT; i++) {
        u32 c = 0;
        memcpy(&c, bytes + i * kind, kind);
        n += put_utf8(to + n, c < 0x110000 ? c : '?');
    }
    to[n] = 0;
    return true;
}

static u64 offset_of_last(const struct subject *s, const struct python_layout *l, u64 frame, u64 code)
{
    if (!l->lasti_scale)
        return word(s, frame + l->f_last) - (code + l->co_code);
    int last = (int)half(s, frame + l->f_last);
    return last < 0 ? 0 : (u64)last * l->lasti_scale;
}

static u32 line_of(const struct subject *s, const struct python_layout *l, u64 frame, u64 code)
{
    u32 first = half(s, code + l->co_firstlineno);
    u64 table = word(s, code + l->co_lines), size = word(s, table + PY_OB_SIZE);
    u8 *bytes = size && size < MAX_TABLE ? malloc(size) : NULL;
    u32 line = first;
    if (bytes && subject_read(s, table + PY_BYTES_DATA, bytes, size))
        line = python_line(l->lines, bytes, size, first, offset_of_last(s, l, frame, code));
    free(bytes);
    return line;
}

static bool is_code(const struct subject *s, u64 code, u64 *type)
{
    u64 own = code ? word(s, code + PY_OB_TYPE) : 0;
    if (!*type)
        *type = own;
    return own && own == *type;
}

u32 python_stack(const struct subject *s, u32 version, u64 state, struct python_frame *out, u32 max)
{
    const struct python_layout *l = layout_of(version);
    u64 f = l && state ? word(s, state + l->frame) : 0, type = 0;
    u32 n = 0;
    if (f && l->cframe_frame != 0xffff)
        f = word(s, f + l->cframe_frame);
    for (u32 steps = 0; f && n < max && steps < MAX_STEPS; f = word(s, f + l->f_back), steps++) {
        u8 owner = 0;
        if (l->f_owner && subject_read(s, f + l->f_owner, &owner, 1) && owner == PY_OWNED_BY_CSTACK)
            continue;
        u64 code = word(s, f + l->f_code);
        if (!is_code(s, code, &type) || !string(s, l, word(s, code + l->co_name), out[n].function) ||
            !string(s, l, word(s, code + l->co_filename), out[n].file))
            break;
        out[n].line = line_of(s, l, f, code);
        n++;
    }
    return n;
}
