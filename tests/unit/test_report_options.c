/* The option table, SNARL_OPTIONS, and --fail-on. */
#include "model/options.h"
#include "report/classify.h"
#include "report_fixture.h"

static struct run_options o;
static char err[200];

static int parse(const char *s)
{
    return options_parse_string(s, &o, err, sizeof err);
}

static void defaults(void)
{
    CU_ASSERT_EQUAL(parse(NULL), 0);
    CU_ASSERT_EQUAL(o.on_deadlock, ON_DEADLOCK_ABORT);
    CU_ASSERT_EQUAL(o.detect, DETECT_DEADLOCK | DETECT_MISUSE | DETECT_RACE | DETECT_ATOMICITY);
    CU_ASSERT(o.follow == 1 && o.perturb == 0 && o.stack_depth == 64 && o.exit_code == 66);
    CU_ASSERT_EQUAL(o.accesses, ACCESSES_AUTO);
}

static void values(void)
{
    CU_ASSERT_EQUAL(parse("detect=misuse:on-deadlock=break:follow=no:stack-depth=5:exit-code=0:perturb=0x10"), 0);
    CU_ASSERT_EQUAL(o.detect, DETECT_MISUSE);
    CU_ASSERT_EQUAL(parse("detect=race,deadlock"), 0);
    CU_ASSERT_EQUAL(o.detect, DETECT_RACE | DETECT_DEADLOCK);
    CU_ASSERT_EQUAL(parse("detect=misuse:on-deadlock=break:follow=no:stack-depth=5:exit-code=0:perturb=0x10"), 0);
    CU_ASSERT_EQUAL(o.on_deadlock, ON_DEADLOCK_BREAK);
    CU_ASSERT(o.follow == 0 && o.stack_depth == 5 && o.exit_code == 0 && o.perturb == 1 && o.perturb_seed == 16);
    CU_ASSERT(!parse("accesses=compiled") && o.accesses == ACCESSES_COMPILED);
    CU_ASSERT(!parse("accesses=none") && o.accesses == ACCESSES_NONE);
    CU_ASSERT_EQUAL(parse("on-deadlock=report:perturb"), 0);
    CU_ASSERT(o.on_deadlock == ON_DEADLOCK_REPORT && o.perturb == 1 && o.perturb_seed == 0);
    CU_ASSERT_EQUAL(parse("perturb=no:::quiet:verbose=yes:"), 0);
    CU_ASSERT_EQUAL(o.perturb, 0);
}

/* What only the command uses is accepted; a quoted value may hold a colon. */
static void options_of_the_command(void)
{
    CU_ASSERT_EQUAL(parse("json='/a:b':log=\"c:d\":color=never:fail-on=all:dot=x:force:exit-code=3"), 0);
    CU_ASSERT_EQUAL(o.exit_code, 3);
}

static void bad_keys_are_skipped(void)
{
    CU_ASSERT_NOT_EQUAL(parse("on-deadlok=break:stack-depth=9"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "did you mean 'on-deadlock'"));
    CU_ASSERT_EQUAL(o.stack_depth, 9);
    CU_ASSERT_NOT_EQUAL(parse("detect=deadlock,noise:exit-code=1"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "'noise' is not known"));
    CU_ASSERT(o.exit_code == 1 && o.detect == (DETECT_DEADLOCK | DETECT_MISUSE | DETECT_RACE | DETECT_ATOMICITY));
    CU_ASSERT(!parse("halt") && o.halt == 1);
    CU_ASSERT(!parse("halt=no:gdb") && o.halt == 0);
    CU_ASSERT_NOT_EQUAL(parse("trace=x"), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "not part of this version"));
    static const char *const bad[] = {"=",
                                      "=x",
                                      "json",
                                      "stack-depth=0",
                                      "stack-depth=129",
                                      "exit-code=256",
                                      "perturb=x",
                                      "follow=maybe",
                                      "accesses=watch",
                                      "perturb=99999999999999999999",
                                      "detect=",
                                      "\x1b[31m=1",
                                      "stack-depth=:"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CU_ASSERT_NOT_EQUAL(parse(bad[i]), 0);
        CU_ASSERT(strlen(err) > 0 && !strchr(err, '\x1b'));
    }
}

