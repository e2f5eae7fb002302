/* Ids of findings. Called by collect_finding.c. Takes no locks; allocates with malloc.
 *
 * What goes in must be the same whether the bug struck (deadlock: HOLD and WAIT) or not (lock-order: HOLD and ACQUIRE),
 * however often it was seen, whichever thread came first, and how long the cycle over instances of one class happened
 * to be:
 *
 *   family    deadlock and lock-order are "order"; others are kind and rule
 *   classes   sorted, each once, without the main program's module; what a join waits for counts as a class
 *   sides     for every event that asks for something (not for HOLD, whose stack beyond the call site is known in some runs only): the first
 *             two functions outside of system libraries and of library headers. Sorted, each once. A side without such a
 *             function, as at a thread's end, is told by where its lock was taken: that call's function alone.
 *
 * What is about memory has the memory's name in the place of classes, and one function for each side: which of the two
 * came first, whether it read or wrote, and what was held does not count. Of a lost update only the sides of the thread
 * that read and wrote back count: any other write will do.
 */
#include "identity.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "view.h"

#define FRAMES_PER_SIDE 2

struct words {
    char **word;
    size_t n;
};

static void add_word(struct words *w, char *word)
{
    w->word = realloc(w->word, (w->n + 1) * sizeof *w->word);
    if (!w->word)
        abort();
    w->word[w->n++] = word;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Hashes the words in order, equal ones once, and frees them. */
static u64 hash_words(struct words *w, u64 h)
{
    if (w->n)
        qsort(w->word, w->n, sizeof *w->word, compare);
    for (size_t i = 0; i < w->n; i++)
        if (i == 0 || strcmp(w->word[i], w->word[i - 1]) != 0)
            h = hash_combine(h, hash_bytes(w->word[i], strlen(w->word[i]), 0));
    for (size_t i = 0; i < w->n; i++)
        free(w->word[i]);
    free(w->word);
    return hash_combine(h, 0x5e9);
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

/* The end of a bracketed part that begins at p, or p when it does not end. */
static const char *skip_brackets(const char *p, char open, char close)
{
    int depth = 0;
    for (const char *q = p; *q; q++) {
        depth += (*q == open) - (*q == close);
        if (depth == 0)
            return q + 1;
    }
    return p;
}

static bool begins(const char *p, const char *word)
{
    return strncmp(p, word, strlen(word)) == 0;
}

/* Length of a lambda's name at p, as gcc, clang and their debug information write it; 0 when there is none. */
static size_t lambda_at(const char *p)
{
    if (begins(p, "{lambda"))
        return (size_t)(skip_brackets(p, '{', '}') - p);
    if (begins(p, "<lambda(") || begins(p, "(lambda"))
        return (size_t)(skip_brackets(p, *p, *p == '<' ? '>' : ')') - p);
    if (begins(p, "$_"))
        return 2 + strspn(p + 2, "0123456789");
    return 0;
}

/* Compilers' suffixes of copied and split functions. */
static bool suffix_at(const char *p)
{
    static const char *const suffixes[] = {".part.", ".isra.",  ".constprop.", ".cold",  ".lto_priv.",
                                           ".llvm.", ".clone.", ".localalias", " [clone"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (begins(p, suffixes[i]))
            return true;
    return false;
}

char *identity_function(const char *name)
{
    char *out = view_alloc(strlen(name) * 3 + 8); /* "$_" becomes "lambda" */
    size_t n = 0;
    for (const char *p = name; *p && !suffix_at(p);) {
        const char *next = p;
        size_t lambda = lambda_at(p);
        if (lambda) {
            n += (size_t)sprintf(out + n, "lambda");
            p += lambda;
            continue;
        }
        if (begins(p, "operator") && !isalnum((unsigned char)p[8]) && p[8] != '_') {
            next = p + 8 + (begins(p + 8, "()") ? 2 : strspn(p + 8, "<>=![]-+*/%&|^~,"));
        } else if (begins(p, "(anonymous namespace)")) {
            next = p + 21;
        } else if ((*p == '<' && p != name) || begins(p, "[abi:")) {
            const char *end = skip_brackets(p, *p, *p == '<' ? '>' : ']');
            if (end != p) {
                p = end;
                continue;
            }
        } else if (*p == '(' && p != name) {
            break;
        }
        if (next == p)
            next = p + 1;
        memcpy(out + n, p, (size_t)(next - p));
        n += (size_t)(next - p);
        p = next;
    }
    out[n] = 0;
    return out;
}

/* The name by which a frame counts; NULL for frames that do not count. malloc'd. */
static char *frame_word(const json_t *frame)
{
    const char *name = text_at(frame, "name");
    if (json_is_true(json_object_get(frame, "system")) || json_is_true(json_object_get(frame, "interpreter")))
        return NULL;
    if (!*name)
        name = text_at(frame, "function");
    if (strcmp(text_at(frame, "language"), "python") == 0)
        return strdup(name);
    if (*name && !json_is_true(json_object_get(frame, "nearest")))
        return identity_function(name);
    /* Stripped: the place in the file is all there is. */
    char *word = NULL;
    if (asprintf(&word, "+%s", text_at(frame, "offset")) < 0)
        abort();
    return word;
}

/* "f<g": the first `most` functions that count; NULL when there are none. malloc'd. */
static char *side_word(const json_t *stack, int most)
{
    char *side = NULL;
    const json_t *frame;
    size_t i;
    int found = 0;
    json_array_foreach (stack, i, frame) {
        char *word = found < most ? frame_word(frame) : NULL, *longer = NULL;
        if (!word)
            continue;
        found++;
        if (asprintf(&longer, "%s%s%s", side ? side : "", side ? "<" : "", word) < 0)
            abort();
        free(word);
        free(side);
        side = longer;
    }
    return side;
}

static bool asks(const json_t *finding, const json_t *event)
{
    static const char *const telling[] = {"hold", "init", "create"};
    if (strcmp(text_at(finding, "kind"), "data-race") == 0)
        return true;
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++)
        if (strcmp(text_at(event, "action"), telling[i]) == 0)
            return false;
    const json_t *first = json_array_get(json_object_get(finding, "events"), 0);
    return strcmp(text_at(finding, "kind"), "atomicity") != 0 ||
           json_equal(json_object_get(event, "thread"), json_object_get(first, "thread"));
}

static void add_sides(struct words *sides, const json_t *finding, int most)
{
    const json_t *event, *events = json_object_get(finding, "events");
    size_t i;
    json_array_foreach (events, i, event) {
        char *side = asks(finding, event) ? side_word(json_object_get(event, "stack"), most) : NULL;
        if (side)
            add_word(sides, side);
    }
    if (sides->n)
        return;
    json_array_foreach (events, i, event) {
        char *side = side_word(json_object_get(event, "stack"), 1);
        if (side)
            add_word(sides, side);
    }
}

static void add_classes(struct words *classes, const json_t *finding)
{
    const json_t *item;
    size_t i;
    json_array_foreach (json_object_get(finding, "locks"), i, item) {
        const char *local = text_at(item, "local");
        char *word = strdup(*local ? local : text_at(item, "class"));
        if (word)
            add_word(classes, word);
    }
    json_array_foreach (json_object_get(finding, "events"), i, item) {
        const char *object = text_at(item, "object");
        bool is_class = json_object_get(item, "object_thread") || json_object_get(item, "awaits");
        char *word = is_class ? strdup(object) : NULL;
        if (word)
            add_word(classes, word);
    }
}

static char *memory_word(const json_t *memory)
{
    const char *local = text_at(memory, "local");
    char *word = strdup(*local ? local : text_at(memory, "name"));
    if (!word)
        abort();
    return word;
}

void identity_set(json_t *finding)
{
    const char *kind = text_at(finding, "kind"), *rule = text_at(finding, "rule");
    struct words classes = {0}, sides = {0};
    char id[17];
    if (strcmp(kind, "deadlock") == 0 || strcmp(kind, "lock-order") == 0)
        kind = "order";
    u64 h = hash_combine(hash_bytes(kind, strlen(kind), 0), hash_bytes(rule, strlen(rule), 0));
    bool memory = json_is_object(json_object_get(finding, "memory"));
    if (memory)
        add_word(&classes, memory_word(json_object_get(finding, "memory")));
    else
        add_classes(&classes, finding);
    /* Which two accesses of unprotected data are met first is chance. */
    if (strcmp(kind, "unprotected") != 0)
        add_sides(&sides, finding, memory ? 1 : FRAMES_PER_SIDE);
    h = hash_words(&classes, h);
    h = hash_words(&sides, h);
    snprintf(id, sizeof id, "%016llx", (unsigned long long)h);
    json_object_set_new(finding, "id", json_string(id));
}

u64 identity_cycle(const json_t *finding)
{
    struct words locks = {0}, sides = {0};
    const json_t *lock;
    size_t i;
    json_array_foreach (json_object_get(finding, "locks"), i, lock) {
        char *word = NULL;
        if (asprintf(&word, "%lld", (long long)json_integer_value(json_object_get(lock, "instance"))) < 0)
            abort();
        add_word(&locks, word);
    }
    add_sides(&sides, finding, 1);
    return hash_words(&sides, hash_words(&locks, 0));
}
