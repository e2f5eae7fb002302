/* Hooks of functions that read a number from a string. Called by watched code. Takes the engine's locks; allocates
 * nothing.
 *
 * They read up to the first character that does not belong to the number: where strtol says it has stopped. */
#include "touch.h"

#define READ_TO_END(s, end) READS(s, (u64)((end) - (s)) + 1)
#define END_WRITTEN(end) ((end) ? WRITES(end, sizeof *(end)) : (void)0)

#define WITH_END(type, name, parameters, arguments)                                                                    \
    type hook_##name parameters                                                                                        \
    {                                                                                                                  \
        char *stop = NULL; /* stays so when the base is refused */                                                     \
        type r = HOOKED(name) arguments;                                                                               \
        if (!stop)                                                                                                     \
            return r;                                                                                                  \
        if (end)                                                                                                       \
            *end = stop;                                                                                               \
        TOUCH(READ_TO_END(s, stop), END_WRITTEN(end));                                                                 \
        return r;                                                                                                      \
    }
#define INTEGER(type, name)                                                                                            \
    WITH_END(type, name, (const char *restrict s, char **restrict end, int base), (s, &stop, base))
#define REAL_NUMBER(type, name) WITH_END(type, name, (const char *restrict s, char **restrict end), (s, &stop))

INTEGER(long, strtol)
INTEGER(long long, strtoll)
INTEGER(unsigned long, strtoul)
INTEGER(unsigned long long, strtoull)
INTEGER(intmax_t, strtoimax)
INTEGER(uintmax_t, strtoumax)
INTEGER(long, __isoc23_strtol)
INTEGER(long long, __isoc23_strtoll)
INTEGER(unsigned long, __isoc23_strtoul)
INTEGER(unsigned long long, __isoc23_strtoull)
REAL_NUMBER(double, strtod)
REAL_NUMBER(float, strtof)
REAL_NUMBER(long double, strtold)

/* These are defined by the ones above. */
#define WITHOUT_END(type, name, number)                                                                                \
    type hook_##name(const char *s)                                                                                    \
    {                                                                                                                  \
        char *stop;                                                                                                    \
        type r = (type)number;                                                                                         \
        TOUCH(READ_TO_END(s, stop));                                                                                   \
        return r;                                                                                                      \
    }
WITHOUT_END(int, atoi, HOOKED(strtol)(s, &stop, 10))
WITHOUT_END(long, atol, HOOKED(strtol)(s, &stop, 10))
WITHOUT_END(long long, atoll, HOOKED(strtoll)(s, &stop, 10))
WITHOUT_END(double, atof, HOOKED(strtod)(s, &stop))