/* Messages never run over their buffer. */
static void short_buffers(void)
{
    char small[8];
    for (size_t n = 0; n <= sizeof small; n++) {
        memset(small, 'x', sizeof small);
        options_parse_string("detect=something-very-long:nonsense", &o, small, n);
        if (n)
            CU_ASSERT_PTR_NOT_NULL(memchr(small, 0, n));
        for (size_t k = n; k < sizeof small; k++)
            CU_ASSERT_EQUAL(small[k], 'x');
    }
}

static void distances(void)
{
    CU_ASSERT_EQUAL(options_distance("json", 4, "jsno", 4), 1);
    CU_ASSERT_EQUAL(options_distance("", 0, "abc", 3), 3);
    CU_ASSERT_EQUAL(options_distance("kitten", 6, "sitting", 7), 3);
    CU_ASSERT_STRING_EQUAL(options_nearest("stackdepth", 10), "stack-depth");
    CU_ASSERT_PTR_NULL(options_nearest("zzzzzzzzzzzz", 12));
}

/* Every option of the table is in the manual page, unless it is built in part. */
static void manual_page(void)
{
    static char text[65536];
    FILE *f = fopen(SNARL_SOURCE_DIR "/docs/man/snarl-run.1", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    size_t n = fread(text, 1, sizeof text - 1, f), k = 0;
    fclose(f);
    for (size_t i = 0; i < n; i++) /* roff writes "\-" */
        if (text[i] != '\\')
            text[k++] = text[i];
    text[k] = 0;
    for (int i = 0; i < OPTION_ID_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "--%s", option_table[i].name);
        CU_ASSERT_EQUAL(strstr(text, name) != NULL, !options_is_unshown(i));
    }
}

/* ---- --fail-on ---- */

static bool counts(const char *list, const char *kind, const char *rule, const char *verdict)
{
    struct fail_on f;
    json_t *finding = rf_cycle(kind, verdict, "app");
    if (*rule)
        json_object_set_new(finding, "rule", json_string(rule));
    json_t *d = rf_document(finding);
    CU_ASSERT_EQUAL(fail_on_parse(&f, list, err, sizeof err), 0);
    bool yes = fail_on_apply(&f, d) == 1;
    CU_ASSERT_EQUAL(yes, json_is_true(json_object_get(finding, "counts")));
    json_decref(d);
    return yes;
}

static void fail_on(void)
{
    CU_ASSERT(counts("proven", "deadlock", "", "observed"));
    CU_ASSERT(counts("proven", "stuck", "", "observed"));
    CU_ASSERT(counts("proven", "data-race", "", "observed"));
    CU_ASSERT(!counts("proven", "data-race", "", "possible"));
    CU_ASSERT(counts("proven", "atomicity", "", "observed"));
    CU_ASSERT(!counts("proven", "atomicity", "", "possible"));
    CU_ASSERT(counts("data-race", "data-race", "", "possible"));
    CU_ASSERT(!counts("proven", "stuck", "", "possible"));
    CU_ASSERT(counts("proven", "lock-order", "", "possible"));
    CU_ASSERT(!counts("proven", "lock-order", "", "static"));
    CU_ASSERT(counts("proven", "lock-misuse", "relock", "possible"));
    CU_ASSERT(counts("all", "stuck", "", "possible"));
    CU_ASSERT(!counts("none", "deadlock", "", "observed"));
    CU_ASSERT(counts("deadlock", "deadlock", "", "observed"));
    CU_ASSERT(!counts("deadlock", "lock-order", "", "possible"));
    CU_ASSERT(counts("deadlock,lock-order", "lock-order", "", "possible"));
    CU_ASSERT(counts("relock", "lock-misuse", "relock", "observed"));
    CU_ASSERT(!counts("relock", "lock-misuse", "use-destroyed", "observed"));
    CU_ASSERT(counts("observed", "lock-misuse", "relock", "observed"));
    CU_ASSERT(!counts("observed", "lock-order", "", "possible"));
    CU_ASSERT(counts("possible", "deadlock", "", "observed"));
}

