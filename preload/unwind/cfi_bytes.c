/* Bytes and numbers of unwind tables, within bounds. Called by cfi.c, expression.c and recipe.c. Takes no lock,
 * allocates nothing. */
#include "cfi.h"

void cfi_reader_at(struct cfi_reader *r, const struct cfi_memory *m, u64 at, u64 end)
{
    r->memory = m;
    r->at = at;
    r->end = end < m->hi ? end : m->hi;
    r->bad = at < m->lo || at > r->end;
}

static u8 next_byte(struct cfi_reader *r)
{
    if (r->bad || r->at >= r->end) {
        r->bad = true;
        return 0;
    }
    return *(const u8 *)r->at++;
}

u64 cfi_fixed(struct cfi_reader *r, u32 bytes)
{
    u64 v = 0;
    for (u32 i = 0; i < bytes; i++)
        v |= (u64)next_byte(r) << (8 * i);
    return v;
}

int64_t cfi_fixed_signed(struct cfi_reader *r, u32 bytes)
{
    u64 v = cfi_fixed(r, bytes), sign = 1ULL << (8 * bytes - 1);
    return (int64_t)((v ^ sign) - sign);
}

static u64 leb(struct cfi_reader *r, bool is_signed)
{
    u64 v = 0;
    for (u32 shift = 0; shift < 70; shift += 7) {
        u8 b = next_byte(r);
        if (shift < 64)
            v |= (u64)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            if (is_signed && (b & 0x40) && shift + 7 < 64)
                v |= ~0ULL << (shift + 7);
            return v;
        }
    }
    r->bad = true;
    return 0;
}

u64 cfi_uleb(struct cfi_reader *r)
{
    return leb(r, false);
}

int64_t cfi_sleb(struct cfi_reader *r)
{
    return (int64_t)leb(r, true);
}

u64 cfi_encoded(struct cfi_reader *r, u32 encoding, u64 data)
{
    u64 base = (encoding & 0x70) == ENC_PCREL ? r->at : (encoding & 0x70) == ENC_DATAREL ? data : 0, v;
    if ((encoding & ENC_INDIRECT) || ((encoding & 0x70) && !base))
        r->bad = true;
    switch (encoding & 0x0f) {
    case 0:
    case ENC_UDATA8:
    case ENC_SDATA8:
        v = cfi_fixed(r, 8);
        break;
    case ENC_UDATA2:
        v = cfi_fixed(r, 2);
        break;
    case ENC_UDATA4:
        v = cfi_fixed(r, 4);
        break;
    case ENC_SDATA2:
        v = (u64)cfi_fixed_signed(r, 2);
        break;
    case ENC_SDATA4:
        v = (u64)cfi_fixed_signed(r, 4);
        break;
    case ENC_ULEB:
        v = cfi_uleb(r);
        break;
    case ENC_SLEB:
        v = (u64)cfi_sleb(r);
        break;
    default:
        r->bad = true;
        v = 0;
    }
    return v + base;
}

void cfi_skip(struct cfi_reader *r, u64 n)
{
    if (n > r->end - r->at)
        r->bad = true;
    else
        r->at += n;
}
