/* The containers of the static half against plain ones: maps, texts, sets kept once, sets of cells. */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>

#include "scan/cellset.h"
#include "scan/known.h"

#define UNIVERSE 300

static u32 seed = 1;
static u32 draw(u32 below)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % below;
}

static void maps_keep_what_is_put(void)
{
    struct map m = {0};
    u32 plain[1000] = {0};
    for (u32 i = 0; i < 5000; i++) {
        u32 key = draw(1000);
        plain[key] = i + 1;
        *map_put(&m, key) = i + 1;
    }
    for (u32 key = 0; key < 1000; key++) {
        u32 *found = map_get(&m, key);
        CU_ASSERT_EQUAL(found ? *found : 0, plain[key]);
    }
    map_free(&m);
    CU_ASSERT_PTR_NULL(map_get(&m, 1));
}

static void texts_are_kept_once(void)
{
    struct texts t = {0};
    u32 one = texts_add(&t, "lock", 4), other = texts_add(&t, "locked", 6), none = texts_add(&t, "", 0);
    CU_ASSERT_EQUAL(one, texts_add(&t, "lock and more", 4));
    CU_ASSERT_NOT_EQUAL(one, other);
    CU_ASSERT_EQUAL(none, 0);
    CU_ASSERT_STRING_EQUAL(texts_at(&t, one), "lock");
    CU_ASSERT_STRING_EQUAL(texts_at(&t, other), "locked");
}

static u32 set_of(struct sets *s, const bool *in)
{
    u32 items[UNIVERSE], n = 0;
    for (u32 i = UNIVERSE; i-- > 0;)
        if (in[i])
            items[n++] = i;
    return sets_make(s, items, n);
}

static void sets_do_as_sets_do(void)
{
    struct sets s = {0};
    bool in[40][UNIVERSE] = {0}, out[UNIVERSE];
    u32 set[40];
    for (u32 k = 0; k < 40; k++) {
        for (u32 i = draw(30); i > 0; i--)
            in[k][draw(UNIVERSE)] = true;
        set[k] = set_of(&s, in[k]);
    }
    for (u32 round = 0; round < 2000; round++) {
        u32 a = draw(40), b = draw(40);
        for (int op = 0; op < 3; op++) {
            for (u32 i = 0; i < UNIVERSE; i++)
                out[i] = op == 0 ? in[a][i] || in[b][i] : op == 1 ? in[a][i] && in[b][i] : in[a][i] && !in[b][i];
            u32 got = op == 0   ? sets_union(&s, set[a], set[b])
                      : op == 1 ? sets_common(&s, set[a], set[b])
                                : sets_minus(&s, set[a], set[b]);
            CU_ASSERT_EQUAL(got, set_of(&s, out)); /* kept once: equal sets have equal numbers */
        }
        CU_ASSERT_EQUAL(sets_has(&s, set[a], b), in[a][b]);
    }
}

static bool has(const struct cellset *s, u32 wanted)
{
    bool found = false;
    CELLSET_EACH(s, cell) found |= cell == wanted;
    return found;
}

static void check_cells(const struct cellset *s, const bool *in)
{
    u32 n = 0;
    for (u32 i = 0; i < UNIVERSE; i++) {
        CU_ASSERT_EQUAL(has(s, i), in[i]);
        n += in[i];
    }
    CU_ASSERT_EQUAL(cellset_count(s), n);
}

static void cellsets_do_as_sets_do(void)
{
    for (u32 round = 0; round < 300; round++) {
        struct cellset a = {0}, b = {0}, minus = {0}, common = {0};
        bool x[UNIVERSE] = {0}, y[UNIVERSE] = {0}, out[UNIVERSE];
        u32 n = draw(40), m = draw(40);
        for (u32 i = 0; i < n; i++) {
            u32 cell = draw(UNIVERSE);
            CU_ASSERT_EQUAL(cellset_add(&a, cell), !x[cell]);
            x[cell] = true;
        }
        for (u32 i = 0; i < m; i++) {
            u32 cell = draw(UNIVERSE);
            cellset_add(&b, cell);
            y[cell] = true;
        }
        cellset_minus(&minus, &a, &b);
        cellset_common(&common, &a, &b);
        for (u32 i = 0; i < UNIVERSE; i++)
            out[i] = x[i] && !y[i];
        check_cells(&minus, out);
        for (u32 i = 0; i < UNIVERSE; i++)
            out[i] = x[i] && y[i];
        check_cells(&common, out);
        bool fresh = false;
        for (u32 i = 0; i < UNIVERSE; i++) {
            fresh |= y[i] && !x[i];
            out[i] = x[i] || y[i];
        }
        CU_ASSERT_EQUAL(cellset_join(&a, &b), fresh);
        check_cells(&a, out);
        CU_ASSERT_FALSE(cellset_join(&a, &b));
        cellset_free(&a);
        cellset_free(&b);
        cellset_free(&minus);
        cellset_free(&common);
    }
}

/* Reading the first name reads every built-in line, and stops at one that is wrong. */
static void the_model_is_read(void)
{
    const struct known *k = known_find("pthread_rwlock_tryrdlock");
    CU_ASSERT_PTR_NOT_NULL_FATAL(k);
    CU_ASSERT_EQUAL(k->op, K_TRYLOCK);
    CU_ASSERT_EQUAL(k->kind, LOCK_RWLOCK);
    CU_ASSERT_TRUE(k->shared);
    CU_ASSERT_PTR_NULL(known_find("no_such_function"));
}

static void a_model_file_says_where_it_is_wrong(void)
{
    char path[] = "/tmp/snarl-model-XXXXXX", err[200], want[200];
    int fd = mkstemp(path);
    FILE *out = fdopen(fd, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    fputs("# ours\nour_lock lock arg=1 kind=custom   # of the pool\n\nour_unlock unlok\n", out);
    fclose(out);
    CU_ASSERT_NOT_EQUAL(known_read(path, err, sizeof err), 0);
    snprintf(want, sizeof want, "%s:4: unknown action 'unlok'", path);
    CU_ASSERT_STRING_EQUAL(err, want);
    const struct known *k = known_find("our_lock");
    CU_ASSERT_PTR_NOT_NULL_FATAL(k);
    CU_ASSERT_EQUAL(k->arg, 1);
    remove(path);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("scan_store", NULL, NULL);
    CU_ADD_TEST(suite, maps_keep_what_is_put);
    CU_ADD_TEST(suite, texts_are_kept_once);
    CU_ADD_TEST(suite, sets_do_as_sets_do);
    CU_ADD_TEST(suite, cellsets_do_as_sets_do);
    CU_ADD_TEST(suite, the_model_is_read);
    CU_ADD_TEST(suite, a_model_file_says_where_it_is_wrong);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
