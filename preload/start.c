/* Start of snarl inside a watched process, its end, and the state that every interceptor asks for.
 *
 * The constructor runs before all others (the library is linked -z initfirst), even before libc's own, while there is
 * one thread: libc's environ is not set yet, so it works on the environment that the loader hands to constructors.
 * Takes the engine's locks through the engine only; may map memory. When something is missing the program runs
 * unwatched: snarl_on stays false, interceptors pass through.
 *
 * The end is a function registered with __cxa_atexit before anybody else could: it runs after all other exit handlers
 * and after the destructors of all libraries. _exit and quick_exit come here too (intercept/process.c). */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "access/rewrite_arena.h"
#include "access/rewrite_start.h"
#include "base/arena.h"
#include "child_env.h"
#include "found.h"
#include "harmless.h"
#include "intercept/mapping.h"
#include "interceptor.h"
#include "locate.h"
#include "model/options.h"
#include "modules.h"
#include "standalone.h"
#include "text.h"
#include "unwind/python.h"
#include "unwind/unwind.h"
#include "watched.h"

int __cxa_atexit(void (*)(void *), void *, void *);
int __cxa_at_quick_exit(void (*)(void *), void *);

__thread struct thread *snarl_thread __attribute__((tls_model("initial-exec"), visibility("hidden")));
bool snarl_on;
u32 snarl_pid;
char start_library[PATH_MAX];

/* The arena's path is kept: a child that calls exec may have a stack too small for it. */
static char run_folder[PATH_MAX], arena_file[PATH_MAX];
static u32 ending; /* 0: not yet, 1: a thread is at it, 2: done */

/* ---- what the engine asks ---- */

/* Read through the kernel: the semaphore's memory may be gone. */
static int sem_value(u64 addr)
{
    u32 value = 0;
    struct iovec to = {&value, sizeof value}, from = {(void *)addr, sizeof value};
    if (sys_call6(SYS_process_vm_readv, sys_getpid(), (long)&to, 1, (long)&from, 1, 0) != (long)sizeof value)
        return -1;
    return (int)(value & 0x7fffffff);
}

static bool is_owner(const struct process_rec *p)
{
    u32 owner = child_env_owner();
    return owner && p->pid == owner && p->pid != snarl_pid;
}

/* A deadlock ends the processes that take part: at once, nothing of theirs is flushed. The report comes first if one of
 * them is the process that would print it. */
void start_end_processes(const ref_t *processes, u32 n)
{
    bool report = standalone_owned();
    for (u32 i = 0; i < n; i++) {
        const struct process_rec *p = arena_at(processes[i]);
        if (p->pid == snarl_pid || p->state != PROCESS_RUNNING)
            continue;
        if (is_owner(p)) {
            standalone_own(run_folder, NULL);
            report = true;
        }
        sys_call3(SYS_kill, p->pid, SIGKILL, 0);
    }
    if (report)
        standalone_report();
    for (;;)
        sys_call3(SYS_exit_group, run()->options.exit_code, 0, 0);
}

/* ---- threads ---- */

SNARL_COLD struct thread *interceptor_first_call(void)
{
    if (!snarl_on)
        return NULL;
    u64 mask = sys_signals_block(); /* a handler must not adopt the thread a second time */
    struct thread *t = snarl_thread;
    if (!t) {
        u32 tid = sys_gettid();
        t = engine_thread_adopt(tid, tid == snarl_pid);
        snarl_thread = t ? t : SNARL_THREAD_ENDED;
        if (t)
            thread_adopted(t, tid == snarl_pid);
    }
    sys_signals_restore(mask);
    return (uintptr_t)t > 1 ? t : NULL;
}

void start_forked(void)
{
    snarl_pid = sys_getpid();
    ending = 0;
    standalone_disown();
}

void start_off(void)
{
    snarl_on = false;
    snarl_thread = SNARL_THREAD_ENDED;
    perturb_on = false;
}

/* ---- messages ---- */

static int open_messages(void)
{
    char path[PATH_MAX];
    struct text t = text_in(path, sizeof path);
    text_add(&t, run_folder);
    text_add(&t, "/messages");
    return run_folder[0] && !t.cut ? sys_open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600)
                                   : -ENOENT;
}

