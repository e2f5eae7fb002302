/* Values of a Python program, read from outside. Called by python.c and python_lock.c. Takes no locks; allocates nothing.
 *
 * Threads that run may change what is read: every length is bounded, every type is looked at, and what is only half there
 * gives no name. */
#include <string.h>

#include "python.h"

#define MAX_STRING 4096u
#define MAX_ENTRIES 20000u
#define KEYS_GENERAL 0u

u64 python_word(const struct subject *s, u64 at)
{
    u64 value = 0;
    return subject_read(s, at, &value, sizeof value) ? value : 0;
}

u32 python_half(const struct subject *s, u64 at)
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

bool python_text(const struct subject *s, u64 object, char *to)
{
    static u8 bytes[4 * PYTHON_TEXT];
    const struct python_layout *l = s->python;
    u32 state = python_half(s, object + PY_STRING_STATE), kind = state >> 2 & 7, n = 0;
    u64 length = python_word(s, object + PY_STRING_LENGTH), room = PYTHON_TEXT - 5,
        data = object + (state >> 6 & 1 ? l->ascii_size : l->compact_size);
    to[0] = 0;
    if (!object || python_word(s, object + PY_OB_TYPE) != s->python_string || !(state >> 5 & 1) ||
        (kind != 1 && kind != 2 && kind != 4) || !length || length > MAX_STRING)
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

/* ---- types ---- */

static u64 type_of(const struct subject *s, u64 object)
{
    return object && object % 8 == 0 ? python_word(s, object + PY_OB_TYPE) : 0;
}

void python_type_name(const struct subject *s, u64 object, char to[PYTHON_TEXT])
{
    u64 type = type_of(s, object), name = type && type % 8 == 0 ? python_word(s, type + PY_TYPE_NAME) : 0;
    u32 n = 0;
    while (name && n + 1 < PYTHON_TEXT && subject_read(s, name + n, &to[n], 1) && to[n])
        n++;
    to[n] = 0;
}

/* ---- dictionaries ---- */

struct keys {
    u64 first;  /* entry */
    u32 stride; /* of entries; the key comes first, but in general ones after its hash */
    u32 n;
    bool general;
};

static bool read_keys(const struct subject *s, u64 at, struct keys *k)
{
    u8 index_size = 0, kind = 0;
    u64 n = python_word(s, at + PY_KEYS_COUNT);
    if (!at || at % 8 || !s->python->attributes || !subject_read(s, at + PY_KEYS_INDEX_SIZE, &index_size, 1) ||
        !subject_read(s, at + PY_KEYS_KIND, &kind, 1) || index_size > 24 || kind > 2 || n > MAX_ENTRIES)
        return false;
    k->general = kind == KEYS_GENERAL;
    k->stride = k->general ? 24 : 16;
    k->first = at + PY_KEYS_INDEXES + (1ULL << index_size);
    k->n = (u32)n;
    return true;
}

static bool key_text(const struct subject *s, const struct keys *k, u32 i, char *to)
{
    return python_text(s, python_word(s, k->first + (u64)i * k->stride + (k->general ? 8 : 0)), to);
}

static bool in_values(const struct subject *s, u64 keys, u64 values, u64 value, char *to)
{
    struct keys k;
    if (!values || !read_keys(s, keys, &k))
        return false;
    for (u32 i = 0; i < k.n; i++)
        if (python_word(s, values + 8ULL * i) == value && key_text(s, &k, i, to))
            return true;
    return false;
}

/* The values of a dictionary that belongs to an object may lie apart from its keys. */
static u64 values_of(const struct subject *s, u64 dictionary)
{
    u64 values = python_word(s, dictionary + PY_DICT_VALUES);
    return values && s->python->attributes == ATTRIBUTES_BEHIND ? values + 8 : values;
}

bool python_key_of(const struct subject *s, u64 dictionary, u64 value, char to[PYTHON_TEXT])
{
    u64 keys = dictionary && dictionary % 8 == 0 ? python_word(s, dictionary + PY_DICT_KEYS) : 0;
    struct keys k;
    if (!keys || !read_keys(s, keys, &k))
        return false;
    if (python_word(s, dictionary + PY_DICT_VALUES))
        return in_values(s, keys, values_of(s, dictionary), value, to);
    for (u32 i = 0; i < k.n; i++)
        if (python_word(s, k.first + (u64)i * k.stride + k.stride - 8) == value && key_text(s, &k, i, to))
            return true;
    return false;
}

bool python_each_value(const struct subject *s, u64 dictionary, bool (*f)(u64 value, void *arg), void *arg)
{
    u64 keys = dictionary && dictionary % 8 == 0 ? python_word(s, dictionary + PY_DICT_KEYS) : 0;
    struct keys k;
    if (!keys || python_word(s, dictionary + PY_DICT_VALUES) || !read_keys(s, keys, &k))
        return false;
    for (u32 i = 0; i < k.n; i++) {
        u64 value = python_word(s, k.first + (u64)i * k.stride + k.stride - 8);
        if (value && f(value, arg))
            return true;
    }
    return false;
}

/* ---- attributes ---- */

bool python_attribute_of(const struct subject *s, u64 object, u64 value, char to[PYTHON_TEXT])
{
    const struct python_layout *l = s->python;
    u64 type = type_of(s, object), flags = type ? python_word(s, type + PY_TYPE_FLAGS) : 0, values = 0, dictionary = 0;
    if (!(flags & PY_TYPE_HEAP) || !(flags & PY_TYPE_MANAGED_DICT))
        return false;
    u64 near = python_word(s, object - 24), far = python_word(s, object - 32);
    switch (l->attributes) {
    case ATTRIBUTES_TWO_WORDS:
        values = far;
        dictionary = near;
        break;
    case ATTRIBUTES_ONE_WORD:
        values = near & 1 ? near - 1 : 0;
        dictionary = near & 1 ? 0 : near;
        break;
    case ATTRIBUTES_BEHIND:
        dictionary = near;
        values = !near && (flags & PY_TYPE_INLINE_VALUES) ? object + python_word(s, type + PY_TYPE_BASIC_SIZE) + 8 : 0;
        break;
    default:
        return false;
    }
    return values ? in_values(s, python_word(s, type + l->type_keys), values, value, to)
                  : dictionary && python_key_of(s, dictionary, value, to);
}
