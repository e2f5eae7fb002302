/* Records of the lock-order graph and of the must order.
 *
 * Held sets are kept as a lock tree (Havelund 2000): a node is "this lock, taken while the locks on the path to the
 * root were held". A node that was itself acquired so is an abstract acquire (Tunç et al. 2023) and carries an edge
 * from each lock on its path to its own lock, at constant memory however many are held. Witnesses say who did it, and
 * when in the must order. */
#ifndef SNARL_MODEL_ORDER_H
#define SNARL_MODEL_ORDER_H

#include "base/types.h"

struct order_node {
    ref_t link;
    ref_t parent; /* 0: nothing else was held */
    ref_t lock;
    ref_t first_child, next_sibling;
    ref_t next_of_lock; /* nodes of one lock */
    ref_t hash_next;
    ref_t witnesses; /* newest first */
    u32 depth;       /* locks held before it */
    u8 mode;         /* enum lock_mode */
    u8 acquired;     /* some witness is a blocking acquire: it has incoming edges */
    u8 edged;        /* its edges are in the reachability graph */
    u8 nwitnesses;
    u64 count; /* news count; not every repetition */
};

struct order_witness {
    ref_t link;
    ref_t next;
    ref_t node;
    ref_t thread;
    ref_t segment; /* must-order segment of the (latest) occurrence */
    ref_t first_segment;
    ref_t hold; /* hold_rec of the acquired lock itself: its stack, and the outer holds with theirs */
    u8 how;     /* enum acquire_how */
    u8 reserved;
    u16 unpublished; /* bit i: the lock i + 1 above the node was known to this thread only */
};

/* A lock-level edge of the reachability graph (analyze/reach.c). */
struct order_edge {
    ref_t link;
    ref_t from, to;
    ref_t next_out, next_in;
    u32 reserved[3];
};

/* One lock held, with where it was taken, and what was held outside of it. Interned, persistent. */
struct hold_rec {
    ref_t link;
    ref_t outer;
    ref_t lock;
    ref_t stack;
    u64 site_pc;
    ref_t hash_next;
    u8 mode, how;
    u16 reserved;
};

/* Must order: what every schedule of this program keeps (create, join, fork, wait for a child, barriers). A thread's
 * life is cut into segments at these points; a segment's predecessors are the one before it in its thread and at most
 * one elsewhere. Numbers grow along the order, which prunes the search. */
struct segment_rec {
    ref_t link;
    ref_t prev;   /* same thread (or the first of two, for a join node) */
    ref_t other;  /* creator's, joined thread's, … */
    ref_t thread; /* 0 for a join node */
    u32 number;
    u32 reserved[3];
};

#endif
