/* Where the memory of a data race lives, from the arena to the report; and arenas that lie. */
#include "race_fixture.h"

#define PROGRAM "test_report_memory:test_report_memory.c:"

/* What the memory is called in ids and in text. */
static void named(struct object_birth birth, u32 size, const char *name, const char *shown, const char *region)
{
    begin();
    race(birth, size, EVENT_READ, EVENT_WRITE);
    json_t *m = memory();
    is(rf_text(m, "name"), name);
    is(rf_text(m, "shown"), shown);
    is(rf_text(m, "region"), region);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(m, "size")), size);
    CU_ASSERT_STRING_EQUAL(rf_text(m, "address"), "0x7f0012345670");
    CU_ASSERT_TRUE(json_is_array(json_object_get(m, "born")));
    const json_t *e = json_array_get(json_object_get(finding(), "events"), 0);
    is(rf_text(e, "object"), name);
}

static void globals(void)
{
    named(in_program(&counter), 4, PROGRAM "counter", "counter", "global");
    is(rf_text(memory(), "local"), "test_report_memory.c:counter");
    has(rf_text(json_object_get(memory(), "declared"), "file"), "race_fixture.h");
    shows("  counter: int, 4 bytes, global, " PROGRAM "counter, declared at ");
    named(in_program(&table[3].count), 4, PROGRAM "table[].count", "table[3].count", "global");
    named(in_program(&table[3]), 8, PROGRAM "table[]", "table[3]", "global");
    named(in_program(&bank.balance), 8, PROGRAM "bank.balance", "bank.balance", "global");
    named(in_program(&stop_all), 1, PROGRAM "stop_all", "stop_all", "global");
    CU_ASSERT_TRUE(json_is_true(json_object_get(memory(), "volatile")));
    has(rf_text(finding(), "why"), "volatile puts nothing in order");
    named(in_program(&bits), 1, PROGRAM "bits.{ready,failed}", "bits.{ready,failed}", "global");
    has(rf_text(finding(), "why"), "Bit-fields that share bytes");
    begin();
    race(in_program(NULL), 4, EVENT_READ, EVENT_WRITE)->memory =
        (struct object_birth){.region = REGION_GLOBAL, .offset = 0x10};
    is(rf_text(memory(), "shown"), "?+0x10");
}

static void thread_local_variables(void)
{
    begin();
    struct object_birth b = {.region = REGION_TLS, .offset = 1 << 20};
    race(b, 4, EVENT_WRITE, EVENT_WRITE);
    CU_ASSERT_TRUE(json_is_true(json_object_get(memory(), "thread_local")));
    is(rf_text(memory(), "name"), "test_report_memory+tls0x100000");
    reader->rec->stack_lo = 0x7f0012345000;
    reader->rec->stack_hi = 0x7f0012346000;
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(memory(), "thread")), reader->rec->number);
    shows(", thread-local, that of T3 (reader)");
    has(rf_text(finding(), "why"), "its address was given to another thread");
}

static void heap(void)
{
    struct object_birth b = {.region = REGION_HEAP, .alloc_size = sizeof(struct account), .offset = 8};
    begin();
    b.alloc_stack = STACK_IN(make_account);
    b.thread = boss->ref;
    race(b, 8, EVENT_READ, EVENT_WRITE);
    is(rf_text(memory(), "name"), "account.balance");
    is(rf_text(memory(), "type"), "long");
    CU_ASSERT_EQUAL(json_array_size(json_object_get(memory(), "born")), 1);
    shows("  account.balance: long, 8 bytes, 8 bytes into a heap block of 40 bytes, declared at ");
    shows("\n    allocated by T1 (main)\n      #0  make_account ");

    begin();
    b.alloc_stack = STACK_IN(anything);
    b.alloc_size = 64;
    b.offset = 16;
    b.thread = 0;
    race(b, 4, EVENT_READ, EVENT_WRITE);
    is(rf_text(memory(), "name"), "anything#1");
    is(rf_text(memory(), "function"), "anything");
    shows("  memory allocated in anything(): 4 bytes, 16 bytes into a heap block of 64 bytes\n    allocated\n      #0  "
          "anything ");

    b.alloc_stack = 0;
    named(b, 4, "memory", "memory", "heap");
    b.alloc_size = 0;
    b.region = REGION_SHARED;
    named(b, 4, "shared memory", "shared memory", "shared");
    b.region = REGION_UNKNOWN;
    named(b, 4, "memory", "memory", "heap");
    shows("  memory: 4 bytes, allocated memory at 0x7f0012345670\n");
}

static long *volatile mapped_number;
static struct account *volatile mapped[2];

/* Named by a pointer that leads there. */
static struct object_birth behind(const volatile void *pointer, u64 offset)
{
    struct object_birth b = in_program(pointer);
    return (struct object_birth){.region = REGION_SHARED, .alloc_size = b.offset, .offset = offset};
}

