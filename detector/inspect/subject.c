/* What live processes and cores have in common: modules, stacks, symbols, all by libdwfl. Called by live.c, core_file.c and
 * those who look. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "python.h"

#define DWARF_RSP 7

bool subject_begin(struct subject *s)
{
    const char *path = getenv("SNARL_DEBUG_PATH");
    s->find_path = path && *path ? strdup(path) : NULL;
    s->callbacks = (Dwfl_Callbacks){
        .find_elf = s->is_core ? dwfl_build_id_find_elf : dwfl_linux_proc_find_elf,
        .find_debuginfo = dwfl_standard_find_debuginfo,
        .section_address = dwfl_offline_section_address,
        .debuginfo_path = s->find_path ? &s->find_path : NULL,
    };
    s->dwfl = dwfl_begin(&s->callbacks);
    return s->dwfl != NULL;
}

void subject_free(struct subject *s)
{
    if (s->dwfl)
        dwfl_end(s->dwfl);
    for (u32 i = 0; i < s->nmodules; i++)
        free(s->module[i].path);
    for (u32 i = 0; i < s->nthreads; i++)
        free(s->thread[i].python);
    free(s->python_hold);
    free(s->module);
    free(s->thread);
    free(s->exe);
    free(s->find_path);
    if (s->core_elf)
        elf_end(s->core_elf);
    if (s->core_fd > 0)
        close(s->core_fd);
    *s = (struct subject){0};
}

struct subject_thread *subject_add_thread(struct subject *s, u32 tid)
{
    if (s->nthreads == SUBJECT_THREADS)
        return NULL;
    if (!(s->nthreads & (s->nthreads - 1))) {
        u32 room = s->nthreads ? 2 * s->nthreads : 1;
        struct subject_thread *more = realloc(s->thread, room * sizeof *more);
        if (!more)
            return NULL;
        s->thread = more;
    }
    struct subject_thread *t = &s->thread[s->nthreads++];
    *t = (struct subject_thread){.tid = tid};
    return t;
}

struct subject_thread *subject_thread_of(const struct subject *s, u32 tid)
{
    for (u32 i = 0; i < s->nthreads; i++)
        if (s->thread[i].tid == tid)
            return &s->thread[i];
    return NULL;
}

/* ---- modules ---- */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* With what is zero at first: the mappings of the file do not have it when it is more than the rest of a page. */
static u64 end_of(Elf *elf, u64 bias, u64 mapped_end)
{
    size_t n;
    GElf_Phdr p;
    u64 end = mapped_end;
    if (!elf || elf_getphdrnum(elf, &n) < 0)
        return end;
    for (size_t i = 0; i < n; i++)
        if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_LOAD && p.p_vaddr + p.p_memsz + bias > end)
            end = p.p_vaddr + p.p_memsz + bias;
    return end;
}

static int add_module(Dwfl_Module *mod, void **unused, const char *name, Dwarf_Addr start, void *arg)
{
    struct subject *s = arg;
    (void)unused;
    Dwarf_Addr end = 0;
    GElf_Addr bias = 0, at;
    const char *main_file = NULL;
    const unsigned char *id;
    Elf *elf = dwfl_module_getelf(mod, &bias);
    if (!elf) /* files that are only mapped */
        return DWARF_CB_OK;
    struct subject_module *more = realloc(s->module, (s->nmodules + 1) * sizeof *more);
    if (!more)
        return DWARF_CB_ABORT;
    s->module = more;
    struct subject_module *m = &more[s->nmodules++];
    dwfl_module_info(mod, NULL, NULL, &end, NULL, NULL, &main_file, NULL);
    const char *path = main_file && *main_file ? main_file : name ? name : "";
    *m = (struct subject_module){
        .path = strdup(path), .lo = start, .hi = end_of(elf, bias, end), .bias = bias, .dwfl = mod};
    if (!m->path)
        abort();
    int n = dwfl_module_build_id(mod, &id, &at);
    if (n > 0 && (size_t)n <= sizeof m->build_id) {
        memcpy(m->build_id, id, (size_t)n);
        m->build_id_length = (u32)n;
    }
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    m->is_main = *s->exe ? strcmp(path, s->exe) == 0 : s->nmodules == 1;
    m->is_libc = begins(base, "libc.so.") || begins(base, "libpthread.so.") || begins(base, "libpthread-2.") ||
                 begins(base, "libc-2.");
    m->is_system = !m->is_main && (begins(path, "/usr/lib") || begins(path, "/lib/") || begins(path, "/lib64/") ||
                                   begins(path, "[vdso"));
    return DWARF_CB_OK;
}

void subject_modules(struct subject *s)
{
    dwfl_getmodules(s->dwfl, add_module, s, 0);
}

