/* The door to uthash, for code outside the watched program: its tables allocate with malloc. The only includer of uthash.
 *
 * Running out of memory ends the process with a message, as everywhere in the command. Inside the watched program tables are addrmap.h
 * and the arena's. */
#ifndef SNARL_BASE_TABLE_H
#define SNARL_BASE_TABLE_H

#define uthash_fatal(msg) abort()
#include <stdlib.h>
#include <uthash.h>

#endif
