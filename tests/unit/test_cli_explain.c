/* Every kind of finding and every rule has its page, and every page is one of these. */
#include "analyze/finding.h"
#include "report/pages.h"
#include "unit.h"

static const char *const names[] = {
#define X(e, s, t) s,
    FINDING_KINDS(X)
#undef X
#define X(e, s) s,
        FINDING_RULES(X)
#undef X
};

static const struct explain_page *page_of(const char *name)
{
    for (size_t i = 0; i < explain_page_count; i++)
        if (strcmp(explain_pages[i].name, name) == 0)
            return &explain_pages[i];
    return NULL;
}

static void each_has_its_page(void)
{
    size_t known = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!*names[i]) /* no rule */
            continue;
        const struct explain_page *p = page_of(names[i]);
        CU_ASSERT_PTR_NOT_NULL(p);
        known += p != NULL;
        if (!p)
            fprintf(stderr, "\n    no page: %s\n", names[i]);
    }
    CU_ASSERT_EQUAL(known, explain_page_count);
}

static void form(void)
{
    for (size_t i = 0; i < explain_page_count; i++) {
        const struct explain_page *p = &explain_pages[i];
        size_t n = strlen(p->name);
        CU_ASSERT(strncmp(p->text, "# ", 2) == 0 && strncmp(p->text + 2, p->name, n) == 0 && p->text[2 + n] == ':');
        CU_ASSERT(strlen(p->text) > 500);
        CU_ASSERT_PTR_NOT_NULL(strstr(p->text, "\n## "));
        for (const char *line = p->text; *line; line += strcspn(line, "\n") + 1)
            CU_ASSERT(strcspn(line, "\n") <= 110);
    }
}

UNIT_TESTS("explain", {"each_has_its_page", each_has_its_page}, {"form", form})
