/* Tells the engine what a process looks like, as if it had been watched: so the engine's own wait-for graph finds
 * deadlocks, and they get the names and ids that a run would give them. */
#ifndef SNARL_INSPECT_FEED_H
#define SNARL_INSPECT_FEED_H

#include "subject.h"
#include "wait.h"

/* A shared mutex that a thread of another process is said to have. */
struct feed_want {
    u64 key[3]; /* device, inode, offset */
    u32 kind, owner;
};

/* The file behind an address of memory that processes share. False: it is not, or a core does not say. */
bool feed_shared_key(const struct subject *s, u64 addr, u64 key[3]);

/* waits: one for each thread of s. Into the mapped arena, as a process of its run; once per process of snarl (the engine
 * knows one). */
void feed(const struct subject *s, const struct wait *waits, const struct feed_want *wants, size_t nwants);
/* After feed: what the engine has of a thread of s, and of what it waits for. */
struct feed_refs {
    u32 number; /* as in findings */
    ref_t stack, process;
    ref_t object; /* lock, semaphore, condition; 0: none */
};
struct feed_refs feed_refs(u32 thread, const struct wait *w);

#endif
