/* One child process for each subject. Called by the verb. Takes no locks but the engine's, in the children; allocates
 * with malloc. */
#include "inspect.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "far_end.h"
#include "feed.h"
#include "report/escape.h"
#include "report/names.h"
#include "subject.h"
#include "wait.h"

static json_t *harmless(const char *text)
{
    char *safe = escape_text(text, strlen(text));
    json_t *j = json_string(safe);
    free(safe);
    return j;
}

static json_t *hex(u64 value)
{
    char text[24];
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)value);
    return json_string(text);
}

/* ---- what is seen ---- */

static json_t *describe_wait(const struct subject *s, const struct subject_thread *t, const struct wait *w)
{
    json_t *j = json_object();
    json_object_set_new(j, "for", json_string(wait_text(w->what)));
    if (w->object)
        json_object_set_new(j, "address", hex(w->object));
    if (*w->function)
        json_object_set_new(j, "function", harmless(w->function));
    if (w->own_name)
        json_object_set_new(j, "object", harmless(w->own_name));
    if (*w->call)
        json_object_set_new(j, "call", harmless(w->call));
    if (w->timed)
        json_object_set_new(j, "timed", json_true());
    const struct subject_thread *owner = w->owner ? subject_thread_of(s, w->owner) : NULL;
    if (owner)
        json_object_set_new(j, "owner", json_integer(feed_refs((u32)(owner - s->thread), w).number));
    else if (w->owner_gone)
        json_object_set_new(j, "owner_gone", json_integer(w->owner));
    far_end_describe(s, t, w, j);
    if (w->pid > 0)
        json_object_set_new(j, "pid", json_integer(w->pid));
    return j;
}

/* Its number, and as it was asked for. */
static json_t *describe_call(const struct subject_thread *t)
{
    json_t *j = json_pack("[I]", (json_int_t)t->call);
    for (size_t i = 0; i < ARRAY_LEN(t->argument); i++)
        json_array_append_new(j, hex(t->argument[i]));
    return j;
}

/* Refs of the arena, for named() in the parent. */
static json_t *describe_thread(const struct subject *s, u32 i, const struct wait *w)
{
    const struct subject_thread *t = &s->thread[i];
    struct feed_refs refs = feed_refs(i, w);
    json_t *j = json_object();
    json_object_set_new(j, "thread", json_integer(refs.number));
    json_object_set_new(j, "tid", json_integer(t->tid));
    json_object_set_new(j, "name", harmless(t->name));
    json_object_set_new(j, "main", json_boolean(t->tid == s->pid));
    if (t->state)
        json_object_set_new(j, "state", json_stringn(&t->state, isalpha((unsigned char)t->state) ? 1 : 0));
    if (!t->registers.whole && !s->is_core)
        json_object_set_new(j, "not_stopped", json_true());
    if (t->in_call && !s->is_core)
        json_object_set_new(j, "call", describe_call(t));
    json_object_set_new(j, "wait", describe_wait(s, t, w));
    json_object_set_new(
        j, "refs", json_pack("[I,I,I]", (json_int_t)refs.stack, (json_int_t)refs.process, (json_int_t)refs.object));
    return j;
}

/* Which Python, and whether its frames are known. */
static void describe_python(const struct subject *s, json_t *j)
{
    char version[32] = "?";
    if (s->python_version)
        snprintf(version, sizeof version, "%u.%u", s->python_version >> 8, s->python_version & 255);
    json_object_set_new(j, "python", json_string(version));
    if (!s->python)
        json_object_set_new(j, "python_unknown", json_true());
}

static json_t *describe(const struct subject *s, const struct wait *waits)
{
    json_t *j = json_object(), *threads = json_array();
    json_object_set_new(j, "pid", json_integer(s->pid));
    json_object_set_new(j, "exe", harmless(s->exe));
    if (s->has_python)
        describe_python(s, j);
    for (u32 i = 0; i < s->nthreads; i++)
        json_array_append_new(threads, describe_thread(s, i, &waits[i]));
    json_object_set_new(j, "threads", threads);
    return j;
}

/* ---- children ---- */

/* The number, or 0: a path. */
static u32 pid_of(const char *subject)
{
    char *end;
    unsigned long n = strtoul(subject, &end, 10);
    return isdigit((unsigned char)*subject) && !*end && n < 1u << 30 ? (u32)n : 0;
}

/* Shared mutexes that processes wait for. */
static struct feed_want *wants;
static size_t nwants;

/* As numbers, for add_wants() in the parent. */
static json_t *describe_wants(const struct subject *s, const struct wait *waits)
{
    json_t *all = json_array();
    for (u32 i = 0; i < s->nthreads; i++) {
        const struct wait *w = &waits[i];
        u64 key[3];
        if (w->what == WAIT_FOR_MUTEX && (w->kind & WAIT_MUTEX_SHARED) && w->owner && w->object &&
            feed_shared_key(s, w->object, key))
            json_array_append_new(all, json_pack("[I,I,I,i,i]", (json_int_t)key[0], (json_int_t)key[1],
                                                 (json_int_t)key[2], (int)w->kind, (int)w->owner));
    }
    return all;
}

