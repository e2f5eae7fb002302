/* What hooks of calls on descriptors have in common. As touch.h, but memory counts only when the caller is watched; the
 * order that they make counts whoever calls. */
#ifndef SNARL_INTERCEPT_TRANSFER_H
#define SNARL_INTERCEPT_TRANSFER_H

#include "descriptor.h"
#include "fd_table.h"
#include "touch.h"

/* Inside: the access, if the caller is watched. */
#define COUNTED(...) (watched_call(fp, false) ? (void)(__VA_ARGS__) : (void)0)
#define USES(fd) descriptor_used(t, fd, fp)
#define RELEASE(key) ((key) ? hb_release(t, key) : (void)0)
#define ACQUIRE(key) ((key) ? hb_acquire(t, key) : (void)0)

/* Nothing more will come through it: who held the other end may have ended without a close. */
static inline void ended_there(struct thread *t, u64 key)
{
    if (key && !fd_key_is_file(key))
        access_others_ended(t);
}

/* Something goes into a descriptor (before the real call), or has come out of it. */
#define SENDING(type, name, parameters, arguments, fd, ...)                                                            \
    type hook_##name parameters                                                                                        \
    {                                                                                                                  \
        u64 key = fd_key(fd);                                                                                          \
        TOUCH(COUNTED(USES(fd), __VA_ARGS__), RELEASE(key));                                                           \
        return HOOKED(name) arguments;                                                                                 \
    }
#define RECEIVED(type, name, parameters, arguments, fd, ...)                                                           \
    type hook_##name parameters                                                                                        \
    {                                                                                                                  \
        u64 key = fd_key(fd); /* before: fd may be another one afterwards */                                           \
        TOUCH(COUNTED(USES(fd)));                                                                                      \
        type r = HOOKED(name) arguments;                                                                               \
        if (r >= 0)                                                                                                    \
            TOUCH(ACQUIRE(key), r ? (void)0 : ended_there(t, key), COUNTED(__VA_ARGS__));                              \
        return r;                                                                                                      \
    }

#endif
