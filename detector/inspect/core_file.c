/* A core file. Called by inspect.c. Takes no locks; allocates with malloc. The notes are read here for what libdwfl does
 * not tell: system calls, thread pointers, the program's name. */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>
#include <unistd.h>

#include "subject.h"

#define NOTES_MAX (256u << 20)

static void add_prstatus(struct subject *s, const void *description)
{
    struct elf_prstatus p;
    struct user_regs_struct u;
    memcpy(&p, description, sizeof p);
    memcpy(&u, p.pr_reg, sizeof u);
    struct subject_thread *t = subject_thread_of(s, (u32)p.pr_pid) ? NULL : subject_add_thread(s, (u32)p.pr_pid);
    if (!t)
        return;
    t->pthread = u.fs_base;
    t->in_call = (long)u.orig_rax >= 0;
    t->call = (long)u.orig_rax;
    const u64 a[6] = {u.rdi, u.rsi, u.rdx, u.r10, u.r8, u.r9};
    memcpy(t->argument, a, sizeof a);
    t->registers = (struct subject_registers){.dwarf = {u.rax, u.rdx, u.rcx, u.rbx, u.rsi, u.rdi, u.rbp, u.rsp, u.r8,
                                                        u.r9, u.r10, u.r11, u.r12, u.r13, u.r14, u.r15, u.rip},
                                              .thread = u.fs_base,
                                              .whole = true};
}

static void read_note(struct subject *s, u32 type, const char *description, size_t n)
{
    if (type == NT_PRSTATUS && n >= sizeof(struct elf_prstatus))
        add_prstatus(s, description);
    if (type != NT_PRPSINFO || n < sizeof(struct elf_prpsinfo))
        return;
    struct elf_prpsinfo p;
    memcpy(&p, description, sizeof p);
    s->pid = (u32)p.pr_pid;
}

static void read_notes(struct subject *s, const GElf_Phdr *p)
{
    Elf_Data *d = p->p_filesz <= NOTES_MAX
                      ? elf_getdata_rawchunk(s->core_elf, (int64_t)p->p_offset, p->p_filesz, ELF_T_NHDR)
                      : NULL;
    GElf_Nhdr h;
    size_t name, description;
    for (size_t at = 0, next; d && (next = gelf_getnote(d, at, &h, &name, &description)) > 0; at = next)
        if (h.n_namesz >= 4 && memcmp((char *)d->d_buf + name, "CORE", 4) == 0)
            read_note(s, h.n_type, (char *)d->d_buf + description, h.n_descsz);
}

static bool is_core(struct subject *s, GElf_Ehdr *h)
{
    return s->core_elf && elf_kind(s->core_elf) == ELF_K_ELF && gelf_getehdr(s->core_elf, h) && h->e_type == ET_CORE &&
           h->e_machine == EM_X86_64;
}

static bool open_core(struct subject *s, const char *path, char *err, size_t errlen)
{
    GElf_Ehdr h;
    s->core_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s->core_fd < 0) {
        snprintf(err, errlen, "%s: %s", path, strerror(errno));
        return false;
    }
    elf_version(EV_CURRENT);
    s->core_elf = elf_begin(s->core_fd, ELF_C_READ_MMAP, NULL);
    if (!is_core(s, &h)) {
        snprintf(err, errlen, "%s: neither a process number nor a core file of an x86-64 program", path);
        return false;
    }
    return true;
}

bool subject_core(struct subject *s, const char *path, char *err, size_t errlen)
{
    size_t n = 0;
    GElf_Phdr p;
    *s = (struct subject){.is_core = true, .exe = strdup("")};
    if (!open_core(s, path, err, errlen)) {
        subject_free(s);
        return false;
    }
    elf_getphdrnum(s->core_elf, &n);
    for (size_t i = 0; i < n; i++)
        if (gelf_getphdr(s->core_elf, (int)i, &p) && p.p_type == PT_NOTE)
            read_notes(s, &p);
    if (!s->nthreads || !subject_begin(s) || dwfl_core_file_report(s->dwfl, s->core_elf, NULL) < 0 ||
        dwfl_report_end(s->dwfl, NULL, NULL)) {
        snprintf(err, errlen, "%s: %s", path, s->nthreads ? dwfl_errmsg(-1) : "a core without threads");
        subject_free(s);
        return false;
    }
    subject_modules(s);
    if (dwfl_core_file_attach(s->dwfl, s->core_elf) >= 0)
        subject_stacks(s);
    return true;
}
