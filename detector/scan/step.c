/* One instruction: what it does to a state, and the record of it. Called by flow.c. Takes no locks; allocates with
 * malloc. */
#include "flow.h"

static const struct value *value_at(const struct flow *f, u32 value)
{
    return &f->a->p->values.at[value];
}

static u32 arg(const struct flow *f, u32 call, u32 i)
{
    const struct value *v = value_at(f, call);
    return i < v->c ? f->a->p->args.at[v->b + i] : NONE;
}

static u32 arg_path(struct flow *f, u32 call, u32 i)
{
    u32 value = arg(f, call, i);
    return value == NONE ? 0 : path_of(&f->a->ps, value);
}

/* ---- accesses ---- */

/* Whether other threads may know the memory. Freshness is asked last: it costs most. */
static bool is_shared(struct flow *f, u32 path, u32 instruction)
{
    struct analysis *a = f->a;
    u32 root = path_root_of(&a->ps, path);
    const struct path *q = path_at(&a->ps, path), *r = path_at(&a->ps, root);
    if (r->kind == P_GLOBAL && !q->has_deref) {
        u32 flags = a->p->globals.at[r->a].flags;
        return !(flags & (GL_TLS | GL_CONSTANT));
    }
    if (r->kind == P_CONST || r->kind == P_FUNCTION)
        return false;
    const struct list_u32 *cells = path_cells(&a->ps, path);
    bool escapes = false;
    for (u32 i = 0; i < cells->n && !escapes; i++) {
        const struct object *o = &a->pt.objects.at[a->pt.cells.at[cells->at[i]].object];
        bool fixed = o->kind == OBJ_GLOBAL && (a->p->globals.at[o->of].flags & (GL_TLS | GL_CONSTANT));
        escapes = o->escapes && !fixed;
    }
    if (!escapes)
        return false;
    q = path_at(&a->ps, path);
    return !((r->kind == P_HEAP || r->kind == P_STACK) && !q->has_deref && fresh_at(a, r->a, instruction));
}

static void access_path(struct flow *f, const struct state *s, u32 path, u32 instruction, u8 flags)
{
    if (f->record && is_shared(f, path, instruction))
        flow_record(f, (struct record){.kind = R_ACCESS, .flags = flags, .value = instruction, .path = path, .at = *s});
}

static void access_memory(struct flow *f, const struct state *s, u32 pointer, u32 instruction, u8 flags)
{
    access_path(f, s, path_of(&f->a->ps, pointer), instruction, flags);
}

static u8 atomic(const struct value *v)
{
    return v->flags & F_ATOMIC ? R_ATOMIC : 0;
}

/* ---- locks ---- */

static void record(struct flow *f, const struct state *s, enum record_kind kind, u8 flags, u32 value, u32 path)
{
    flow_record(f, (struct record){.kind = (u8)kind, .flags = flags, .value = value, .path = path, .at = *s});
}

/* What a lock, or a number that is compared, hangs on. */
static u32 owner_of(struct flow *f, u32 path)
{
    const struct path *q = path_at(&f->a->ps, path);
    while (q->kind == P_DEREF || q->kind == P_FIELD) {
        if (q->kind == P_DEREF && path_at(&f->a->ps, q->base)->kind != P_FIELD)
            break;
        path = q->base;
        q = path_at(&f->a->ps, path);
    }
    return path;
}

/* R_UP when the objects of the one lock that is held and of this one were compared and the held one is less, R_DOWN when it
 * is greater: a cycle would need both. */
static u8 direction(struct flow *f, const struct state *s, u32 path)
{
    struct analysis *a = f->a;
    if (!f->record || sets_count(&a->sets, s->must) != 1)
        return 0;
    u32 held = owner_of(f, LOCK_PATH(sets_item(&a->sets, s->must, 0))), taken = owner_of(f, path);
    for (u32 i = 0, n = sets_count(&a->sets, s->facts); i < n; i++) {
        struct fact fact = a->facts.at[sets_item(&a->sets, s->facts, i)];
        const struct value *v = fact.value < a->p->values.n ? value_at(f, fact.value) : NULL;
        if (!v || v->op != V_CMP || v->flags == CMP_EQ || v->flags == CMP_NE || v->flags == CMP_OTHER || fact.is_not)
            continue;
        u32 x = owner_of(f, path_of(&a->ps, v->a)), y = owner_of(f, path_of(&a->ps, v->b));
        bool less = v->flags == CMP_LT || v->flags == CMP_LE || v->flags == CMP_ULT || v->flags == CMP_ULE;
        bool up = less == (fact.number != 0);
        if (held != taken && x == held && y == taken)
            return up ? R_UP : R_DOWN;
        if (held != taken && x == taken && y == held)
            return up ? R_DOWN : R_UP;
    }
    return 0;
}

