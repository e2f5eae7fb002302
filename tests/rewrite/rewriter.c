/* A preload library that rewrites what REWRITE names ("exe", and parts of the paths of libraries, with commas between;
 * "all") before main, and keeps a shadow of its own instead of the engine's: each thread has one epoch for ever, and the
 * last access of a granule stays. So programs run through every kind of check, hits and misses; what they do must not
 * change. At the end, with REWRITE_REPORT=FILE, a line for each module goes there. */
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "access/rewrite_enter.h"
#include "access/rewrite_module.h"
#include "access/rewrite_patch.h"
#include "analyze/cell.h"
#include "analyze/shadow.h"

#define MODULES 64u
#define TLS __thread __attribute__((tls_model("initial-exec")))

static TLS u32 now;
static TLS u64 words[4];
static TLS u16 spare[3][8];
static struct rewritten modules[MODULES];
static char names[MODULES][256];
static u64 took[MODULES]; /* microseconds */
static u32 nmodules, nsites, threads, traps;
static u64 misses;
static struct sigaction before[65];

static u32 thread_now(void)
{
    if (!now) {
        now = (__atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED) & 0xfffff) << SLOT_EPOCH_SHIFT | SLOT_MASK;
        for (u32 i = 0; i < 3; i++)
            for (u32 at = 0; at < GRANULE; at++)
                spare[i][at] =
                    (u16)((at + (1u << i) > GRANULE ? SLOT_ATOMIC : 0) | (~granule_mask(at, 1u << i) & SLOT_MASK));
    }
    return now;
}

static const struct access_site *site_of(u64 number)
{
    for (u32 i = 0; i < nmodules; i++) {
        if (number < modules[i].nsites)
            return &modules[i].sites[number];
        number -= modules[i].nsites;
    }
    return NULL;
}

bool rewrite_slow(struct slow_frame *f)
{
    const struct access_site *s = site_of(f->number);
    u32 mine = thread_now();
    if (!s)
        return false;
    u64 address = words[3];
    if (!(s->how & SITE_INLINE))
        return false;
    u32 kind = s->how & SITE_WRITE ? SLOT_WRITE : 0;
    for (u64 at = address & ~7ULL; at < address + s->size; at += 8) {
        u64 *cell = shadow_cell(at);
        u64 lo = at < address ? address : at, hi = at + 8 < address + s->size ? at + 8 : address + s->size;
        u32 mask = granule_mask(lo, (u32)(hi - lo)), old = (u32)__atomic_load_n(cell, __ATOMIC_RELAXED);
        u32 slot = (mine & ~SLOT_MASK) | kind | mask;
        if (!((old ^ mine) & SLOT_SAME_EPOCH))
            slot |= old & SLOT_MASK, slot &= (old | ~SLOT_WRITE) | kind;
        __atomic_store_n(cell, slot, __ATOMIC_RELAXED);
    }
    return ++misses % 4096 == 0;
}

void rewrite_slow_deep(struct slow_frame *f, const u8 *state)
{
    (void)f, (void)state;
    __asm__ volatile("pcmpeqd %xmm0, %xmm0; movdqa %xmm0, %xmm7; movdqa %xmm0, %xmm15"); /* nothing of ours is there */
}

/* ---- faults ---- */

static void on_fault(int sig, siginfo_t *info, void *context)
{
    ucontext_t *c = context;
    u64 pc = (u64)c->uc_mcontext.gregs[REG_RIP];
    for (u32 i = 0; i < nmodules; i++) {
        struct map_found found;
        u64 to = map_copy_of(&modules[i].map, pc);
        if (to && patch_is_trap(*(u8 *)(uintptr_t)pc)) {
            __atomic_add_fetch(&traps, 1, __ATOMIC_RELAXED);
            c->uc_mcontext.gregs[REG_RIP] = (greg_t)to;
            return;
        }
        /* A wild pointer: the program is to find out for itself. */
        if (map_find(&modules[i].map, pc, &found) && found.where == MAP_CHECK) {
            c->uc_mcontext.gregs[REG_RIP] = (greg_t)found.back;
            return;
        }
        if (map_find(&modules[i].map, pc, &found))
            c->uc_mcontext.gregs[REG_RIP] = (greg_t)found.original;
    }
    if (before[sig].sa_flags & SA_SIGINFO)
        before[sig].sa_sigaction(sig, info, context);
    else if (before[sig].sa_handler != SIG_DFL && before[sig].sa_handler != SIG_IGN)
        before[sig].sa_handler(sig);
    else
        signal(sig, SIG_DFL);
}

/* ---- start ---- */

static int32_t tls_offset(const void *p)
{
    u64 base;
    __asm__("mov %%fs:0, %0" : "=r"(base));
    return (int32_t)((u64)p - base);
}

