/* What a thread waits for, from the system call it is in, the functions on its stack and glibc's own fields. */
#ifndef SNARL_INSPECT_WAIT_H
#define SNARL_INSPECT_WAIT_H

#include "subject.h"

/* X(name, what people call it) */
#define WAIT_WHATS(X)                                                                                                  \
    X(NOTHING, "running")                                                                                              \
    X(MUTEX, "mutex")                                                                                                  \
    X(READ_LOCK, "read-write lock, to read,")                                                                          \
    X(WRITE_LOCK, "read-write lock, to write,")                                                                        \
    X(CONDITION, "condition")                                                                                          \
    X(SEMAPHORE, "semaphore")                                                                                          \
    X(BARRIER, "barrier")                                                                                              \
    X(ONCE, "the end of an initialisation,")                                                                           \
    X(FILE_LOCK, "a stream,")                                                                                          \
    X(PYTHON_LOCK, "lock")                                                                                             \
    X(INTERPRETER, "the interpreter's lock")                                                                           \
    X(PYTHON_CALL, "what another thread is to do")                                                                     \
    X(LIBC_LOCK, "a lock inside the C library")                                                                        \
    X(REFUSED,                                                                                                         \
      "a mutex with priority inheritance: the kernel refused to wait for its owner, who waits for this thread "        \
      "or has ended")                                                                                                  \
    X(JOIN, "the end of a thread")                                                                                     \
    X(FUTEX, "a futex")                                                                                                \
    X(CHILD, "the end of a child process")                                                                             \
    X(READ, "something to read")                                                                                       \
    X(WRITE, "room to write")                                                                                          \
    X(EVENTS, "events on descriptors")                                                                                 \
    X(CONNECTION, "a connection")                                                                                      \
    X(SIGNAL, "a signal")                                                                                              \
    X(TIME, "time to pass")                                                                                            \
    X(FLOCK, "file lock (flock)")                                                                                      \
    X(FCNTL, "file lock (fcntl)")                                                                                      \
    X(SYSV, "System V semaphore or message")                                                                           \
    X(OTHER, "the kernel")
enum wait_what {
#define X(name, text) WAIT_FOR_##name,
    WAIT_WHATS(X)
#undef X
        WAIT_WHAT_COUNT
};

#define WAIT_MUTEX_SHARED 128u /* in a mutex's __kind: of several processes */
#define WAIT_MUTEX_INHERIT 32u

struct wait {
    enum wait_what what;
    u64 object; /* address of the lock, condition, …; 0: none */
    u64 futex;  /* the word */
    bool timed;
    u32 waiter;      /* the thread itself */
    u32 owner;       /* thread that has it, 0: nobody, many, or not known */
    bool owner_gone; /* that thread does not exist (any more) */
    u32 kind;        /* mutex: glibc's __kind */
    u32 recursion;
    u32 needed;           /* BARRIER: parties */
    int fd;               /* -1: none */
    int pid;              /* CHILD: which one, -1: any */
    const char *name;     /* FILE_LOCK: of the stream, "" */
    const char *function; /* of the library, that waits; "" */
    bool is_python;       /* a semaphore inside of a lock of Python's */
    char *own_name;       /* what the program calls that lock, or the object whose method waits; NULL: not known */
    const char *call;     /* PYTHON_CALL: that method, as Queue.get */
};

/* Where the fields are that this looks at: pthread types of glibc 2.25 and later, x86-64. */
void wait_look(const struct subject *s, const struct subject_thread *t, struct wait *w);
void wait_free(struct wait *w);
/* Semaphores and conditions of a subject with s->python. */
void wait_look_python(const struct subject *s, const struct subject_thread *t, struct wait *w);
const char *wait_text(enum wait_what what);

#endif
