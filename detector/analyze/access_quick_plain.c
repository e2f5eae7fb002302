/* access_quick_plain: the quick way (access_quick.c) once more, in general registers alone (CMakeLists.txt). Called by
 * rewritten code, whose vector registers hold the program's values. Takes no lock, allocates nothing. */
#define QUICK_PLAIN true
#define QUICK_NAME access_quick_plain

#include "access_quick.c"
