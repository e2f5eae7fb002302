/* Which Unix sockets belong together. */
#ifndef SNARL_INSPECT_PEERS_H
#define SNARL_INSPECT_PEERS_H

#include <stddef.h>

#include "base/types.h"

struct peers {
    struct peer {
        u32 socket, peer;
    } * pair;
    size_t n;
};

/* Asks the kernel; empty when it does not say (without CONFIG_UNIX_DIAG). */
void peers_read(struct peers *p);
/* The number of the socket at the other end; 0: not connected, or no Unix socket. */
u32 peers_of(const struct peers *p, u32 socket);
void peers_free(struct peers *p);

#endif
