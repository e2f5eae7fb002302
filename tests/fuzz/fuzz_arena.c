/* A run's arena that the watched program has written over: the command reads it, reports what is left, and never falls.
 *
 * The arena of a small run is made once, with the engine. An input is a list of patches to it, eight bytes each: a
 * place (4 bytes) and a word to put there (4 bytes); most places are among the words that are not zero. After each
 * input the arena is as before. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyze/engine.h"
#include "analyze/hot.h"
#include "analyze/internal.h"
#include "report/classify.h"
#include "report/collect.h"
#include "report/graph.h"
#include "report/text.h"

#define ARENA_BYTES (64u << 20)
#define MOST_PATCHES 64u

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/tmp/snarl-fuzz-XXXXXX";
static uint32_t *original;
static size_t words;
static uint32_t *filled; /* places of the words that are not zero */
static size_t nfilled;
static int file;
static char memory[4096]; /* addresses of made-up locks */

static void take(struct thread *t, int n, enum object_kind kind, enum lock_mode mode)
{
    engine_acquired(t, engine_lock(t, (u64)&memory[64 * n], kind, 0, NULL), mode, HOW_BLOCK, NULL);
}

static void give(struct thread *t, int n)
{
    engine_release(t, engine_lock_peek((u64)&memory[64 * n]), NULL);
}

/* A data race on a block that is freed, with a lock held on one side. */
static void make_race(struct thread *t, struct thread *child)
{
    take(t, 6, OBJ_RWLOCK, MODE_SHARED);
    ref_t r = finding_begin(1, 0, 2);
    struct finding_rec *f = arena_at(r);
    u64 frame = 1ULL << 48 | 0x1234;
    f->kind = FINDING_DATA_RACE;
    f->mem_address = (u64)memory;
    f->mem_size = 4;
    f->memory = (struct object_birth){.region = REGION_HEAP, .offset = 16, .alloc_size = 64, .thread = t->ref};
    f->memory.alloc_stack = stack_intern(&frame, 1, STACK_SITE_ONLY);
    finding_event_fill(&f->events[0], child->rec, EVENT_FREE, 0, OBJ_NONE, f->memory.alloc_stack);
    finding_event_fill(&f->events[1], t->rec, EVENT_WRITE, 0, OBJ_NONE, 0);
    f->events[0].size = f->events[1].size = 4;
    f->events[1].held = held_snapshot(t->rec, &f->events[1].nheld);
    finding_publish(r, false);
    give(t, 6);
}

/* Two threads with opposite orders, a read-write lock, a condition, a barrier, and a lock that is destroyed while it is
 * held, and a data race. */
static void make_run(void)
{
    struct thread *t = engine_thread_adopt(1, true);
    t->scratch[0] = 0;
    struct thread *child = engine_thread_create(t, 0, NULL);
    engine_thread_start(child, 2, 0, 0);

    take(t, 0, OBJ_MUTEX, MODE_EXCLUSIVE);
    take(t, 1, OBJ_MUTEX, MODE_EXCLUSIVE);
    give(t, 1);
    give(t, 0);
    take(child, 1, OBJ_MUTEX, MODE_EXCLUSIVE);
    take(child, 0, OBJ_MUTEX, MODE_EXCLUSIVE);
    give(child, 0);
    give(child, 1);
    take(t, 2, OBJ_RWLOCK, MODE_SHARED);
    take(t, 3, OBJ_MUTEX, MODE_EXCLUSIVE);
    engine_lock_destroy(t, (u64)&memory[64 * 3], OBJ_MUTEX, NULL);
    engine_cond_init(t, (u64)&memory[64 * 4], 0, NULL);
    engine_barrier_init(t, (u64)&memory[64 * 5], 2, 0, NULL);
    make_race(t, child);
    engine_thread_end(child);
}

static void remove_file(void)
{
    unlink(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    struct run_options options = {.detect = DETECT_DEADLOCK | DETECT_MISUSE | DETECT_RACE, .stack_depth = 64};
    struct engine_hooks hooks = {0};

    file = mkstemp(path);
    unlink(path); /* arena_create wants to make the file itself */
    if (file < 0 || close(file) || arena_create(path, ARENA_BYTES) || engine_create_run(&options) ||
        engine_start(&hooks, 0, "fuzz"))
        abort();
    make_run();
    words = arena_used() / sizeof *original;
    original = malloc(words * sizeof *original);
    memcpy(original, arena_base, words * sizeof *original);
    arena_close();
    filled = malloc(words * sizeof *filled);
    for (size_t i = 0; i < words; i++) {
        if (original[i])
            filled[nfilled++] = (uint32_t)i;
    }
    file = open(path, O_RDWR);
    atexit(remove_file);
    return file < 0;
}

/* Writes the patches, or with `undo` what was there. */
static void patch(const uint8_t *data, size_t patches, bool undo)
{
    for (size_t i = 0; i < patches; i++) {
        uint32_t place, word;
        memcpy(&place, data + 8 * i, 4);
        memcpy(&word, data + 8 * i + 4, 4);
        place = place % 4 ? filled[place / 4 % nfilled] : place / 4 % (uint32_t)words;
        if (pwrite(file, undo ? &original[place] : &word, 4, (off_t)place * 4) != 4)
            abort();
    }
}

static void render(void)
{
    struct collect_input input = {.ended = true};
    struct text_options options = {.verbose = true};
    json_t *document = collect_document(&input);

    json_decref(collect_processes());
    free(json_dumps(document, 0));
    free(text_report(document, &options));
    free(graph_text(document, &options));
    free(graph_dot(document));
    json_decref(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t patches = size / 8 < MOST_PATCHES ? size / 8 : MOST_PATCHES;

    patch(data, patches, false);
    if (arena_open_read(path) == 0) {
        render();
        arena_close();
    }
    patch(data, patches, true);
    return 0;
}
