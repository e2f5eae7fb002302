/* Lost updates between made-up threads: each exemption with the twin that it does not cover. */
#include "pair_fixture.h"

/* ---- what is found ---- */

static void seen_in_between(void)
{
    long *x = fresh();
    begin();
    locked_read(1, x);
    locked_read(2, x);
    locked_write(2, x);
    NOTHING();
    locked_write(1, x);
    CU_ASSERT_EQUAL_FATAL(OBSERVED(), 1);
    const struct finding_rec *f = arena_at(run()->findings);
    CU_ASSERT_EQUAL(f->mem_address, (u64)x);
    CU_ASSERT_EQUAL(f->mem_size, 8);
    CU_ASSERT_EQUAL_FATAL(f->nlocks, 1);
    CU_ASSERT_EQUAL(LOCK_AT(*(ref_t *)arena_at(f->locks))->head.addr, LOCK(0));
    CU_ASSERT_EQUAL_FATAL(f->nevents, 3);
    static const u8 actions[3] = {EVENT_READ, EVENT_WRITE, EVENT_WRITE};
    static const u32 who[3] = {1, 2, 1};
    for (u32 i = 0; i < 3; i++) {
        const struct finding_event *e = &f->events[i];
        CU_ASSERT_EQUAL(e->action, actions[i]);
        CU_ASSERT_EQUAL(e->thread, threads[who[i]]->ref);
        CU_ASSERT_EQUAL_FATAL(e->nheld, 1);
        CU_ASSERT_EQUAL(LOCK_AT(((struct held_snapshot *)arena_at(e->held))->lock)->head.addr, LOCK(0));
        const struct stack_rec *s = arena_at(e->stack);
        CU_ASSERT_EQUAL(s->frame[0], (u64)(i ? store_register : load));
    }
}

static void could_come_in_between(void)
{
    long *x = fresh();
    begin();
    locked_write(2, x);
    locked_read(1, x);
    locked_write(1, x);
    CU_ASSERT_EQUAL(POSSIBLE(), 1);
    CU_ASSERT_EQUAL(OBSERVED(), 0);
    begin(); /* ordered by more than the lock */
    locked_write(2, x = fresh());
    hb_release(as(2), hb_key(HB_ADDRESS, 8));
    hb_acquire(as(1), hb_key(HB_ADDRESS, 8));
    locked_read(1, x);
    locked_write(1, x);
    NOTHING();
}

/* Nothing is lost by who stores what is there already. */
static void possible_ones_change_the_value(void)
{
    long *x = fresh();
    begin();
    locked_write(2, x);
    locked_read(1, x);
    takes(1, 0);
    writes(1, x);
    --*x;
    gives(1, 0);
    NOTHING();
}

static void by_readers(void)
{
    long *x = fresh();
    begin();
    for (u32 i = 1; i <= 2; i++) {
        as(i);
        fx_lock_as(threads[i], 5, OBJ_RWLOCK, MODE_SHARED, HOW_BLOCK, 0);
        reads(i, x);
        gives(i, 5);
    }
    for (u32 i = 2; i >= 1; i--) {
        NOTHING();
        as(i);
        fx_lock_as(threads[i], 5, OBJ_RWLOCK, MODE_EXCLUSIVE, HOW_BLOCK, 0);
        writes(i, x);
        gives(i, 5);
    }
    CU_ASSERT_EQUAL(OBSERVED(), 1);
}

/* ---- what is not ---- */

static void one_section(void)
{
    begin();
    for (u32 n = 0; n < 4; n++) {
        u32 i = 1 + n % 2;
        static long *x;
        x = x ? x : fresh();
        takes(i, 0);
        reads(i, x);
        writes(i, x);
        gives(i, 0);
    }
    NOTHING();
}

static void looked_at_again(void)
{
    for (u32 again = 0; again < 2; again++) {
        long *x = fresh();
        begin();
        locked_read(1, x);
        locked_write(2, x);
        takes(1, 0);
        if (again)
            reads(1, x);
        writes(1, x);
        gives(1, 0);
        CU_ASSERT_EQUAL(OBSERVED(), !again);
    }
    for (u32 again = 0; again < 2; again++) { /* by the write itself */
        long *x = fresh();
        begin();
        locked_read(1, x);
        locked_write(2, x);
        takes(1, 0);
        access_by(1, store_register, x, ACCESS_WRITE | (again ? ACCESS_READ_TOO : 0));
        gives(1, 0);
        CU_ASSERT_EQUAL(OBSERVED(), !again);
    }
}

