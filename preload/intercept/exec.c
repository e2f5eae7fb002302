/* Starting programs: the exec family, posix_spawn, system, popen. Called by the watched program, often in a vfork
 * child: then nothing but the environment is seen to. Takes the engine's locks through the engine only; memory only for
 * a large environment that has to change (sys_map).
 *
 * The new program joins the run by its environment, whatever the caller passes; a program that our library cannot be
 * loaded into gets one without us, so that its loader has nothing to complain about, and is counted. vfork itself is
 * not intercepted: a function that wraps it returns twice on one stack frame. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "analyze/access.h"
#include "base/arena.h"
#include "child_env.h"
#include "exec_target.h"
#include "interceptor.h"
#include "standalone.h"
#include "start.h"
#include "text.h"
#include "watched.h"

struct exec_call {
    struct child_env env;
    struct thread *t; /* was told to the engine */
};

/* The target is known: its environment, and the count of what cannot be seen. A script or static program without rights
 * of its own may still start others that can be. */
static char *const *prepare(struct child_env *env, char *const *envp, enum exec_target target)
{
    bool joins = target < TARGET_FOREIGN && run()->options.follow;
    if (joins && !start_run_reachable()) {
        joins = false;
        target = TARGET_PRIVILEGED;
    }
    if (target >= TARGET_STATIC)
        run_lost(LOSS_process_unwatched);
    return child_env_make(env, envp, joins);
}

/* Another process is about to be there. What has been done by now comes before what it does. */
static void relatives(const u64 *fp)
{
    struct thread *t = access_on ? interceptor_enter(fp) : NULL;
    if (!t)
        return;
    access_relatives(t);
    if (access_has_shared() && start_same_process())
        watched_begin();
    interceptor_leave(t);
}

/* Before this process becomes another program. */
static char *const *exec_begin(struct exec_call *c, char *const *envp, enum exec_target target, const u64 *fp)
{
    c->t = NULL;
    c->env.mapped = NULL;
    if (!snarl_on)
        return envp;
    char *const *use = prepare(&c->env, envp, target);
    if (!start_same_process()) { /* of a vfork: the thread that waits for it is told */
        relatives(fp);
        return use;
    }
    if (standalone_owned() && (target >= TARGET_STATIC || !run()->options.follow))
        standalone_report_and_keep(); /* nobody after us would */
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_exec(t);
        interceptor_leave(t);
        c->t = t;
    }
    return use;
}

/* It has not. */
static int exec_failed(struct exec_call *c, int r, const u64 *fp)
{
    int saved = errno;
    child_env_end(&c->env);
    if (c->t && interceptor_enter(fp)) {
        engine_exec_failed(c->t);
        interceptor_leave(c->t);
    }
    errno = saved;
    return r;
}

static enum exec_target look_at(int dirfd, const char *path)
{
    return snarl_on && path ? exec_target_at(dirfd, path) : TARGET_UNKNOWN;
}

static enum exec_target search_for(const char *file)
{
    return snarl_on && file ? exec_target_search(file, getenv("PATH")) : TARGET_UNKNOWN;
}

static enum exec_target look_at_fd(int fd)
{
    char path[40];
    struct text t = text_in(path, sizeof path);
    text_add(&t, "/proc/self/fd/");
    text_number(&t, (u32)fd, 10);
    return fd >= 0 ? look_at(AT_FDCWD, path) : TARGET_UNKNOWN;
}

static int exec_path(const char *path, char *const *argv, char *const *envp, const u64 *fp)
{
    struct exec_call c;
    char *const *use = exec_begin(&c, envp, look_at(AT_FDCWD, path), fp);
    return exec_failed(&c, REAL(execve)(path, argv, use), fp);
}

static int exec_search(const char *file, char *const *argv, char *const *envp, const u64 *fp)
{
    struct exec_call c;
    char *const *use = exec_begin(&c, envp, search_for(file), fp);
    return exec_failed(&c, REAL(execvpe)(file, argv, use), fp);
}

EXPORT int execve(const char *path, char *const *argv, char *const *envp)
{
    return exec_path(path, argv, envp, INTERCEPTOR_FP());
}

EXPORT int execv(const char *path, char *const *argv)
{
    return exec_path(path, argv, environ, INTERCEPTOR_FP());
}

EXPORT int execvpe(const char *file, char *const *argv, char *const *envp)
{
    return exec_search(file, argv, envp, INTERCEPTOR_FP());
}

EXPORT int execvp(const char *file, char *const *argv)
{
    return exec_search(file, argv, environ, INTERCEPTOR_FP());
}

EXPORT int fexecve(int fd, char *const *argv, char *const *envp)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct exec_call c;
    char *const *use = exec_begin(&c, envp, look_at_fd(fd), fp);
    return exec_failed(&c, REAL(fexecve)(fd, argv, use), fp);
}

static bool is_empty(const char *path)
{
    return path && !*path;
}

