/* Hook of std::promise::set_value_at_thread_exit and its like. The C++ library makes the result ready among the
 * thread's last destructors, in code of its own that is not instrumented: who waits for it learns of all that the thread
 * has done, by a word in the state that both share.
 *
 * Called by modules that use it, and from the first of the thread's destructors (thread.c), which come in the order in
 * which their keys were made: before the library's. Takes the engine's locks in slow paths only; allocates nothing.
 *
 * A thread that does so for several results releases what it has done so far for all but the last. */
#include "ready.h"

#include "touch.h"

/* libstdc++'s __future_base::_State_baseV2::_Make_ready: two words of a list, then the state; in that one a virtual table
 * and the result are followed by the word. */
#define STATE_AT 16u
#define WORD_AT 16u

static __thread u64 last_word __attribute__((tls_model("initial-exec")));

static void tell(u64 word, const u64 *fp)
{
    struct thread *t = word ? touch_enter(fp) : NULL;
    if (!t)
        return;
    hb_release(t, hb_key(HB_ADDRESS, word));
    interceptor_leave(t);
}

void hook__ZNSt13__future_base13_State_baseV211_Make_ready6_M_setEv(void *self)
{
    const u64 *fp = INTERCEPTOR_FP();
    u64 state = *(const u64 *)((const char *)self + STATE_AT);
    tell(last_word, fp);
    last_word = state ? state + WORD_AT : 0;
    HOOKED(_ZNSt13__future_base13_State_baseV211_Make_ready6_M_setEv)(self);
}

void ready_thread_ends(void)
{
    tell(last_word, INTERCEPTOR_FP());
    last_word = 0;
}