static void shared(void)
{
    mapped_number = NULL;
    mapped[0] = mapped[1] = NULL;
    named(behind(&mapped_number, 0), 8, PROGRAM "*mapped_number", "*mapped_number", "shared");
    named(behind(&mapped_number, 16), 8, PROGRAM "mapped_number[]", "mapped_number[2]", "shared");
    u64 balance = offsetof(struct account, balance);
    named(behind(&mapped[1], balance), 8, PROGRAM "mapped[]->balance", "mapped[1]->balance", "shared");
    is(rf_text(memory(), "type"), "long");
    named(behind(&mapped[1], 2 * sizeof(struct account) + balance), 8, PROGRAM "mapped[][].balance",
          "mapped[1][2].balance", "shared");
    begin();
    race(behind(&mapped_number, 0), 8, EVENT_READ, EVENT_WRITE);
    ((struct finding_rec *)arena_at(run()->findings))->memory =
        (struct object_birth){.region = REGION_SHARED, .offset = 0x20, .name = string_intern("demo", 4)};
    is(rf_text(memory(), "name"), "shared memory");
    is(rf_text(memory(), "shown"), "demo+0x20");
}

static void stacks(void)
{
    struct object_birth b = {.region = REGION_STACK, .offset = (u64)-0x58};
    begin();
    b.init_stack = STACK_IN(add);
    boss->rec->stack_lo = 0x7f0012340000;
    boss->rec->stack_hi = 0x7f0012350000;
    struct finding_rec *f = race(b, 4, EVENT_WRITE, EVENT_WRITE);
    is(rf_text(memory(), "name"), "add:stack-0x58");
    is(rf_text(memory(), "shown"), "a variable of add()");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(memory(), "thread")), 1);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(memory(), "born")), 1);
    shows(", on the stack of T1 (main), in add()\n");
    CU_ASSERT_PTR_NULL(strstr(rf_text(finding(), "fix"), "local variable"));

    f->events[0].thread = boss->ref; /* its owner uses it while the worker does */
    has(rf_text(finding(), "fix"), "join that thread first");
    has(rf_text(finding(), "why"), "once its function returns");

    f->memory.init_stack = 0; /* then the frame is one of the access that found it */
    f->memory.frame = 0;
    is(rf_text(memory(), "name"), "sum:stack-0x58");
    f->memory.frame = 77;
    is(rf_text(memory(), "name"), "stack");

    f->memory = (struct object_birth){.region = REGION_UNKNOWN}; /* in a frame that nobody can tell */
    is(rf_text(memory(), "shown"), "a variable on a stack");
    is(rf_text(memory(), "region"), "stack");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(memory(), "thread")), 1);
}

/* ---- what nobody should trust ---- */

static void use_all(void)
{
    struct text_options o = {.verbose = true, .color = true};
    struct fail_on f = {.proven = true, .verdict = -1};
    collect();
    fail_on_apply(&f, document);
    char *json = json_dumps(document, 0), *text = text_report(document, &o);
    CU_ASSERT(json && text);
    free(json);
    free(text);
}

static void hostile_values(void)
{
    static const u64 values[] = {0, 0x7f, 1ULL << 31, 0xffffffff, 1ULL << 63, ~0ULL - 7};
    for (u32 region = 0; region <= REGION_TLS + 2; region++)
        for (size_t i = 0; i < ARRAY_LEN(values); i++)
            for (size_t k = 0; k < ARRAY_LEN(values); k++) {
                begin();
                struct object_birth b = in_program(&table);
                b.region = (u8)region;
                b.offset = region == REGION_GLOBAL && k % 2 ? b.offset + values[i] : values[i];
                b.alloc_size = values[k];
                b.alloc_stack = i % 2 ? STACK_IN(make_account) : (ref_t)values[k];
                b.init_stack = (ref_t)values[k];
                b.frame = (u16)values[i];
                b.thread = (ref_t)values[k];
                struct finding_rec *f = race(b, (u32)values[k], EVENT_WRITE, EVENT_FREE);
                f->mem_address = values[i];
                f->events[0].size = (u32)values[i];
                f->events[1].thread = (ref_t)values[i];
                f->events[1].held = (ref_t)values[k];
                f->events[1].nheld = (u32)values[i];
                f->events[0].action = (u8)values[k];
                use_all();
            }
}

static void damaged(void)
{
    begin();
    struct finding_rec *f = race_on_counter();
    struct object_birth b = {.region = REGION_HEAP, .alloc_size = 40, .offset = 8};
    b.alloc_stack = STACK_IN(make_account);
    race(b, 8, EVENT_READ, EVENT_FREE);
    holding(&f->events[1], &table_lock, OBJ_MUTEX, MODE_EXCLUSIVE, STACK_IN(make_account));
    u64 bytes = arena_used(), state = 0x9e3779b97f4a7c15ULL;
    u64 *saved = malloc(bytes), *words = (u64 *)(void *)arena_base;
    memcpy(saved, arena_base, bytes);
    u64 first = ((u64)run()->findings << 4) / 8; /* the findings and what was made after them */
    for (int round = 0; round < 200; round++) {
        for (int hits_left = 1 + round % 12; hits_left; hits_left--) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            u64 at = first + (state >> 33) % 64;
            words[at] = round % 2 ? words[at] ^ 1ULL << (state >> 20) % 64 : (state >> 30) % (bytes / 16);
        }
        use_all();
        memcpy(arena_base, saved, bytes);
    }
    free(saved);
}

static void at_end(void)
{
    json_decref(document);
    document = NULL;
}

UNIT_TESTS("report: memory", {"globals", globals}, {"thread_local_variables", thread_local_variables}, {"heap", heap},
           {"shared", shared}, {"stacks", stacks}, {"hostile_values", hostile_values}, {"damaged", damaged},
           {"at_end", at_end})
