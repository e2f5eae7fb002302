/* Ids: the same for the same bug, different for different ones. And the merging of findings by bug. */
#include "report/group.h"
#include "report/identity.h"
#include "report_fixture.h"

static char *id_of(json_t *finding)
{
    identity_set(finding);
    char *id = strdup(rf_text(finding, "id"));
    json_decref(finding);
    return id;
}

static void same(json_t *a, json_t *b)
{
    char *x = id_of(a), *y = id_of(b);
    CU_ASSERT_EQUAL(strlen(x), 16);
    CU_ASSERT_STRING_EQUAL(x, y);
    free(x);
    free(y);
}

static void different(json_t *a, json_t *b)
{
    char *x = id_of(a), *y = id_of(b);
    CU_ASSERT_STRING_NOT_EQUAL(x, y);
    free(x);
    free(y);
}

static json_t *cycle(void)
{
    return rf_cycle("lock-order", "possible", "app");
}

static json_t *event(json_t *finding, size_t i)
{
    return json_array_get(json_object_get(finding, "events"), i);
}

static void striking_or_not(void)
{
    same(rf_cycle("deadlock", "observed", "app"), cycle());
}

static void main_module_does_not_count(void)
{
    same(rf_cycle("deadlock", "observed", "other_name"), cycle());
}

static void a_known_value(void)
{
    char *id = id_of(cycle());
    CU_ASSERT_STRING_EQUAL(id, "f7bf9f47e81cb683"); /* baselines hold ids: a change here breaks them */
    free(id);
}

static void thread_numbers_order_and_lines_do_not_count(void)
{
    json_t *f = cycle(), *events = json_object_get(f, "events");
    json_t *turned = json_pack("[O,O,O,O]", event(f, 2), event(f, 3), event(f, 0), event(f, 1));
    json_object_set_new(event(f, 0), "thread", json_integer(17));
    json_object_set_new(event(f, 1), "thread", json_integer(17));
    json_object_set_new(json_array_get(json_object_get(event(f, 1), "stack"), 0), "line", json_integer(999));
    (void)events;
    json_object_set_new(f, "events", turned);
    same(f, cycle());
}

static void hold_stacks_do_not_count(void)
{
    json_t *f = cycle();
    json_object_set_new(event(f, 0), "stack", json_pack("[o]", rf_frame("somewhere_else", "x.c", 1)));
    same(f, cycle());
}

static void other_functions_count(void)
{
    json_t *f = cycle();
    json_object_set_new(event(f, 1), "stack", json_pack("[o]", rf_frame("third", "bug.c", 12)));
    different(f, cycle());
}

static void library_frames_do_not_count(void)
{
    json_t *f = cycle();
    json_array_insert_new(json_object_get(event(f, 1), "stack"), 0, rf_system("std::mutex::lock()"));
    same(f, cycle());
}

static void third_caller_does_not_count(void)
{
    json_t *a = cycle(), *b = cycle();
    json_array_insert_new(json_object_get(event(a, 1), "stack"), 1, rf_frame("caller", "x.c", 1));
    json_array_insert_new(json_object_get(event(b, 1), "stack"), 1, rf_frame("caller", "x.c", 1));
    json_array_insert_new(json_object_get(event(b, 1), "stack"), 2, rf_frame("its_caller", "x.c", 1));
    same(json_incref(a), b);
    different(a, cycle());
}

/* Ring of three and ring of four over instances of one class, by one function: one bug. */
static json_t *ring(int n)
{
    json_t *f = cycle();
    json_t *locks = json_array(), *events = json_array();
    for (int i = 0; i < n; i++) {
        json_array_append_new(locks, rf_lock("account.lock", NULL, i + 1));
        json_array_append_new(events, rf_event(i + 2, "acquire", "account.lock", i + 1,
                                               json_pack("[o]", rf_frame("transfer", "b.c", 3))));
    }
    json_object_set_new(f, "locks", locks);
    json_object_set_new(f, "events", events);
    return f;
}

static void length_of_a_ring_of_instances_does_not_count(void)
{
    same(ring(3), ring(4));
}

static void rules_differ(void)
{
    json_t *a = cycle(), *b = cycle();
    json_object_set_new(a, "kind", json_string("lock-misuse"));
    json_object_set_new(a, "rule", json_string("relock"));
    json_object_set_new(b, "kind", json_string("lock-misuse"));
    json_object_set_new(b, "rule", json_string("use-destroyed"));
    different(json_incref(a), b);
    different(a, cycle());
}

