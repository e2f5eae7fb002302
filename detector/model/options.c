/* The option table and the parser of SNARL_OPTIONS. Called by the preload library at start-up, before anything else
 * works, and by the command line tool. Takes no locks, allocates nothing, calls nothing of libc. */
#include "options.h"

#include <errno.h>

#include "stack.h"

#define BARE_NUMBER_OFF "no"

_Static_assert(STACK_MAX_FRAMES == 128, "the table says 128 for stack-depth");

const struct option_def option_table[OPTION_ID_COUNT] = {
#define X(id, name, kind, scope, group, meta, initial, choices, later, lo, hi, bare, help)                             \
    {name, meta, initial, choices, later, help, lo, hi, OPTION_##kind, SCOPE_##scope, GROUP_##group, bare},
    SNARL_OPTION_TABLE(X)
#undef X
};

/* Options that other versions of snarl know; told apart from typing errors. */
static const char later_options[] = "trace,modules,with-scan";

bool options_unfinished;

struct text {
    char *at;
    size_t size, used;
};

static size_t length_of(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

static void put(struct text *t, const char *s, size_t n)
{
    for (size_t i = 0; i < n && t->used + 1 < t->size; i++) {
        unsigned char c = (unsigned char)s[i];
        t->at[t->used++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    if (t->size)
        t->at[t->used] = 0;
}

static void puts_text(struct text *t, const char *s)
{
    put(t, s, length_of(s));
}

static void put_number(struct text *t, u64 v)
{
    char digits[20];
    size_t n = 0;
    do
        digits[sizeof digits - ++n] = (char)('0' + v % 10);
    while (v /= 10);
    put(t, digits + sizeof digits - n, n);
}

static bool same(const char *a, size_t na, const char *b, size_t nb)
{
    if (na != nb)
        return false;
    for (size_t i = 0; i < na; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

/* The next comma-separated word of *list; false at its end. */
static bool next_word(const char **list, const char *end, const char **word, size_t *n)
{
    if (*list > end)
        return false;
    *word = *list;
    const char *p = *list;
    while (p < end && *p != ',')
        p++;
    *n = (size_t)(p - *word);
    *list = p + 1;
    return true;
}

static bool in_list(const char *list, const char *word, size_t n)
{
    const char *end = list + length_of(list), *w;
    size_t k;
    if (list == end)
        return false;
    while (next_word(&list, end, &w, &k))
        if (same(w, k, word, n))
            return true;
    return false;
}

u32 options_distance(const char *a, size_t na, const char *b, size_t nb)
{
    u32 rows[3][64];
    na = na < 63 ? na : 63;
    nb = nb < 63 ? nb : 63;
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = (u32)j;
    for (size_t i = 1; i <= na; i++) {
        u32 *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = (u32)i;
        for (size_t j = 1; j <= nb; j++) {
            u32 best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[na % 3][nb];
}

/* Best of `list`, or of the option names when list is NULL; NULL when nothing is near. */
static const char *nearest_in(const char *list, const char *word, size_t n, size_t *found)
{
    u32 best = (u32)(n / 2 + 1 < 4 ? n / 2 + 1 : 4);
    const char *answer = NULL, *w;
    size_t k;
    if (!list) {
        for (int i = 0; i < OPTION_ID_COUNT; i++) {
            if (options_is_unshown(i))
                continue;
            u32 d = options_distance(word, n, option_table[i].name, length_of(option_table[i].name));
            if (d < best) {
                best = d;
                answer = option_table[i].name;
                *found = length_of(answer);
            }
        }
        return answer;
    }
    const char *end = list + length_of(list);
    while (next_word(&list, end, &w, &k)) {
        u32 d = options_distance(word, n, w, k);
        if (k && d < best) {
            best = d;
            answer = w;
            *found = k;
        }
    }
    return answer;
}

const char *options_nearest(const char *name, size_t length)
{
    size_t n;
    return nearest_in(NULL, name, length, &n);
}

bool options_is_unshown(int id)
{
    return id == OPTION_ID_MODULES;
}

int options_find(const char *name, size_t length)
{
    for (int i = 0; i < OPTION_ID_COUNT; i++)
        if ((options_unfinished || !options_is_unshown(i)) &&
            same(name, length, option_table[i].name, length_of(option_table[i].name)))
            return i;
    return -1;
}

void options_explain_unknown(const char *name, size_t length, char *err, size_t errlen)
{
    struct text t = {err, errlen, 0};
    const char *near = options_nearest(name, length);
    bool later = in_list(later_options, name, length);
    puts_text(&t, later ? "option '" : "unknown option '");
    put(&t, name, length);
    puts_text(&t, later ? "' is not part of this version" : "'");
    if (near) {
        puts_text(&t, later ? "; nearest: '" : "; did you mean '");
        puts_text(&t, near);
        puts_text(&t, later ? "'" : "'?");
    }
}

int options_flag(const char *value, size_t n)
{
    static const char yes[] = "yes,1,true,on", no[] = "no,0,false,off";
    if (!value || in_list(yes, value, n))
        return 1;
    return in_list(no, value, n) ? 0 : -EINVAL;
}

int options_number(const char *value, size_t n, u64 *out)
{
    u64 v = 0, base = 10;
    if (n > 2 && value[0] == '0' && (value[1] == 'x' || value[1] == 'X')) {
        base = 16;
        value += 2;
        n -= 2;
    }
    if (!n)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        char c = value[i];
        u64 d = c >= '0' && c <= '9' ? (u64)(c - '0') : (u64)((c | 0x20) - 'a') + 10;
        if (c > '9' && ((c | 0x20) < 'a' || (c | 0x20) > 'f'))
            return -EINVAL;
        if (d >= base || v > (~0ULL - d) / base)
            return -EINVAL;
        v = v * base + d;
    }
    *out = v;
    return 0;
}

static int bad_value(const struct option_def *d, const char *word, size_t n, char *err, size_t errlen)
{
    struct text t = {err, errlen, 0};
    const char *near;
    size_t k = 0;
    puts_text(&t, d->name);
    puts_text(&t, ": '");
    put(&t, word, n);
    if (in_list(d->later, word, n)) {
        puts_text(&t, "' is not part of this version");
    } else if (d->kind == OPTION_NUMBER) {
        puts_text(&t, "' is not a number");
        if (d->max) {
            puts_text(&t, " from ");
            put_number(&t, d->min);
            puts_text(&t, " to ");
            put_number(&t, d->max);
        }
        return -EINVAL;
    } else if (d->kind == OPTION_FLAG) {
        puts_text(&t, "' is neither yes nor no");
        return -EINVAL;
    } else {
        puts_text(&t, "' is not known");
        near = nearest_in(d->choices, word, n, &k);
        if (near) {
            puts_text(&t, "; did you mean '");
            put(&t, near, k);
            puts_text(&t, "'?");
            return -EINVAL;
        }
    }
    puts_text(&t, "; known: ");
    puts_text(&t, d->choices);
    return -EINVAL;
}

static int missing_value(const struct option_def *d, char *err, size_t errlen)
{
    struct text t = {err, errlen, 0};
    puts_text(&t, d->name);
    puts_text(&t, ": needs a value, as in ");
    puts_text(&t, d->name);
    puts_text(&t, "=");
    puts_text(&t, d->metavar);
    return -EINVAL;
}

static int set_modules(struct run_options *o, enum option_id id, const char *v, size_t n, char *err, size_t errlen)
{
    struct text t = {err, errlen, 0};
    size_t at, length;
    const char *trouble = n ? patterns_trouble(v, n, &at, &length) : "";
    if (!n)
        return missing_value(&option_table[id], err, errlen);
    if (trouble) {
        puts_text(&t, "modules: '");
        put(&t, v + at, length);
        puts_text(&t, "' ");
        puts_text(&t, trouble);
        return -EINVAL;
    }
    __builtin_memcpy(o->modules, v, n);
    o->modules[n] = 0;
    return 0;
}

static u32 position(const char *list, const char *word, size_t n)
{
    const char *end = list + length_of(list), *w;
    size_t k;
    u32 i = 0;
    while (next_word(&list, end, &w, &k) && !same(w, k, word, n))
        i++;
    return i;
}

static int set_choice(struct run_options *o, enum option_id id, const char *v, size_t n, char *err, size_t errlen)
{
    static const char unshown[] = "rewrite";
    if (options_unfinished && id == OPTION_ID_ACCESSES && same(v, n, unshown, sizeof unshown - 1)) {
        o->accesses = ACCESSES_REWRITE;
        return 0;
    }
    if (!in_list(option_table[id].choices, v, n))
        return bad_value(&option_table[id], v, n, err, errlen);
    if (id == OPTION_ID_ON_DEADLOCK) /* the table lists them in the order of enum on_deadlock */
        o->on_deadlock = position(option_table[id].choices, v, n);
    if (id == OPTION_ID_ACCESSES) /* likewise, of enum access_source */
        o->accesses = position(option_table[id].choices, v, n);
    return 0;
}

static int set_list(struct run_options *o, enum option_id id, const char *v, size_t n, char *err, size_t errlen)
{
    const char *end = v + n, *w;
    size_t k;
    u32 bits = 0;
    while (next_word(&v, end, &w, &k)) {
        if (!in_list(option_table[id].choices, w, k))
            return bad_value(&option_table[id], w, k, err, errlen);
        bits |= 1u << position(option_table[id].choices, w, k);
    }
    if (id == OPTION_ID_DETECT) /* the table lists them in the order of enum detect_bit */
        o->detect = bits;
    return 0;
}

static int set_number(struct run_options *o, enum option_id id, const char *v, size_t n, char *err, size_t errlen)
{
    const struct option_def *d = &option_table[id];
    u64 number = 0;
    if (id == OPTION_ID_PERTURB && (!v || same(v, n, BARE_NUMBER_OFF, sizeof BARE_NUMBER_OFF - 1))) {
        o->perturb = v == NULL;
        o->perturb_seed = 0;
        return 0;
    }
    if (options_number(v, n, &number) || (d->max && (number < d->min || number > d->max)))
        return bad_value(d, v, n, err, errlen);
    if (id == OPTION_ID_PERTURB) {
        o->perturb = 1;
        o->perturb_seed = number;
    } else if (id == OPTION_ID_STACK_DEPTH) {
        o->stack_depth = (u32)number;
    } else {
        o->exit_code = (u32)number;
    }
    return 0;
}

int options_set(struct run_options *o, enum option_id id, const char *v, size_t n, char *err, size_t errlen)
{
    const struct option_def *d = &option_table[id];
    if (errlen)
        err[0] = 0;
    if (!v && !d->bare)
        return missing_value(d, err, errlen);
    switch (d->kind) {
    case OPTION_FLAG: {
        int yes = options_flag(v, n);
        if (yes < 0)
            return bad_value(d, v, n, err, errlen);
        if (id == OPTION_ID_FOLLOW)
            o->follow = (u32)yes;
        else if (id == OPTION_ID_HALT)
            o->halt = (u32)yes;
        return 0;
    }
    case OPTION_CHOICE:
        return set_choice(o, id, v, n, err, errlen);
    case OPTION_LIST:
        return set_list(o, id, v, n, err, errlen);
    case OPTION_NUMBER:
        return set_number(o, id, v, n, err, errlen);
    case OPTION_MODULES:
        return set_modules(o, id, v, n, err, errlen);
    default:
        return n ? 0 : missing_value(d, err, errlen);
    }
}

void options_default(struct run_options *o)
{
    char none[1];
    *o = (struct run_options){0};
    for (u32 i = 0; i < OPTION_ID_COUNT; i++)
        if (option_table[i].scope == SCOPE_PROGRAM && option_table[i].kind != OPTION_MODULES)
            options_set(o, i, option_table[i].initial, length_of(option_table[i].initial), none, 0);
}

int options_split(const char *s, options_each each, void *context)
{
    while (*s) {
        const char *key = s, *value = NULL;
        size_t nkey, nvalue = 0;
        while (*s && *s != '=' && *s != ':')
            s++;
        nkey = (size_t)(s - key);
        if (*s == '=') {
            char quote = s[1] == '\'' || s[1] == '"' ? s[1] : 0;
            value = ++s + (quote != 0);
            s = value;
            while (*s && *s != (quote ? quote : ':'))
                s++;
            nvalue = (size_t)(s - value);
            while (*s && *s != ':')
                s++;
        }
        if (*s == ':')
            s++;
        if (!nkey && !value)
            continue; /* "a=1::b=2" and a colon at the end are harmless */
        int err = each(context, key, nkey, value, nvalue);
        if (err)
            return err;
    }
    return 0;
}

struct parse {
    struct run_options *options;
    char *err;
    size_t errlen;
    int result;
};

static int parse_one(void *context, const char *key, size_t nkey, const char *value, size_t n)
{
    struct parse *p = context;
    char quiet[1];
    char *err = p->result ? quiet : p->err; /* the first trouble is told */
    size_t errlen = p->result ? 0 : p->errlen;
    int id = options_find(key, nkey);
    if (id < 0) {
        options_explain_unknown(key, nkey, err, errlen);
        p->result = -EINVAL;
        return 0;
    }
    int r = options_set(p->options, (enum option_id)id, value, n, err, errlen);
    p->result = p->result ? p->result : r;
    return 0;
}

int options_parse_string(const char *s, struct run_options *o, char *err, size_t errlen)
{
    struct parse p = {o, err, errlen, 0};
    if (errlen)
        err[0] = 0;
    options_default(o);
    if (s)
        options_split(s, parse_one, &p);
    return p.result;
}