static void lock(struct flow *f, const struct known *k, const struct state *s, u32 value, struct states *next)
{
    struct state held = *s, failed = *s;
    u32 path = k->op == K_ATOMIC_BEGIN ? path_root(&f->a->ps, P_ATOMIC, 0) : arg_path(f, value, k->arg);
    int64_t how = 0; /* SNARL_SHARED is 1, SNARL_TRY 2; it has the lock in any case */
    bool told = k->kind == LOCK_CUSTOM && k->other != 255 && arg(f, value, k->other) != NONE &&
                fact_number(f->a, s, arg(f, value, k->other), &how);
    u32 element = LOCK_ELEMENT(path, k->shared || (told && (how & 1)));
    bool try = k->op == K_TRYLOCK, tried = told && (how & 2);
    record(f, s, R_ACQUIRE, (u8)((try || tried ? R_TRY : 0) | (k->timed ? R_TIMED : 0) | direction(f, s, path)), value,
           element);
    effect_acquire(f->a, &held, element);
    fact_add(f->a, &held, value, k->true_means, 0);
    states_add(f->a, next, &held, false);
    if (!try)
        return;
    fact_add(f->a, &failed, value, !k->true_means, 0);
    states_add(f->a, next, &failed, false);
}

static void unlock(struct flow *f, const struct known *k, struct state *s, u32 value)
{
    u32 path = k->op == K_ATOMIC_END ? path_root(&f->a->ps, P_ATOMIC, 0) : arg_path(f, value, k->arg);
    record(f, s, R_RELEASE, 0, value, LOCK_ELEMENT(path, 0));
    effect_release(f->a, s, path);
    fact_add(f->a, s, value, false, 0);
}

/* Released and taken again: other locks that are held stay so meanwhile. */
static void wait(struct flow *f, const struct known *k, struct state *s, u32 value)
{
    u32 path = arg_path(f, value, k->other), element = LOCK_ELEMENT(path, 0);
    struct state without = *s;
    record(f, s, R_WAIT, k->timed ? R_TIMED : 0, value, element);
    record(f, s, R_SIGNAL, R_AFTER_WAIT, value, LOCK_ELEMENT(arg_path(f, value, k->arg), 0));
    effect_release(f->a, &without, path);
    without.rel = s->rel;
    record(f, &without, R_ACQUIRE, R_AFTER_WAIT, value, element);
}

/* A semaphore that begins with 1 is a lock. */
static bool sem_is_lock(struct flow *f, u32 path)
{
    const struct list_u32 *cells = path_cells(&f->a->ps, path);
    for (u32 i = 0; i < cells->n; i++)
        if (!map_get(&f->a->binary, cells->at[i]))
            return false;
    return cells->n != 0;
}

/* ---- threads ---- */

static void create(struct flow *f, const struct known *k, struct state *s, u32 value)
{
    struct thread_name t = {.call = value};
    t.start = k->op == K_CREATE ? arg_path(f, value, k->other) : 0;
    t.given = arg_path(f, value, k->third);
    if (k->op == K_CREATE_STATE)
        t.given = path_deref(&f->a->ps, t.given, false);
    t.handle = arg_path(f, value, k->arg);
    u32 thread = thread_name_make(f->a, t);
    record(f, s, R_CREATE, 0, value, thread);
    s->live = sets_add(&f->a->sets, s->live, thread);
    s->joined = effect_created(f->a, s->joined, thread);
    fact_add(f->a, s, value, false, 0);
}

u32 flow_handle(struct flow *f, const struct known *k, u32 value)
{
    u32 path = arg_path(f, value, k->arg);
    return path && k->op == K_JOIN_OBJECT ? path_deref(&f->a->ps, path, false) : path;
}

static void join(struct flow *f, const struct known *k, struct state *s, u32 value)
{
    u32 handle = flow_handle(f, k, value);
    bool loop = f->a->p->blocks.at[f->a->block_of[value]].loop != 0;
    if (k->timed || !handle)
        return;
    effect_join(f->a, s, handle, k->op == K_JOIN_OBJECT ? JOINS_OBJECT : loop ? JOINS_EACH : JOINS_ONE, value);
    fact_add(f->a, s, value, false, 0);
}

