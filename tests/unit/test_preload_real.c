/* preload/real.c: the table against the loader's own answers, and the stubs that stand in it before. */
#include "real.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "unit.h"

static const char *const names[] = {
#define X(name) #name,
    REAL_FUNCTIONS(X, X, X)
#undef X
};

/* Before anything is resolved: the stub resolves, passes all arguments on and jumps. */
static void stub_passes_arguments(void)
{
    const void *before = real_functions.slot[REAL_ROW_prctl];
    char name[16] = "", old[16] = "";
    CU_ASSERT_PTR_NOT_NULL(before);
    CU_ASSERT_EQUAL(prctl(PR_GET_NAME, old, 0, 0, 0), 0);
    CU_ASSERT_EQUAL(REAL(prctl)(PR_SET_NAME, "stubbed", 0, 0, 0), 0);
    CU_ASSERT_PTR_NOT_EQUAL(real_functions.slot[REAL_ROW_prctl], before);
    CU_ASSERT_EQUAL(prctl(PR_GET_NAME, name, 0, 0, 0), 0);
    CU_ASSERT_STRING_EQUAL(name, "stubbed");
    prctl(PR_SET_NAME, old, 0, 0, 0);
}

static void same_as_the_loader(void)
{
    real_resolve();
    for (unsigned i = 0; i < REAL_ROWS; i++) {
        void *theirs = dlsym(RTLD_NEXT, names[i]);
        if (!theirs && real_functions.slot[i])
            continue; /* the program's own, as the sanitizers of a test build have them */
        if (theirs != real_functions.slot[i])
            fprintf(stderr, "%s: %p, not %p\n", names[i], real_functions.slot[i], theirs);
        CU_ASSERT_PTR_EQUAL(theirs, real_functions.slot[i]);
    }
}

static void todays_conditions(void)
{
    CU_ASSERT_PTR_EQUAL(REAL(pthread_cond_wait), dlvsym(RTLD_DEFAULT, "pthread_cond_wait", "GLIBC_2.3.2"));
    CU_ASSERT_PTR_NOT_EQUAL(REAL(pthread_cond_wait), dlvsym(RTLD_DEFAULT, "pthread_cond_wait", "GLIBC_2.2.5"));
}

static void missing_is_null(void)
{
    CU_ASSERT_PTR_NULL(real_lookup("no_such_function_anywhere"));
    CU_ASSERT_PTR_NULL(REAL(g_mutex_lock));
    void *slot = NULL;
    CU_ASSERT_FALSE(real_late("no_such_function_anywhere", &slot));
}

UNIT_TESTS("real functions", {"stub_passes_arguments", stub_passes_arguments},
           {"same_as_the_loader", same_as_the_loader}, {"todays_conditions", todays_conditions},
           {"missing_is_null", missing_is_null})
