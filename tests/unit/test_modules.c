/* The list of modules while libraries come and go, among them different ones at the same address. */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "model/run.h"
#include "model/stack.h"
#include "modules.h"
#include "unit.h"
#include "unwind/unwind.h"
#include "watched_process.h"

#define LOADED_A SNARL_BUILD_DIR "/tests/unit/loaded_a.so"
#define LOADED_B SNARL_BUILD_DIR "/tests/unit/loaded_b.so"

static struct thread *self;

static void start(void)
{
    process_begin_for_test();
    self = process_thread_for_test();
    CU_ASSERT(modules_tracking);
}

/* ---- what is loaded from the beginning ---- */

struct loader_view {
    u32 n, wrong;
};
static int compare_with_loader(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct loader_view *v = arg;
    struct module m;
    (void)size;
    for (u32 i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        u64 at = info->dlpi_addr + p->p_vaddr;
        if (p->p_type == PT_LOAD) {
            bool found = modules_lookup(at, &m) && m.bias == info->dlpi_addr && m.headers == (u64)info->dlpi_phdr &&
                         modules_lookup(at + p->p_memsz - 1, &m) && m.bias == info->dlpi_addr;
            v->wrong += !found;
        } else if (p->p_type == PT_GNU_EH_FRAME) {
            v->wrong += !modules_lookup(at, &m) || m.eh_hdr != at || m.eh_lo > at || m.eh_hi <= at;
        }
    }
    v->n++;
    return 0;
}

static void agrees_with_the_loader(void)
{
    struct loader_view v = {0, 0};
    dl_iterate_phdr(compare_with_loader, &v);
    CU_ASSERT(v.n >= 4);
    CU_ASSERT_EQUAL(v.wrong, 0);
    CU_ASSERT_PTR_NULL(modules_find((u64)&v)); /* the stack is in no module */
    CU_ASSERT_PTR_NULL(modules_find(0));
    CU_ASSERT_PTR_NULL(modules_find(~0ULL));
}

static void records(void)
{
    char exe[4096] = "";
    CU_ASSERT(readlink("/proc/self/exe", exe, sizeof exe - 1) > 0);
    const struct module_rec *own = modules_find((u64)&self), *c = modules_find((u64)qsort);
    CU_ASSERT_FATAL(own && c);
    CU_ASSERT_STRING_EQUAL(string_text(own->path), exe);
    CU_ASSERT(own->is_main && !own->is_libc && !own->gone);
    CU_ASSERT_STRING_EQUAL(string_text(c->soname), "libc.so.6");
    CU_ASSERT(c->is_libc && c->is_system && !c->is_main && c->id != own->id && c->build_id_len == 20);
    u64 frame = modules_frame((u64)qsort, true);
    CU_ASSERT_EQUAL(FRAME_MODULE(frame), c->id);
    CU_ASSERT_EQUAL(FRAME_OFFSET(frame), (u64)qsort - c->bias);
    CU_ASSERT((frame & FRAME_EXACT) != 0);
    CU_ASSERT_EQUAL(modules_frame(c->hi, false) >> 48, c->id); /* a call as the last instruction */
    CU_ASSERT_EQUAL(modules_frame(0x1234, false), 0x1234);
    u32 n = 0;
    for (ref_t r = ((struct process_rec *)arena_at(engine_process()))->modules; r;
         r = ((struct module_rec *)arena_at(r))->next)
        n++;
    CU_ASSERT(n >= 4);
}

static void symbols(void)
{
    static const char *const names[] = {
        "qsort",    "pthread_mutex_lock", "pthread_cond_wait", "memcpy", "environ",         "strlen",
        "sem_post", "pthread_create",     "CU_add_test",       "dlopen", "_dl_find_object", "malloc"};
    for (u32 i = 0; i < sizeof names / sizeof names[0]; i++) {
        CU_ASSERT_PTR_NOT_NULL(dlsym(RTLD_DEFAULT, names[i]));
        CU_ASSERT_PTR_EQUAL(modules_symbol(names[i]), dlsym(RTLD_DEFAULT, names[i]));
    }
    CU_ASSERT_PTR_NULL(modules_symbol("no_such_symbol_anywhere"));
    CU_ASSERT_PTR_NULL(modules_symbol(""));
    CU_ASSERT_PTR_NULL(modules_symbol("errno")); /* thread-local */
    CU_ASSERT_PTR_NULL(modules_symbol("loaded_call"));
}

