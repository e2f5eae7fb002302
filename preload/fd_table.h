/* Which descriptors lead to the same thing, for the order that data passing through them makes: what one thread did
 * before a write happened before what another one does after reading it.
 *
 * Each descriptor number has a key for hb_release and hb_acquire. It is set where a call makes the descriptor, copied
 * where one is duplicated, and otherwise found from the kernel's answers at the first use. Different things may share a
 * key (keys are few, so that they need no end): that makes an order too many, never one too few.
 *
 * Lock-free; async-signal-safe; errno is kept. Memory is mapped for each 64 Ki descriptors, and touched where they are. */
#ifndef SNARL_PRELOAD_FD_TABLE_H
#define SNARL_PRELOAD_FD_TABLE_H

#include "base/types.h"

/* ---- descriptors as data: threads that use one and close it without order race for it ---- */

/* What is accessed in the place of a descriptor: eight bytes, its key's; 0: none. */
u64 fd_cell(int fd) __attribute__((visibility("hidden")));
/* Who has made it. */
void fd_set_origin(int fd, ref_t stack, u32 thread) __attribute__((visibility("hidden")));
/* It has been closed, and nobody has been seen to make it again. */
void fd_set_closed(int fd, bool closed) __attribute__((visibility("hidden")));
bool fd_is_closed(int fd) __attribute__((visibility("hidden")));
struct fd_origin {
    int fd;
    ref_t stack;
    u32 thread;
};
/* Whose cell is that? False: it is none. */
bool fd_at(u64 addr, struct fd_origin *out) __attribute__((visibility("hidden")));

/* ---- what they lead to ---- */

/* The key of what fd leads to, 0: it makes no order (closed, a directory, /dev/null, an unconnected socket). */
u64 fd_key(int fd) __attribute__((visibility("hidden")));
/* fd is new and leads to something that has no other descriptor yet. */
void fd_made(int fd) __attribute__((visibility("hidden")));
/* Two ends of one thing. */
void fd_made_pair(int a, int b) __attribute__((visibility("hidden")));
/* `to` is a duplicate of `from`. */
void fd_copied(int from, int to) __attribute__((visibility("hidden")));
/* Nothing is known of fd any more. */
void fd_forget(int fd) __attribute__((visibility("hidden")));
/* The same for those that are closed together. */
void fd_forget_range(u32 first, u32 last) __attribute__((visibility("hidden")));

/* fd is told of this process's signals (signalfd); the key of all that are told of those of a process. */
void fd_made_for_signals(int fd) __attribute__((visibility("hidden")));
u64 fd_key_signals(u32 process) __attribute__((visibility("hidden")));
/* The key belongs to a regular file or a device with blocks. */
bool fd_key_is_file(u64 key) __attribute__((visibility("hidden")));
/* All connections that are being made. */
u64 fd_key_connecting(void) __attribute__((visibility("hidden")));
/* The number fd itself, whatever it stands for in its lives. */
u64 fd_key_number(int fd) __attribute__((visibility("hidden")));
/* Something with a number of its own in a space of its own (System V queues, semaphores). */
u64 fd_key_other(u64 space, u64 number) __attribute__((visibility("hidden")));

#endif
