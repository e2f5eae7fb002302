/* `snarl explain`: the pages of docs/explain, compiled in. Takes no locks; allocates with malloc. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "report/buffer.h"
#include "report/pages.h"

static const struct settings_verb verb = {
    .name = "explain",
    .arguments = "[KIND]",
    .text = "Shows a page on one kind of finding, or on one rule of lock-misuse: what it is, why it matters, how to "
            "fix it, an example. Without KIND: the list "
            "of pages.",
    .examples = "Examples:\n"
                "  snarl explain deadlock\n"
                "  snarl explain relock\n",
    .plain = true,
    .least = 0,
    .most = 1,
};

/* The page's first line without its mark. */
static void put_line_of(const struct explain_page *p)
{
    const char *line = p->text + strspn(p->text, "# "), *colon = strchr(line, ':');
    size_t n = strcspn(line, "\n");
    if (colon && colon < line + n) { /* "# relock: a thread asks again …": the name stands beside it already */
        n -= (size_t)(colon + 2 - line);
        line = colon + 2;
    }
    printf("  %-26s%.*s\n", p->name, (int)n, line);
}

static int list_pages(void)
{
    puts("Pages of `snarl explain`:\n");
    for (size_t i = 0; i < explain_page_count; i++)
        put_line_of(&explain_pages[i]);
    return 0;
}

/* Markdown as it is, with headings and code set off on a terminal. */
static void show(const struct explain_page *p, bool color)
{
    bool code = false;
    for (const char *line = p->text; *line;) {
        size_t n = strcspn(line, "\n");
        bool fence = strncmp(line, "```", 3) == 0;
        code ^= fence;
        const char *on = !color || fence ? "" : line[0] == '#' && !code ? "\033[1m" : code ? "\033[36m" : "";
        size_t skip = line[0] == '#' && !code ? strspn(line, "# ") : 0;
        if (!fence)
            printf("%s%s%.*s%s\n", on, code ? "    " : "", (int)(n - skip), line + skip, *on ? "\033[0m" : "");
        line += n + (line[n] == '\n');
    }
}

int cli_explain(int argc, char **argv)
{
    struct settings s;
    int status;
    if (settings_parse(&s, &verb, argc, argv, &status))
        return status;
    if (!s.first)
        return list_pages();
    const char **names = calloc(explain_page_count + 1, sizeof *names);
    for (size_t i = 0; names && i < explain_page_count; i++) {
        names[i] = explain_pages[i].name;
        if (strcmp(names[i], argv[s.first]) == 0) {
            free(names);
            show(&explain_pages[i], output_color(&s, 1));
            return 0;
        }
    }
    cli_unknown("kind", argv[s.first], names, names ? explain_page_count : 0);
    fputs("`snarl explain` lists the pages.\n", stderr);
    free(names);
    return STATUS_USAGE;
}