/* A version that others count up stands for the value; a pointer that they only read does not. */
static void version_looked_at(void)
{
    for (u32 counted = 0; counted < 2; counted++) {
        long *x = fresh(), *version = fresh();
        begin();
        takes(1, 0);
        reads(1, x);
        access_by(1, other_load, version, ACCESS_READ);
        gives(1, 0);
        takes(2, 0);
        writes(2, x);
        if (counted)
            access_by(2, update, version, ACCESS_WRITE);
        gives(2, 0);
        takes(1, 0);
        access_by(1, other_load, version, ACCESS_READ);
        writes(1, x);
        gives(1, 0);
        CU_ASSERT_EQUAL(OBSERVED(), !counted);
    }
}

static void written_in_the_first_section(void)
{
    long *x = fresh();
    begin();
    takes(1, 0);
    reads(1, x);
    writes(1, x);
    gives(1, 0);
    locked_write(2, x);
    locked_write(1, x);
    NOTHING();
}

static void outer_lock(void)
{
    for (u32 both = 0; both < 2; both++) {
        long *x = fresh();
        begin();
        if (both)
            takes(2, 1);
        locked_write(2, x);
        if (both)
            gives(2, 1);
        takes(1, 1);
        locked_read(1, x);
        locked_write(1, x);
        gives(1, 1);
        CU_ASSERT_EQUAL(POSSIBLE(), !both);
    }
}

static void handed_over(void)
{
    for (u32 told = 0; told < 2; told++) {
        long *x = fresh();
        begin();
        locked_read(1, x);
        locked_write(2, x);
        if (told) {
            hb_release(as(2), hb_key(HB_ADDRESS, 16));
            hb_acquire(as(1), hb_key(HB_ADDRESS, 16));
        }
        locked_write(1, x);
        CU_ASSERT_EQUAL(OBSERVED(), !told);
    }
}

/* However much the thread touches in between: 24 things in each of 12 sections. */
static void much_in_between(void)
{
    for (u32 n = 0; n < 32; n++) {
        long *x = fresh();
        begin();
        locked_read(1, x);
        locked_write(2, x);
        for (u32 i = 0; i < 12 * 24; i++) {
            if (i % 24 == 0)
                takes(1, 1);
            access_by(1, other_load, &memory[2048 + n + i], i % 2 ? ACCESS_WRITE : ACCESS_READ);
            if (i % 24 == 23)
                gives(1, 1);
        }
        locked_write(1, x);
        CU_ASSERT_EQUAL(OBSERVED(), 1);
    }
}

/* The lock that counts is not the innermost one of the other write. */
static void several_locks(void)
{
    long *x = fresh();
    begin();
    locked_read(1, x);
    for (int i = 0; i < 3; i++)
        takes(2, i);
    writes(2, x);
    for (int i = 2; i >= 0; i--)
        gives(2, i);
    locked_write(1, x);
    CU_ASSERT_EQUAL(OBSERVED(), 1);
}

/* The thread has passed through the lock meanwhile and so knows of the other write: from nothing but the lock. */
static void passed_through(void)
{
    long *x = fresh(), *y = fresh();
    begin();
    locked_read(1, x);
    locked_write(2, x);
    takes(1, 0);
    access_by(1, other_load, y, ACCESS_READ);
    gives(1, 0);
    locked_write(1, x);
    CU_ASSERT_EQUAL(OBSERVED(), 1);
}

static void new_task(void)
{
    for (u32 waits = 0; waits < 2; waits++) {
        long *x = fresh();
        begin();
        takes(1, 0);
        reads(1, x);
        if (waits) {
            u32 depth = engine_cond_wait_begin(as(1), LOCK(9), engine_lock_peek(LOCK(0)), true, 0, (u64[2]){0, 1});
            locked_write(2, x);
            as(1);
            engine_cond_wait_end(threads[1], LOCK(9), engine_lock_peek(LOCK(0)), depth, (u64[2]){0, 1});
        } else {
            gives(1, 0);
            locked_write(2, x);
            takes(1, 0);
        }
        writes(1, x);
        gives(1, 0);
        CU_ASSERT_EQUAL(OBSERVED(), !waits);
    }
}

/* calls: how many functions return between the read and the write. */
static void activations(void)
{
    for (u32 calls = 0; calls < 4; calls++) {
        long *x = fresh();
        begin();
        for (u32 i = 0; i < calls; i++)
            enters(1);
        locked_read(1, x);
        locked_write(2, x);
        for (u32 i = 0; i < calls; i++)
            leaves(1);
        enters(1);
        locked_write(1, x);
        CU_ASSERT_EQUAL(OBSERVED(), calls < 2);
    }
}

