/* The memory that a finding is about -> its JSON object, and what its events say of it. Called by collect_finding.c. Takes no locks;
 * allocates with malloc. */
#include <stdio.h>
#include <string.h>

#include "analyze/finding.h"
#include "collect.h"
#include "names.h"
#include "view.h"

static bool on_stack_of(ref_t thread, u64 address, ref_t process)
{
    struct thread_rec r;
    return view_get(thread, &r, sizeof r) && r.process == process && address >= r.stack_lo && address < r.stack_hi;
}

/* Whose stack the address is in: of the threads that took part, of those that made them, of anybody. */
static ref_t stack_owner(const struct finding_rec *f, const struct finding_event *events, u32 n)
{
    struct thread_rec r;
    struct view_walk walk = {0};
    for (u32 i = 0; i < n; i++)
        if (on_stack_of(events[i].thread, f->mem_address, f->process))
            return events[i].thread;
    for (u32 i = 0; i < n; i++)
        if (view_get(events[i].thread, &r, sizeof r) && on_stack_of(r.creator, f->mem_address, f->process))
            return r.creator;
    for (ref_t at; (at = view_next(POOL_THREAD, &walk, &r, sizeof r));)
        if (r.state == THREAD_RUNNING && on_stack_of(at, f->mem_address, f->process))
            return at;
    return 0;
}

json_t *collect_memory(struct names *n, const struct finding_rec *f, const struct finding_event *events, u32 nevents,
                       ref_t *thread)
{
    ref_t use[2];
    u32 uses = nevents < ARRAY_LEN(use) ? nevents : ARRAY_LEN(use);
    char address[24];
    for (u32 i = 0; i < uses; i++)
        use[i] = events[i].stack;
    struct object_birth birth = f->memory;
    ref_t owner = stack_owner(f, events, nevents);
    if (birth.region == REGION_UNKNOWN && owner) /* in a frame that cannot be told */
        birth = (struct object_birth){.region = REGION_STACK, .frame = UINT16_MAX};
    json_t *j = names_memory(n, &birth, f->mem_size, use, uses);
    snprintf(address, sizeof address, "0x%llx", (unsigned long long)f->mem_address);
    json_object_set_new(j, "address", json_string(address));
    bool stack = birth.region == REGION_STACK || birth.region == REGION_TLS;
    bool made = birth.region == REGION_HEAP || birth.region == REGION_DESCRIPTOR;
    *thread = made ? birth.thread : stack ? owner : 0;
    struct thread_rec r;
    if (*thread && view_get(*thread, &r, sizeof r) && r.number)
        json_object_set_new(j, "thread", json_integer(r.number));
    else
        *thread = 0;
    return j;
}

/* A new block counts as written by its allocator. */
static bool is_allocation(const struct finding_event *e, const struct finding_rec *f)
{
    struct view_stack access, alloc;
    return f->memory.region == REGION_HEAP && e->action == EVENT_WRITE && view_stack(e->stack, &access) &&
           view_stack(f->memory.alloc_stack, &alloc) && access.frame[0] == alloc.frame[0];
}

void collect_access(json_t *event, const struct finding_event *e, const struct finding_rec *f, const json_t *memory)
{
    struct view_stack s;
    char address[24];
    const json_t *name = json_object_get(memory, "name");
    if (!e->size)
        return;
    json_object_del(event, "mode"); /* of locks */
    snprintf(address, sizeof address, "0x%llx", (unsigned long long)e->address);
    json_object_set_new(event, "address", json_string(address));
    json_object_set_new(event, "size", json_integer(e->size));
    if (name)
        json_object_set_new(event, "object", json_string(json_string_value(name)));
    if (is_allocation(e, f))
        json_object_set_new(event, "allocation", json_true());
    if (!view_stack(e->stack, &s) || s.flags & STACK_SITE_ONLY)
        json_object_set_new(event, "stack_lost", json_true());
}
