/* The Markdown that the pages of `snarl explain` are written in: headings, paragraphs, lists, code. Called by html.c.
 * Takes no locks; allocates with malloc. */
#include <string.h>

#include "html.h"
#include "markup.h"

enum block { NOTHING, PARAGRAPH, LIST, CODE };

/* Text with `code` in it. */
static void put_inline(struct html *h, const char *s, size_t n)
{
    bool code = false;
    struct buffer part = {0};
    for (size_t i = 0; i <= n; i++) {
        if (i < n && s[i] != '`') {
            buffer_add(&part, s + i, 1);
            continue;
        }
        markup_take(&h->out, buffer_take(&part));
        if (i < n) {
            code = !code;
            buffer_put(&h->out, code ? "<code>" : "</code>");
        }
    }
    if (code)
        buffer_put(&h->out, "</code>");
}

static void close_block(struct html *h, enum block *open)
{
    static const char *const ends[] = {"", "</p>\n", "</li></ul>\n", "</code></pre>\n"};
    buffer_put(&h->out, ends[*open]);
    *open = NOTHING;
}

static void put_heading(struct html *h, const char *line, size_t n)
{
    size_t level = strspn(line, "#"), skip = level + strspn(line + level, " ");
    int shown = level < 3 ? (int)level + 2 : 5; /* below the page's own headings */
    buffer_print(&h->out, "<h%d>", shown);
    put_inline(h, line + skip, n > skip ? n - skip : 0);
    buffer_print(&h->out, "</h%d>\n", shown);
}

static void put_line(struct html *h, const char *line, size_t n, enum block *open)
{
    bool item = n > 2 && (strncmp(line, "- ", 2) == 0 || strncmp(line, "* ", 2) == 0);
    if (!n) {
        close_block(h, open);
    } else if (line[0] == '#') {
        close_block(h, open);
        put_heading(h, line, n);
    } else if (item) {
        if (*open != LIST) {
            close_block(h, open);
            buffer_put(&h->out, "<ul>");
        } else {
            buffer_put(&h->out, "</li>");
        }
        *open = LIST;
        buffer_put(&h->out, "<li>");
        put_inline(h, line + 2, n - 2);
    } else {
        size_t skip = strspn(line, " ");
        if (*open == NOTHING) {
            buffer_put(&h->out, "<p>");
            *open = PARAGRAPH;
        }
        put_inline(h, line + skip, n - skip);
    }
    if (n && line[0] != '#')
        buffer_put(&h->out, "\n");
}

void html_markdown(struct html *h, const char *text)
{
    enum block open = NOTHING;
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        if (strncmp(line, "```", 3) == 0) {
            bool end = open == CODE;
            close_block(h, &open);
            if (!end) {
                buffer_put(&h->out, "<pre><code>");
                open = CODE;
            }
        } else if (open == CODE) {
            struct buffer part = {0};
            buffer_add(&part, line, n);
            buffer_put(&part, "\n");
            markup_take(&h->out, buffer_take(&part));
        } else {
            put_line(h, line, n, &open);
        }
        line += n + (line[n] == '\n');
    }
    close_block(h, &open);
}