/* ---- coming and going ---- */

static void *open_library(const char *path)
{
    void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!h)
        fprintf(stderr, "%s\n", dlerror());
    CU_ASSERT_PTR_NOT_NULL_FATAL(h);
    return h;
}

static void open_and_close(void)
{
    void *h = open_library(LOADED_A);
    u64 at = (u64)dlsym(h, "loaded_call");
    const struct module_rec *m = modules_find(at);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    CU_ASSERT_STRING_EQUAL(string_text(m->path), LOADED_A);
    CU_ASSERT(!m->is_system && !m->gone && m->id);
    CU_ASSERT_EQUAL((u64)modules_symbol("loaded_call"), at);
    u32 epoch = modules_epoch, id = m->id;
    dlclose(h);
    CU_ASSERT_PTR_NULL(modules_find(at));
    CU_ASSERT_PTR_NULL(modules_symbol("loaded_call"));
    CU_ASSERT(m->gone);
    CU_ASSERT_STRING_EQUAL(string_text(m->path), LOADED_A);
    CU_ASSERT_EQUAL(modules_epoch, epoch + 1);
    h = open_library(LOADED_A);
    m = modules_find((u64)dlsym(h, "loaded_call"));
    CU_ASSERT(m && m->id == id && !m->gone); /* the same file: the same number */
    dlclose(h);
}

/* Opening and closing for hours must not eat the run's memory. */
static void opened_again_and_again(void)
{
    u64 used = 0;
    for (u32 i = 0; i < 600; i++) {
        if (i == 100)
            used = arena_header()->pools[POOL_MODULE].live;
        dlclose(open_library(LOADED_A));
    }
    CU_ASSERT_EQUAL(arena_header()->pools[POOL_MODULE].live, used);
}

static u32 hook_calls;
static void in_constructor(void *function)
{
    const struct module_rec *m = modules_find((u64)function);
    CU_ASSERT(m && !strcmp(string_text(m->path), LOADED_B));
    hook_calls++;
}

static void known_before_constructors(void)
{
    char hook[32];
    snprintf(hook, sizeof hook, "%llx", (unsigned long long)in_constructor);
    setenv("LOADED_HOOK", hook, 1);
    void *h = open_library(LOADED_B);
    unsetenv("LOADED_HOOK");
    CU_ASSERT_EQUAL(hook_calls, 1);
    dlclose(h);
}

static void relative_path(void)
{
    char was[4096];
    CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(was, sizeof was));
    CU_ASSERT_EQUAL_FATAL(chdir(SNARL_BUILD_DIR "/tests"), 0);
    void *h = open_library("./unit/loaded_a.so");
    const struct module_rec *m = modules_find((u64)dlsym(h, "loaded_call"));
    CU_ASSERT_EQUAL(chdir(was), 0);
    CU_ASSERT(m && !strcmp(string_text(m->path), LOADED_A));
    dlclose(h);
}

static ref_t captured;
static struct unwind_frame frames[128];
static u32 nframes;
static void capture(void)
{
    const u64 *fp = __builtin_frame_address(0);
    captured = unwind_capture(self, fp);
    ref_t again = unwind_capture(self, fp);
    CU_ASSERT_EQUAL(captured, again);
    nframes = unwind_frames(fp, frames, 128);
}

static __attribute__((noinline)) u64 call_loaded(void *h)
{
    void (*f)(void (*)(void)) = (void (*)(void (*)(void)))(u64)dlsym(h, "loaded_call");
    f(capture);
    __asm__ volatile("" ::: "memory");
    return (u64)f;
}

/* A frame of one library, then, at the same address and stack pointer, one of the other. Their unwind rules differ:
 * with what was kept of the first, the second stack would end in nonsense. */
