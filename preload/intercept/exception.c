/* Hooks of what ends a thread's use of a C++ exception object. Threads share one by std::exception_ptr and
 * std::rethrow_exception; the library counts its users without telling, and the last one destroys the object in code of
 * the program's. Called by all modules while accesses are watched. Takes the engine's locks in slow paths only; allocates
 * nothing.
 *
 * Whoever comes here has done with the object what it had to do, and may be the last: it releases, and acquires what
 * those before it have released. */
#include "touch.h"

/* libstdc++'s __cxa_exception, as the Itanium C++ ABI lays it out. Of an exception that was thrown again from an
 * exception_ptr, the first word is the object; else the object follows the header. */
#define HEADER_CLASS 80u
#define HEADER_SIZE 112u
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

static void done_with(u64 object, const u64 *fp)
{
    struct thread *t = object ? touch_enter(fp) : NULL;
    if (!t)
        return;
    hb_release(t, hb_key(HB_ADDRESS, object));
    hb_acquire(t, hb_key(HB_ADDRESS, object));
    interceptor_leave(t);
}

void hook___cxa_end_catch(void)
{
    done_with(object_caught(), INTERCEPTOR_FP());
    HOOKED(__cxa_end_catch)();
}

/* std::exception_ptr::_M_release: of a copy, by its destructor or an assignment. */
void hook__ZNSt15__exception_ptr13exception_ptr10_M_releaseEv(void **pointer)
{
    done_with((u64)*pointer, INTERCEPTOR_FP());
    HOOKED(_ZNSt15__exception_ptr13exception_ptr10_M_releaseEv)(pointer);
}