static void add_wants(const json_t *seen)
{
    const json_t *w;
    size_t i;
    json_array_foreach (json_object_get(seen, "wants"), i, w) {
        struct feed_want *more = realloc(wants, (nwants + 1) * sizeof *more);
        if (!more)
            return;
        wants = more;
        u64 v[5];
        for (size_t k = 0; k < ARRAY_LEN(v); k++)
            v[k] = (u64)json_integer_value(json_array_get(w, k));
        wants[nwants++] = (struct feed_want){{v[0], v[1], v[2]}, (u32)v[3], (u32)v[4]};
    }
}

static json_t *look(const char *subject, bool first)
{
    struct subject s;
    char err[600];
    u32 pid = pid_of(subject);
    if (!(pid ? subject_live(&s, pid, err, sizeof err) : subject_core(&s, subject, err, sizeof err)))
        return json_pack("{s:o}", "error", harmless(err));
    struct wait *waits = calloc(s.nthreads, sizeof *waits);
    if (!waits)
        abort();
    for (u32 i = 0; i < s.nthreads; i++)
        wait_look(&s, &s.thread[i], &waits[i]);
    json_t *j;
    if (first) {
        j = json_pack("{s:o}", "wants", describe_wants(&s, waits));
    } else {
        feed(&s, waits, wants, nwants);
        j = describe(&s, waits);
    }
    for (u32 i = 0; i < s.nthreads; i++)
        wait_free(&waits[i]);
    free(waits);
    subject_free(&s);
    return j;
}

static json_t *look_in_child(const char *subject, bool first)
{
    int to[2], status = 0;
    fflush(NULL);
    if (pipe(to) < 0)
        return NULL;
    pid_t child = fork();
    if (child == 0) {
        FILE *out = fdopen(to[1], "w");
        json_t *j = look(subject, first);
        _exit(!out || json_dumpf(j, out, 0) || fclose(out));
    }
    close(to[1]);
    FILE *in = fdopen(to[0], "r");
    json_t *j = in && child > 0 ? json_loadf(in, 0, NULL) : NULL;
    if (in)
        fclose(in);
    if (child > 0)
        waitpid(child, &status, 0);
    return j;
}

/* ---- names ---- */

static ref_t ref_of(const json_t *thread, size_t i)
{
    return (ref_t)json_integer_value(json_array_get(json_object_get(thread, "refs"), i));
}

/* By the thread's number at the kernel: the system calls in which threads were seen. */
static json_t *calls;

static void keep_call(json_t *thread)
{
    char key[16];
    snprintf(key, sizeof key, "%lld", (long long)json_integer_value(json_object_get(thread, "tid")));
    if (json_object_get(thread, "call"))
        json_object_set(calls, key, json_object_get(thread, "call"));
    json_object_del(thread, "call");
}

static void name_thread(struct names *n, json_t *thread)
{
    json_object_set_new(thread, "stack", names_stack(n, ref_of(thread, 0), 0, ref_of(thread, 1)));
    json_t *wait = json_object_get(thread, "wait");
    bool is_end = strcmp(json_string_value(json_object_get(wait, "for")), wait_text(WAIT_FOR_JOIN)) == 0;
    if (ref_of(thread, 2) && !is_end && !json_object_get(wait, "object") && !json_object_get(wait, "call"))
        json_object_set_new(wait, "object", json_string(names_lock(n, ref_of(thread, 2))->class));
    json_object_del(thread, "refs");
    keep_call(thread);
}

static void name_all(json_t *all)
{
    struct names *n = names_new();
    json_t *subject, *thread;
    size_t i, k;
    json_decref(calls);
    calls = json_object();
    json_array_foreach (all, i, subject)
        json_array_foreach (json_object_get(subject, "threads"), k, thread)
            name_thread(n, thread);
    names_free(n);
}

json_t *inspect_look(char *const *subjects, size_t n)
{
    json_t *all = json_array();
    for (size_t i = 0; n > 1 && i < n; i++) { /* who has what another one waits for shows only when all were seen */
        json_t *j = look_in_child(subjects[i], true);
        add_wants(j);
        json_decref(j);
    }
    for (size_t i = 0; i < n; i++) {
        json_t *j = look_in_child(subjects[i], false);
        if (!j)
            j = json_pack("{s:s}", "error", "it is broken in a way that ended looking at it");
        json_object_set_new(j, "subject", harmless(subjects[i]));
        json_array_append_new(all, j);
    }
    name_all(all);
    free(wants);
    return all;
}

bool inspect_saw(u32 tid, long call, const u64 argument[6])
{
    struct subject_thread now = {.call = call};
    char key[16];
    snprintf(key, sizeof key, "%u", tid);
    memcpy(now.argument, argument, sizeof now.argument);
    json_t *j = describe_call(&now);
    bool same = json_equal(j, json_object_get(calls, key));
    json_decref(j);
    return same;
}
