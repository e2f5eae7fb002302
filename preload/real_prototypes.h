/* Declarations that give __typeof__(name) a meaning for every row of real.h: glibc's own headers, and prototypes with
 * plain pointer types for what comes from libraries that snarl does not build against (libstdc++, GLib, OpenMP).
 * Included by real.h only. */
#ifndef SNARL_PRELOAD_REAL_PROTOTYPES_H
#define SNARL_PRELOAD_REAL_PROTOTYPES_H

#ifndef _GNU_SOURCE
#error "compile with -D_GNU_SOURCE: the interceptors need all of glibc's declarations"
#endif

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

/* Declared by glibc only for older standards. */
__sighandler_t bsd_signal(int, __sighandler_t);

/* Only in headers when _FORTIFY_SOURCE is on. */
void __longjmp_chk(jmp_buf, int) __attribute__((noreturn));

/* Itanium C++ ABI: function-local statics. */
int __cxa_guard_acquire(uint64_t *);
void __cxa_guard_release(uint64_t *);
void __cxa_guard_abort(uint64_t *);

/* operator new and delete; m = size_t, nothrow_t by reference, align_val_t as its underlying type. */
void *_Znwm(size_t);
void *_Znam(size_t);
void *_ZnwmRKSt9nothrow_t(size_t, const void *);
void *_ZnamRKSt9nothrow_t(size_t, const void *);
void *_ZnwmSt11align_val_t(size_t, size_t);
void *_ZnamSt11align_val_t(size_t, size_t);
void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t, size_t, const void *);
void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t, size_t, const void *);
void _ZdlPv(void *);
void _ZdaPv(void *);
void _ZdlPvm(void *, size_t);
void _ZdaPvm(void *, size_t);
void _ZdlPvSt11align_val_t(void *, size_t);
void _ZdaPvSt11align_val_t(void *, size_t);
void _ZdlPvmSt11align_val_t(void *, size_t, size_t);
void _ZdaPvmSt11align_val_t(void *, size_t, size_t);
void _ZdlPvRKSt9nothrow_t(void *, const void *);
void _ZdaPvRKSt9nothrow_t(void *, const void *);

/* GLib. gboolean is int, gint64 is int64_t; locks and conditions are opaque here. */
void g_mutex_init(void *);
void g_mutex_clear(void *);
void g_mutex_lock(void *);
int g_mutex_trylock(void *);
void g_mutex_unlock(void *);
void g_rec_mutex_init(void *);
void g_rec_mutex_clear(void *);
void g_rec_mutex_lock(void *);
int g_rec_mutex_trylock(void *);
void g_rec_mutex_unlock(void *);
void g_rw_lock_init(void *);
void g_rw_lock_clear(void *);
void g_rw_lock_writer_lock(void *);
int g_rw_lock_writer_trylock(void *);
void g_rw_lock_writer_unlock(void *);
void g_rw_lock_reader_lock(void *);
int g_rw_lock_reader_trylock(void *);
void g_rw_lock_reader_unlock(void *);
void g_cond_init(void *);
void g_cond_clear(void *);
void g_cond_wait(void *, void *);
int g_cond_wait_until(void *, void *, int64_t);
void g_cond_signal(void *);
void g_cond_broadcast(void *);

/* OpenMP: libgomp and libomp. */
void omp_init_lock(void *);
void omp_destroy_lock(void *);
void omp_set_lock(void *);
void omp_unset_lock(void *);
int omp_test_lock(void *);
void omp_init_nest_lock(void *);
void omp_destroy_nest_lock(void *);
void omp_set_nest_lock(void *);
void omp_unset_nest_lock(void *);
int omp_test_nest_lock(void *);
void GOMP_critical_start(void);
void GOMP_critical_end(void);
void GOMP_critical_name_start(void **);
void GOMP_critical_name_end(void **);
void __kmpc_critical(void *, int32_t, void *);
void __kmpc_critical_with_hint(void *, int32_t, void *, uint32_t);
void __kmpc_end_critical(void *, int32_t, void *);

#endif
