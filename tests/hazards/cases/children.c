/* Children of every make: the parent goes on as before, and what the child does wrong is seen where it can be.
 *
 * @case fork_in_threads storm
 * @clean
 * @case fork_child_finds child
 * @finding lock-order locks=a,b side=one side=two
 * @case fork_grandchild_finds grandchild
 * @finding lock-order locks=a,b side=one side=two
 * @case fork_without_handlers _Fork
 * @finding lock-order locks=a,b side=one side=two
 * @case fork_by_raw_clone clone
 * @clean
 * @case fork_atfork_order atfork
 * @clean
 * @case vfork_exec vfork
 * @clean
 * @case vfork_many vforks
 * @clean
 * @case posix_spawn spawn
 * @finding lock-order locks=a,b side=one side=two
 * @case posix_spawnp_empty_environment spawn_empty
 * @finding lock-order locks=a,b side=one side=two
 * @case system system
 * @finding lock-order locks=a,b side=one side=two
 * @case popen popen
 * @finding lock-order locks=a,b side=one side=two
 * @case exec execv
 * @finding lock-order locks=a,b side=one side=two
 * @case exec_empty_environment execve_empty
 * @finding lock-order locks=a,b side=one side=two
 * @case exec_null_environment execve_null
 * @finding lock-order locks=a,b side=one side=two
 * @case exec_path execvp
 * @finding lock-order locks=a,b side=one side=two
 * @case exec_descriptor fexecve
 * @finding lock-order locks=a,b side=one side=two
 * @case exec_fails execfail
 * @finding lock-order locks=a,b side=one side=two
 * @case exec_from_thread exec_thread
 * @finding lock-order locks=a,b side=one side=two
 * @case exec_static execl_sh
 * @clean
 * @exit 12
 * @case daemon daemon
 * @clean
 * @case child_killed killed
 * @finding lock-order locks=a,b side=one side=two
 * @case many_children many
 * @clean
 */
#include "inversion.h"
#include <sched.h>
#include <spawn.h>

extern char **environ;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static const char *shape;
static char *self;
static int stop;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

NOINLINE static void inversion(void)
{
    pthread_t t1 = start(one, NULL), t2 = start(two, NULL);
    join(t1);
    join(t2);
}

static void *locks_all_the_time(void *arg)
{
    static pthread_mutex_t inner = PTHREAD_MUTEX_INITIALIZER;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        pthread_mutex_t *fresh = malloc(sizeof *fresh);
        pthread_mutex_init(fresh, NULL);
        lock(&m);
        lock(&inner);
        lock(fresh);
        unlock(fresh);
        unlock(&inner);
        unlock(&m);
        pthread_mutex_destroy(fresh);
        free(fresh);
    }
    return arg;
}

static void wait_for(pid_t child, int expected)
{
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == expected);
}

static void *forks(void *arg)
{
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (!child) { /* own lock, own thread, own memory */
            pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
            lock(&own);
            free(malloc(100));
            unlock(&own);
            join(start(one, NULL));
            _exit(3);
        }
        wait_for(child, 3 << 8);
    }
    return arg;
}

static void storm(void)
{
    pthread_t busy[3], forking[2];
    for (int i = 0; i < 3; i++)
        busy[i] = start(locks_all_the_time, NULL);
    for (int i = 0; i < 2; i++)
        forking[i] = start(forks, NULL);
    for (int i = 0; i < 2; i++)
        join(forking[i]);
    stop = 1;
    for (int i = 0; i < 3; i++)
        join(busy[i]);
}

static int order;
static void prepare_first(void)
{
    CHECK(order == 1);
    order = 2;
}
static void prepare_second(void)
{
    CHECK(order == 0);
    order = 1;
    lock(&m);
    free(malloc(10));
}
static void after_first(void)
{
    CHECK(order == 2);
    order = 3;
}
static void after_second(void)
{
    CHECK(order == 3);
    order = 4;
    unlock(&m);
}

