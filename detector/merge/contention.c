/* Contention of several results: the rows of one class added up. Called by merge.c. Takes no locks; allocates with malloc.
 * What is kept grows with the number of classes. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "report/buffer.h"
#include "report/label.h"

#define MAX_HOLDS 4
#define MAX_TIMES 64

/* Of counts that a result holds: item by item. */
static void add_histogram(json_t *to, const json_t *from, const char *key)
{
    json_t *sum = json_object_get(to, key);
    const json_t *n;
    size_t i;
    json_array_foreach (json_object_get(from, key), i, n) {
        if (i >= MAX_TIMES)
            break;
        json_int_t known = json_integer_value(json_array_get(sum, i));
        json_t *more = json_integer(merge_sum(known, json_integer_value(n)));
        if (i < json_array_size(sum))
            json_array_set_new(sum, i, more);
        else
            json_array_append_new(sum, more);
    }
}

/* A copy that says which run it is of. */
static json_t *told(const struct reading *r, const json_t *longest)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)longest);
    json_object_set_new(copy, "run", json_integer((json_int_t)reading_run(r, longest) + 1));
    return copy;
}

static bool same_place(const json_t *a, const json_t *b)
{
    const json_t *x = json_array_get(json_object_get(a, "stack"), 0),
                 *y = json_array_get(json_object_get(b, "stack"), 0);
    return x && y && json_equal((json_t *)(uintptr_t)x, (json_t *)(uintptr_t)y);
}

/* The longest one of each place, the longest first. */
static void add_hold(json_t *list, json_t *hold)
{
    size_t i, n = json_array_size(list);
    for (i = 0; i < n; i++)
        if (same_place(json_array_get(list, i), hold)) {
            if (label_number(json_array_get(list, i), "ns") >= label_number(hold, "ns")) {
                json_decref(hold);
                return;
            }
            json_array_remove(list, i);
            break;
        }
    for (i = 0; i < json_array_size(list); i++)
        if (label_number(json_array_get(list, i), "ns") < label_number(hold, "ns"))
            break;
    json_array_insert_new(list, i, hold);
    if (json_array_size(list) > MAX_HOLDS)
        json_array_remove(list, MAX_HOLDS);
}

static void add_row(const struct reading *r, json_t *to, const json_t *row)
{
    static const char *const sums[] = {"acquisitions", "contended", "reacquired", "given_up", "wait_ns", "hold_ns"};
    static const char *const most[] = {"longest_wait_ns", "longest_hold_ns"};
    const json_t *wait = json_object_get(row, "longest_wait"), *known = json_object_get(to, "longest_wait"), *hold;
    size_t i;
    for (i = 0; i < ARRAY_LEN(sums); i++)
        json_object_set_new(to, sums[i],
                            json_integer(merge_sum(label_number(to, sums[i]), label_number(row, sums[i]))));
    for (i = 0; i < ARRAY_LEN(most); i++)
        if (!json_object_get(to, most[i]) || label_number(row, most[i]) > label_number(to, most[i]))
            json_object_set_new(to, most[i], json_integer(label_number(row, most[i])));
    add_histogram(to, row, "wait_histogram");
    add_histogram(to, row, "hold_histogram");
    if (wait && (!known || label_number(wait, "ns") > label_number(known, "ns")))
        json_object_set_new(to, "longest_wait", told(r, wait));
    json_array_foreach (json_object_get(row, "longest_holds"), i, hold)
        add_hold(json_object_get(to, "longest_holds"), told(r, hold));
}

static json_t *row_new(const json_t *row)
{
    static const char *const copied[] = {"class", "local", "kind", "mode"};
    json_t *to = json_pack("{s:[],s:[],s:[]}", "wait_histogram", "hold_histogram", "longest_holds");
    for (size_t i = 0; i < ARRAY_LEN(copied); i++)
        if (json_object_get(row, copied[i]))
            json_object_set(to, copied[i], json_object_get(row, copied[i]));
    return to;
}

void contention_add(struct reading *r)
{
    struct merge *m = r->m;
    const json_t *row;
    size_t i;
    if (!m->contention)
        m->contention = json_object();
    json_array_foreach (json_object_get(r->document, "contention"), i, row) {
        struct buffer key = {0};
        const char *local = label_text(row, "local");
        buffer_print(&key, "%s %s", label_text(row, "mode"), *local ? local : label_text(row, "class"));
        json_t *to = json_object_get(m->contention, key.text);
        if (!to) {
            to = row_new(row);
            json_object_set_new(m->contention, key.text, to);
        }
        free(key.text);
        add_row(r, to, row);
    }
}

static int by_weight(const void *a, const void *b)
{
    static const char *const keys[] = {"wait_ns", "hold_ns"};
    const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        json_int_t left = label_number(x, keys[i]), right = label_number(y, keys[i]);
        if (left != right)
            return left < right ? 1 : -1;
    }
    int class = strcmp(label_text(x, "class"), label_text(y, "class"));
    return class ? class : strcmp(label_text(x, "mode"), label_text(y, "mode"));
}

json_t *contention_finish(struct merge *m)
{
    json_t *list = json_array(), *row;
    const char *key;
    size_t n = 0, size = json_object_size(m->contention);
    json_t **rows = calloc(size + 1, sizeof *rows);
    if (!rows)
        abort();
    json_object_foreach (m->contention, key, row)
        rows[n++] = row;
    if (n)
        qsort(rows, n, sizeof *rows, by_weight);
    for (size_t i = 0; i < n; i++)
        json_array_append(list, rows[i]);
    free(rows);
    json_decref(m->contention);
    m->contention = NULL;
    return list;
}