EXPORT int execveat(int dirfd, const char *path, char *const *argv, char *const *envp, int flags)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct exec_call c;
    if (!REAL(execveat) && !real_late("execveat", (void **)&REAL(execveat))) {
        errno = ENOSYS;
        return -1;
    }
    bool by_fd = (flags & AT_EMPTY_PATH) && is_empty(path);
    char *const *use = exec_begin(&c, envp, by_fd ? look_at_fd(dirfd) : look_at(dirfd, path), fp);
    return exec_failed(&c, REAL(execveat)(dirfd, path, argv, use, flags), fp);
}

/* ---- arguments as a list: libc's own versions reach the kernel without our seeing it ---- */

/* Number of arguments up to the NULL that ends them. */
static size_t count_arguments(va_list args)
{
    size_t n = 1;
    while (va_arg(args, char *))
        n++;
    return n;
}

static void collect_arguments(char **argv, const char *first, va_list args)
{
    size_t n = 0;
    argv[n] = (char *)(uintptr_t)first;
    while (argv[n])
        argv[++n] = va_arg(args, char *);
}

/* The array is on the stack, where libc puts it too: also a vfork child may call these. */
#define LIST_TO_ARRAY(argv, first, args)                                                                               \
    va_start(args, first);                                                                                             \
    char *argv[count_arguments(args) + 1];                                                                             \
    va_end(args);                                                                                                      \
    va_start(args, first);                                                                                             \
    collect_arguments(argv, first, args)

EXPORT int execl(const char *path, const char *arg, ...)
{
    va_list args;
    LIST_TO_ARRAY(argv, arg, args);
    va_end(args);
    return exec_path(path, argv, environ, INTERCEPTOR_FP());
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
    va_list args;
    LIST_TO_ARRAY(argv, arg, args);
    va_end(args);
    return exec_search(file, argv, environ, INTERCEPTOR_FP());
}

EXPORT int execle(const char *path, const char *arg, ...)
{
    va_list args;
    LIST_TO_ARRAY(argv, arg, args);
    char *const *envp = va_arg(args, char *const *);
    va_end(args);
    return exec_path(path, argv, envp, INTERCEPTOR_FP());
}

/* ---- children that libc makes ---- */

typedef int spawn_fn(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                     char *const *, char *const *);

static int spawn(spawn_fn *real, enum exec_target target, pid_t *pid, const char *path,
                 const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr, char *const *argv,
                 char *const *envp)
{
    struct child_env env;
    if (!snarl_on)
        return real(pid, path, actions, attr, argv, envp);
    env.mapped = NULL;
    relatives(INTERCEPTOR_FP());
    char *const *use = prepare(&env, envp, target);
    int r = real(pid, path, actions, attr, argv, use);
    child_env_end(&env);
    return r;
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attr, char *const *argv, char *const *envp)
{
    return spawn(REAL(posix_spawn), look_at(AT_FDCWD, path), pid, path, actions, attr, argv, envp);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attr, char *const *argv, char *const *envp)
{
    return spawn(REAL(posix_spawnp), search_for(file), pid, file, actions, attr, argv, envp);
}

/* libc waits for children of system and pclose by itself; whoever began since then and is not even a zombie any more
 * was waited for. */
static void children_gone(u32 first_number, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    for (ref_t r = run()->processes; r;) {
        const struct process_rec *p = arena_at(r);
        if (p->number < first_number)
            break; /* newest first */
        if (p->parent == engine_process() && sys_call3(SYS_kill, p->pid, 0, 0) == -ESRCH)
            engine_child_waited(t, p->pid, false);
        r = p->next_process;
    }
    interceptor_leave(t);
}

EXPORT int system(const char *command)
{
    if (!snarl_on || !command || !start_same_process())
        return REAL(system)(command);
    u32 first = __atomic_load_n(&run()->next_process, __ATOMIC_RELAXED) + 1;
    child_env_own();
    relatives(INTERCEPTOR_FP());
    int r = REAL(system)(command);
    int saved = errno;
    children_gone(first, INTERCEPTOR_FP());
    errno = saved;
    return r;
}

/* Which process belongs to a stream is known to libc alone: pclose looks at all that began since the oldest stream
 * still open. */
static u32 streams_open, streams_first;

EXPORT FILE *popen(const char *command, const char *mode)
{
    if (!snarl_on || !start_same_process())
        return REAL(popen)(command, mode);
    u32 next = __atomic_load_n(&run()->next_process, __ATOMIC_RELAXED) + 1;
    if (__atomic_fetch_add(&streams_open, 1, __ATOMIC_RELAXED) == 0)
        streams_first = next;
    child_env_own();
    relatives(INTERCEPTOR_FP());
    FILE *f = REAL(popen)(command, mode);
    if (!f)
        __atomic_fetch_sub(&streams_open, 1, __ATOMIC_RELAXED);
    return f;
}

EXPORT int pclose(FILE *stream)
{
    int r = REAL(pclose)(stream);
    if (!snarl_on || !start_same_process())
        return r;
    int saved = errno;
    u32 first = streams_first;
    if (__atomic_load_n(&streams_open, __ATOMIC_RELAXED))
        __atomic_fetch_sub(&streams_open, 1, __ATOMIC_RELAXED);
    children_gone(first, INTERCEPTOR_FP());
    errno = saved;
    return r;
}
