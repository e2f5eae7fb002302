/* Why and fix of races for things that are more than their bytes: a lock that is initialised or destroyed, a descriptor
 * that is closed, while another thread uses it. Called by advice_race.c. Takes no locks; allocates with malloc. */
#include "advice.h"
#include "label.h"

static bool is_descriptor(const json_t *finding)
{
    return label_is(json_object_get(finding, "memory"), "region", "descriptor");
}

static bool is_thing(const json_t *finding, const struct advice_access a[2])
{
    return a[0].verb >= VERB_USE || a[1].verb >= VERB_USE || is_descriptor(finding);
}

/* The side with this verb, or NULL. */
static const struct advice_access *with(const struct advice_access a[2], enum advice_verb verb)
{
    return a[0].verb == verb ? &a[0] : a[1].verb == verb ? &a[1] : NULL;
}

bool advice_thing_why(const json_t *finding, const struct advice_access a[2], struct buffer *b)
{
    if (!is_thing(finding, a))
        return false;
    json_int_t number = label_number(json_object_get(finding, "memory"), "descriptor");
    if (is_descriptor(finding) && a[0].verb == a[1].verb)
        buffer_print(
            b,
            " Between the two, the next file or socket that any thread opens may get the number %lld: then the "
            "second one closes that.",
            (long long)number);
    else if (is_descriptor(finding))
        buffer_print(b,
                     " Once it is closed, the next file or socket that any thread opens may get the number %lld: who "
                     "still uses it then reads or writes that one.",
                     (long long)number);
    else if (with(a, VERB_INIT))
        buffer_put(b, " In another order, or at once, it is used before it is a lock, or becomes free while somebody "
                      "is inside: two threads may then hold it, or wait for ever.");
    else
        buffer_put(b,
                   " A thread that has been let in, or woken, may still be inside of that call: it goes on in memory "
                   "that is no lock any more, and may be something else by then.");
    return true;
}

bool advice_thing_fix(const json_t *finding, const struct advice_access a[2], struct buffer *b)
{
    if (!is_thing(finding, a))
        return false;
    if (is_descriptor(finding))
        buffer_put(b,
                   "Close it when nobody uses it any more: join the threads that use it first, or keep the number "
                   "under a mutex that is held while it is used, and take it away there before it is closed. To wake "
                   "a thread that waits in read() or accept(), use shutdown() or an eventfd, not close().");
    else if (with(a, VERB_INIT))
        buffer_put(b, "Initialise it once, before the threads that use it are created; or statically, by "
                      "PTHREAD_MUTEX_INITIALIZER and its like; or in pthread_once().");
    else
        buffer_put(b, "Let it live until its last user has left it: join the threads that use it first, or count them "
                      "under another lock that stays, and let the last one destroy it.");
    return true;
}
