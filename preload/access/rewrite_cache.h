/* What was made of a module is kept in a file, so that the next process that has the same module need not work it out
 * again. How it is kept safe: docs/decisions/0034-cache-of-rewritten-modules.md */
#ifndef SNARL_ACCESS_REWRITE_CACHE_H
#define SNARL_ACCESS_REWRITE_CACHE_H

#include "access/rewrite_module.h"

#define HIDDEN __attribute__((visibility("hidden")))

/* Of a module in a program: what its file is called by, and what must be the same for it to serve. */
struct cache_key {
    u64 name[2]; /* of the build ids of the module, the program and snarl; 0: nothing is kept */
    u64 slow, cells;
    u32 first;
    struct check_target to; /* TLS offsets */
};

/* ---- the folder (rewrite_cache_file.c) ---- */

/* $XDG_CACHE_HOME or $HOME/.cache, from the environment that the process began with. Without a folder that is the user's
 * own and nobody else can write to, nothing is kept. */
void cache_start(const char *xdg, const char *home) HIDDEN;
/* The file, open to be read, -1: there is none that can be trusted. */
int cache_open(const struct cache_key *key, u64 *bytes) HIDDEN;
/* A new file that is to hold so many bytes, -1: it cannot be made. */
int cache_create(u64 bytes) HIDDEN;
/* It is complete, or it is not wanted after all. Closes it; makes room when there is too much in the folder. */
void cache_finish(int fd, const struct cache_key *key, bool keep) HIDDEN;

/* ---- what is in a file (rewrite_cache.c) ---- */

/* For rewrite_module: keeps what it has made, while the text is as it was. */
void cache_keep(const struct rewritten *m, const struct rewrite *r, const struct cache_key *key) HIDDEN;
/* Rewrites the module by its file. False: there is none that fits, and nothing has changed. */
bool cache_use(struct rewritten *m, const struct image *image, const struct cache_key *key) HIDDEN;

#undef HIDDEN
#endif