/* ---- calls ---- */

static void call_body(struct flow *f, const struct state *s, u32 value, u32 function, u32 binding, struct states *next)
{
    const struct summary *sum = &f->a->summary[function];
    const struct function *callee = &f->a->p->functions.at[function];
    record(f, s, R_CALL, 0, value, function);
    f->sum->matters |= f->record && sum->matters;
    if (callee->flags & FN_NORETURN)
        return;
    if (!sum->known) { /* a cycle of calls, first time around */
        states_add(f->a, next, s, false);
        return;
    }
    for (u32 i = 0; i < sum->outcome.n; i++) {
        struct outcome o = sum->outcome.at[i];
        struct state after = *s;
        if (o.at.facts && binding && fact_refuted_at(f->a, o.at.facts, s, value))
            continue; /* with these arguments it does not end so */
        effect_outcome(f->a, &after, &o, binding);
        keep_call(f->a, &after, function);
        if (o.result != RESULT_ANY)
            fact_add(f->a, &after, value, o.result == RESULT_NOT, o.number);
        states_add(f->a, next, &after, false);
    }
}

/* pthread_once: the body runs once, alone, before everything that comes after any of its calls. */
static void once(struct flow *f, const struct call *c, const struct state *s, u32 value, struct states *next)
{
    u32 control = arg_path(f, value, c->known->arg);
    struct states after = {0};
    struct state inside = *s;
    effect_acquire(f->a, &inside, LOCK_ELEMENT(control, 0));
    for (u32 i = 0; i < c->targets.n; i++)
        call_body(f, &inside, value, c->targets.at[i], 0, &after);
    if (!c->targets.n)
        states_add(f->a, &after, &inside, false);
    for (u32 i = 0; i < after.n; i++) {
        struct state done = after.at[i].s;
        effect_release(f->a, &done, control);
        effect_acquire(f->a, &done, LOCK_ELEMENT(control, 1));
        states_add(f->a, next, &done, false);
    }
    store_free(after.at);
}

/* Known functions that neither fork nor end the state. */
static void known_effect(struct flow *f, const struct known *k, struct state *s, u32 value)
{
    switch (k->op) {
    case K_UNLOCK:
    case K_ATOMIC_END:
        unlock(f, k, s, value);
        break;
    case K_WAIT:
        wait(f, k, s, value);
        break;
    case K_CREATE:
    case K_CREATE_STATE:
        create(f, k, s, value);
        break;
    case K_JOIN:
    case K_JOIN_OBJECT:
        join(f, k, s, value);
        break;
    case K_SIGNAL:
        record(f, s, R_SIGNAL, 0, value, LOCK_ELEMENT(arg_path(f, value, k->arg), 0));
        break;
    case K_SEM_WAIT:
        record(f, s, R_SIGNAL, R_AFTER_WAIT, value, LOCK_ELEMENT(arg_path(f, value, k->arg), 0));
        if (sem_is_lock(f, arg_path(f, value, k->arg)))
            effect_acquire(f->a, s, LOCK_ELEMENT(arg_path(f, value, k->arg), 0));
        break;
    case K_SEM_POST:
        record(f, s, R_SIGNAL, 0, value, LOCK_ELEMENT(arg_path(f, value, k->arg), 0));
        if (sem_is_lock(f, arg_path(f, value, k->arg)))
            effect_release(f->a, s, arg_path(f, value, k->arg));
        break;
    case K_DESTROY:
        record(f, s, R_DESTROY, 0, value, LOCK_ELEMENT(arg_path(f, value, k->arg), 0));
        break;
    case K_FORK:
        record(f, s, R_FORK, 0, value, 0);
        break;
    case K_SIGNAL_HANDLER:
        record(f, s, R_HANDLER, 0, value, 0);
        break;
    case K_COPIES:
        if (arg(f, value, k->other) != NONE)
            access_memory(f, s, arg(f, value, k->other), value, R_WHOLE);
        /* fall through */
    case K_WRITES:
        access_memory(f, s, arg(f, value, k->arg), value, R_WRITE | R_WHOLE);
        break;
    case K_READS:
        access_memory(f, s, arg(f, value, k->arg), value, R_WHOLE);
        break;
    default:
        break;
    }
}

