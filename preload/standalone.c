/* The run folder and the report of a run without `snarl run`. Called by start.c and intercept/exec.c. Takes no lock,
 * allocates by sys_map only; runs in the program's exit path, possibly with other threads still running. */
#include "standalone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analyze/engine.h"
#include "base/arena.h"
#include "base/sys.h"
#include "child_env.h"
#include "model/options.h"
#include "start.h"
#include "text.h"

#define ARENA_BYTES (1ULL << 30) /* sparse: only what is used takes memory and disk */
#define MAX_ARGUMENTS 32
#define CLONE_VM_VFORK 0x4100 /* and no signal at the child's end */

static char folder[PATH_MAX], tool[PATH_MAX];
static bool owned;
static struct stat stderr_at_start;
static bool stderr_known;

/* ---- the folder ---- */

static bool random_name(struct text *t)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    u8 bytes[10];
    if (sys_call3(SYS_getrandom, bytes, sizeof bytes, 1 /* GRND_NONBLOCK */) != (long)sizeof bytes) {
        u64 now = sys_now() * 0x9e3779b97f4a7c15ULL ^ sys_getpid();
        memcpy(bytes, &now, sizeof now);
        bytes[8] = bytes[9] = 0;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        text_bytes(t, &letters[bytes[i] % (sizeof letters - 1)], 1);
    return !t->cut;
}

static int make_folder(const char *under)
{
    for (int attempt = 0; attempt < 100; attempt++) {
        struct text t = text_in(folder, sizeof folder - 16); /* room for the files in it */
        text_add(&t, under);
        text_add(&t, "/snarl-");
        if (!random_name(&t))
            return -ENAMETOOLONG;
        int err = (int)sys_call3(SYS_mkdir, folder, 0700, 0);
        if (err != -EEXIST)
            return err;
    }
    return -EEXIST;
}

static const char *in_folder(char *buf, size_t cap, const char *file)
{
    struct text t = text_in(buf, cap);
    text_add(&t, folder);
    text_add(&t, "/");
    text_add(&t, file);
    return buf;
}

static void remove_folder(void)
{
    char path[PATH_MAX];
    sys_call3(SYS_unlink, in_folder(path, sizeof path, "arena"), 0, 0);
    sys_call3(SYS_unlink, in_folder(path, sizeof path, "messages"), 0, 0);
    sys_call3(SYS_rmdir, folder, 0, 0);
}

const char *standalone_create(const char *tmpdir, const struct run_options *options, const char **why)
{
    char path[PATH_MAX];
    *why = "no folder for the run's data can be made";
    if ((!tmpdir || tmpdir[0] != '/' || make_folder(tmpdir)) && make_folder("/tmp"))
        return NULL;
    *why = "the run's data cannot be kept in its folder";
    if (arena_create(in_folder(path, sizeof path, "arena"), ARENA_BYTES) == 0) {
        if (engine_create_run(options) == 0)
            return folder;
        arena_close();
    }
    remove_folder();
    return NULL;
}

/* ---- the command ---- */

static bool executable(const char *path)
{
    return sys_call6(SYS_faccessat, AT_FDCWD, (long)path, X_OK, 0, 0, 0) == 0;
}

/* dir[0..n) / rest, when that is a program. */
static bool try_tool(const char *dir, size_t n, const char *rest)
{
    struct text t = text_in(tool, sizeof tool);
    text_bytes(&t, dir, n);
    text_add(&t, rest);
    if (!t.cut && tool[0] == '/' && executable(tool))
        return true;
    tool[0] = 0;
    return false;
}

/* Beside ourselves in a build tree or an installation, else on PATH. Looked for at the start: later the program may
 * have changed its root, its rights or its environment. */
static void find_tool(const char *path)
{
    const char *slash = strrchr(start_library, '/');
    size_t n = slash ? (size_t)(slash - start_library) : 0;
    if (try_tool(start_library, n, "/../bin/snarl") || try_tool(start_library, n, "/../../bin/snarl") ||
        try_tool(start_library, n, "/../../../bin/snarl"))
        return;
    while (path && *path) {
        n = strcspn(path, ":");
        if (n && try_tool(path, n, "/snarl"))
            return;
        path += n + (path[n] == ':');
    }
}

void standalone_own(const char *run_folder, const char *path)
{
    if (run_folder != folder) {
        struct text t = text_in(folder, sizeof folder - 16);
        text_add(&t, run_folder);
    }
    find_tool(path);
    stderr_known = sys_call3(SYS_fstat, 2, &stderr_at_start, 0) == 0;
    owned = true;
}

void standalone_disown(void)
{
    owned = false;
}

bool standalone_owned(void)
{
    return owned;
}

/* ---- the report ---- */

/* Descriptor 2 may have become a file of the program's that a report would spoil. */
static bool stderr_is_the_same(void)
{
    struct stat now;
    return stderr_known && sys_call3(SYS_fstat, 2, &now, 0) == 0 && now.st_dev == stderr_at_start.st_dev &&
           now.st_ino == stderr_at_start.st_ino;
}

