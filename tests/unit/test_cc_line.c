/* What `snarl cc` makes of a command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cc_line.h"
#include "unit.h"

/* What calls of functions on bytes are to stay. */
#define CALLS                                                                                                          \
    " -fno-builtin-memcpy -fno-builtin-memmove -fno-builtin-memset -fno-builtin-memcmp -fno-builtin-strcpy "           \
    "-fno-builtin-strncpy -fno-builtin-strcat -fno-builtin-strcmp -fno-builtin-strncmp"
#define GCC "-B/l/cc/ -L/l/cc/ -fsanitize=thread -Wno-tsan -fno-plt" CALLS
#define CLANG                                                                                                          \
    "--start-no-unused-arguments -Xclang -fsanitize=thread -mllvm -tsan-compound-read-before-write=1 "                 \
    "--end-no-unused-arguments"
#define LIBRARY "-Xlinker --push-state -Xlinker --no-as-needed /l/cc/libtsan.so -Xlinker --pop-state"
#define RPATH "-Xlinker -rpath -Xlinker /l"

static char line[4096];

static const char *made(const char *compiler, enum cc_family family, const char *args)
{
    struct cc_compiler c = {cc_words(compiler), family};
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
        const char *in, *out;
    } rows[] = {
        {"-g -O2 -c a.c -o a.o", "gcc " GCC " -g -O2 -c a.c -o a.o"},
        {"-g -c a.c", "gcc " GCC " -g -c a.c"},
        {"-c a.c", "gcc " GCC " -g1 -c a.c"},
        {"-g0 -c a.c", "gcc " GCC " -g0 -c a.c"},
        {"-gz -c a.c", "gcc " GCC " -g1 -gz -c a.c"},
        {"-ggdb3 a.o -o a", "gcc " GCC " " RPATH " -ggdb3 a.o -o a"},
        {"a.c -lm", "gcc " GCC " -g1 " RPATH " a.c -lm"},
        {"-lm", "gcc " GCC " -g1 " RPATH " -lm"},
        {"-g -shared -fPIC a.c", "gcc " GCC " " RPATH " -g -shared -fPIC a.c"},
        {"-g -r a.o b.o -o c.o", "gcc " GCC " -g -r a.o b.o -o c.o"},
        {"-g -shared -nostdlib a.o", "gcc " GCC " -g -shared -nostdlib a.o"},
        {"-g -E -", "gcc " GCC " -g -E -"},
        {"-g -M a.c", "gcc " GCC " -g -M a.c"},
        {"-g -MD -MF a.d a.c", "gcc " GCC " " RPATH " -g -MD -MF a.d a.c"},
        {"-g a.h", "gcc " GCC " -g a.h"},
        {"-g -x c-header a", "gcc " GCC " -g -x c-header a"},
        {"-g -x c-header a -x c b", "gcc " GCC " " RPATH " -g -x c-header a -x c b"},
        {"-g -fno-sanitize=thread -c a.c", "gcc " GCC " -g -fno-sanitize=thread -c a.c"},
        {"-g -fno-sanitize=all a.c", "gcc " GCC " " LIBRARY " " RPATH " -g -fno-sanitize=all a.c"},
        {"-g -static-libtsan -static-libgcc a.o", "gcc " GCC " " RPATH " -g -static-libgcc a.o"},
        /* questions go on as they are */
        {"--version", "gcc --version"},
        {"-v", "gcc -v"},
        {"-dumpmachine", "gcc -dumpmachine"},
        {"-print-file-name=libtsan.so", "gcc -print-file-name=libtsan.so"},
        {"-O2 -Q --help=optimizers", "gcc -O2 -Q --help=optimizers"},
        {"-o a -I b -include c -L d -D e -MF f -Xclang g --param h",
         "gcc -o a -I b -include c -L d -D e -MF f -Xclang g --param h"},
        {"", "gcc"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CU_ASSERT_STRING_EQUAL(made("gcc", CC_GCC, rows[i].in), rows[i].out);
    CU_ASSERT_STRING_EQUAL(made("ccache  gcc-12 -m64", CC_GCC, "-c -g a.c"), "ccache gcc-12 -m64 " GCC " -c -g a.c");
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
        {"-g -fsanitize=undefined,thread a.o",
         "clang " CLANG " " LIBRARY " " RPATH " -g -fsanitize=undefined,thread a.o -fno-sanitize=thread"},
        {"-g -fsanitize=thread -fno-sanitize=all -c a.c", "clang -g -fsanitize=thread "
                                                          "-fno-sanitize=all -c a.c"},
        {"--version", "clang --version"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CU_ASSERT_STRING_EQUAL(made("clang", CC_CLANG, rows[i][0]), rows[i][1]);
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
    snprintf(expected, sizeof expected, "gcc " GCC " @%s", outer);
    CU_ASSERT_STRING_EQUAL(made("gcc", CC_GCC, args), expected);
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
    } rows[] = {
        {"gcc", true, CC_GCC},         {"/usr/bin/g++-12", true, CC_GCC},  {"x86_64-linux-gnu-gcc-9", true, CC_GCC},
        {"gcc-4.9", true, CC_GCC},     {"clang++-19", true, CC_CLANG},     {"./clang", true, CC_CLANG},
        {"cc", true, CC_UNKNOWN},      {"/usr/bin/c++", true, CC_UNKNOWN}, {"gcc.c", false, CC_UNKNOWN},
        {"ccache", false, CC_UNKNOWN}, {"-gcc/a.c", false, CC_UNKNOWN},    {"", false, CC_UNKNOWN},
        {"-", false, CC_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool compiler;
        CU_ASSERT_EQUAL(cc_name_family(rows[i].name, &compiler), rows[i].family);
        CU_ASSERT_EQUAL(compiler, rows[i].compiler);
    }
}

UNIT_TESTS("cc_line", {"gcc", gcc}, {"clang", clang}, {"obstacles", obstacles}, {"files", files}, {"names", names})
