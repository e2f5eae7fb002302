/* From an arena that the engine has filled to a result document; and from one that something has written over. */
#include "engine_fixture.h"
#include "report/classify.h"
#include "report/collect.h"
#include "report/graph.h"
#include "report/text.h"
#include "report_fixture.h"

static json_t *collect(void)
{
    struct collect_input in = {.ended = true, .status = 3 << 8, .duration_s = 1.5};
    return collect_document(&in);
}

/* A stack of one frame without a module. */
static ref_t stack(u64 address)
{
    return stack_intern(&address, 1, 0);
}

/* Two threads, two mutexes, both orders. */
static void make_cycle(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    struct thread *t = fx_main(), *child;
    t->scratch[0] = stack(0x10);
    child = fx_spawn(t);
    child->scratch[0] = stack(0x20);
    fx_nest(t, 1, 2);
    fx_nest(child, 2, 1);
}

static void abba(void)
{
    make_cycle();
    json_t *d = collect(), *list = json_object_get(d, "findings"), *f = json_array_get(list, 0),
           *run = json_object_get(d, "run");
    CU_ASSERT_EQUAL_FATAL(json_array_size(list), 1);
    CU_ASSERT_STRING_EQUAL(rf_text(f, "kind"), "lock-order");
    CU_ASSERT_STRING_EQUAL(rf_text(f, "verdict"), "possible");
    CU_ASSERT_EQUAL(json_array_size(json_object_get(f, "locks")), 2);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(f, "events")), 4);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(f, "threads")), 2);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(run, "threads")), 2);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(run, "locks")), 2);
    CU_ASSERT(json_integer_value(json_object_get(run, "lock_operations")) >= 4); /* a creation counts too */
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_object_get(run, "exit"), "status")), 3);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(json_object_get(d, "lock_graph"), "nodes")),
                    1); /* both are of class "?" here */
    json_decref(d);
}

/* The must order behind the contexts: what the creator did before the creation comes first. */
static void segments(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    struct thread *t = fx_main(), *child;
    t->scratch[0] = stack(0x10);
    fx_nest(t, 1, 2);
    child = fx_spawn(t);
    child->scratch[0] = stack(0x20);
    fx_nest(child, 1, 2);
    json_t *d = collect(), *graph = json_object_get(d, "lock_graph");
    json_t *contexts = json_object_get(json_array_get(json_object_get(graph, "edges"), 0), "contexts"), *c;
    CU_ASSERT_EQUAL_FATAL(json_array_size(contexts), 2);
    size_t i;
    json_array_foreach (contexts, i, c) {
        CU_ASSERT(json_integer_value(json_object_get(c, "segment")) > 0);
        CU_ASSERT_EQUAL(json_array_size(json_object_get(c, "held")), 1);
        CU_ASSERT(json_is_false(json_object_get(c, "try")));
    }
    CU_ASSERT(json_array_size(json_object_get(graph, "segments")) >= 2);
    json_decref(d);
}

/* Everything that is done with a document. */
static void use(json_t *d)
{
    struct text_options o = {.verbose = true, .color = true};
    struct fail_on f = {.proven = true, .verdict = -1};
    fail_on_apply(&f, d);
    char *json = json_dumps(d, 0), *text = text_report(d, &o), *graph = graph_text(d, &o), *dot = graph_dot(d);
    CU_ASSERT(json && text && graph && dot);
    free(json);
    free(text);
    free(graph);
    free(dot);
    json_decref(d);
}

static u64 random_state;
static u64 next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* Three hundred damaged arenas; the same ones every time. */
static void damaged(void)
{
    make_cycle();
    struct thread *t = fx_main();
    fx_lock(t, 5);
    engine_lock_destroy(t, LOCK(5), OBJ_MUTEX, NULL);
    u64 bytes = arena_used();
    u64 *saved = malloc(bytes), *words = (u64 *)(void *)arena_base;
    memcpy(saved, arena_base, bytes);
    for (u64 seed = 1; seed <= 300; seed++) {
        random_state = seed * 0x9e3779b97f4a7c15ULL;
        for (u64 hits = 1 + seed % 40; hits; hits--) {
            u64 at = next_random() % (bytes / 8);
            if (next_random() % 4 && !words[at])
                continue; /* mostly where something is */
            u64 with = next_random();
            words[at] = seed % 3 == 0   ? with
                        : seed % 3 == 1 ? words[at] ^ 1ULL << with % 64
                                        : with % (bytes / 16) * 0x100000001ULL;
        }
        use(collect());
        memcpy(arena_base, saved, bytes);
    }
    free(saved);
}

/* Lists that end in themselves. */
static void loops(void)
{
    make_cycle();
    struct finding_rec *f = arena_at(run()->findings);
    f->next = run()->findings;
    for (struct arena_cursor c = {0};;) {
        ref_t r = arena_next(POOL_NODE, &c);
        if (!r)
            break;
        ((struct order_node *)arena_at(r))->parent = r;
        ref_t w = ((struct order_node *)arena_at(r))->witnesses;
        if (w)
            ((struct order_witness *)arena_at(w))->next = w;
    }
    json_t *d = collect();
    CU_ASSERT_EQUAL(json_array_size(json_object_get(d, "findings")), 1);
    use(d);
}

static void no_run(void)
{
    make_cycle();
    arena_header()->run = 0;
    use(collect());
}

UNIT_TESTS("report: collecting", {"abba", abba}, {"segments", segments}, {"damaged", damaged}, {"loops", loops},
           {"no_run", no_run})