static void call_known(struct flow *f, const struct call *c, const struct state *s, u32 value, struct states *next)
{
    const struct known *k = c->known;
    struct state after = *s;
    switch (k->op) {
    case K_LOCK:
    case K_TRYLOCK:
    case K_ATOMIC_BEGIN:
        lock(f, k, s, value, next);
        return;
    case K_EXIT:
        return;
    case K_ONCE:
        once(f, c, s, value, next);
        return;
    case K_CALLBACK:
        for (u32 i = 0; i < c->targets.n; i++)
            call_body(f, s, value, c->targets.at[i], 0, next);
        states_add(f->a, next, s, false); /* it may be called never, or later */
        return;
    default:
        known_effect(f, k, &after, value);
        states_add(f->a, next, &after, false);
    }
}

static void call(struct flow *f, const struct state *in, u32 value, struct states *next)
{
    const struct call *c = points_call(&f->a->pt, value);
    struct state s = *in;
    if (f->a->p->blocks.at[f->a->block_of[value]].loop)
        effect_redefine(f->a, &s, value);
    if (c && c->known) {
        call_known(f, c, &s, value, next);
        return;
    }
    const struct value *callee = value_at(f, value_at(f, value)->a);
    bool gone = callee->op == V_FUNCTION && (f->a->p->functions.at[callee->a].flags & FN_NORETURN);
    if (!c || !c->targets.n) {
        if (!gone)
            states_add(f->a, next, &s, false);
        return;
    }
    u32 binding = binding_of_call(&f->a->ps, value, NULL);
    for (u32 i = 0; i < c->targets.n; i++)
        call_body(f, &s, value, c->targets.at[i], binding, next);
}

/* A lock made of an atomic instruction: two states, with it and without. */
static void spin(struct flow *f, const struct state *in, u32 value, struct states *next)
{
    struct analysis *a = f->a;
    const struct value *v = value_at(f, value);
    struct state held = *in;
    u32 path = path_of(&a->ps, v->a), *told = map_get(&a->success, value);
    effect_redefine(a, &held, value);
    struct state failed = held;
    record(f, &held, R_ACQUIRE, R_TRY, value, LOCK_ELEMENT(path, 0));
    effect_acquire(a, &held, LOCK_ELEMENT(path, 0));
    if (told || v->shape == RMW_EXCHANGE) {
        fact_add(a, &held, told ? *told : value, false, told != NULL);
        fact_add(a, &failed, told ? *told : value, !told, 0);
    }
    states_add(a, next, &held, false);
    states_add(a, next, &failed, false);
}

void flow_step(struct flow *f, const struct state *in, u32 value, struct states *next)
{
    struct analysis *a = f->a;
    const struct value *v = value_at(f, value);
    struct state s = *in;
    bool again = f->a->p->blocks.at[f->a->block_of[value]].loop != 0;
    switch (v->op) {
    case V_LOAD:
        access_memory(f, &s, v->a, value, atomic(v));
        if (again)
            effect_redefine(f->a, &s, value);
        if (s.facts)
            fact_loaded(f->a, &s, value);
        break;
    case V_STORE:
        if (a->spins.n && spin_gives_back(a, value, path_of(&a->ps, v->a)))
            effect_release(a, &s, path_of(&a->ps, v->a));
        access_memory(f, &s, v->a, value, R_WRITE | atomic(v));
        fact_stored(f->a, &s, path_of(&f->a->ps, v->a), v->flags & (F_ATOMIC | F_VOLATILE) ? NONE : v->b);
        effect_stored(f->a, &s, path_of(&f->a->ps, v->a));
        break;
    case V_RMW:
        if (a->spins.n && spin_takes(a, value, path_of(&a->ps, v->a))) {
            spin(f, in, value, next);
            return;
        }
        access_memory(f, &s, v->a, value, R_WRITE | R_ATOMIC);
        effect_stored(f->a, &s, path_of(&f->a->ps, v->a));
        if (again)
            effect_redefine(f->a, &s, value);
        break;
    case V_COPY:
        access_memory(f, &s, v->a, value, R_WRITE | R_WHOLE);
        if (v->b != NONE)
            access_memory(f, &s, v->b, value, R_WHOLE);
        break;
    case V_CALL:
        call(f, in, value, next);
        return;
    case V_STOP:
        return;
    default:
        break;
    }
    states_add(f->a, next, &s, false);
}