static void constants(void)
{
    CU_ASSERT(!stores_constant((u64)store_register));
    CU_ASSERT(stores_constant((u64)store_constant));
    CU_ASSERT(stores_constant((u64)store_through_pointer));
    CU_ASSERT(stores_constant((u64)store_indexed));
    CU_ASSERT(stores_constant((u64)clear));
    CU_ASSERT(!stores_constant((u64)mask));
    CU_ASSERT(!stores_constant((u64)store_local));
    long *x = fresh();
    begin();
    locked_read(1, x);
    locked_write(2, x);
    takes(1, 0);
    access_by(1, store_constant, x, ACCESS_WRITE);
    gives(1, 0);
    NOTHING();
}

/* An instruction that fills the slots of a ring. */
static void several_addresses(void)
{
    static const u8 fills[] = {0x48, 0x89, 0x03};
    long *x = fresh(), *y = fresh();
    begin();
    takes(2, 0);
    access_by(2, fills, y, ACCESS_WRITE);
    gives(2, 0);
    locked_read(1, x);
    takes(2, 0);
    access_by(2, fills, x, ACCESS_WRITE);
    gives(2, 0);
    takes(1, 0);
    access_by(1, fills, x, ACCESS_WRITE);
    gives(1, 0);
    NOTHING();
}

/* What was possible is not when the first section claims something, or asks whose turn it is. */
static void claims(void)
{
    for (u32 kind = 0; kind < 3; kind++) {
        long *x = fresh(), *turn = fresh();
        begin();
        takes(2, 0);
        writes(2, x);
        access_by(2, update, turn, ACCESS_WRITE);
        gives(2, 0);
        takes(1, 0);
        reads(1, x);
        if (kind == 1)
            access_by(1, other_load, turn, ACCESS_READ);
        if (kind == 2)
            access_by(1, update, turn, ACCESS_WRITE);
        gives(1, 0);
        locked_write(1, x);
        CU_ASSERT_EQUAL(POSSIBLE(), !kind);
    }
}

static void other_life(void)
{
    for (u32 lives = 1; lives < 3; lives++) {
        long *x = fresh();
        begin();
        locked_read(1, x);
        takes(2, 0);
        if (lives > 1) {
            access_block_gone(as(2), (u64)x, 64, false, (u64[2]){0, 5});
            access_block_new(as(2), (u64)x, 64, 0, (u64[2]){0, 6});
        }
        writes(2, x);
        gives(2, 0);
        locked_write(1, x);
        CU_ASSERT_EQUAL(OBSERVED(), lives == 1);
    }
}

/* A thread's stack ends, whose address differs by a multiple of 4 GB. */
static void life_elsewhere(void)
{
    long *x = fresh();
    begin();
    locked_read(1, x);
    locked_write(2, x);
    for (u64 i = 1; i < 256; i++)
        atomicity_forget((u64)x + (i << 32), 8 << 20);
    locked_write(1, x);
    CU_ASSERT(OBSERVED());
}

static void other_bytes(void)
{
    long *x = fresh();
    u64 fp[2] = {0, (u64)update};
    begin();
    locked_read(1, x);
    locked_write(2, x);
    takes(1, 0);
    access_seen(as(1), (u64)x, 4, ACCESS_WRITE, fp);
    gives(1, 0);
    NOTHING();
    begin(); /* a larger read looks at them, too */
    locked_read(1, x = fresh());
    locked_write(2, x);
    takes(1, 0);
    access_range(as(1), (u64)(x - 4), 64, ACCESS_READ, fp);
    writes(1, x);
    gives(1, 0);
    NOTHING();
}

static void intended(void)
{
    long *x = fresh();
    begin();
    access_intended((u64)x, 8, "test");
    locked_read(1, x);
    locked_write(2, x);
    locked_write(1, x);
    NOTHING();
}

static void not_asked_for(void)
{
    long *x = fresh();
    begin();
    run()->options.detect &= ~(u32)DETECT_ATOMICITY;
    locked_read(1, x);
    locked_write(2, x);
    locked_write(1, x);
    CU_ASSERT_PTR_NULL(threads[1]->accesses->pairs);
    NOTHING();
}

UNIT_TESTS("lost updates", {"not_asked_for", not_asked_for}, {"seen_in_between", seen_in_between},
           {"could_come_in_between", could_come_in_between},
           {"possible_ones_change_the_value", possible_ones_change_the_value}, {"by_readers", by_readers},
           {"one_section", one_section}, {"looked_at_again", looked_at_again}, {"version_looked_at", version_looked_at},
           {"written_in_the_first_section", written_in_the_first_section}, {"outer_lock", outer_lock},
           {"handed_over", handed_over}, {"much_in_between", much_in_between}, {"several_locks", several_locks},
           {"passed_through", passed_through}, {"new_task", new_task}, {"activations", activations},
           {"constants", constants}, {"several_addresses", several_addresses}, {"claims", claims},
           {"other_life", other_life}, {"life_elsewhere", life_elsewhere}, {"other_bytes", other_bytes},
           {"intended", intended})
