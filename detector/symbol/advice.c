/* What to tell the user about a module whose names or lines are missing.
 * Called by module_open. Takes no locks, allocates from the symbolizer's pool. */
#include "internal.h"

#include <string.h>

/* Where a debug file would be looked for by build id. */
static void add_place(struct symbol_module *m, struct text *t)
{
    const char *id = m->status.build_id;
    text_add(t, "install its debug symbol package (-dbgsym, -dbg or -debuginfo), or set DEBUGINFOD_URLS");
    if (strlen(id) > 2) {
        text_add(t, ", or put the debug file at FOLDER/.build-id/");
        text_add_n(t, id, 2);
        text_add(t, "/");
        text_add(t, id + 2);
        text_add(t, ".debug and set SNARL_DEBUG_PATH=FOLDER");
    }
    text_add(t, ".");
}

static void advise_file(struct symbol_module *m, struct text *t)
{
    text_add(t, m->path);
    switch (m->status.file) {
    case SYMBOL_FILE_MISSING:
        text_add(t, " is not there (any more)");
        break;
    case SYMBOL_FILE_UNREADABLE:
        text_add(t, " cannot be read");
        break;
    case SYMBOL_FILE_NOT_ELF:
        text_add(t, " is not an intact ELF file");
        break;
    default:
        text_add(t, " was rebuilt since: build id ");
        text_add(t, m->status.build_id);
        text_add(t, " ran, the file has ");
        text_add(t, m->build_id_found);
        break;
    }
    if (m->mod) {
        text_add(t, "; names come from ");
        text_add(t, m->status.debug_file);
        text_add(t, ".");
        return;
    }
    text_add(t, ", so its functions are not named. ");
    if (m->status.file == SYMBOL_FILE_REBUILT)
        text_add(t, "Run again, or ");
    else
        text_add(t, "To name them ");
    add_place(m, t);
}

void module_advise(struct symbol_module *m)
{
    char buffer[2 * NAME_MAX_LENGTH];
    struct text t = {buffer, sizeof buffer, 0};
    const struct symbol_status *s = &m->status;
    buffer[0] = 0;
    /* What has no file ([vdso]) needs no advice. */
    if (s->file == SYMBOL_FILE_MISSING && m->path[0] != '/')
        return;
    if (s->file != SYMBOL_FILE_OK) {
        advise_file(m, &t);
    } else if (s->missing_file) {
        text_add(&t, m->path);
        text_add(&t, " names the debug file ");
        text_add(&t, s->missing_file);
        text_add(&t, ", which was not found: ");
        add_place(m, &t);
    } else if (s->dwo_missing) {
        text_add(&t, m->path);
        text_add(
            &t,
            " was built with -gsplit-dwarf and some of its .dwo files were not found where they were built: lines are "
            "known, inlined functions, variables and types are not.");
    } else if (!s->has_dwarf) {
        text_add(&t, m->path);
        text_add(&t,
                 s->has_symtab
                     ? " has no debug information: functions are named, lines are not. Build it with -g, or "
                     : " is stripped: functions are named after the nearest exported symbol. Build it with -g, or ");
        add_place(m, &t);
    }
    if (t.len)
        m->advice = pool_string(&m->owner->pool, buffer);
}

const char *symbol_module_advice(struct symbolizer *s, struct symbol_module *m)
{
    if (!m)
        return NULL;
    symbol_module_status(s, m);
    return m->advice;
}
