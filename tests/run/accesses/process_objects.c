/* The same object mapped by two processes, each for itself and at another address: what both touch is one variable.
 *
 * @case process_memfd memfd
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * @case process_memfd_locked memfd locked
 * @clean
 * @case process_shm shm
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * @case process_shm_locked shm locked
 * @clean
 * @case process_sysv sysv
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * @case process_sysv_locked sysv locked
 * @clean
 * @case process_file file
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * @case process_file_locked file locked
 * @clean
 * The child has mapped only the part in which the variable is.
 * @case process_file_part file part
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * The child is another program; the lock that the two have in common lies in the memory, too.
 * @case process_spawned shm spawn
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * @case process_spawned_locked shm spawn locked
 * @clean
 * @case process_vforked shm vfork
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * @case process_vforked_locked shm vfork locked
 * @clean
 * The two answer each other through a pair of sockets.
 * @case process_spawned_answers shm spawn answers
 * @clean
 * Written before the program was started that reads it.
 * @case process_spawned_before shm spawn before
 * @clean
 * Another object at the address of one that is gone.
 * @case process_another_object reused
 * @clean
 * Two objects at the same address, in two processes.
 * @case process_two_objects two
 * @clean
 * The parent has two views of the object, and uses the newer one.
 * @case process_two_views views
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * The memory has moved.
 * @case process_moved moved
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 */
#include "case.h"

#include <spawn.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>

#define SIZE 8192

/* At the end of the object: in its second page. */
struct shared {
    char before[4096];
    long value;
    pthread_mutex_t mutex;
    int reached; /* the program that was started has done its part; touched as steps are */
};

static char **words, name[64];
static struct shared *shared;
static int fd = -1, segment, ends[2];

static int is(const char *word)
{
    for (char **w = words; *w; w++)
        if (!strcmp(*w, word))
            return 1;
    return 0;
}

/* Somewhere else than whoever maps it next. */
static void *map(void)
{
    (void)!mmap(NULL, SIZE * (1 + getpid() % 5), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (is("sysv"))
        return shmat(segment, NULL, 0);
    if (is("part") && !shared) {
        char *p = mmap(NULL, SIZE / 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, SIZE / 2);
        return p - SIZE / 2;
    }
    return mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static void make(void)
{
    snprintf(name, sizeof name, "/snarl-case-%d", (int)getpid());
    if (is("memfd")) {
        fd = (int)syscall(SYS_memfd_create, "case", 0);
    } else if (is("sysv")) {
        segment = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
        return;
    } else if (is("file")) {
        char path[80];
        snprintf(path, sizeof path, "/tmp%s", name);
        fd = open(path, O_RDWR | O_CREAT, 0600);
        unlink(path);
    } else {
        fd = shm_open(name, O_RDWR | O_CREAT, 0600);
    }
    (void)!ftruncate(fd, SIZE);
}

static void change(void)
{
    if (is("locked"))
        pthread_mutex_lock(&shared->mutex);
    shared->value++;
    if (is("locked"))
        pthread_mutex_unlock(&shared->mutex);
}

NOINLINE static void in_child(void)
{
    change();
    __asm__ volatile("# child" ::: "memory");
}

NOINLINE static void in_parent(void)
{
    change();
    __asm__ volatile("# parent" ::: "memory");
}

/* Turns, of which each does its part in one. */
static void answers(int socket, int first)
{
    char byte = 0;
    for (int i = 0; i < 3; i++) {
        if (first || i)
            (void)!read(socket, &byte, 1);
        first ? in_child() : in_parent();
        (void)!write(socket, &byte, 1);
    }
}

/* The program that is started: its steps are the memory's. */
static int started(const char *object, int socket)
{
    fd = shm_open(object, O_RDWR, 0600);
    shared = map();
    if (socket)
        answers(socket, 1);
    else
        in_child();
    word_set(&shared->reached, 1);
    word_wait(&shared->reached, 2);
    return 0;
}

static pid_t start_program(void)
{
    char socket[16];
    char *argv[] = {"/proc/self/exe", "started", name, is("locked") ? "locked" : "free", socket, NULL};
    snprintf(socket, sizeof socket, "%d", ends[1]);
    pid_t pid = 0;
    if (is("spawn"))
        posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
    else if (!(pid = vfork()))
        execve(argv[0], argv, environ), _exit(9);
    return pid;
}

static void with_program(void)
{
    if (is("before"))
        in_parent();
    if (is("answers"))
        (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    start_program();
    if (is("answers"))
        answers(ends[0], 0);
    word_wait(&shared->reached, 1);
    if (!is("before") && !is("answers"))
        in_parent();
    word_set(&shared->reached, 2);
}

static void with_child(void)
{
    if (is("moved") || is("views"))
        shared = map();
    if (!fork()) {
        shared = NULL;
        shared = map();
        in_child();
        step_done(1);
        step_wait(2);
        _exit(0);
    }
    step_wait(1);
    if (is("moved"))
        shared = mremap(shared, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
                        mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    else
        shared = map();
    in_parent();
    step_done(2);
}

/* shared is at the same place before and afterwards, but is another object. */
static void with_another(void)
{
    char *place = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared = (void *)place;
    if (!fork()) {
        if (is("two")) /* each has its own from here on */
            mmap(place, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        in_child();
        step_done(1);
        step_wait(2);
        _exit(0);
    }
    step_wait(1);
    if (is("reused")) {
        munmap(place, SIZE);
        mmap(place, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    in_parent();
    step_done(2);
}

int main(int argc, char **argv)
{
    pthread_mutexattr_t m;
    words = argv + 1;
    if (argc > 3 && !strcmp(argv[1], "started"))
        return started(argv[2], atoi(argv[4]));
    if (is("reused") || is("two")) {
        with_another();
    } else {
        make();
        struct shared *first = map();
        pthread_mutexattr_init(&m);
        pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
        pthread_mutex_init(&first->mutex, &m);
        shared = first;
        if (is("spawn") || is("vfork"))
            with_program();
        else
            with_child();
    }
    while (wait(NULL) > 0)
        ;
    shm_unlink(name);
    if (is("sysv"))
        shmctl(segment, IPC_RMID, NULL);
    return 0;
}
