/* The static half as a program. `snarl scan` starts it and shows what it writes: the command itself does not load LLVM.
 * Takes no locks; allocates with malloc.
 *
 * snarl-scan --result=FILE --scratch=FOLDER [--cache=FOLDER] [--model=FILE] [--progress] [-p FOLDER | FILE... [-- FLAG...]]
 *
 * The options are checked by the command. Exit status: 0 when the result document is there, 2 for wrong input, 125. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front.h"
#include "known.h"
#include "report/document.h"

enum { DONE = 0, WRONG_INPUT = 2, TROUBLE = 125 };

struct request {
    struct units units;
    struct front_options front;
    const char *result;
};

static int fail(int status, const char *text)
{
    fprintf(stderr, "snarl: %s\n", text);
    return status;
}

static bool is_option(const char *word, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(word, name, n) != 0)
        return false;
    *value = word + n;
    return true;
}

/* Reads the command line; 0, or -EINVAL with a sentence in err. */
static int read_request(struct request *r, char **argv, char *err, size_t errlen)
{
    const char *model;
    int bad = 0;
    for (char **word = argv + 1; *word && !bad; word++) {
        if (strcmp(*word, "--progress") == 0)
            r->front.progress = true;
        else if (is_option(*word, "--result=", &r->result) || is_option(*word, "--scratch=", &r->front.scratch) ||
                 is_option(*word, "--cache=", &r->front.cache))
            continue;
        else if (is_option(*word, "--model=", &model))
            bad = known_read(model, err, errlen);
        else if (strcmp(*word, "-p") == 0 && word[1])
            bad = units_add_database(&r->units, *++word, err, errlen);
        else if (strcmp(*word, "--") == 0) {
            units_add_flags(&r->units, word + 1);
            break;
        } else
            bad = units_add_file(&r->units, *word, err, errlen);
    }
    return bad;
}

static bool nothing_left(const struct units *u)
{
    for (u32 i = 0; i < u->n; i++)
        if (u->at[i].state != UNIT_LEFT_OUT)
            return false;
    return true;
}

/* Only the first of many: what is wrong with all units is mostly one thing. */
static int nothing_fits(const struct units *u)
{
    for (u32 i = 0; i < u->n && i < 3; i++)
        fprintf(stderr, "snarl: %s: %s\n", u->at[i].file, u->at[i].problem);
    return fail(TROUBLE, "no unit could be read, so nothing was analysed");
}

static int scan(struct request *r)
{
    char err[600];
    if (r->front.cache && !cache_open(r->front.cache, err, sizeof err)) {
        fprintf(stderr, "snarl: %s; going on without a cache\n", err);
        r->front.cache = NULL;
    }
    if (compile_all(&r->units, &r->front) != 0)
        return fail(TROUBLE, "no process for a compiler can be started");
    if (nothing_left(&r->units))
        return nothing_fits(&r->units);
    json_t *d = programs_scan(&r->units, &r->front, err, sizeof err);
    if (!d)
        return fail(TROUBLE, err);
    if (r->front.cache)
        cache_trim(r->front.cache);
    if (document_write(d, r->result) != 0)
        return fail(TROUBLE, "the result cannot be written");
    return DONE;
}

int main(int argc, char **argv)
{
    struct request r = {0};
    char err[600];
    (void)argc;
    if (read_request(&r, argv, err, sizeof err))
        return fail(WRONG_INPUT, err);
    if (!r.result || !r.front.scratch || !r.units.n)
        return fail(WRONG_INPUT, r.units.n ? "snarl-scan is started by `snarl scan`" : "there is no unit to analyse");
    if (units_need_clang(&r.units) && !compile_clang())
        return fail(TROUBLE, "clang is not there, and sources are read with it: install clang-14 or clang "
                             "(apt install clang)");
    int status = scan(&r);
    fflush(NULL);
    _exit(status); /* what the analysis has goes with the process: no look for leaks */
}
