/* What the fixtures of test_symbol use to say where something is and what the symboliser has to call it. Each mark
 * prints one line of fields separated by tabs, which the test compares with its own answers:
 *   kind  expected class  expected functions (innermost first, '/' between)  line  lock type  object  size  offset  alloc stack  stack
 * Places are path@offset, offsets relative to the load bias. */
#ifndef MARK_H
#define MARK_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers of enum lock_type; DATA and a number of bytes: no lock, so many bytes are accessed. */
enum { ANY, MUTEX, RWLOCK, SPIN, SEM, COND, BARRIER, ONCE, CUSTOM, DATA = 1000 };

struct mark {
    const char *kind, *expected, *functions;
    int line, type;
    const void *object;
    size_t size, offset;
    const void *cfa;
};
void mark(struct mark m);

/* Allocates and remembers size and stack for the next heap mark. */
void *mark_alloc(size_t size);
size_t mark_size(void);
const char *mark_block(void);

#define GLOBAL(expected, functions, type, object)                                                                      \
    mark((struct mark){"global", expected, functions, __LINE__, type, object, 0, 0, 0})
#define TLS(expected, functions, type, object)                                                                         \
    mark((struct mark){"tls", expected, functions, __LINE__, type, object, 0, 0, 0})
#define HEAP(expected, functions, type, object)                                                                        \
    mark((struct mark){"heap", expected, functions, __LINE__, type, object, mark_size(),                               \
                       (size_t)((const char *)(object)-mark_block()), 0})
#define STACK(expected, functions, type, object)                                                                       \
    mark((struct mark){"stack", expected, functions, __LINE__, type, object, 0, 0, __builtin_dwarf_cfa()})

#ifdef __cplusplus
}
#endif
#endif
