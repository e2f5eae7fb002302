/* A made-up run with data races, as the engine leaves them, about data and code of the test itself, whose debug
 * information names them. */
#ifndef SNARL_TESTS_RACE_FIXTURE_H
#define SNARL_TESTS_RACE_FIXTURE_H

#include <link.h>

#include "engine_fixture.h"
#include "report/classify.h"
#include "report/collect.h"
#include "report/text.h"
#include "report_fixture.h"

struct account {
    long id, balance;
    char owner[16];
    _Atomic int visits;
};
typedef struct {
    int count, kind;
} entry;
struct bits {
    unsigned ready : 1, failed : 1;
};

static int counter;
static _Atomic long hits;
static entry table[8];
static double rate;
static struct account bank;
static struct bits bits;
static volatile bool stop_all;
static __thread int per_thread;
static pthread_mutex_t table_lock;
static pthread_rwlock_t other_lock;

/* Code that the made-up stacks point at: the first instruction of each. */
__attribute__((noinline)) static void add(void)
{
    __asm__ volatile("" ::"r"(&counter), "r"(&stop_all), "r"(&per_thread), "r"(&rate) : "memory");
}
__attribute__((noinline)) static void sum(void)
{
    __asm__ volatile("# another one" ::"r"(&table) : "memory");
}
__attribute__((noinline)) static struct account *make_account(void)
{
    struct account *a = malloc(sizeof *a);
    __asm__ volatile("" ::"r"(a), "r"(&bank), "r"(&bits), "r"(&hits), "r"(&table_lock), "r"(&other_lock) : "memory");
    return a;
}
__attribute__((noinline)) static void *anything(size_t n)
{
    void *p = malloc(n);
    __asm__ volatile("# not its type" ::"r"(p) : "memory");
    return p;
}

/* ---- a made-up run ---- */

static u64 bias;
static ref_t program; /* its module */
static struct thread *boss, *worker, *reader;
static json_t *document;

static int find_bias(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    bias = info->dlpi_addr;
    return 1; /* the first one is the program */
}

static ref_t stack_in(u64 function)
{
    u64 frame = 1ULL << 48 | FRAME_EXACT | (function - bias);
    return stack_intern(&frame, 1, 0);
}
#define STACK_IN(function) stack_in((u64)(function))

static void begin(void)
{
    static char exe[4096];
    fx_begin(ON_DEADLOCK_REPORT);
    dl_iterate_phdr(find_bias, NULL);
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    CU_ASSERT_FATAL(n > 0);
    program = arena_alloc(POOL_MODULE, sizeof(struct module_rec));
    *(struct module_rec *)arena_at(program) = (struct module_rec){
        .path = string_intern(exe, (u32)n), .lo = bias, .hi = bias + (64 << 20), .bias = bias, .id = 1, .is_main = 1};
    ((struct process_rec *)arena_at(engine_process()))->modules = program;
    boss = fx_main();
    boss->scratch[0] = STACK_IN(make_account);
    worker = fx_spawn(boss);
    reader = fx_spawn(boss);
    memcpy(worker->rec->name, "worker", 7);
    memcpy(reader->rec->name, "reader", 7);
}

static struct object_birth in_program(const volatile void *p)
{
    dl_iterate_phdr(find_bias, NULL);
    return (struct object_birth){.region = REGION_GLOBAL, .offset = (u64)p - bias};
}

/* worker did `earlier` in add(), now reader does `later` in sum(). */
static struct finding_rec *race(struct object_birth birth, u32 size, enum event_action later, enum event_action earlier)
{
    static u64 signature = 1000;
    struct finding_rec *f = arena_at(finding_begin(signature++, 0, 2));
    f->kind = FINDING_DATA_RACE;
    f->verdict = VERDICT_OBSERVED;
    f->memory = birth;
    f->memory.module = program;
    f->mem_size = size;
    f->mem_address = 0x7f0012345670;
    for (int i = 0; i < 2; i++) {
        struct finding_event *e = &f->events[i];
        e->thread = (i ? worker : reader)->ref;
        e->action = (u8)(i ? earlier : later);
        e->stack = i ? STACK_IN(add) : STACK_IN(sum);
        e->address = f->mem_address;
        e->size = size;
    }
    finding_publish(arena_ref(f), false);
    return f;
}

static struct finding_rec *race_on_counter(void)
{
    return race(in_program(&counter), sizeof counter, EVENT_READ, EVENT_WRITE);
}

/* The event is done with this lock held; `by` 0: where it was taken is not known. */
static void holding(struct finding_event *e, volatile void *lock, enum object_kind kind, enum lock_mode mode, ref_t by)
{
    struct lock_rec *l = engine_lock(boss, (u64)lock, kind, 0, NULL);
    l->birth = in_program(lock);
    l->birth.module = program;
    e->held = arena_blob(sizeof(struct held_snapshot));
    e->nheld = 1;
    *(struct held_snapshot *)arena_at(e->held) =
        (struct held_snapshot){.lock = arena_ref(l), .stack = by, .mode = (u8)mode};
}

/* The run's findings; the strongest first. */
static json_t *collect(void)
{
    struct collect_input in = {.ended = true};
    json_decref(document);
    document = collect_document(&in);
    return json_object_get(document, "findings");
}

/* The only one. */
static json_t *finding(void)
{
    json_t *list = collect();
    CU_ASSERT_EQUAL_FATAL(json_array_size(list), 1);
    return json_array_get(list, 0);
}

static void has(const char *text, const char *part)
{
    CU_ASSERT_PTR_NOT_NULL(strstr(text, part));
    if (!strstr(text, part))
        fprintf(stderr, "\n    \"%s\" is not in\n    \"%s\"\n", part, text);
}

static void is(const char *text, const char *expected)
{
    CU_ASSERT_STRING_EQUAL(text, expected);
    if (strcmp(text, expected) != 0)
        fprintf(stderr, "\n    is        \"%s\"\n    should be \"%s\"\n", text, expected);
}

static void shows(const char *part)
{
    struct text_options wide = {.width = 1000};
    char *text = text_finding(finding(), &wide);
    has(text, part);
    free(text);
}

static json_t *memory(void)
{
    return json_object_get(finding(), "memory");
}

#endif
