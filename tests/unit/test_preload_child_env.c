/* preload/child_env.c: the environment that children get. */
#include "child_env.h"

#include <stdlib.h>
#include <unistd.h>

#include "start.h"
#include "unit.h"

char start_library[] = "/opt/snarl/lib/libsnarl.so";

#define PRELOAD "LD_PRELOAD=/opt/snarl/lib/libsnarl.so"

/* The wanted entries, in any order, and nothing else. */
static int same(char *const *envp, const char *const *wanted)
{
    size_t n = 0, m = 0;
    while (envp[n])
        n++;
    for (; wanted[m]; m++) {
        size_t i = 0;
        while (i < n && strcmp(envp[i], wanted[m]) != 0)
            i++;
        if (i == n)
            return 0;
    }
    return n == m;
}

#define LIST(...) ((const char *[]){__VA_ARGS__, NULL})
#define ENV(...) ((char **)(const char *[]){__VA_ARGS__, NULL})

static void started(const char *options, u32 owner)
{
    child_env_start("/tmp/snarl-run", options, owner);
}

static void made(char **envp, bool watch, const char *const *wanted)
{
    struct child_env e;
    char *const *got = child_env_make(&e, envp, watch);
    CU_ASSERT(same(got, wanted));
    /* What was made is right: made again, nothing changes. */
    struct child_env again;
    CU_ASSERT_PTR_EQUAL(child_env_make(&again, got, watch), got);
    child_env_end(&e);
}

static void right_already(void)
{
    started(NULL, 0);
    char **envp = ENV("A=1", PRELOAD, "SNARL_RUN=/tmp/snarl-run");
    struct child_env e;
    CU_ASSERT_PTR_EQUAL(child_env_make(&e, envp, true), envp);
}

static void added_to_own_environment(void)
{
    started(NULL, 0);
    made(ENV("A=1"), true, LIST("A=1", PRELOAD, "SNARL_RUN=/tmp/snarl-run"));
    char *none[] = {NULL};
    made(none, true, LIST(PRELOAD, "SNARL_RUN=/tmp/snarl-run"));
}

static void no_environment_at_all(void)
{
    started(NULL, 0);
    struct child_env e;
    CU_ASSERT(same(child_env_make(&e, NULL, true), LIST(PRELOAD, "SNARL_RUN=/tmp/snarl-run")));
    CU_ASSERT_PTR_NULL(child_env_make(&e, NULL, false));
}

static void in_front_of_other_preloads(void)
{
    started(NULL, 0);
    made(ENV("LD_PRELOAD=libjemalloc.so.2"), true, LIST(PRELOAD ":libjemalloc.so.2", "SNARL_RUN=/tmp/snarl-run"));
    made(ENV("LD_PRELOAD=a.so b.so"), true, LIST(PRELOAD ":a.so:b.so", "SNARL_RUN=/tmp/snarl-run"));
}

static void relative_name_replaced(void)
{
    started(NULL, 0);
    made(ENV("LD_PRELOAD=a.so:./libsnarl.so:b.so"), true, LIST(PRELOAD ":a.so:b.so", "SNARL_RUN=/tmp/snarl-run"));
}

static void another_run_replaced(void)
{
    started(NULL, 0);
    made(ENV(PRELOAD, "SNARL_RUN=/tmp/other", "SNARL_OWNER=5"), true, LIST(PRELOAD, "SNARL_RUN=/tmp/snarl-run"));
}

static void kept_out(void)
{
    started(NULL, 0);
    made(ENV("A=1", PRELOAD, "SNARL_RUN=/tmp/snarl-run", "SNARL_OPTIONS=x"), false, LIST("A=1"));
    made(ENV("LD_PRELOAD=a.so:/x/libsnarl.so:b.so"), false, LIST("LD_PRELOAD=a.so:b.so"));
    made(ENV("LD_PRELOAD=a.so:mylibsnarl.so"), false, LIST("LD_PRELOAD=a.so:mylibsnarl.so"));
}

static void large_environment(void)
{
    started(NULL, 0);
    enum { N = 5000 };
    static char *envp[N + 1], text[N][16];
    for (int i = 0; i < N; i++) {
        snprintf(text[i], sizeof text[i], "V%d=x", i);
        envp[i] = text[i];
    }
    struct child_env e;
    char *const *got = child_env_make(&e, envp, true);
    size_t n = 0;
    while (got[n])
        n++;
    CU_ASSERT_EQUAL(n, N + 2);
    CU_ASSERT_STRING_EQUAL(got[n - 1], envp[N - 1]);
    child_env_end(&e);
}

static void scrubbed_in_place(void)
{
    started(NULL, 0);
    char preload[] = "LD_PRELOAD=a.so:/opt/snarl/lib/libsnarl.so:b.so", only[] = PRELOAD, run[] = "SNARL_RUN=/x",
         a[] = "A=1";
    char *envp[] = {run, preload, a, NULL}, *alone[] = {only, a, NULL};
    child_env_scrub(envp);
    CU_ASSERT(same(envp, LIST("LD_PRELOAD=a.so:b.so", "A=1")));
    child_env_scrub(alone);
    CU_ASSERT(same(alone, LIST("A=1")));
}

static void own_environment(void)
{
    started(NULL, 0);
    char *old[] = {(char *)"A=1", NULL}, **before = environ;
    environ = old;
    child_env_own();
    CU_ASSERT(same(environ, LIST("A=1", PRELOAD, "SNARL_RUN=/tmp/snarl-run")));
    char **once = environ;
    child_env_own();
    CU_ASSERT_PTR_EQUAL(environ, once);
    environ = before;
}

/* Last: options and owner, once set, stay. */
static void options_and_owner(void)
{
    started("on-deadlock=report", 42);
    CU_ASSERT_STRING_EQUAL(child_env_options(), "on-deadlock=report");
    CU_ASSERT_EQUAL(child_env_owner(), 42);
    made(ENV("SNARL_OPTIONS=other"), true,
         LIST(PRELOAD, "SNARL_RUN=/tmp/snarl-run", "SNARL_OPTIONS=on-deadlock=report", "SNARL_OWNER=42"));
}

UNIT_TESTS("child environment", {"right_already", right_already},
           {"added_to_own_environment", added_to_own_environment}, {"no_environment_at_all", no_environment_at_all},
           {"in_front_of_other_preloads", in_front_of_other_preloads},
           {"relative_name_replaced", relative_name_replaced}, {"another_run_replaced", another_run_replaced},
           {"kept_out", kept_out}, {"large_environment", large_environment}, {"scrubbed_in_place", scrubbed_in_place},
           {"own_environment", own_environment}, {"options_and_owner", options_and_owner})
