/* Programs that take away what one might stand on: descriptors, system calls, the root folder, memory, privileges.
 *
 * @case closed_descriptors_loop close_loop
 * @finding lock-order locks=a,b side=one side=two
 * @case closed_descriptors_range close_range
 * @finding lock-order locks=a,b side=one side=two
 * @case closed_standard_descriptors close_standard
 * @finding lock-order locks=a,b side=one side=two
 * @case descriptors_stay_low lowest
 * @clean
 * @case descriptor_limit limit
 * @finding lock-order locks=a,b side=one side=two
 * @case seccomp_sandbox seccomp
 * @finding lock-order locks=a,b side=one side=two
 * @case seccomp_strict strict
 * @clean
 * @case chroot chroot
 * @finding lock-order locks=a,b side=one side=two
 * @skip-status 77
 * @case privileges_dropped drop
 * @finding lock-order locks=a,b side=one side=two
 * @skip-status 77
 * @case memory_limit memory
 * @clean
 * @case memory_limit_thread memory_thread
 * @clean
 * @case file_size_limit file_size
 * @finding lock-order locks=a,b side=one side=two
 * @case traced_by_parent traced
 * @clean
 * @case working_directory_gone cwd
 * @finding lock-order locks=a,b side=one side=two
 * @case environment_cleared clearenv
 * @finding lock-order locks=a,b side=one side=two
 * @case undumpable dumpable
 * @finding lock-order locks=a,b side=one side=two
 */
#include "inversion.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void inversion(void)
{
    pthread_t t1 = start(one, NULL), t2 = start(two, NULL);
    join(t1);
    join(t2);
}

static void set_limit(__rlimit_resource_t what, rlim_t value)
{
    struct rlimit r = {value, value};
    CHECK(!setrlimit(what, &r));
}

/* Everything that opens, connects or looks around is refused. */
static void seccomp(void)
{
    static const int refused[] = {SYS_openat, SYS_open,       SYS_socket,    SYS_connect,          SYS_readlink,
                                  SYS_stat,   SYS_access,     SYS_execve,    SYS_ftruncate,        SYS_unlink,
                                  SYS_rename, SYS_kill,       SYS_tgkill,    SYS_process_vm_readv, SYS_fallocate,
                                  SYS_fcntl,  SYS_getdents64, SYS_newfstatat};
    enum { N = sizeof refused / sizeof *refused };
    struct sock_filter code[N + 3] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    for (int i = 0; i < N; i++)
        code[1 + i] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)refused[i], (unsigned char)(N - i), 0);
    code[N + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[N + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    struct sock_fprog program = {N + 3, code};
    CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
    CHECK(open("/etc/passwd", O_RDONLY) == -1 && errno == EPERM);
}

/* read, write, exit and nothing else: anything more would kill us. */
static void strict(void)
{
    CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
    lock(&a);
    lock(&b);
    unlock(&b);
    unlock(&a);
    syscall(SYS_exit, 0); /* exit_group would be one too many */
}

static void away(void)
{
    char folder[] = "/tmp/snarl-case-root-XXXXXX";
    CHECK(mkdtemp(folder));
    if (is("chroot")) {
        int old_root = open("/", O_RDONLY | O_DIRECTORY);
        int refused = chroot(folder);
        CHECK(refused || !chdir("/"));
        if (!refused)
            inversion();
        CHECK(!unlinkat(old_root, folder + 1, AT_REMOVEDIR));
        if (refused)
            _exit(77);
    } else {
        CHECK(!chdir(folder));
        CHECK(!rmdir(folder));
        inversion();
    }
}

static size_t mapped_now(void)
{
    char text[64];
    int fd = open("/proc/self/statm", O_RDONLY);
    CHECK(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    CHECK(n > 0);
    text[n] = 0;
    return (size_t)atol(text) * 4096;
}

static void memory(void)
{
    /* So much more than is mapped now, whoever mapped it. */
    set_limit(RLIMIT_AS, (rlim_t)mapped_now() + ((rlim_t)256 << 20));
    size_t got = 0;
    for (void *p; (p = malloc(1 << 20)); got++)
        memset(p, 1, 4096);
    CHECK(got > 0 && errno == ENOMEM);
    for (int i = 0; i < 1000; i++) { /* no memory left for anything: the locks still lock */
        lock(&a);
        lock(&b);
        CHECK(pthread_mutex_trylock(&a) == EBUSY);
        unlock(&b);
        unlock(&a);
    }
    static pthread_mutex_t many[1000];
    for (int i = 0; i < 1000; i++)
        lock(&many[i]);
    for (int i = 0; i < 1000; i++)
        unlock(&many[i]);
    if (is("memory_thread")) {
        pthread_t t;
        int r = pthread_create(&t, NULL, one, NULL);
        CHECK(r == EAGAIN || !r);
        if (!r)
            join(t);
    }
}

static void traced(void)
{
    pid_t child = fork();
    if (!child) {
        CHECK(!ptrace(PTRACE_TRACEME, 0, NULL, NULL));
        raise(SIGSTOP);
        one(NULL);
        _exit(5);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
    CHECK(!ptrace(PTRACE_CONT, child, NULL, NULL));
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (is("close_loop"))
        for (int fd = 3; fd < 2048; fd++)
            close(fd);
    else if (is("close_range"))
        CHECK(!close_range(3, ~0U, 0));
    else if (is("close_standard"))
        for (int fd = 0; fd < 3; fd++)
            close(fd);
    else if (is("lowest")) {
        CHECK(open("/dev/null", O_RDONLY) == 3);
        int p[2];
        CHECK(!pipe(p) && p[0] == 4 && p[1] == 5);
    } else if (is("limit"))
        set_limit(RLIMIT_NOFILE, 5);
    else if (is("seccomp"))
        seccomp();
    else if (is("strict"))
        strict();
    else if (is("drop")) {
        if (setgid(65534) || setuid(65534))
            _exit(77);
    } else if (is("file_size"))
        set_limit(RLIMIT_FSIZE, 0);
    else if (is("clearenv"))
        clearenv();
    else if (is("dumpable"))
        CHECK(!prctl(PR_SET_DUMPABLE, 0));
    else if (is("chroot") || is("cwd")) {
        away();
        return 0;
    } else if (is("memory") || is("memory_thread")) {
        memory();
        return 0;
    } else if (is("traced"))
        traced();
    if (!is("lowest") && !is("traced"))
        inversion();
    return 0;
}
