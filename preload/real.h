/* The table of real functions: one row for each function that is intercepted, resolved once at start (real.c).
 *
 * R(name) must exist in every supported glibc O(name) may be missing (a library that is not loaded yet, another glibc):
 * looked for again by real_late() when first needed A(name) allocation: NULL until resolved; alloc.c serves from its
 * static pool as long as real_memory_ready is false Use: REAL(pthread_mutex_lock)(m), one indirect call. R and O rows
 * are never NULL before the table is resolved: each starts as a small stub that resolves the whole table and then jumps
 * to the real function (real.c). Afterwards R rows are never NULL, O rows are NULL where nothing was found: `if
 * (!REAL(x) && !real_late("x", (void **)&REAL(x)))`. */
#ifndef SNARL_PRELOAD_REAL_H
#define SNARL_PRELOAD_REAL_H

#include "real_prototypes.h"

#include "base/types.h"

/* clang-format off */
#define REAL_FUNCTIONS(R, O, A)                                                                                        \
    /* mutex */                                                                                                        \
    R(pthread_mutex_init) R(pthread_mutex_destroy) R(pthread_mutex_lock) R(pthread_mutex_trylock)                      \
    R(pthread_mutex_timedlock) O(pthread_mutex_clocklock) R(pthread_mutex_unlock) R(pthread_mutex_consistent)          \
    /* rwlock */                                                                                                       \
    R(pthread_rwlock_init) R(pthread_rwlock_destroy) R(pthread_rwlock_rdlock) R(pthread_rwlock_tryrdlock)              \
    R(pthread_rwlock_timedrdlock) O(pthread_rwlock_clockrdlock) R(pthread_rwlock_wrlock) R(pthread_rwlock_trywrlock)   \
    R(pthread_rwlock_timedwrlock) O(pthread_rwlock_clockwrlock) R(pthread_rwlock_unlock)                               \
    /* spin, barrier */                                                                                                \
    R(pthread_spin_init) R(pthread_spin_destroy) R(pthread_spin_lock) R(pthread_spin_trylock) R(pthread_spin_unlock)   \
    R(pthread_barrier_init) R(pthread_barrier_destroy) R(pthread_barrier_wait)                                         \
    /* condition */                                                                                                    \
    R(pthread_cond_init) R(pthread_cond_destroy) R(pthread_cond_wait) R(pthread_cond_timedwait)                        \
    O(pthread_cond_clockwait) R(pthread_cond_signal) R(pthread_cond_broadcast)                                         \
    /* semaphore */                                                                                                    \
    R(sem_init) R(sem_destroy) R(sem_open) R(sem_close) R(sem_wait) R(sem_trywait) R(sem_timedwait) O(sem_clockwait)   \
    R(sem_post) R(sem_getvalue)                                                                                        \
    /* once and guards */                                                                                              \
    R(pthread_once) O(__cxa_guard_acquire) O(__cxa_guard_release) O(__cxa_guard_abort)                                 \
    /* C11 */                                                                                                          \
    R(mtx_init) R(mtx_destroy) R(mtx_lock) R(mtx_trylock) R(mtx_timedlock) R(mtx_unlock)                               \
    R(cnd_init) R(cnd_destroy) R(cnd_wait) R(cnd_timedwait) R(cnd_signal) R(cnd_broadcast)                             \
    R(thrd_create) R(thrd_join) R(thrd_detach) R(call_once)                                                            \
    /* stdio */                                                                                                        \
    R(flockfile) R(ftrylockfile) R(funlockfile) R(fclose)                                                              \
    /* threads */                                                                                                      \
    R(pthread_create) R(pthread_join) R(pthread_tryjoin_np) R(pthread_timedjoin_np) O(pthread_clockjoin_np)            \
    R(pthread_detach) R(pthread_cancel) R(pthread_setcanceltype) R(pthread_setname_np) R(prctl) \
    /* processes */                                                                                                    \
    R(fork) O(_Fork) R(clone) R(execve) R(execv) R(execvp) R(execvpe) R(fexecve) O(execveat)                           \
    R(posix_spawn) R(posix_spawnp) R(system) R(popen) R(pclose)                                                        \
    R(wait) R(waitpid) R(waitid) R(wait3) R(wait4) R(_exit)                                                            \
    R(setrlimit) R(getrlimit) R(prlimit) R(mlockall)                                                                   \
    /* signals and timers */                                                                                           \
    R(sigaction) R(signal) O(sysv_signal) O(sigset) R(timer_create) R(setitimer) R(alarm)                                                            \
    /* jumps */                                                                                                        \
    R(longjmp) R(_longjmp) R(siglongjmp) O(__longjmp_chk)                                                              \
    /* file locks */                                                                                                   \
    R(flock) R(fcntl) O(fcntl64) R(lockf) O(lockf64) R(close)                                                          \
    /* memory */                                                                                                       \
    A(malloc) A(calloc) A(realloc) A(free) A(memalign) A(posix_memalign) A(aligned_alloc) A(valloc) A(pvalloc)         \
    A(malloc_usable_size) O(reallocarray) R(mmap) O(mmap64) R(munmap) R(mremap) R(shmdt)                               \
    O(_Znwm) O(_Znam) O(_ZnwmRKSt9nothrow_t) O(_ZnamRKSt9nothrow_t) O(_ZnwmSt11align_val_t) O(_ZnamSt11align_val_t)    \
    O(_ZnwmSt11align_val_tRKSt9nothrow_t) O(_ZnamSt11align_val_tRKSt9nothrow_t)                                        \
    O(_ZdlPv) O(_ZdaPv) O(_ZdlPvm) O(_ZdaPvm) O(_ZdlPvSt11align_val_t) O(_ZdaPvSt11align_val_t)                        \
    O(_ZdlPvmSt11align_val_t) O(_ZdaPvmSt11align_val_t) O(_ZdlPvRKSt9nothrow_t) O(_ZdaPvRKSt9nothrow_t)                \
    /* GLib */                                                                                                         \
    O(g_mutex_init) O(g_mutex_clear) O(g_mutex_lock) O(g_mutex_trylock) O(g_mutex_unlock)                              \
    O(g_rec_mutex_init) O(g_rec_mutex_clear) O(g_rec_mutex_lock) O(g_rec_mutex_trylock) O(g_rec_mutex_unlock)          \
    O(g_rw_lock_init) O(g_rw_lock_clear) O(g_rw_lock_writer_lock) O(g_rw_lock_writer_trylock)                          \
    O(g_rw_lock_writer_unlock) O(g_rw_lock_reader_lock) O(g_rw_lock_reader_trylock) O(g_rw_lock_reader_unlock)         \
    O(g_cond_init) O(g_cond_clear) O(g_cond_wait) O(g_cond_wait_until) O(g_cond_signal) O(g_cond_broadcast)            \
    /* OpenMP */                                                                                                       \
    O(omp_init_lock) O(omp_destroy_lock) O(omp_set_lock) O(omp_unset_lock) O(omp_test_lock)                            \
    O(omp_init_nest_lock) O(omp_destroy_nest_lock) O(omp_set_nest_lock) O(omp_unset_nest_lock) O(omp_test_nest_lock)   \
    O(GOMP_critical_start) O(GOMP_critical_end) O(GOMP_critical_name_start) O(GOMP_critical_name_end)                  \
    O(__kmpc_critical) O(__kmpc_critical_with_hint) O(__kmpc_end_critical)

