/* A process as it stands now, or as a core has it: its threads with their stacks and system calls, its modules, its
 * memory. Read only: nothing in it is changed.
 *
 * Not for several threads at once. Whatever a core contains, calls return; a process that ends meanwhile gives what was
 * read so far. */
#ifndef SNARL_INSPECT_SUBJECT_H
#define SNARL_INSPECT_SUBJECT_H

#include <elfutils/libdwfl.h>
#include <stddef.h>

#include "base/types.h"

#define SUBJECT_FRAMES 64u
#define SUBJECT_THREADS 20000u

struct subject_frame {
    u64 pc;     /* return address; the instruction itself with `exact` */
    u64 cfa;    /* 0: not known */
    bool exact; /* innermost, or interrupted by a signal */
};

struct subject_registers {
    u64 dwarf[17]; /* in DWARF's order: rax rdx rcx rbx rsi rdi rbp rsp r8 … r15 rip */
    u64 thread;    /* pthread_t: fs_base */
    bool whole;    /* else only rsp and rip are known */
};

#define PYTHON_TEXT 240u

struct python_frame {
    char function[PYTHON_TEXT], file[PYTHON_TEXT]; /* UTF-8 */
    u32 line;
    u64 at, code, offset; /* the frame, its code object, the instruction in it */
};

struct subject_thread {
    u32 tid;
    char name[16]; /* as the kernel has it */
    char state;    /* R S D T Z …; 0: not known */
    u64 pthread;   /* 0: not known */
    bool in_call;  /* in the kernel, with this call */
    long call;
    u64 argument[6];
    struct subject_registers registers;
    struct subject_frame frame[SUBJECT_FRAMES];
    u32 nframes;
    bool cut;                    /* the stack goes on */
    struct python_frame *python; /* [npython], innermost first */
    u32 npython;
    u64 python_state; /* the interpreter's of this thread; 0: none */
};

struct subject_module {
    char *path;
    u64 lo, hi, bias;
    u8 build_id[32];
    u32 build_id_length;
    bool is_main, is_libc, is_system, is_python;
    Dwfl_Module *dwfl;
};

struct python_layout;
struct python_hold;

struct subject {
    u32 pid;   /* 0: a core that does not say */
    u32 alive; /* a thread of a live process that has memory: its main thread may have ended */
    bool is_core;
    u64 handled; /* signals it has handlers for, a bit each; of a core 0 */
    char *exe;   /* path, or "" */
    struct subject_thread *thread;
    u32 nthreads;
    struct subject_module *module;
    u32 nmodules;

    /* CPython, by python.c */
    bool has_python;
    u32 python_version;                 /* as 0x030b; 0: not known */
    const struct python_layout *python; /* NULL: none, or its frames cannot be read */
    u64 python_runtime, python_code, python_string, python_function;
    struct python_hold *python_hold; /* [npython_holds] */
    u32 npython_holds;

    /* of live.c and core_file.c */
    Dwfl *dwfl;
    struct Elf *core_elf;
    int core_fd;
    char *find_path; /* libdwfl's debug path */
    Dwfl_Callbacks callbacks;
};

/* Everything is read before they return; a live process was stopped for that moment, but for threads in system calls
 * that a stop would end (they have only the innermost frames). False with a sentence in err: no such process, no right
 * to look at it, no core. */
/* Calls of a thread that a stop ends may be ended: none, those on sockets that have no time limits (they go on), or all. */
extern enum subject_may_end { SUBJECT_NO_CALL, SUBJECT_SOCKET_CALLS, SUBJECT_ANY_CALL } subject_may_end;
bool subject_live(struct subject *s, u32 pid, char *err, size_t errlen);
bool subject_core(struct subject *s, const char *path, char *err, size_t errlen);
void subject_free(struct subject *s);

/* Bytes of its memory. False: not all are there. */
bool subject_read(const struct subject *s, u64 address, void *to, size_t n);
/* What a core has around an address. */
bool subject_segment(const struct subject *s, u64 address, u64 *lo, u64 *hi);
bool subject_word(const struct subject *s, u64 address, u32 *to);

/* NULL: none. */
const struct subject_module *subject_module_at(const struct subject *s, u64 address);
struct subject_thread *subject_thread_of(const struct subject *s, u32 tid);
/* The function that contains an address, from the symbol tables, without leading underscores and version; "" if none is
 * known. Lives as long as s. */
const char *subject_function(const struct subject *s, const struct subject_frame *f);

/* ---- between subject.c, live.c, core_file.c ---- */
bool subject_begin(struct subject *s);
void subject_modules(struct subject *s);
/* The stacks of all threads; dwfl is attached. */
void subject_stacks(struct subject *s);
struct subject_thread *subject_add_thread(struct subject *s, u32 tid);

#endif
