/* What `snarl cc` makes of a command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cc_line.h"
#include "unit.h"

#define GCC "-B/l/cc/ -L/l/cc -fsanitize=thread -Wno-tsan -fno-plt -fno-optimize-sibling-calls"
#define GCC12 GCC " --param=tsan-instrument-func-entry-exit=0"
#define CLANG                                                                                                          \
    "--start-no-unused-arguments -fsanitize=thread -fno-sanitize-link-runtime -fno-optimize-sibling-calls "            \
    "-mllvm -tsan-instrument-func-entry-exit=0 --end-no-unused-arguments"
#define LIBRARY "-Xlinker --push-state -Xlinker --no-as-needed /l/cc/libtsan.so -Xlinker --pop-state"
#define RPATH "-Xlinker -rpath -Xlinker /l"

static char line[4096];

static const char *made(const char *compiler, enum cc_family family, unsigned version, const char *args)
{
    struct cc_compiler c = {cc_words(compiler), family, version};
    struct cc_job job;
    char **words = cc_words(args);
    cc_job_read(&job, words);
    char **command = cc_job_command(&job, &c, "/l", words);
    line[0] = 0;
    for (char **word = command; *word; word++) {
        if (*line)
            strcat(line, " ");
        strcat(line, *word);
    }
    return line;
}

static void gcc(void)
{
    static const struct {
        unsigned version;
        const char *in, *out;
    } rows[] = {
        {12, "-g -O2 -c a.c -o a.o", "gcc " GCC12 " -g -O2 -c a.c -o a.o"},
        {11, "-g -c a.c", "gcc " GCC " -g -c a.c"},
        {0, "-g -c a.c", "gcc " GCC " -g -c a.c"},
        {12, "-c a.c", "gcc " GCC12 " -g1 -c a.c"},
        {12, "-g0 -c a.c", "gcc " GCC12 " -g0 -c a.c"},
        {12, "-gz -c a.c", "gcc " GCC12 " -g1 -gz -c a.c"},
        {12, "-ggdb3 a.o -o a", "gcc " GCC12 " " RPATH " -ggdb3 a.o -o a"},
        {12, "a.c -lm", "gcc " GCC12 " -g1 " RPATH " a.c -lm"},
        {12, "-lm", "gcc " GCC12 " -g1 " RPATH " -lm"},
        {12, "-g -shared -fPIC a.c", "gcc " GCC12 " " RPATH " -g -shared -fPIC a.c"},
        {12, "-g -r a.o b.o -o c.o", "gcc " GCC12 " -g -r a.o b.o -o c.o"},
        {12, "-g -shared -nostdlib a.o", "gcc " GCC12 " -g -shared -nostdlib a.o"},
        {12, "-g -E -", "gcc " GCC12 " -g -E -"},
        {12, "-g -M a.c", "gcc " GCC12 " -g -M a.c"},
        {12, "-g -MD -MF a.d a.c", "gcc " GCC12 " " RPATH " -g -MD -MF a.d a.c"},
        {12, "-g a.h", "gcc " GCC12 " -g a.h"},
        {12, "-g -x c-header a", "gcc " GCC12 " -g -x c-header a"},
        {12, "-g -x c-header a -x c b", "gcc " GCC12 " " RPATH " -g -x c-header a -x c b"},
        {12, "-g -fno-sanitize=thread -c a.c", "gcc " GCC12 " -g -fno-sanitize=thread -c a.c"},
        {12, "-g -fno-sanitize=all a.c", "gcc " GCC12 " " LIBRARY " " RPATH " -g -fno-sanitize=all a.c"},
        {12, "-g -static-libtsan -static-libgcc a.o", "gcc " GCC12 " " RPATH " -g -static-libgcc a.o"},
        /* questions go on as they are */
        {12, "--version", "gcc --version"},
        {12, "-v", "gcc -v"},
        {12, "-dumpmachine", "gcc -dumpmachine"},
        {12, "-print-file-name=libtsan.so", "gcc -print-file-name=libtsan.so"},
        {12, "-O2 -Q --help=optimizers", "gcc -O2 -Q --help=optimizers"},
        {12, "-o a -I b -include c -L d -D e -MF f -Xclang g --param h",
         "gcc -o a -I b -include c -L d -D e -MF f -Xclang g --param h"},
        {12, "", "gcc"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CU_ASSERT_STRING_EQUAL(made("gcc", CC_GCC, rows[i].version, rows[i].in), rows[i].out);
    CU_ASSERT_STRING_EQUAL(made("ccache  gcc-12 -m64", CC_GCC, 12, "-c -g a.c"),
                           "ccache gcc-12 -m64 " GCC12 " -c -g a.c");
}