void start_say(const char *what, const char *detail)
{
    static bool said;
    char line[1024];
    struct text t = text_in(line, sizeof line);
    if (said)
        return;
    said = true;
    text_add(&t, "snarl: ");
    text_add(&t, what);
    text_add(&t, detail ? detail : "");
    text_add(&t, "\n");
    int fd = standalone_owned() ? -1 : open_messages();
    sys_write_all(fd < 0 ? 2 : fd, line, t.len);
    if (fd >= 0)
        sys_close(fd);
}

/* ---- start ---- */

const char *start_env(char **envp, const char *name)
{
    size_t n = strlen(name);
    for (; *envp; envp++) {
        if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
            return *envp + n + 1;
    }
    return NULL;
}

static void find_library(void)
{
    const struct link_map *own = real_own_map();
    struct text t = text_in(start_library, PATH_MAX);
    if (!own || !own->l_name[0])
        return;
    if (own->l_name[0] != '/' && sys_call3(SYS_getcwd, start_library, PATH_MAX, 0) > 0) {
        t.len = strlen(start_library);
        text_add(&t, "/");
    }
    text_add(&t, own->l_name);
}

/* Loaded behind the C library, by a library that was built by snarl cc while the program was not: then the program's
 * calls do not come here. Calls nothing: another sanitizer's functions may stand in the way, not started yet. */
static bool behind_libc(void)
{
    static const char libc[] = "libc.so.6";
    const struct link_map *own = real_own_map();
    for (const struct link_map *m = own ? own->l_prev : NULL; m; m = m->l_prev) {
        const char *name = m->l_name;
        for (const char *s = name; *s; s++)
            name = *s == '/' ? s + 1 : name;
        size_t n = 0;
        while (n < sizeof libc && name[n] == libc[n])
            n++;
        if (n == sizeof libc)
            return true;
    }
    return false;
}

/* A sanitizer's runtime takes over the same functions and keeps its own books of the same locks. */
static const char *sanitizer(void)
{
    static const char *const marks[][2] = {{"__tsan_init", "ThreadSanitizer"},
                                           {"__asan_init", "AddressSanitizer"},
                                           {"__msan_init", "MemorySanitizer"},
                                           {"__hwasan_init", "HWAddressSanitizer"}};
    const char *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(marks) && !found; i++)
        found = real_lookup(marks[i][0]) ? marks[i][1] : NULL;
    return found;
}

static u64 random_seed(void)
{
    u64 seed = 0;
    sys_call3(SYS_getrandom, &seed, sizeof seed, 1 /* GRND_NONBLOCK */);
    seed ^= sys_now();
    return (seed & 0xffffffff) ? seed & 0xffffffff : 1; /* short enough to type */
}

/* False when it is too long. */
static bool set_folder(const char *folder)
{
    struct text t = text_in(run_folder, sizeof run_folder), file = text_in(arena_file, sizeof arena_file);
    text_add(&t, folder);
    text_add(&file, folder);
    text_add(&file, "/arena");
    return !t.cut && !file.cut;
}

/* LD_PRELOAD alone: this process begins a run. */
static bool begin_run(char **envp, u32 *owner)
{
    struct run_options o;
    char err[256] = "";
    const char *given = start_env(envp, "SNARL_OPTIONS"), *why;
    options_default(&o);
    if (given && options_parse_string(given, &o, err, sizeof err))
        start_say("SNARL_OPTIONS: ", err);
    if (o.perturb && !o.perturb_seed)
        o.perturb_seed = random_seed();
    const char *folder = standalone_create(start_env(envp, "TMPDIR"), &o, &why);
    if (!folder) {
        start_say("not watching this program: ", why);
        return false;
    }
    *owner = snarl_pid;
    return set_folder(folder);
}

/* A new program keeps our identity, but of our capabilities only what root always has: access() asks with those. */
bool start_run_reachable(void)
{
    int fd = sys_open(arena_file, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    sys_close(fd);
    return sys_call3(SYS_getuid, 0, 0, 0) != sys_call3(SYS_geteuid, 0, 0, 0) ||
           sys_call3(SYS_access, (long)arena_file, R_OK | W_OK, 0) == 0;
}

/* Joins the run that SNARL_RUN names. A run that is over has taken its folder away, and one of another user is closed
 * to us: whoever comes there is not watched and says nothing (who started it has counted it). */
static bool join_run(const char *folder)
{
    int err = set_folder(folder) ? arena_open(arena_file) : -ENAMETOOLONG;
    if (err && err != -ENOENT && err != -EACCES)
        start_say("not watching a process: cannot use the run in ", folder);
    if (!err && !arena_header()->run) {
        arena_close();
        return false;
    }
    return !err;
}

static u32 number_of(const char *s)
{
    u64 n = 0;
    return s && options_number(s, strlen(s), &n) == 0 ? (u32)n : 0;
}

static bool start_engine(void)
{
    static const struct engine_hooks hooks = {
        .capture = unwind_capture,
        .locate = locate_birth,
        .locate_access = locate_access,
        .shared_key = mapping_shared_key,
        .sem_value = sem_value,
        .end_processes = start_end_processes,
        .watches = watched_caller,
        .harmless = harmless_race,
        .unknown_threads = thread_unknown,
        .found = found,
    };
    char exe[PATH_MAX];
    long n = sys_call6(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)exe, sizeof exe - 1, 0, 0);
    exe[n > 0 ? n : 0] = 0;
    const char *name = n > 0 ? exe : (const char *)getauxval(AT_EXECFN);
    return engine_start(&hooks, 0, name ? name : "") == 0;
}