/* clang-format on */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* sigset */
struct real_table {
#define X(name) __typeof__(name) *name;
    REAL_FUNCTIONS(X, X, X)
#undef X
};
#pragma GCC diagnostic pop
enum real_row {
#define X(name) REAL_ROW_##name,
    REAL_FUNCTIONS(X, X, X)
#undef X
        REAL_ROWS
};
union real_functions {
    struct real_table row;
    void *slot[REAL_ROWS];
};
extern union real_functions real_functions __attribute__((visibility("hidden")));

#define REAL(name) (real_functions.row.name)

/* Resolves every row; idempotent; safe before constructors of other libraries (the stubs call it too). */
void real_resolve(void) __attribute__((visibility("hidden")));
/* The allocation rows may be called. */
extern bool real_memory_ready __attribute__((visibility("hidden")));
/* For O rows that are NULL: looks through the modules loaded by now. Returns whether *slot is set. */
bool real_late(const char *name, void **slot) __attribute__((visibility("hidden")));
/* Any dynamic symbol of the modules loaded at the start: those behind ours first. Only while there is one thread. */
void *real_lookup(const char *name) __attribute__((visibility("hidden")));
/* Our own entry in the loader's list; NULL when it is not there. */
struct link_map;
const struct link_map *real_own_map(void) __attribute__((visibility("hidden")));

#endif
