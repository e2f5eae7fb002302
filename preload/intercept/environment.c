/* Hooks of functions with state of libc's that threads share: the environment, strtok's place; and of what is to be
 * called at exit. Called by watched code. Takes the engine's locks, and RANK_TABLE for the calls at exit; their memory
 * comes from sys_map.
 *
 * libc's changes of the environment exclude each other by a lock, but not its readers: a getenv while another thread
 * calls setenv is a race on `environ`. strtok's place has no symbol; the function's own address stands for it. */
#include <unistd.h>

#include "base/ilock.h"
#include "base/sys.h"
#include "touch.h"

#define STRING(s) READS(s, __builtin_strlen(s) + 1)
#define ENVIRONMENT hb_key(HB_ADDRESS, (u64)&environ)
#define CALLS_AT_ONCE 256u

#define GETS(name) TOUCHED(char *, name, (const char *variable), (variable), STRING(variable), READS(&environ, 8))
GETS(getenv)
GETS(secure_getenv)

#define CHANGES(name, parameters, arguments, ...)                                                                      \
    TOUCHED(int, name, parameters, arguments, __VA_ARGS__, hb_acquire(t, ENVIRONMENT), WRITES(&environ, 8),            \
            hb_release(t, ENVIRONMENT))
CHANGES(setenv, (const char *variable, const char *value, int replace), (variable, value, replace), STRING(variable),
        STRING(value))
CHANGES(unsetenv, (const char *variable), (variable), STRING(variable))
CHANGES(putenv, (char *string), (string), STRING(string))
CHANGES(clearenv, (void), (), (void)0)

TOUCHED(char *, strtok, (char *restrict s, const char *restrict set), (s, set), READS(set, __builtin_strlen(set) + 1),
        WRITES((uintptr_t)HOOKED(strtok), 1), r ? WRITES(r, __builtin_strlen(r) + 1) : (void)0)

/* ---- calls at exit ---- */

/* What was done before a function was registered happened before it is called. */
struct exit_call {
    void (*fn)(void *);
    void *arg;
};

static struct exit_call *next_call;
static u32 calls_left;
static struct ilock calls_lock = ILOCK_INIT(RANK_TABLE);

static struct exit_call *exit_call_new(void)
{
    u64 mask = ilock_acquire(&calls_lock);
    if (!calls_left && (next_call = sys_map(CALLS_AT_ONCE * sizeof *next_call)))
        calls_left = CALLS_AT_ONCE;
    struct exit_call *c = calls_left ? next_call++ : NULL;
    calls_left -= c != NULL;
    ilock_release(&calls_lock, mask);
    return c;
}

static void exit_call_run(void *call)
{
    struct exit_call c = *(const struct exit_call *)call;
    TOUCH(hb_acquire(t, hb_key(HB_ADDRESS, (u64)call)));
    c.fn(c.arg);
}

int hook___cxa_atexit(void (*fn)(void *), void *arg, void *module)
{
    struct exit_call *c = NULL;
    TOUCH((c = exit_call_new()) ? hb_release(t, hb_key(HB_ADDRESS, (u64)c)) : (void)0);
    if (!c)
        return HOOKED(__cxa_atexit)(fn, arg, module);
    *c = (struct exit_call){fn, arg};
    return HOOKED(__cxa_atexit)(exit_call_run, c, module);
}
