/* Processes and threads that wait for one another over pipes, sockets, children's ends and shared memory: every time.
 *
 * @case stuck_processes_full_pipe full_pipe
 * @finding stuck verdict=observed locks= side=wait_for side=write_much
 * @strikes
 * @status 66
 * @case stuck_processes_readers readers
 * @finding stuck verdict=observed locks= side=first+read_byte side=second+read_byte
 * @strikes
 * @case stuck_processes_sockets sockets
 * @finding stuck verdict=observed locks= side=first+receive_byte side=second+receive_byte
 * @strikes
 * @case stuck_processes_full_sockets full_sockets
 * @finding stuck verdict=observed locks= side=first+write_much side=second+write_much
 * @strikes
 * @case stuck_processes_own_pipe own_pipe
 * @finding stuck verdict=observed locks= side=read_byte
 * @strikes
 * @case stuck_processes_threads threads
 * @finding stuck verdict=observed locks= side=reader_one side=reader_two
 * @strikes
 * @case stuck_processes_condition condition
 * @finding stuck verdict=observed locks=* side=wait_for side=wait_for_signal
 * @strikes
 * @case stuck_processes_semaphore semaphore
 * @finding stuck verdict=observed locks=* side=wait_for side=wait_for_post
 * @strikes
 * @case stuck_processes_lock_and_pipe lock_and_pipe
 * @finding stuck verdict=observed locks=* side=main+read_byte side=answer_with_lock
 * @strikes
 * @case stuck_processes_file_lock file_lock
 * @finding stuck verdict=observed locks=*snarl-case.lock* side=main+read_byte side=answer_with_file_lock
 * @strikes
 * @case stuck_processes_poll poll
 * @finding stuck verdict=observed locks= side=poll_for_byte side=second+read_byte
 * @strikes
 * @case stuck_processes_select select
 * @finding stuck verdict=observed locks= side=select_byte side=second+read_byte
 * @strikes
 * @case stuck_processes_epoll epoll
 * @finding stuck verdict=observed locks= side=epoll_for_byte side=second+read_byte
 * @strikes
 * @case stuck_processes_counters counters
 * @finding stuck verdict=observed locks= side=first+read_counter side=second+read_counter
 * @strikes
 * @case stuck_processes_named_pipes named_pipes
 * @finding stuck verdict=observed locks= side=first+read_byte side=second+read_byte
 * @strikes
 * @case stuck_processes_any_child any_child
 * @finding stuck verdict=observed locks= side=first+read_byte side=second+read_byte
 * @strikes
 * The two are ended; the third, who has no part in it, goes on and prints.
 * @case stuck_processes_others_run others_run
 * @finding stuck verdict=observed locks= side=first+read_byte side=second+read_byte
 * @strikes
 * @output third done\n
 * A pool of one process, whose task waits for another task of the same pool.
 * @case stuck_processes_pool pool
 * @finding stuck verdict=observed locks= side=serve+run_task+read_byte
 * @strikes
 * @case stuck_processes_report readers
 * @snarl --on-deadlock=report
 * @finding stuck verdict=observed locks= side=first+read_byte side=second+read_byte
 * @strikes
 * @hangs
 * The child's read fails, it writes all the same, and both go on.
 * @case stuck_processes_break break
 * @snarl --on-deadlock=break
 * @finding stuck verdict=observed locks= side=first+read_byte side=second+read_byte
 * @strikes
 * @status 66
 * @output first has read x\nsecond has failed with EDEADLK\n
 */
#include "stuck_processes.h"

static char folder[] = "/tmp/snarl-case-lock-XXXXXX", lock_path[64];

NOINLINE static void answer_with_file_lock(void)
{
    int fd = open(lock_path, O_RDWR);
    unlink(lock_path);
    rmdir(folder);
    CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0);
    write_byte(one[1]);
}

/* Two children talk; their parent has no end. */
static void talk_apart(void)
{
    pid_t a = begin(first), b = begin(second);
    close_all();
    if (is("others_run"))
        return;
    wait_for(a);
    wait_for(b);
}

static void named_pipes(void)
{
    char pipes[] = "/tmp/snarl-case-pipes-XXXXXX", a[64], b[64];
    CHECK(mkdtemp(pipes));
    snprintf(a, sizeof a, "%s/a", pipes);
    snprintf(b, sizeof b, "%s/b", pipes);
    CHECK(mkfifo(a, 0600) == 0 && mkfifo(b, 0600) == 0);
    if (fork() == 0) {
        one[1] = open(a, O_WRONLY);
        two[0] = open(b, O_RDONLY);
        unlink(a);
        unlink(b);
        rmdir(pipes);
        second();
        _exit(0);
    }
    one[0] = open(a, O_RDONLY);
    two[1] = open(b, O_WRONLY);
    first();
}

static void *reader_one(void *unused)
{
    first();
    return unused;
}

static void *reader_two(void *unused)
{
    second();
    return unused;
}

static void locked_and_waiting(void)
{
    make_shared();
    pthread_mutex_lock(&shared->lock);
    begin(answer_with_lock);
    close(one[1]);
    read_byte(one[0]);
}

static void file_locked_and_waiting(void)
{
    CHECK(mkdtemp(folder));
    snprintf(lock_path, sizeof lock_path, "%s/snarl-case.lock", folder);
    int fd = open(lock_path, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0);
    begin(answer_with_file_lock);
    close(one[1]);
    read_byte(one[0]);
}

static void bugs(void)
{
    if (is("full_pipe"))
        full_pipe(false);
    else if (is("own_pipe"))
        read_byte(one[0]);
    else if (is("threads")) {
        pthread_t a = start(reader_one, NULL), b = start(reader_two, NULL);
        join(a);
        join(b);
    } else if (is("condition") || is("semaphore")) {
        make_shared();
        pid_t child = fork();
        if (child == 0) {
            if (is("condition"))
                wait_for_signal();
            else
                wait_for_post(&shared->sem);
            _exit(0);
        }
        wait_for(child);
    } else if (is("lock_and_pipe"))
        locked_and_waiting();
    else if (is("file_lock"))
        file_locked_and_waiting();
    else if (is("named_pipes"))
        named_pipes();
    else if (is("pool"))
        pool(1);
    else if (is("any_child") || is("others_run"))
        talk_apart();
    else
        talk();
}

int main(int argc, char **argv)
{
    shape = argc > 1 ? argv[1] : "";
    make_ends();
    bugs();
    if (is("break"))
        dprintf(1, "first has read %c\nsecond has failed with EDEADLK\n", seen);
    if (is("others_run")) {
        nap_ms(3 * LONG_MS);
        dprintf(1, "third done\n");
    }
    return 0;
}
