/* Looks at a program before it is started. Called by intercept/exec.c, also in vfork children, so: no allocation, no locks, no state. */
#include "exec_target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include "base/sys.h"
#include "text.h"

#define MAX_SCRIPTS 5      /* the kernel's own limit of interpreters in a row */
#define MAX_HEADERS 64
#define LOADER "ld-linux-x86-64.so"
#define HEAD_BYTES 256     /* what the kernel reads of a script's first line */

static bool read_at(int fd, void *buf, size_t n, u64 offset)
{
    return sys_call6(SYS_pread64, fd, (long)buf, (long)n, (long)offset, 0, 0) == (long)n;
}

/* The kernel's rule for AT_SECURE: a changed user or group, or capabilities from the file for somebody who is not root. */
static bool gains_privileges(int fd)
{
    struct stat st;
    struct statfs fs;
    u32 uid = (u32)sys_call3(SYS_getuid, 0, 0, 0), gid = (u32)sys_call3(SYS_getgid, 0, 0, 0);
    u32 euid = (u32)sys_call3(SYS_geteuid, 0, 0, 0), egid = (u32)sys_call3(SYS_getegid, 0, 0, 0);
    if (sys_call3(SYS_fstat, fd, &st, 0) < 0)
        return false;
    bool honoured = sys_call3(SYS_fstatfs, fd, &fs, 0) < 0 || !(fs.f_flags & ST_NOSUID);
    if (sys_call6(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, 0) == 1)
        honoured = false;
    if (honoured && (st.st_mode & S_ISUID))
        euid = st.st_uid;
    if (honoured && (st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        egid = st.st_gid;
    if (euid != uid || egid != gid)
        return true;
    return honoured && uid && sys_call6(SYS_fgetxattr, fd, (long)"security.capability", 0, 0, 0, 0) > 0;
}

/* The loader's name decides whose C library the program runs on. */
static bool interpreter_is_glibc(int fd, const Elf64_Phdr *p)
{
    char path[128];
    size_t n = p->p_filesz < sizeof path ? p->p_filesz : sizeof path - 1;
    if (!n || !read_at(fd, path, n, p->p_offset))
        return false;
    path[n] = 0;
    return strstr(path, LOADER) != NULL;
}

static enum exec_target elf_target(int fd, const Elf64_Ehdr *h)
{
    Elf64_Phdr p;
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != EM_X86_64)
        return TARGET_FOREIGN;
    for (u32 i = 0; i < h->e_phnum && i < MAX_HEADERS; i++) {
        if (!read_at(fd, &p, sizeof p, h->e_phoff + i * sizeof p))
            return TARGET_UNKNOWN;
        if (p.p_type == PT_INTERP)
            return !interpreter_is_glibc(fd, &p) ? TARGET_FOREIGN : gains_privileges(fd) ? TARGET_PRIVILEGED : TARGET_WATCHABLE;
    }
    return TARGET_STATIC;
}

/* The interpreter named in a "#!" line, in place; NULL when there is none. */
static const char *script_interpreter(char *head)
{
    char *at = head + 2;
    at[strcspn(at, "\n")] = 0;
    at += strspn(at, " \t");
    at[strcspn(at, " \t")] = 0;
    return *at ? at : NULL;
}

enum exec_target exec_target_at(int dirfd, const char *path)
{
    union {
        Elf64_Ehdr elf;
        char text[HEAD_BYTES + 1];
    } head;
    char interpreter[HEAD_BYTES + 1];
    for (int depth = 0; depth < MAX_SCRIPTS; depth++) {
        int fd = (int)sys_call6(SYS_openat, dirfd, (long)path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0, 0, 0);
        if (fd < 0)
            return TARGET_UNKNOWN;
        memset(&head, 0, sizeof head);
        long n = sys_read(fd, head.text, HEAD_BYTES);
        enum exec_target target = TARGET_UNKNOWN;
        if (n >= (long)sizeof(Elf64_Ehdr) && memcmp(head.elf.e_ident, ELFMAG, SELFMAG) == 0)
            target = elf_target(fd, &head.elf);
        if (target == TARGET_STATIC && strstr(path, LOADER))
            target = TARGET_WATCHABLE; /* the loader itself, called as a program */
        sys_close(fd);
        if (n < 3 || head.text[0] != '#' || head.text[1] != '!')
            return target;
        const char *next = script_interpreter(head.text);
        if (!next)
            return TARGET_UNKNOWN;
        memcpy(interpreter, next, strlen(next) + 1);
        path = interpreter;
        dirfd = AT_FDCWD;
    }
    return TARGET_UNKNOWN;
}

enum exec_target exec_target_search(const char *file, const char *search)
{
    char path[PATH_MAX];
    if (strchr(file, '/'))
        return exec_target_at(AT_FDCWD, file);
    if (!search)
        search = "/bin:/usr/bin";
    for (;;) {
        size_t n = strcspn(search, ":");
        struct text t = text_in(path, sizeof path);
        text_bytes(&t, search, n);
        text_add(&t, n ? "/" : "");
        text_add(&t, file);
        if (!t.cut && sys_call6(SYS_faccessat, AT_FDCWD, (long)path, 1 /* X_OK */, 0, 0, 0) == 0)
            return exec_target_at(AT_FDCWD, path);
        if (!search[n])
            return TARGET_UNKNOWN;
        search += n + 1;
    }
}