const struct subject_module *subject_module_at(const struct subject *s, u64 address)
{
    for (u32 i = 0; i < s->nmodules; i++)
        if (address >= s->module[i].lo && address < s->module[i].hi)
            return &s->module[i];
    return NULL;
}

const char *subject_function(const struct subject *s, const struct subject_frame *f)
{
    const struct subject_module *m = subject_module_at(s, f->pc);
    GElf_Off offset;
    GElf_Sym symbol;
    u64 at = f->exact ? f->pc : f->pc - 1;
    const char *name = m ? dwfl_module_addrinfo(m->dwfl, at, &offset, &symbol, NULL, NULL, NULL) : NULL;
    if (!name || (symbol.st_size && offset >= symbol.st_size))
        return "";
    while (*name == '_')
        name++;
    return name;
}

/* ---- memory ---- */

/* Pages that were never written are not in a core: they are as the module's file has them. */
static bool file_read(const struct subject *s, u64 address, void *to, size_t n)
{
    const struct subject_module *m = subject_module_at(s, address);
    GElf_Addr bias;
    Elf *elf = m ? dwfl_module_getelf(m->dwfl, &bias) : NULL;
    size_t count, size = 0;
    const char *file = elf ? elf_rawfile(elf, &size) : NULL;
    if (!file || elf_getphdrnum(elf, &count) < 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr p;
        u64 from = address - bias;
        if (!gelf_getphdr(elf, (int)i, &p) || p.p_type != PT_LOAD || (p.p_flags & PF_W) || from < p.p_vaddr ||
            from - p.p_vaddr >= p.p_filesz || n > p.p_filesz - (from - p.p_vaddr) || p.p_offset > size ||
            p.p_filesz > size - p.p_offset)
            continue;
        memcpy(to, file + p.p_offset + (from - p.p_vaddr), n);
        return true;
    }
    return false;
}

static bool core_read(const struct subject *s, u64 address, void *to, size_t n)
{
    size_t count;
    if (elf_getphdrnum(s->core_elf, &count) < 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr p;
        if (!gelf_getphdr(s->core_elf, (int)i, &p) || p.p_type != PT_LOAD || address < p.p_vaddr ||
            address - p.p_vaddr >= p.p_filesz || n > p.p_filesz - (address - p.p_vaddr))
            continue;
        return pread(s->core_fd, to, n, (off_t)(p.p_offset + (address - p.p_vaddr))) == (ssize_t)n;
    }
    return file_read(s, address, to, n);
}

bool subject_segment(const struct subject *s, u64 address, u64 *lo, u64 *hi)
{
    size_t count;
    GElf_Phdr p;
    if (!s->core_elf || elf_getphdrnum(s->core_elf, &count) < 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (gelf_getphdr(s->core_elf, (int)i, &p) && p.p_type == PT_LOAD && address >= p.p_vaddr &&
            address - p.p_vaddr < p.p_filesz) {
            *lo = p.p_vaddr;
            *hi = p.p_vaddr + p.p_filesz;
            return true;
        }
    return false;
}

bool subject_read(const struct subject *s, u64 address, void *to, size_t n)
{
    if (s->is_core)
        return core_read(s, address, to, n);
    struct iovec here = {to, n}, there = {(void *)(uintptr_t)address, n};
    return process_vm_readv((pid_t)s->alive, &here, 1, &there, 1, 0) == (ssize_t)n;
}

bool subject_word(const struct subject *s, u64 address, u32 *to)
{
    return subject_read(s, address, to, sizeof *to);
}

/* ---- stacks ---- */

static int add_frame(Dwfl_Frame *frame, void *arg)
{
    struct subject_thread *t = arg;
    Dwarf_Addr pc;
    Dwarf_Word sp;
    bool exact = false;
    if (!dwfl_frame_pc(frame, &pc, &exact))
        return DWARF_CB_ABORT;
    if (t->nframes == SUBJECT_FRAMES) {
        t->cut = true;
        return DWARF_CB_ABORT;
    }
    /* This frame's stack pointer is what the frame inside it had as CFA. */
    if (dwfl_frame_reg(frame, DWARF_RSP, &sp) == 0 && t->nframes)
        t->frame[t->nframes - 1].cfa = sp;
    t->frame[t->nframes++] = (struct subject_frame){.pc = pc, .exact = exact};
    return DWARF_CB_OK;
}

static int add_stack(Dwfl_Thread *thread, void *arg)
{
    struct subject_thread *t = subject_thread_of(arg, (u32)dwfl_thread_tid(thread));
    if (t)
        dwfl_thread_getframes(thread, add_frame, t);
    return DWARF_CB_OK;
}

void subject_stacks(struct subject *s)
{
    dwfl_getthreads(s->dwfl, add_stack, s);
    python_look(s);
}
