/* CPython's three forms of line tables (Objects/lnotab_notes.txt and Objects/locations.md of its sources describe
 * them). Called by what reads Python's frames (preload/unwind/python.c inside, detector/inspect/python.c outside). Pure functions: no lock, no allocation. */
#include "model/python_layout.h"

/* 3.9: pairs (instruction delta, signed line delta). */
static u32 line_lnotab(const u8 *p, u64 size, u32 line, u64 at)
{
    u64 addr = 0;
    for (u64 i = 0; i + 1 < size; i += 2) {
        addr += p[i];
        if (addr > at)
            break;
        line += (u32)(int)(int8_t)p[i + 1];
    }
    return line;
}

/* 3.10: pairs (length, signed line delta); -128 means that the range has no line. */
static u32 line_310(const u8 *p, u64 size, u32 line, u64 at)
{
    u64 end = 0;
    for (u64 i = 0; i + 1 < size; i += 2) {
        int delta = (int8_t)p[i + 1];
        if (delta != -128)
            line += (u32)delta;
        end += p[i];
        if (at < end)
            break;
    }
    return line;
}

struct bytes {
    const u8 *p, *end;
};

static u32 varint(struct bytes *b)
{
    u32 value = 0;
    for (u32 shift = 0; b->p < b->end && shift < 32; shift += 6) {
        u8 c = *b->p++;
        value |= (u32)(c & 63) << shift;
        if (!(c & 64))
            break;
    }
    return value;
}

static u32 svarint(struct bytes *b)
{
    u32 v = varint(b);
    return v & 1 ? 0u - (v >> 1) : v >> 1;
}

/* 3.11 on: entries of a first byte (bit 7 set, 4 bits of kind, 3 bits of length - 1 in code units) and what the kind
 * has behind it. */
static u32 line_locations(const u8 *p, u64 size, u32 line, u64 at)
{
    struct bytes b = {p, p + size};
    u64 end = 0;
    while (b.p < b.end) {
        u8 first = *b.p++, kind = (first >> 3) & 15;
        if (kind == 14 || kind == 13)
            line += svarint(&b);
        else if (kind >= 10 && kind <= 12)
            line += kind - 10u;
        end += 2u * ((first & 7) + 1u);
        if (at < end)
            break;
        while (b.p < b.end && !(*b.p & 128)) /* columns: the next entry begins with bit 7 */
            b.p++;
    }
    return line;
}

u32 python_line(enum python_lines form, const u8 *table, u64 size, u32 first_line, u64 at)
{
    switch (form) {
    case LINES_LNOTAB:
        return line_lnotab(table, size, first_line, at);
    case LINES_310:
        return line_310(table, size, first_line, at);
    default:
        return line_locations(table, size, first_line, at);
    }
}
