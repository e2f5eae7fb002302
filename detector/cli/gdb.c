/* gdb's script of `snarl run --gdb`. Called by the verb run. Takes no locks; allocates with malloc; writes two files into the
 * run's folder.
 *
 * gdb has a breakpoint on snarl_found (preload/found.c), which the thread that has found something calls, with the
 * finding as its argument. There gdb asks `snarl report` for this finding: that prints it, and its status says whether
 * it counts; if not, the program goes on. gdb's own environment is not the program's: it would be watched itself. */
#include "gdb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "folder.h"
#include "report/buffer.h"

#define COUNTS 66 /* what the report says of a finding that counts */

/* Of the user's shell nothing is needed: both gdb's commands and the program are started by /bin/sh. */
static const char script_head[] = "set breakpoint pending on\n"
                                  "set startup-with-shell on\n";

/* Up to the first frame outside of our library, whose bounds the registers tell. */
static const char script_stop[] = "break snarl_found\n"
                                  "commands\n"
                                  "silent\n"
                                  "set $snarl_begin = $rsi\n"
                                  "set $snarl_end = $rdx\n"
                                  "eval \"shell sh \\\"$SNARL_AT_STOP\\\" %ld\", $rdi\n"
                                  "if $_shell_exitcode == 66\n"
                                  "set $snarl_frames = 0\n"
                                  "while $snarl_frames < 64 && $rip >= $snarl_begin && $rip < $snarl_end\n"
                                  "up-silently\n"
                                  "set $snarl_frames = $snarl_frames + 1\n"
                                  "end\n"
                                  "frame\n"
                                  "else\n"
                                  "continue\n"
                                  "end\n"
                                  "end\n"
                                  "run\n";

/* A program that has ended by itself leaves nothing to look at. */
static const char script_end[] = "if !$_isvoid($_exitcode)\n"
                                 "quit $_exitcode\n"
                                 "end\n"
                                 "if !$_isvoid($_exitsignal)\n"
                                 "quit 128 + $_exitsignal\n"
                                 "end\n";

/* Backtraces without our frames; a gdb without Python shows them. */
static const char frames_script[] =
    "import gdb\n"
    "class SnarlFrames:\n"
    "    name, priority, enabled = 'snarl', 100, True\n"
    "    def filter(self, frames):\n"
    "        begin, end = (gdb.convenience_variable('snarl_' + n) for n in ('begin', 'end'))\n"
    "        for f in frames:\n"
    "            if begin is None or not int(begin) <= f.inferior_frame().pc() < int(end):\n"
    "                yield f\n"
    "gdb.frame_filters['snarl'] = SnarlFrames()\n";

static void put_quoted(struct buffer *b, const char *s)
{
    buffer_put(b, "'");
    for (; *s; s++)
        buffer_add(b, *s == '\'' ? "'\\''" : s, *s == '\'' ? 4 : 1);
    buffer_put(b, "'");
}

static void put_variable(struct buffer *b, const char *name, const char *value)
{
    struct buffer word = {0};
    if (value) {
        buffer_print(&word, "%s=%s", name, value);
        buffer_put(b, " ");
        put_quoted(b, word.text);
    } else {
        buffer_print(b, " -u %s", name);
    }
    free(buffer_take(&word));
}

/* env(1) gives the program its own environment back: gdb changes some variables, and has some of ours. */
static void put_wrapper(struct buffer *b, const struct gdb_variable *variables)
{
    static const char *const kept[] = {"SHELL", "LINES", "COLUMNS", "SNARL_AT_STOP"};
    struct buffer unset = {0}, set = {0};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        put_variable(getenv(kept[i]) ? &set : &unset, kept[i], getenv(kept[i]));
    for (; variables->name; variables++)
        put_variable(&set, variables->name, variables->value);
    buffer_print(b, "set exec-wrapper env%s%s\n", unset.text ? unset.text : "", set.text);
    free(buffer_take(&unset));
    free(buffer_take(&set));
}

static void put_option(struct buffer *b, const char *name, const char *value)
{
    struct buffer word = {0};
    if (!value)
        return;
    buffer_print(&word, "--%s=%s", name, value);
    buffer_put(b, " ");
    put_quoted(b, word.text);
    free(buffer_take(&word));
}

/* The shell's script that shows a finding as this run's settings want it. */
static char *at_stop(const struct settings *s, const char *folder)
{
    static const char *const colors[] = {"auto", "always", "never"};
    struct buffer b = {0};
    char *here = folder_of_command();
    buffer_put(&b, "unset SNARL_OPTIONS\nexec ");
    put_quoted(&b, here ? here : "");
    buffer_print(&b, "/snarl report --quiet --finding=\"$1\" --color=%s%s", colors[s->color],
                 s->verbose ? " --verbose" : "");
    for (size_t i = 0; i < s->nsuppressions; i++)
        put_option(&b, "suppressions", s->suppressions[i]);
    put_option(&b, "baseline", s->baseline);
    put_option(&b, "fail-on", s->fail_on_given ? s->fail_on_text : NULL);
    buffer_print(&b, " --exit-code=%d ", COUNTS);
    put_quoted(&b, folder);
    buffer_put(&b, "\n");
    free(here);
    return buffer_take(&b);
}

static char *write_in(const char *folder, const char *name, const char *text)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        abort();
    int err = write_file(path, text, strlen(text));
    if (err)
        cli_say("cannot write %s: %s", path, strerror(-err));
    return path;
}

static bool is_program(const char *path)
{
    char head[4] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool yes = fd < 0 || (read(fd, head, sizeof head) == (ssize_t)sizeof head && memcmp(head, "\177ELF", 4) == 0);
    if (fd >= 0)
        close(fd);
    return yes;
}

bool gdb_can(const char *path)
{
    int status;
    char *gdb = program_search("gdb", &status);
    if (!gdb)
        cli_say("--gdb: there is no gdb on PATH; install it (Debian: apt install gdb)");
    else if (!is_program(path))
        cli_say("--gdb: %s is a script, which gdb cannot start; give its interpreter: snarl run --gdb INTERPRETER %s",
                path, path);
    bool can = gdb && is_program(path);
    free(gdb);
    return can;
}

char **gdb_command(const struct settings *s, const char *folder, const struct gdb_variable *variables, char **argv)
{
    int status;
    size_t n = 0;
    struct buffer script = {0};
    while (argv[n])
        n++;
    char **command = calloc(n + 10, sizeof *command), *text = at_stop(s, folder),
         *stop = write_in(folder, "at-stop", text);
    if (!command)
        abort();
    buffer_put(&script, script_head);
    put_wrapper(&script, variables);
    buffer_print(&script, "%s%s", script_stop, script_end);
    char *const first[] = {program_search("gdb", &status), (char *)(uintptr_t) "-q",
                           (char *)(uintptr_t) "-x",       write_in(folder, "frames.py", frames_script),
                           (char *)(uintptr_t) "-x",       write_in(folder, "gdb", script.text),
                           (char *)(uintptr_t) "--args"};
    memcpy(command, first, sizeof first);
    memcpy(command + ARRAY_LEN(first), argv, n * sizeof *argv);
    setenv("SNARL_AT_STOP", stop, 1);
    setenv("SHELL", "/bin/sh", 1);
    free(buffer_take(&script));
    free(text);
    free(stop);
    return command;
}
