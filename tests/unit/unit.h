/* What every unit test shares: a table of named tests, run by CUnit's basic interface, and a main that fails when one
 * fails.
 *
 *     static void abba(void) { CU_ASSERT_EQUAL(1 + 1, 2); }
 *     UNIT_TESTS("lock order", {"abba", abba}, {"abba_gate", abba_gate})
 *
 * Included once by each tests/unit/test_*.c. With arguments only the tests whose names are given run. */
#ifndef SNARL_TESTS_UNIT_H
#define SNARL_TESTS_UNIT_H

#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

struct unit_test {
    const char *name;
    void (*run)(void);
};

static int unit_wanted(const char *name, int argc, char **argv)
{
    if (argc < 2)
        return 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(name, argv[i]) == 0)
            return 1;
    }
    return 0;
}

static int unit_main(const char *suite_name, const struct unit_test *tests, size_t n, int argc, char **argv)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
    size_t added = 0;
    for (size_t i = 0; suite && i < n; i++) {
        if (unit_wanted(tests[i].name, argc, argv) && CU_add_test(suite, tests[i].name, tests[i].run))
            added++;
    }
    if (!added) {
        fprintf(stderr, "no such test in %s\n", suite_name);
        CU_cleanup_registry();
        return 2;
    }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    int failed = CU_get_number_of_failures() != 0 || CU_get_number_of_tests_run() != added;
    CU_cleanup_registry();
    return failed;
}

#define UNIT_TESTS(suite, ...)                                                                                         \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        static const struct unit_test tests[] = {__VA_ARGS__};                                                         \
        return unit_main(suite, tests, sizeof tests / sizeof tests[0], argc, argv);                                    \
    }

#endif