static void fail_on_errors(void)
{
    struct fail_on f;
    CU_ASSERT_NOT_EQUAL(fail_on_parse(&f, "deadlok", err, sizeof err), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "did you mean 'deadlock'"));
    CU_ASSERT_EQUAL(fail_on_parse(&f, "unprotected", err, sizeof err), 0);
    CU_ASSERT_NOT_EQUAL(fail_on_parse(&f, "", err, sizeof err), 0);
    CU_ASSERT_NOT_EQUAL(fail_on_parse(&f, "all,", err, sizeof err), 0);
}

static void modules(void)
{
    CU_ASSERT_EQUAL(parse("modules=all"), -EINVAL); /* built in part */
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "not part of this version"));
    options_unfinished = true;
    CU_ASSERT_EQUAL(parse(NULL), 0);
    CU_ASSERT_STRING_EQUAL(o.modules, "");
    CU_ASSERT_EQUAL(parse("modules=all"), 0);
    CU_ASSERT_STRING_EQUAL(o.modules, "all");
    CU_ASSERT_EQUAL(parse("modules='/a:b/*,libfoo':follow=no"), 0);
    CU_ASSERT_STRING_EQUAL(o.modules, "/a:b/*,libfoo");
    CU_ASSERT_EQUAL(parse("modules="), -EINVAL);
    CU_ASSERT_STRING_EQUAL(err, "modules: needs a value, as in modules=LIST");
    CU_ASSERT_EQUAL(parse("modules=a,,b"), -EINVAL);
    CU_ASSERT_STRING_EQUAL(err, "modules: '' is no module: a name or a glob is wanted between commas");
    CU_ASSERT_EQUAL(parse("modules=a,lib[xy].so"), -EINVAL);
    CU_ASSERT_STRING_EQUAL(err, "modules: 'lib[xy].so' is no glob that snarl knows: only * and ? stand for others");
    char many[1024] = "modules=";
    for (u32 i = 0; i <= PATTERNS_MOST; i++)
        strcat(many, i ? ",m" : "m");
    CU_ASSERT_EQUAL(parse(many), -EINVAL);
    CU_ASSERT_STRING_EQUAL(err, "modules: 'm' is one too many: at most 31");
    memset(many + 8, 'm', 600);
    many[608] = 0;
    CU_ASSERT_EQUAL(parse(many), -EINVAL);
    CU_ASSERT_STRING_EQUAL(o.modules, "");
    options_unfinished = false;
}

static void modules_meant(void)
{
    CU_ASSERT_EQUAL(patterns_match("all", "/usr/lib/libm.so.6"), 1);
    CU_ASSERT_EQUAL(patterns_match("libz,libm", "/usr/lib/libm.so.6"), 2);
    CU_ASSERT_EQUAL(patterns_match("libm.so,libm.so.6,libm.so.5,m", "/usr/lib/libm.so.6"), 3);
    CU_ASSERT_EQUAL(patterns_match("libm", "/usr/lib/libmenu.so"), 0);
    CU_ASSERT_EQUAL(patterns_match("libm.s", "/usr/lib/libm.so"), 0);
    CU_ASSERT_EQUAL(patterns_match("app,app2", "/home/me/app"), 1);
    CU_ASSERT_EQUAL(patterns_match("lib*.so*,*foo,l?bm.so.6", "/usr/lib/libm.so.6"), 5);
    CU_ASSERT_EQUAL(patterns_match("/usr/*", "/usr/lib/libm.so.6"), 1);
    CU_ASSERT_EQUAL(patterns_match("usr/lib/libm.so.6", "/usr/lib/libm.so.6"), 0);
    CU_ASSERT_EQUAL(patterns_match("/usr/lib/libm.so.6,/usr/lib/libm", "/usr/lib/libm.so.6"), 3);
    CU_ASSERT_EQUAL(patterns_match("*a*b*", "/xaxxaxbx"), 1);
    CU_ASSERT_EQUAL(patterns_match("*a*b", "/xaxxaxbx"), 0);
}

UNIT_TESTS("options", {"defaults", defaults}, {"values", values}, {"options_of_the_command", options_of_the_command},
           {"bad_keys_are_skipped", bad_keys_are_skipped}, {"short_buffers", short_buffers}, {"distances", distances},
           {"manual_page", manual_page}, {"fail_on", fail_on}, {"fail_on_errors", fail_on_errors}, {"modules", modules},
           {"modules_meant", modules_meant})
