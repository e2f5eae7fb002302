/* Accesses to memory: the door's functions while nothing watches them yet. */
#include "analyze/access.h"

#include <errno.h>

bool access_on;

int access_turn_on(void)
{
    return -ENOSYS;
}
void access_range(struct thread *t, u64 addr, u64 size, u32 kind, const u64 *fp)
{
    (void)t, (void)addr, (void)size, (void)kind, (void)fp;
}
void access_block_new(struct thread *t, u64 addr, u64 size, const u64 *fp)
{
    (void)t, (void)addr, (void)size, (void)fp;
}
void access_block_gone(struct thread *t, u64 addr, u64 size, const u64 *fp)
{
    (void)t, (void)addr, (void)size, (void)fp;
}
void access_forget(u64 addr, u64 size)
{
    (void)addr, (void)size;
}
void hb_release(struct thread *t, u64 key)
{
    (void)t, (void)key;
}
void hb_release_store(struct thread *t, u64 key)
{
    (void)t, (void)key;
}
void hb_acquire(struct thread *t, u64 key)
{
    (void)t, (void)key;
}
void hb_forget(u64 key)
{
    (void)key;
}
void hb_relaxed_write(struct thread *t, u64 key)
{
    (void)t, (void)key;
}
void hb_relaxed_read(struct thread *t, u64 key)
{
    (void)t, (void)key;
}
void hb_fence_release(struct thread *t)
{
    (void)t;
}
void hb_fence_acquire(struct thread *t)
{
    (void)t;
}
void access_ignore(struct thread *t, u32 what, bool begin)
{
    (void)t, (void)what, (void)begin;
}
void access_intended(u64 addr, u64 size, const char *what)
{
    (void)addr, (void)size, (void)what;
}
void access_thread_switched(struct thread *t)
{
    (void)t;
}