static void other_library_same_address(void)
{
    u64 last = 0;
    u32 reused = 0;
    for (volatile u32 i = 0; i < 40; i++) {
        bool b = i & 1;
        void *h = open_library(b ? LOADED_B : LOADED_A);
        u64 at = call_loaded(h);
        const struct stack_rec *s = arena_at(captured);
        const struct module_rec *m = modules_find(at);
        CU_ASSERT_FATAL(m && s->n > 3);
        CU_ASSERT_STRING_EQUAL(string_text(m->path), b ? LOADED_B : LOADED_A);
        CU_ASSERT_EQUAL(s->flags, 0);
        CU_ASSERT_EQUAL(FRAME_MODULE(s->frame[0]), m->id);
        CU_ASSERT(frames[1].pc - (u64)call_loaded < 512);
        CU_ASSERT_EQUAL(s->frame[1], modules_frame(frames[1].pc, false));
        reused += at == last;
        last = at;
        dlclose(h);
    }
    CU_ASSERT(reused > 10);
}

/* ---- threads and processes ---- */

static volatile bool stop;
static void *look_up(void *arg)
{
    u64 lookups = 0;
    while (!stop || lookups < 1000) {
        const struct module_rec *m = modules_find((u64)qsort);
        if (!m || !m->is_libc)
            *(u32 *)arg += 1;
        if (lookups % 64 == 0 && modules_symbol("qsort") != (void *)(u64)qsort)
            *(u32 *)arg += 1;
        lookups++;
    }
    return NULL;
}

static void readers_while_loading(void)
{
    pthread_t t[2];
    u32 wrong[2] = {0, 0};
    stop = false;
    for (u32 i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, look_up, &wrong[i]);
    for (u32 i = 0; i < 200; i++) {
        void *a = open_library(LOADED_A), *b = open_library(LOADED_B);
        dlclose(a);
        dlclose(b);
    }
    stop = true;
    for (u32 i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
        CU_ASSERT_EQUAL(wrong[i], 0);
    }
}

static void other_namespace(void)
{
    void *h = dlmopen(LM_ID_NEWLM, LOADED_A, RTLD_NOW);
    CU_ASSERT_PTR_NOT_NULL_FATAL(h);
    u64 at = (u64)dlsym(h, "loaded_call");
    const struct module_rec *m = modules_find(at), *ld = modules_find(_r_debug.r_brk);
    CU_ASSERT(m && !strcmp(string_text(m->path), LOADED_A));
    CU_ASSERT(ld && !ld->gone);
    dlclose(h);
    CU_ASSERT_PTR_NULL(modules_find(at));
    CU_ASSERT_PTR_EQUAL(modules_find(_r_debug.r_brk), ld);
}

static void forked_child(void)
{
    ref_t before = ((struct process_rec *)arena_at(engine_process()))->modules;
    pid_t pid = fork();
    if (!pid) {
        engine_fork_child(self, sys_gettid());
        modules_after_fork();
        unwind_after_fork();
        bool good = ((struct process_rec *)arena_at(engine_process()))->modules == before;
        void *h = open_library(LOADED_A);
        u64 at = call_loaded(h);
        const struct module_rec *m = modules_find(at);
        good &= m && FRAME_MODULE(((struct stack_rec *)arena_at(captured))->frame[0]) == m->id;
        _exit(good ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
}

/* Each look-up asks the loader's own search tree instead. */
static void without_tracking(void)
{
    modules_without_tracking();
    CU_ASSERT(!modules_tracking);
    agrees_with_the_loader();
    void *h = open_library(LOADED_A);
    u64 at = (u64)dlsym(h, "loaded_call");
    CU_ASSERT(modules_find(at) && !strcmp(string_text(modules_find(at)->path), LOADED_A));
    dlclose(h);
    CU_ASSERT_PTR_NULL(modules_find(at));
    other_library_same_address();
}

UNIT_TESTS("modules", {"start", start}, {"agrees_with_the_loader", agrees_with_the_loader}, {"records", records},
           {"symbols", symbols}, {"open_and_close", open_and_close},
           {"known_before_constructors", known_before_constructors}, {"relative_path", relative_path},
           {"opened_again_and_again", opened_again_and_again},
           {"other_library_same_address", other_library_same_address}, {"readers_while_loading", readers_while_loading},
           {"other_namespace", other_namespace}, {"forked_child", forked_child}, {"without_tracking", without_tracking})