struct arguments {
    char *argv[MAX_ARGUMENTS];
    u32 n;
    struct text text;
};

/* Output options of SNARL_OPTIONS become options of `snarl report`. */
static int add_option(void *context, const char *key, size_t key_length, const char *value, size_t value_length)
{
    struct arguments *a = context;
    int id = options_find(key, key_length);
    if (id < 0 || id == OPTION_ID_FORCE || id == OPTION_ID_GDB || option_table[id].scope != SCOPE_TOOL ||
        a->n + 2 >= MAX_ARGUMENTS)
        return 0;
    if (option_table[id].kind == OPTION_FLAG) {
        if (options_flag(value, value_length) != 1)
            return 0;
        value = NULL; /* there the name alone says yes */
    }
    a->argv[a->n++] = a->text.buf + a->text.len;
    text_add(&a->text, "--");
    text_bytes(&a->text, key, key_length);
    text_add(&a->text, value ? "=" : "");
    text_bytes(&a->text, value ? value : "", value ? value_length : 0);
    a->text.len++; /* keeps the NUL */
    return 0;
}

static void default_signals(void)
{
    struct kernel_action {
        void *handler;
        u64 flags;
        void *restorer;
        u64 mask;
    } action, none;
    memset(&none, 0, sizeof none);
    for (int sig = 1; sig <= 64; sig++) {
        if (sys_call6(SYS_rt_sigaction, sig, 0, (long)&action, sizeof(u64), 0, 0) == 0 && (uintptr_t)action.handler > 1)
            sys_call6(SYS_rt_sigaction, sig, (long)&none, 0, sizeof(u64), 0, 0);
    }
}

/* Runs on the parent's stack and memory while the parent stands still: changes nothing of it. */
static __attribute__((noinline, noreturn)) void child(char **argv, char **envp, u64 mask, bool visible)
{
    default_signals(); /* before the mask: no handler of the program may run here */
    if (visible) {
        sys_call3(SYS_dup2, 2, 1, 0);
    } else {
        int fd = sys_open("/dev/null", O_WRONLY, 0);
        sys_call3(SYS_dup2, fd, 1, 0);
        sys_call3(SYS_dup2, fd, 2, 0);
    }
    sys_signals_restore(mask);
    sys_call3(SYS_execve, argv[0], argv, envp);
    for (;;)
        sys_call3(SYS_exit_group, 127, 0, 0);
}

/* Its exit status, or -1. Without SIGCHLD, and not visible to the program's own wait(). */
static __attribute__((noinline)) int spawn_and_wait(char **argv, char **envp, bool visible)
{
    long pid;
    int status = -1;
    u64 mask = sys_signals_block();
    register long no_tls __asm__("r8") = 0;
    register long no_tid __asm__("r10") = 0;
    /* Not through a function: the child's calls would write over the frame that the parent returns through. */
    __asm__ volatile("syscall"
                     : "=a"(pid)
                     : "a"(SYS_clone), "D"(CLONE_VM_VFORK), "S"(0), "d"(0), "r"(no_tls), "r"(no_tid)
                     : "rcx", "r11", "memory");
    if (pid == 0)
        child(argv, envp, mask, visible);
    long r = -1;
    if (pid > 0) {
        do {
            r = sys_call6(SYS_wait4, pid, (long)&status, 0x40000000 /* __WALL */, 0, 0, 0);
        } while (r == -EINTR);
    }
    sys_signals_restore(mask);
    return r == pid && pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool report_by_tool(bool visible)
{
    struct arguments a;
    struct child_env e;
    const char *options = child_env_options();
    size_t cap = 4 * strlen(options) + 64;
    char *text = sys_map(cap);
    if (!tool[0] || !text)
        return false;
    a.n = 0;
    a.argv[a.n++] = tool;
    a.argv[a.n++] = (char *)(uintptr_t) "report";
    a.argv[a.n++] = (char *)(uintptr_t) "--at-exit"; /* silent when there is nothing to report */
    a.text = text_in(text, cap);
    options_split(options, add_option, &a);
    if (a.text.cut)
        a.n = 3;
    a.argv[a.n++] = folder;
    a.argv[a.n] = NULL;
    char *const *envp = child_env_make(&e, environ, false);
    int status = spawn_and_wait(a.argv, (char **)(uintptr_t)envp, visible);
    child_env_end(&e);
    sys_unmap(text, cap);
    return status >= 0 && (status < 125 || status > 127 || status == (int)run()->options.exit_code);
}

/* True when nothing is left to be read in the folder. */
static bool report(void)
{
    bool visible = stderr_is_the_same();
    if (report_by_tool(visible))
        return visible;
    if (run()->nfindings == 0)
        return true;
    if (visible)
        raw_report(folder);
    return false;
}

void standalone_report(void)
{
    if (report())
        remove_folder();
}

void standalone_report_and_keep(void)
{
    report();
}
