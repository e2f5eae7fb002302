/* Builds environments for child processes. Called by start.c, standalone.c and intercept/exec.c. Takes no lock; memory,
 * if any, comes from sys_map.
 *
 * Ours are: our library in front of LD_PRELOAD, SNARL_RUN (the run's folder), SNARL_OPTIONS, and in a run that was not
 * started by `snarl run` SNARL_OWNER, the process that reports: it may go on under another program by exec. */
#include "child_env.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "start.h"
#include "text.h"

#define OURS 3
#define PRELOAD "LD_PRELOAD="

static const char *const our_names[OURS] = {"SNARL_RUN=", "SNARL_OPTIONS=", "SNARL_OWNER="};
static const char *ours[OURS]; /* whole entries; NULL: not set in this run */
static char run_entry[PATH_MAX + 16], owner_entry[32];
static char *options_entry;
static u32 reporter;
static const char *library_name;

static bool starts(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

/* Which of ours this entry is, or -1. */
static int which(const char *entry)
{
    for (int i = 0; i < OURS; i++) {
        if (starts(entry, our_names[i]))
            return i;
    }
    return -1;
}

void child_env_start(const char *run_folder, const char *options, u32 owner)
{
    struct text t;
    library_name = strrchr(start_library, '/');
    library_name = library_name ? library_name + 1 : start_library;
    reporter = owner;
    if (!run_folder)
        return;
    t = text_in(run_entry, sizeof run_entry);
    text_add(&t, our_names[0]);
    text_add(&t, run_folder);
    ours[0] = run_entry;
    if (options && *options) {
        size_t n = strlen(our_names[1]) + strlen(options) + 1;
        options_entry = sys_map(n);
        if (options_entry) {
            t = text_in(options_entry, n);
            text_add(&t, our_names[1]);
            text_add(&t, options);
            ours[1] = options_entry;
        }
    }
    if (owner) {
        t = text_in(owner_entry, sizeof owner_entry);
        text_add(&t, our_names[2]);
        text_number(&t, owner, 10);
        ours[2] = owner_entry;
    }
}

const char *child_env_options(void)
{
    return options_entry ? options_entry + strlen(our_names[1]) : "";
}

u32 child_env_owner(void)
{
    return reporter;
}

static bool list_end(char c)
{
    return c == ':' || c == ' ' || !c;
}

/* One library of an LD_PRELOAD list, n characters long: is it ours? */
static bool is_ours(const char *item, size_t n)
{
    size_t name = strlen(library_name);
    return n >= name && memcmp(item + n - name, library_name, name) == 0 && (n == name || item[n - name - 1] == '/');
}

static size_t item_length(const char *list)
{
    size_t n = 0;
    while (!list_end(list[n]))
        n++;
    return n;
}

/* usable: a relative name is no good, the child may start in another folder. */
static bool list_has_ours(const char *list, bool usable)
{
    for (;; list++) {
        size_t n = item_length(list);
        if (is_ours(list, n) && (list[0] == '/' || !usable))
            return true;
        list += n;
        if (!*list)
            return false;
    }
}

/* Appends the list without our library. */
static void list_without_ours(struct text *out, const char *list)
{
    bool first = out->len == strlen(PRELOAD);
    for (;; list++) {
        size_t n = item_length(list);
        if (n && !is_ours(list, n)) {
            text_add(out, first ? "" : ":");
            text_bytes(out, list, n);
            first = false;
        }
        list += n;
        if (!*list)
            return;
    }
}

struct survey {
    size_t n;
    size_t preload_bytes; /* of the LD_PRELOAD entry, 0: none */
    const char *preload;
    bool right_preload, any_ours;
    bool right[OURS];
};

static struct survey survey_of(char *const *envp)
{
    struct survey s = {0, 0, NULL, false, false, {false, false, false}};
    for (; envp && envp[s.n]; s.n++) {
        const char *entry = envp[s.n];
        int i = which(entry);
        if (i >= 0) {
            s.any_ours = true;
            s.right[i] = ours[i] && strcmp(entry, ours[i]) == 0;
        } else if (starts(entry, PRELOAD) && !s.preload) {
            s.preload = entry + strlen(PRELOAD);
            s.preload_bytes = strlen(entry) + 1;
            s.right_preload = list_has_ours(s.preload, true);
            s.any_ours |= list_has_ours(s.preload, false);
        }
    }
    return s;
}

static bool nothing_to_do(const struct survey *s, bool watch)
{
    if (!watch)
        return !s->any_ours;
    for (int i = 0; i < OURS; i++) {
        if (ours[i] && !s->right[i])
            return false;
    }
    return s->right_preload;
}

/* Room for the entries and the text of the preload entry. */
static bool make_room(struct child_env *e, size_t slots, size_t text, char ***slot, char **buf)
{
    *slot = e->inline_slots;
    *buf = e->inline_text;
    if (slots <= CHILD_ENV_INLINE && text <= CHILD_ENV_TEXT)
        return true;
    e->mapped_bytes = slots * sizeof(char *) + text;
    e->mapped = sys_map(e->mapped_bytes);
    *slot = e->mapped;
    *buf = (char *)e->mapped + slots * sizeof(char *);
    return e->mapped != NULL;
}

char *const *child_env_make(struct child_env *e, char *const *envp, bool watch)
{
    char **out, *buf;
    struct survey s = survey_of(envp);
    e->mapped = NULL;
    watch = watch && ours[0];
    if (nothing_to_do(&s, watch))
        return envp;
    size_t text_cap = strlen(PRELOAD) + strlen(start_library) + 1 + s.preload_bytes + 1;
    if (!make_room(e, s.n + OURS + 2, text_cap, &out, &buf))
        return envp;

    struct text t = text_in(buf, text_cap);
    text_add(&t, PRELOAD);
    text_add(&t, watch ? start_library : "");
    if (s.preload)
        list_without_ours(&t, s.preload);
    size_t n = 0;
    if (t.len > strlen(PRELOAD))
        out[n++] = buf;
    for (int i = 0; watch && i < OURS; i++) {
        if (ours[i])
            out[n++] = (char *)(uintptr_t)ours[i];
    }
    for (size_t i = 0; i < s.n; i++) {
        if (which(envp[i]) < 0 && !(s.preload && envp[i] + strlen(PRELOAD) == s.preload))
            out[n++] = envp[i];
    }
    out[n] = NULL;
    return out;
}

void child_env_end(struct child_env *e)
{
    sys_unmap(e->mapped, e->mapped_bytes);
    e->mapped = NULL;
}

void child_env_own(void)
{
    struct child_env e;
    size_t n = 0;
    if (!ours[0])
        return;
    char *const *right = child_env_make(&e, environ, true);
    if (right == environ)
        return;
    while (right[n])
        n++;
    /* For good: getenv and what the program starts later refer to it. */
    size_t text = strlen(right[0]) + 1;
    char **keep = sys_map((n + 1) * sizeof *keep + text);
    if (keep) {
        memcpy(keep, right, (n + 1) * sizeof *keep);
        keep[0] = memcpy(keep + n + 1, right[0], text);
        environ = keep;
    }
    child_env_end(&e);
}

/* Shortens an LD_PRELOAD entry in place; false when nothing is left of it. */
static bool scrub_preload(char *entry)
{
    size_t bytes = strlen(entry) + 1;
    char *copy = sys_map(bytes);
    if (!copy)
        return true;
    struct text t = text_in(copy, bytes);
    text_add(&t, PRELOAD);
    list_without_ours(&t, entry + strlen(PRELOAD));
    memcpy(entry, copy, t.len + 1);
    sys_unmap(copy, bytes);
    return t.len > strlen(PRELOAD);
}

void child_env_scrub(char **envp)
{
    char **out = envp;
    for (char **in = envp; *in; in++) {
        bool preload = starts(*in, PRELOAD) && list_has_ours(*in + strlen(PRELOAD), false);
        if (which(*in) < 0 && (!preload || scrub_preload(*in)))
            *out++ = *in;
    }
    *out = NULL;
}