static void at_exit(void *unused)
{
    (void)unused;
    start_process_end();
}

/* The arena is mapped and the run exists: everything else. */
static bool start_watching(void)
{
    if (!start_engine() || !thread_start())
        return false;
    modules_start();
    signal_start();
    unwind_start();
    python_start();
    snarl_on = true;
    if (!interceptor_first_call()) {
        snarl_on = false;
        return false;
    }
    perturb_start();
    __cxa_atexit(at_exit, NULL, NULL);
    __cxa_at_quick_exit(at_exit, NULL);
    return true;
}

/* Asked before anything is mapped. */
static bool wants_rewriting(char **envp)
{
    struct run_options o;
    char err[256] = "";
    const char *given = start_env(envp, "SNARL_OPTIONS");
    options_unfinished = start_env(envp, "SNARL_UNFINISHED") != NULL;
    options_default(&o);
    if (given)
        options_parse_string(given, &o, err, sizeof err);
    return o.accesses == ACCESSES_REWRITE;
}

static void start_run(char **envp)
{
    u32 owner = number_of(start_env(envp, "SNARL_OWNER"));
    const char *folder = start_env(envp, "SNARL_RUN"), *trouble = sanitizer();
    if (trouble) {
        if (folder && join_run(folder))
            run_lost(LOSS_process_unwatched);
        start_say("not watching a program that carries its own ", trouble);
        return;
    }
    bool rewrites = wants_rewriting(envp);
    if (rewrites)
        arena_keep_room();
    if (!(folder ? join_run(folder) : begin_run(envp, &owner))) {
        arena_give_room();
        return;
    }
    bool follow = run()->options.follow;
    child_env_start(follow ? run_folder : NULL, start_env(envp, "SNARL_OPTIONS"), owner);
    if (owner == snarl_pid)
        standalone_own(run_folder, start_env(envp, "PATH"));
    if (!follow)
        child_env_scrub(envp);
    if (!start_watching()) {
        run_lost(LOSS_process_unwatched);
        start_say("not watching a process: out of memory or thread keys", NULL);
    } else if (rewrites) {
        rewrite_start(envp);
    }
}

static __attribute__((constructor)) void start(int argc, char **argv, char **envp)
{
    (void)argc, (void)argv;
    if (getauxval(AT_SECURE))
        return; /* the loader has cleaned the environment for a reason */
    int saved = errno;
    snarl_pid = sys_getpid();
    if (behind_libc()) {
        start_say("not watching this program: only libraries of it were built by `snarl cc`; start it by `snarl run`",
                  NULL);
        errno = saved;
        return;
    }
    /* Before anything can allocate: an allocator registers fork handlers of its own when it is first used. */
    bool can_follow_forks = process_start();
    real_resolve();
    find_library();
    if (start_library[0] == '/' && can_follow_forks)
        start_run(envp);
    errno = saved;
}

/* ---- end ---- */

void start_process_end(void)
{
    u32 not_yet = 0;
    if (!snarl_on || !start_same_process())
        return;
    if (__atomic_compare_exchange_n(&ending, &not_yet, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        engine_process_end((uintptr_t)snarl_thread > 1 && !snarl_thread->inside ? snarl_thread : NULL);
        if (standalone_owned())
            standalone_report();
        __atomic_store_n(&ending, 2, __ATOMIC_RELEASE);
        return;
    }
    /* Another thread is reporting: this one's exit would cut it short. */
    while (standalone_owned() && __atomic_load_n(&ending, __ATOMIC_ACQUIRE) == 1)
        sys_sleep_ns(1000000);
}
