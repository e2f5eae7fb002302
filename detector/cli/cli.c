/* Small things that all verbs use. Take no locks; allocate with malloc. */
#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "report/escape.h"

void cli_say(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    fprintf(stderr, "snarl: %s\n", text);
    free(text);
}

void cli_unknown(const char *what, const char *word, const char *const *names, size_t n)
{
    size_t length = strlen(word);
    u32 best = (u32)(length / 2 + 1 < 4 ? length / 2 + 1 : 4);
    const char *nearest = NULL;
    char *safe = escape_text(word, length);
    for (size_t i = 0; i < n; i++) {
        u32 d = options_distance(word, length, names[i], strlen(names[i]));
        if (d < best) {
            best = d;
            nearest = names[i];
        }
    }
    if (nearest)
        cli_say("unknown %s '%s'; did you mean '%s'?", what, safe, nearest);
    else
        cli_say("unknown %s '%s'", what, safe);
    free(safe);
}

unsigned cli_width(int fd)
{
    struct winsize w;
    if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col >= 40)
        return w.ws_col < 140 ? w.ws_col : 140;
    return 100;
}
