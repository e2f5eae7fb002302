/* The command `snarl`: finds the verb. Takes no locks; allocates with malloc. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments, *text;
} verbs[] = {
#define X(name, function, arguments, text) {name, function, arguments, text},
    CLI_VERBS(X)
#undef X
};

static bool is_offered(size_t i)
{
    return options_unfinished || verbs[i].run != cli_scan;
}

static void help(FILE *out)
{
    fputs("Usage: snarl COMMAND [OPTION...]\n\n"
          "Finds deadlocks, lock-order cycles and misused locks in programs that run on\n"
          "Linux, without rebuilding them; data races and lost updates in those built by\n"
          "`snarl cc`.\n\n"
          "Commands:\n",
          out);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (is_offered(i))
            fprintf(out, "  %-10s  %s\n", verbs[i].name, verbs[i].text);
    fputs("\n`snarl COMMAND --help` explains one. `snarl --version` tells the version.\n\n"
          "Exit status of `snarl run`: the program's own, or 66 when there is a finding\n"
          "that counts, 2 for wrong usage, 125 when snarl cannot do its work, 126 and 127\n"
          "when the program cannot be executed or found.\n\n"
          "Examples:\n"
          "  snarl run ./server --port 8080   watch a program; the report comes at its end\n"
          "  snarl run python3 app.py         Python's locks too, with lines of .py files\n"
          "  snarl check --baseline=known results/\n"
          "                                   in a CI: only what is new counts\n"
          "  snarl samples                    small programs with deadlocks, to try it on\n"
          "  snarl explain lock-order         what a finding means and how to fix it\n",
          out);
}

static int help_for(int argc, char **argv)
{
    static char option[] = "--help";
    for (size_t i = 0; argc > 2 && i < ARRAY_LEN(verbs); i++)
        if (is_offered(i) && strcmp(argv[2], verbs[i].name) == 0)
            return verbs[i].run(2, (char *[]){argv[2], option, NULL});
    help(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL, *names[ARRAY_LEN(verbs)];
    size_t n = 0;
    options_unfinished = getenv("SNARL_UNFINISHED") != NULL;
    if (!word) {
        help(stderr);
        return STATUS_USAGE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return help_for(argc, argv);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0 || strcmp(word, "version") == 0) {
        printf("snarl %s\n", SNARL_VERSION);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (!is_offered(i))
            continue;
        names[n++] = verbs[i].name;
        if (strcmp(word, verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    }
    cli_unknown(word[0] == '-' ? "option" : "command", word, names, n);
    fputs("`snarl --help` lists the commands.\n", stderr);
    return STATUS_USAGE;
}
