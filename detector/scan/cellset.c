/* Sets of cells. Called by the points-to solver. Takes no locks; allocates with malloc. */
#include "cellset.h"

#include <stdlib.h>

static void reserve(struct cellset *s, u32 n)
{
    if (n <= s->cap)
        return;
    u32 cap = s->cap ? s->cap : 2;
    while (cap < n)
        cap *= 2;
    s->word = realloc(s->word, cap * sizeof *s->word);
    s->bits = realloc(s->bits, cap * sizeof *s->bits);
    if (!s->word || !s->bits)
        abort();
    s->cap = cap;
}

static u32 place(const struct cellset *s, u32 word)
{
    u32 low = 0, high = s->n;
    while (low < high) {
        u32 middle = (low + high) / 2;
        if (s->word[middle] < word)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool cellset_add(struct cellset *s, u32 cell)
{
    u32 word = cell / 64, i = place(s, word);
    u64 bit = 1ULL << cell % 64;
    if (i < s->n && s->word[i] == word) {
        bool fresh = !(s->bits[i] & bit);
        s->bits[i] |= bit;
        return fresh;
    }
    reserve(s, s->n + 1);
    memmove(s->word + i + 1, s->word + i, (s->n - i) * sizeof *s->word);
    memmove(s->bits + i + 1, s->bits + i, (s->n - i) * sizeof *s->bits);
    s->word[i] = word;
    s->bits[i] = bit;
    s->n++;
    return true;
}

bool cellset_join(struct cellset *s, const struct cellset *b)
{
    u32 missing = 0;
    bool fresh = false;
    for (u32 i = 0, j = 0; j < b->n; j++) {
        while (i < s->n && s->word[i] < b->word[j])
            i++;
        if (i < s->n && s->word[i] == b->word[j]) {
            fresh |= (b->bits[j] & ~s->bits[i]) != 0;
            s->bits[i] |= b->bits[j];
        } else {
            missing++;
        }
    }
    if (!missing)
        return fresh;
    reserve(s, s->n + missing);
    u32 i = s->n, j = b->n, to = s->n + missing;
    s->n = to;
    while (j) { /* from behind, into the room just made */
        if (i && s->word[i - 1] >= b->word[j - 1]) {
            j -= s->word[i - 1] == b->word[j - 1];
            i--;
            s->word[--to] = s->word[i];
            s->bits[to] = s->bits[i];
        } else {
            j--;
            s->word[--to] = b->word[j];
            s->bits[to] = b->bits[j];
        }
    }
    return true;
}

void cellset_minus(struct cellset *out, const struct cellset *a, const struct cellset *b)
{
    out->n = 0;
    reserve(out, a->n);
    for (u32 i = 0, j = 0; i < a->n; i++) {
        while (j < b->n && b->word[j] < a->word[i])
            j++;
        u64 bits = a->bits[i] & ~(j < b->n && b->word[j] == a->word[i] ? b->bits[j] : 0);
        if (bits) {
            out->word[out->n] = a->word[i];
            out->bits[out->n++] = bits;
        }
    }
}

void cellset_common(struct cellset *out, const struct cellset *a, const struct cellset *b)
{
    out->n = 0;
    reserve(out, a->n < b->n ? a->n : b->n);
    for (u32 i = 0, j = 0; i < a->n && j < b->n;) {
        u64 bits = a->word[i] == b->word[j] ? a->bits[i] & b->bits[j] : 0;
        if (bits) {
            out->word[out->n] = a->word[i];
            out->bits[out->n++] = bits;
        }
        u32 x = a->word[i], y = b->word[j];
        i += x <= y;
        j += y <= x;
    }
}

u32 cellset_count(const struct cellset *s)
{
    u32 n = 0;
    for (u32 i = 0; i < s->n; i++)
        n += (u32)__builtin_popcountll(s->bits[i]);
    return n;
}

bool cellset_equal(const struct cellset *a, const struct cellset *b)
{
    return a->n == b->n && (!a->n || (memcmp(a->word, b->word, a->n * sizeof *a->word) == 0 &&
                                      memcmp(a->bits, b->bits, a->n * sizeof *a->bits) == 0));
}

void cellset_free(struct cellset *s)
{
    free(s->word);
    free(s->bits);
    *s = (struct cellset){0};
}