static struct check_target target(void)
{
    struct check_target to = {.now = tls_offset(&now), .address = tls_offset(&words[3])};
    for (u32 i = 0; i < 3; i++) {
        to.saved[i] = tls_offset(&words[i]);
        to.spare[i] = tls_offset(spare[i]);
    }
    return to;
}

static bool wanted(const char *path, bool exe)
{
    const char *list = getenv("REWRITE");
    char copy[1024];
    if (!list || strstr(path, "rewriter.so") || strstr(path, "ld-linux") || strstr(path, "vdso"))
        return false;
    if (!strcmp(list, "all"))
        return !strstr(path, "libc.so");
    snprintf(copy, sizeof copy, "%s", list);
    char *save = NULL;
    for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save))
        if (exe ? !strcmp(t, "exe") : strstr(path, t) != NULL)
            return true;
    return false;
}

static void take_header(struct image *m, u64 bias, const ElfW(Phdr) * p)
{
    u64 lo = bias + p->p_vaddr, hi = lo + p->p_memsz;
    if (p->p_type == PT_LOAD && m->nparts < IMAGE_PARTS) {
        m->part[m->nparts++] = (struct image_part){lo, hi, p->p_flags & PF_W, p->p_flags & PF_X};
        if (p->p_flags & PF_X) {
            m->text_lo = lo;
            m->text_hi = hi;
        }
    } else if (p->p_type == PT_GNU_EH_FRAME) {
        m->frames = lo;
    } else if (p->p_type == PT_DYNAMIC) {
        m->dynamic = lo;
    } else if (p->p_type == PT_GNU_RELRO) {
        m->relro_lo = lo;
        m->relro_hi = hi & ~4095ULL;
    }
}

static u64 cpu_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (u64)t.tv_sec * 1000000000ULL + (u64)t.tv_nsec;
}

static int module(struct dl_phdr_info *info, size_t size, void *arg)
{
    bool exe = !info->dlpi_name[0];
    char path[256] = "";
    (void)size;
    (void)arg;
    if (exe && readlink("/proc/self/exe", path, sizeof path - 1) < 0)
        return 0;
    if (!exe)
        snprintf(path, sizeof path, "%s", info->dlpi_name);
    if (!wanted(path, exe) || nmodules == MODULES)
        return 0;
    struct image m = {.bias = info->dlpi_addr};
    for (u32 i = 0; i < info->dlpi_phnum; i++)
        take_header(&m, info->dlpi_addr, &info->dlpi_phdr[i]);
    struct check_target to = target();
    u64 begin = cpu_time();
    u32 n = nmodules;
    memcpy(names[n], path, sizeof path);
    enum rewrite_result r =
        rewrite_module(&modules[n], &m, &to, (u64)(uintptr_t)rewrite_enter, shadow_cells, nsites, NULL, 0);
    took[n] = (cpu_time() - begin) / 1000;
    if (r == REWRITTEN) {
        nsites += modules[n].nsites;
        nmodules++;
    } else if (getenv("REWRITE_REPORT") && r != REWRITE_NOTHING) {
        dprintf(2, "rewriter: %s: result %d\n", path, r);
    }
    return 0;
}

static void report(int fd)
{
    for (u32 i = 0; i < nmodules; i++) {
        const struct rewrite_counts *c = &modules[i].counts;
        dprintf(fd,
                "%s text %llu copies %llu cold %llu us %llu functions %u undecoded %u overlapping %u entangled %u "
                "copied %u "
                "instructions %u eligible %u merged %u checks %u calls %u entries %u direct %u stubs %u hosted %u "
                "failed %u made_up %u "
                "retargeted %u tables %u/%u pads %u spills %u flags %u hoisted %u traps %u misses %llu\n",
                names[i], (unsigned long long)modules[i].text_bytes, (unsigned long long)modules[i].copy_bytes,
                (unsigned long long)modules[i].cold_bytes, (unsigned long long)took[i], c->functions, c->undecoded,
                c->overlapping, c->entangled, c->copied, c->instructions, c->eligible, c->merged, c->checks, c->calls,
                c->entries, c->direct, c->stubs, c->hosted, c->failed, c->made_up, c->retargeted, c->tables,
                c->table_entries, c->pads, c->spills, c->flag_saves, c->hoisted, traps, (unsigned long long)misses);
    }
}

static void start(void) __attribute__((constructor));
static void start(void)
{
    static const int signals[] = {SIGSEGV, SIGILL, SIGBUS};
    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    if (!getenv("REWRITE") || shadow_start() || !rewrite_enter_start())
        return;
    thread_now();
    for (u32 i = 0; i < 3; i++)
        sigaction(signals[i], &a, &before[signals[i]]);
    dl_iterate_phdr(module, NULL);
}

static void end(void) __attribute__((destructor));
static void end(void)
{
    const char *path = getenv("REWRITE_REPORT");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    report(fd);
    close(fd);
}