static void clang(void)
{
    static const char *const rows[][2] = {
        {"-g -c a.c", "clang " CLANG " -g -c a.c"},
        {"-g a.c", "clang " CLANG " " LIBRARY " " RPATH " -g a.c"},
        {"-shared a.o", "clang " CLANG " " LIBRARY " -g1 " RPATH " -shared a.o"},
        {"-gline-tables-only a.o", "clang " CLANG " " LIBRARY " " RPATH " -gline-tables-only a.o"},
        {"-g -nostdlib a.o", "clang " CLANG " -g -nostdlib a.o"},
        {"-g -shared-libsan a.o", "clang " CLANG " " LIBRARY " " RPATH " -g a.o"},
        {"--version", "clang --version"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CU_ASSERT_STRING_EQUAL(made("clang", CC_CLANG, 0, rows[i][0]), rows[i][1]);
}

static bool refused(const char *args)
{
    struct cc_job job;
    cc_job_read(&job, cc_words(args));
    char *why = cc_job_obstacle(&job);
    free(why);
    return why != NULL;
}

static void obstacles(void)
{
    static const char *const bad[] = {"-static a.c",
                                      "-static-pie a.o",
                                      "a.c -fsanitize=address",
                                      "-c -fsanitize=memory a.c",
                                      "-fsanitize=undefined,leak a.c",
                                      "-fsanitize=hwaddress a.o",
                                      "-fno-sanitize=all -fsanitize=address a.c"};
    static const char *const good[] = {"-static -c a.c",
                                       "-static",
                                       "-static-libgcc a.c",
                                       "-fsanitize=thread a.c",
                                       "-fsanitize=undefined,thread a.c",
                                       "-fsanitize=address --version",
                                       "-fsanitize=address -fno-sanitize=address a.c",
                                       "-fsanitize=leak -fno-sanitize=all a.c",
                                       "-fsanitize-recover=address a.c",
                                       "-o -static a.c"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_TRUE(refused(bad[i]));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CU_ASSERT_FALSE(refused(good[i]));
}

/* Files of arguments are understood, and handed on as they are. */
static void files(void)
{
    char inner[] = "/tmp/snarl-cc-XXXXXX", outer[] = "/tmp/snarl-cc-XXXXXX", args[200], expected[2000];
    FILE *f = fdopen(mkstemp(inner), "w");
    fputs(" -c\n'a file.c' \"-D\\\"x\\\"\" b\\ c.c", f);
    fclose(f);
    f = fdopen(mkstemp(outer), "w");
    fprintf(f, "-g\n@%s\n@%s", inner, outer); /* names itself, too: that ends */
    fclose(f);
    snprintf(args, sizeof args, "@%s", outer);
    snprintf(expected, sizeof expected, "gcc " GCC12 " @%s", outer);
    CU_ASSERT_STRING_EQUAL(made("gcc", CC_GCC, 12, args), expected);
    struct cc_job job;
    cc_job_read(&job, cc_words(args));
    CU_ASSERT(job.works && !job.links && job.debug);
    cc_job_read(&job, cc_words("@/no/such/file"));
    CU_ASSERT(job.works && job.links); /* the compiler's to complain of */
    unlink(inner);
    unlink(outer);
}

static void names(void)
{
    static const struct {
        const char *name;
        bool compiler;
        enum cc_family family;
        unsigned version;
    } rows[] = {
        {"gcc", true, CC_GCC, 0},
        {"/usr/bin/g++-12", true, CC_GCC, 12},
        {"x86_64-linux-gnu-gcc-9", true, CC_GCC, 9},
        {"gcc-4.9", true, CC_GCC, 4},
        {"clang++-19", true, CC_CLANG, 19},
        {"./clang", true, CC_CLANG, 0},
        {"cc", true, CC_UNKNOWN, 0},
        {"/usr/bin/c++", true, CC_UNKNOWN, 0},
        {"gcc.c", false, CC_UNKNOWN, 0},
        {"ccache", false, CC_UNKNOWN, 0},
        {"-gcc/a.c", false, CC_UNKNOWN, 0},
        {"", false, CC_UNKNOWN, 0},
        {"-", false, CC_UNKNOWN, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool compiler;
        unsigned version;
        CU_ASSERT_EQUAL(cc_name_family(rows[i].name, &compiler, &version), rows[i].family);
        CU_ASSERT_EQUAL(compiler, rows[i].compiler);
        CU_ASSERT_EQUAL(version, rows[i].version);
    }
}

UNIT_TESTS("cc_line", {"gcc", gcc}, {"clang", clang}, {"obstacles", obstacles}, {"files", files}, {"names", names})
