/* Hooks of what ends a thread's use of a C++ exception object. Threads share one by std::exception_ptr and
 * std::rethrow_exception; the library counts its users without telling, and the last one destroys the object in code of
 * the program's. Called by all modules while accesses are watched. Takes the engine's locks in slow paths only; allocates
 * nothing.
 *
 * Whoever lets go of the object releases, and is let go of here, in the library's counter, unless it is the last user:
 * that one acquires what all others have released before the library destroys the object. */
#include "touch.h"

/* libstdc++'s __cxa_exception, as the Itanium C++ ABI lays it out. Of an exception that was thrown again from an
 * exception_ptr, the first word is the object; else the object follows the header. */
#define HEADER_CLASS 80u
#define HEADER_SIZE 112u
#define COUNT_BEFORE 128u               /* the number of users, in front of the header */
#define CLASS_GNU 0x474e5543432b2b00ULL /* "GNUCC++\0"; \1: thrown again */
#define CLASS_AGAIN 1ULL

struct cxa_globals {
    const char *caught;
    unsigned uncaught;
};

static u64 object_caught(void)
{
    static struct cxa_globals *(*get_globals)(void);
    if (!get_globals && !real_late("__cxa_get_globals", (void **)&get_globals))
        return 0;
    const char *header = get_globals()->caught;
    u64 class = header ? *(const u64 *)(header + HEADER_CLASS) : 0;
    if ((class & ~0xffULL) != CLASS_GNU)
        return 0; /* another language's, or a thread's forced end */
    return class & CLASS_AGAIN ? *(const u64 *)header : (u64)header + HEADER_SIZE;
}

static void tell(u64 object, void (*what)(struct thread *, u64), const u64 *fp)
{
    struct thread *t = touch_enter(fp);
    if (!t)
        return;
    what(t, hb_key(HB_ADDRESS, object));
    interceptor_leave(t);
}

static int *users_of(u64 object)
{
    return (int *)(object - COUNT_BEFORE);
}

/* The caller is a user. */
static void let_go(u64 object, const u64 *fp)
{
    int *users = users_of(object), n = __atomic_load_n(users, __ATOMIC_ACQUIRE);
    if (n > 1)
        tell(object, hb_release, fp);
    while (n > 1)
        if (__atomic_compare_exchange_n(users, &n, n - 1, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return;
    tell(object, hb_acquire, fp);
    tell(object, hb_forget, fp);
    void *last = (void *)object;
    HOOKED(_ZNSt15__exception_ptr13exception_ptr10_M_releaseEv)(&last);
}

/* The library lets go on the way; a user more, meanwhile, keeps it from doing so as the last. */
void hook___cxa_end_catch(void)
{
    const u64 *fp = INTERCEPTOR_FP();
    u64 object = HOOKED(_ZNSt15__exception_ptr13exception_ptr10_M_releaseEv) ? object_caught() : 0;
    if (object)
        __atomic_fetch_add(users_of(object), 1, __ATOMIC_RELAXED);
    HOOKED(__cxa_end_catch)();
    if (object)
        let_go(object, fp);
}

/* std::exception_ptr::_M_release: of a copy, by its destructor or an assignment. */
void hook__ZNSt15__exception_ptr13exception_ptr10_M_releaseEv(void **pointer)
{
    u64 object = (u64)*pointer;
    *pointer = NULL;
    if (object)
        let_go(object, INTERCEPTOR_FP());
}