static void function_names(void)
{
    static const char *const pairs[][2] = {
        {"main", "main"},
        {"ns::queue<int>::push(int)", "ns::queue::push"},
        {"work.part.0", "work"},
        {"work.constprop.0.isra.1", "work"},
        {"work [clone .cold]", "work"},
        {"f()::{lambda(int)#1}::operator()(int) const", "f"},
        {"ns::{lambda()#2}::operator()", "ns::lambda::operator()"},
        {"ns::$_0::operator()", "ns::lambda::operator()"},
        {"A::operator()(int)", "A::operator()"},
        {"A::operator<(A const&)", "A::operator<"},
        {"(anonymous namespace)::go(int)", "(anonymous namespace)::go"},
        {"std::vector<std::pair<int, long> >::at", "std::vector::at"},
        {"<module>", "<module>"},
        {"broken<", "broken<"},
        {"$_$_$_", "lambdalambdalambda"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *name = identity_function(pairs[i][0]);
        CU_ASSERT_STRING_EQUAL(name, pairs[i][1]);
        free(name);
    }
}

static void deadlock_absorbs_lock_order(void)
{
    json_t *list = json_pack("[o,o]", rf_finished(cycle()), rf_finished(rf_cycle("deadlock", "observed", "app")));
    group_findings(list);
    CU_ASSERT_EQUAL(json_array_size(list), 1);
    CU_ASSERT_STRING_EQUAL(rf_text(json_array_get(list, 0), "kind"), "deadlock");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(list, 0), "count")), 2);
    json_decref(list);
}

/* The same locks by the same functions, once below another caller: one finding, with the id of the plainer way. */
static void ways_to_one_cycle(void)
{
    json_t *plain = rf_finished(cycle()), *other = cycle();
    json_array_insert_new(json_object_get(event(other, 1), "stack"), 1, rf_frame("with_gate", "x.c", 1));
    json_object_set_new(event(other, 1), "held", json_pack("[s,s]", "app:gate", "app:bug.c:lock_a"));
    rf_finished(other);
    char *id = strdup(rf_text(plain, "id")), *other_id = strdup(rf_text(other, "id"));
    CU_ASSERT_STRING_NOT_EQUAL(id, other_id);
    json_t *list = json_pack("[o,o]", other, plain);
    group_findings(list);
    CU_ASSERT_EQUAL(json_array_size(list), 1);
    json_t *f = json_array_get(list, 0);
    CU_ASSERT_STRING_EQUAL(rf_text(f, "id"), id);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(f, "also"), 0)), other_id);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(event(f, 1), "held")), 0);
    json_decref(list);
    free(id);
    free(other_id);
}

static void strongest_first(void)
{
    json_t *misuse = cycle(), *order = rf_finished(cycle());
    json_object_set_new(misuse, "kind", json_string("lock-misuse"));
    json_object_set_new(misuse, "rule", json_string("relock"));
    json_object_set_new(misuse, "verdict", json_string("observed"));
    json_t *list = json_pack("[o,o]", order, rf_finished(misuse));
    group_findings(list);
    CU_ASSERT_STRING_EQUAL(rf_text(json_array_get(list, 0), "kind"), "lock-misuse");
    json_decref(list);
}

static json_t *element(const char *id, const char *name, const char *offset)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:{s:s, s:s}, s:[{s:s, s:[{s:s, s:s}]}, {s:s, s:[{s:s, s:s}]}]}", "id", id,
                     "kind", "data-race", "verdict", "observed", "count", 1, "memory", "name", name, "region", "global",
                     "events", "action", "write", "stack", "module", "/x/app", "offset", offset, "action", "read",
                     "stack", "module", "/x/app", "offset", "0x20");
}

/* Of an array in a stripped module: by their instructions. With symbols each has the array's name. */
static void nameless_elements(void)
{
    json_t *list = json_pack("[o,o,o,o]", element("b1", "app+0x40", "0x10"), element("a1", "app+0x80", "0x10"),
                             element("c1", "app+0x40", "0x18"), element("d1", "app:table", "0x10"));
    group_findings(list);
    CU_ASSERT_EQUAL(json_array_size(list), 3);
    json_t *f = json_array_get(list, 0);
    CU_ASSERT_STRING_EQUAL(rf_text(f, "id"), "a1");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(f, "count")), 2);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(f, "also"), 0)), "b1");
    json_decref(list);
}

UNIT_TESTS("report: identity", {"striking_or_not", striking_or_not},
           {"main_module_does_not_count", main_module_does_not_count}, {"a_known_value", a_known_value},
           {"thread_numbers_order_and_lines_do_not_count", thread_numbers_order_and_lines_do_not_count},
           {"hold_stacks_do_not_count", hold_stacks_do_not_count}, {"other_functions_count", other_functions_count},
           {"library_frames_do_not_count", library_frames_do_not_count},
           {"third_caller_does_not_count", third_caller_does_not_count},
           {"length_of_a_ring_of_instances_does_not_count", length_of_a_ring_of_instances_does_not_count},
           {"rules_differ", rules_differ}, {"function_names", function_names},
           {"deadlock_absorbs_lock_order", deadlock_absorbs_lock_order}, {"ways_to_one_cycle", ways_to_one_cycle},
           {"strongest_first", strongest_first}, {"nameless_elements", nameless_elements})