static void atfork(void)
{
    pthread_atfork(prepare_first, after_first, after_first);
    pthread_atfork(prepare_second, after_second, after_second);
    pid_t child = fork();
    CHECK(order == 4);
    if (!child) {
        lock(&m);
        unlock(&m);
        _exit(0);
    }
    wait_for(child, 0);
}

static pid_t child_of(const char *how)
{
    pid_t child = -1;
    char *args[] = {self, "inversion", NULL}, *none[] = {NULL};
    if (!strcmp(how, "_Fork"))
        child = _Fork();
    else if (!strcmp(how, "clone"))
        child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    else if (!strcmp(how, "vfork")) {
        child = vfork();
        if (!child) {
            char *true_args[] = {"true", NULL};
            execve("/bin/true", true_args, environ);
            _exit(127);
        }
        return child;
    } else if (!strcmp(how, "spawn")) {
        CHECK(!posix_spawn(&child, self, NULL, NULL, args, environ));
        return child;
    } else if (!strcmp(how, "spawn_empty")) {
        CHECK(!posix_spawnp(&child, self, NULL, NULL, args, none));
        return child;
    } else
        child = fork();
    if (child)
        return child;
    if (!strcmp(how, "clone")) {
        lock(&m);
        unlock(&m);
    } else if (!strcmp(how, "grandchild")) {
        child = fork();
        if (!child)
            inversion();
        else
            wait_for(child, 0);
    } else if (!strcmp(how, "killed")) {
        inversion();
        kill(getpid(), SIGKILL);
    } else
        inversion();
    _exit(0);
}

static void *execs(void *arg)
{
    char *args[] = {self, "inversion", NULL};
    execv(self, args);
    return arg;
}

static void replaced(void)
{
    char *args[] = {self, "inversion", NULL}, *none[] = {NULL};
    if (is("execv"))
        execv(self, args);
    else if (is("execve_empty"))
        execve(self, args, none);
    else if (is("execve_null"))
        execve(self, args, NULL);
    else if (is("execvp"))
        execvp(self, args);
    else if (is("fexecve"))
        fexecve(open(self, O_RDONLY | O_CLOEXEC), args, environ);
    else if (is("exec_thread"))
        join(start(execs, NULL));
    else if (is("execfail")) {
        CHECK(execv("/no/such/file", args) == -1 && errno == ENOENT);
        CHECK(execve("/tmp", args, none) == -1 && errno == EACCES);
        inversion();
        exit(0);
    } else if (is("execl_sh"))
        execl("/bin/sh", "sh", "-c", "exit 12", (char *)NULL);
    _exit(99);
}

static void by_shell(void)
{
    char command[4096], line[64];
    snprintf(command, sizeof command, "%s inversion && echo done", self);
    if (is("system")) {
        CHECK(system(command) == 0);
        CHECK(system("exit 3") == 3 << 8);
        CHECK(system(NULL));
    } else {
        FILE *f = popen(command, "r");
        CHECK(f && fgets(line, sizeof line, f) && !strcmp(line, "done\n"));
        CHECK(pclose(f) == 0);
        f = popen("cat >/dev/null; exit 5", "w");
        CHECK(f && fputs("x", f) >= 0 && pclose(f) == 5 << 8);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    self = realpath("/proc/self/exe", NULL);
    if (is("inversion"))
        inversion();
    else if (is("storm"))
        storm();
    else if (is("atfork"))
        atfork();
    else if (is("vforks"))
        for (int i = 0; i < 50; i++)
            wait_for(child_of("vfork"), 0);
    else if (is("many"))
        for (int i = 0; i < 100; i++) {
            pid_t child = fork();
            if (!child) {
                one(NULL);
                exit(0);
            }
            wait_for(child, 0);
        }
    else if (!strncmp(shape, "exec", 4) || is("fexecve"))
        replaced();
    else if (is("system") || is("popen"))
        by_shell();
    else if (is("daemon")) {
        CHECK(!daemon(1, 1));
        one(NULL);
    } else
        wait_for(child_of(shape), is("killed") ? SIGKILL : 0);
    return 0;
}
