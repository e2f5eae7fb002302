/* A compiler's command line: what it asks for, and the command that snarl makes of it. */
#ifndef SNARL_CLI_CC_LINE_H
#define SNARL_CLI_CC_LINE_H

#include <stdbool.h>
#include <stddef.h>

enum cc_family { CC_UNKNOWN, CC_GCC, CC_CLANG };

/* What a command line asks for. */
struct cc_job {
    bool works;         /* has input: more than a question to the compiler */
    bool links;         /* ends with a program or a library */
    bool fixed;         /* -static, -static-pie */
    bool bare;          /* -nostdlib, -nodefaultlibs, -r: brings its libraries itself, or none */
    bool thread;        /* -fsanitize=thread, as is done anyway */
    bool instruments;   /* no -fno-sanitize=thread */
    bool debug;         /* says how much debug information it wants */
    char sanitizer[24]; /* another sanitizer that it asks for, or empty */
};

struct cc_compiler {
    char **words; /* NULL-terminated: program, and what belongs to it ("ccache", "gcc", "-m64") */
    enum cc_family family;
};

/* args: NULL-terminated, without the compiler. Reads the @files among them. */
void cc_job_read(struct cc_job *job, char *const *args);
/* Why snarl cannot do it, in words; NULL when it can. malloc'd. */
char *cc_job_obstacle(const struct cc_job *job);
/* The command for it: malloc'd, NULL-terminated; words are shared with the arguments. `library` is the folder that
 * libsnarl.so stands in. */
char **cc_job_command(const struct cc_job *job, const struct cc_compiler *compiler, const char *library,
                      char *const *args);

/* The family that a compiler's name tells; CC_UNKNOWN for a name like cc that may be either. *is_compiler: it is a
 * compiler's name at all. */
enum cc_family cc_name_family(const char *path, bool *is_compiler);
/* Words of a text, at its blanks: malloc'd, NULL-terminated. */
char **cc_words(const char *text);

#endif
