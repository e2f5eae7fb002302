/* Jumps from original code to copies. */
#ifndef SNARL_ACCESS_REWRITE_PATCH_H
#define SNARL_ACCESS_REWRITE_PATCH_H

#include "access/rewrite_arena.h"

/* Works out what the text will be (r->patched), and writes stubs to the arena. False when there is no memory. */
bool rewrite_patch(struct rewrite *r, struct arena *a) __attribute__((visibility("hidden")));
/* Makes it so. The arena must be executable. False when the text cannot be written; then nothing has changed. */
bool rewrite_commit(struct rewrite *r) __attribute__((visibility("hidden")));

/* The same with any text that was worked out before. */
bool patch_text(const struct image *m, const u8 *patched) __attribute__((visibility("hidden")));

/* A jump to a copy: however far it is. */
void patch_write_stub(const struct arena *a, u64 stub, u64 body) __attribute__((visibility("hidden")));

/* The byte faults in user mode when it is executed as an opcode, whatever follows. */
bool patch_is_trap(u8 opcode) __attribute__((visibility("hidden")));

#endif
