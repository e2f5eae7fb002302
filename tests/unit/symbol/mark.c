/* Fixture of test_symbol: prints the marks. Built without debug information, so that it is nobody's allocating unit. */
#define _GNU_SOURCE
#include "mark.h"

#include <execinfo.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FRAMES 24

static void *alloc_stack[FRAMES];
static int alloc_frames;
static size_t alloc_size;
static const char *alloc_block;

struct place {
    uintptr_t address, offset;
    const char *path;
    size_t tls_module;
};

static int find(struct dl_phdr_info *info, size_t size, void *context)
{
    struct place *p = context;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t lo = info->dlpi_addr + ph->p_vaddr;
        if (ph->p_type == PT_TLS && p->tls_module == 1 && info->dlpi_tls_data &&
            p->address >= (uintptr_t)info->dlpi_tls_data && p->address < (uintptr_t)info->dlpi_tls_data + ph->p_memsz) {
            p->offset = p->address - (uintptr_t)info->dlpi_tls_data;
            p->path = *info->dlpi_name ? info->dlpi_name : "/proc/self/exe";
            return 1;
        }
        if (ph->p_type == PT_LOAD && !p->tls_module && p->address >= lo && p->address < lo + ph->p_memsz) {
            p->offset = p->address - info->dlpi_addr;
            p->path = *info->dlpi_name ? info->dlpi_name : "/proc/self/exe";
            return 1;
        }
    }
    return 0;
}

static void print_place(const void *at, int tls)
{
    char path[4096];
    struct place p = {(uintptr_t)at, 0, NULL, (size_t)tls};
    if (!dl_iterate_phdr(find, &p)) {
        printf("-");
        return;
    }
    if (!realpath(p.path, path))
        abort();
    printf("%s@%#zx", path, (size_t)p.offset);
}

static void print_stack(void **frames, int n)
{
    for (int i = 2; i < n; i++) { /* without mark or mark_alloc, and what captured for them */
        printf(i > 2 ? "," : "");
        print_place(frames[i], 0);
    }
    printf(n > 2 ? "" : "-");
}

static __attribute__((noinline)) int capture(void **frames)
{
    int n = backtrace(frames, FRAMES);
    __asm__ volatile("" ::: "memory");
    return n;
}

__attribute__((noinline)) void mark(struct mark m)
{
    void *frames[FRAMES];
    int n = capture(frames);
    printf("%s\t%s\t%s\t%d\t%d\t", m.kind, m.expected, m.functions, m.line, m.type);
    print_place(m.object, m.kind[0] == 't');
    printf("\t%zu\t%td\t", m.size, m.cfa ? (const char *)m.object - (const char *)m.cfa : (ptrdiff_t)m.offset);
    print_stack(alloc_stack, alloc_frames);
    printf("\t");
    print_stack(frames, n);
    printf("\n");
    fflush(stdout);
}

__attribute__((noinline)) void *mark_alloc(size_t size)
{
    alloc_frames = capture(alloc_stack);
    alloc_size = size;
    alloc_block = calloc(1, size);
    return (void *)alloc_block;
}

size_t mark_size(void)
{
    return alloc_size;
}

const char *mark_block(void)
{
    return alloc_block;
}
