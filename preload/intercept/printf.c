/* Hooks of formatted output to memory and formatted input from it. Called by watched code. Takes the engine's locks;
 * allocates nothing but what the real functions do. */
#include "format.h"
#include "touch.h"

#define LIST(...) __VA_ARGS__

/* The arguments are gone through once more after the real call: that of a variadic function from the start again. */
#define VARIADIC(name, parameters, call, ...)                                                                          \
    int hook_##name(parameters, const char *restrict format, ...)                                                      \
    {                                                                                                                  \
        va_list ap;                                                                                                    \
        va_start(ap, format);                                                                                          \
        int r = call;                                                                                                  \
        va_end(ap);                                                                                                    \
        va_start(ap, format);                                                                                          \
        TOUCH(__VA_ARGS__);                                                                                            \
        va_end(ap);                                                                                                    \
        return r;                                                                                                      \
    }
#define WITH_LIST(name, parameters, call, ...)                                                                         \
    int hook_##name(parameters, const char *restrict format, va_list given)                                            \
    {                                                                                                                  \
        va_list ap;                                                                                                    \
        va_copy(ap, given);                                                                                            \
        int r = call;                                                                                                  \
        va_end(ap);                                                                                                    \
        va_copy(ap, given);                                                                                            \
        TOUCH(__VA_ARGS__);                                                                                            \
        va_end(ap);                                                                                                    \
        return r;                                                                                                      \
    }

#define PRINTS(...) format_reads(t, format, &ap, fp), r >= 0 ? (__VA_ARGS__) : (void)0
#define INTO_BUFFER PRINTS(WRITES(to, r + 1))
#define INTO_ROOM PRINTS(WRITES(to, (u64)r < n ? (u64)r + 1 : n))
#define INTO_BLOCK PRINTS(WRITES(out, sizeof *out), WRITES(*out, r + 1))

VARIADIC(sprintf, LIST(char *restrict to), HOOKED(vsprintf)(to, format, ap), INTO_BUFFER)
WITH_LIST(vsprintf, LIST(char *restrict to), HOOKED(vsprintf)(to, format, ap), INTO_BUFFER)
VARIADIC(snprintf, LIST(char *restrict to, size_t n), HOOKED(vsnprintf)(to, n, format, ap), INTO_ROOM)
WITH_LIST(vsnprintf, LIST(char *restrict to, size_t n), HOOKED(vsnprintf)(to, n, format, ap), INTO_ROOM)
VARIADIC(asprintf, LIST(char **restrict out), HOOKED(vasprintf)(out, format, ap), INTO_BLOCK)
WITH_LIST(vasprintf, LIST(char **restrict out), HOOKED(vasprintf)(out, format, ap), INTO_BLOCK)

VARIADIC(__sprintf_chk, LIST(char *to, int flag, size_t room), HOOKED(__vsprintf_chk)(to, flag, room, format, ap),
         INTO_BUFFER)
WITH_LIST(__vsprintf_chk, LIST(char *to, int flag, size_t room), HOOKED(__vsprintf_chk)(to, flag, room, format, ap),
          INTO_BUFFER)
VARIADIC(__snprintf_chk, LIST(char *to, size_t n, int flag, size_t room),
         HOOKED(__vsnprintf_chk)(to, n, flag, room, format, ap), INTO_ROOM)
WITH_LIST(__vsnprintf_chk, LIST(char *to, size_t n, int flag, size_t room),
          HOOKED(__vsnprintf_chk)(to, n, flag, room, format, ap), INTO_ROOM)
VARIADIC(__asprintf_chk, LIST(char **out, int flag), HOOKED(__vasprintf_chk)(out, flag, format, ap), INTO_BLOCK)
WITH_LIST(__vasprintf_chk, LIST(char **out, int flag), HOOKED(__vasprintf_chk)(out, flag, format, ap), INTO_BLOCK)

/* ---- input ---- */

#define SCANS READS(s, __builtin_strlen(s) + 1), format_writes(t, format, r, &ap, fp)

VARIADIC(sscanf, LIST(const char *restrict s), HOOKED(vsscanf)(s, format, ap), SCANS)
VARIADIC(__isoc99_sscanf, LIST(const char *s), HOOKED(__isoc99_vsscanf)(s, format, ap), SCANS)
VARIADIC(__isoc23_sscanf, LIST(const char *s), HOOKED(__isoc23_vsscanf)(s, format, ap), SCANS)
WITH_LIST(vsscanf, LIST(const char *restrict s), HOOKED(vsscanf)(s, format, ap), SCANS)
WITH_LIST(__isoc99_vsscanf, LIST(const char *s), HOOKED(__isoc99_vsscanf)(s, format, ap), SCANS)
WITH_LIST(__isoc23_vsscanf, LIST(const char *s), HOOKED(__isoc23_vsscanf)(s, format, ap), SCANS)
