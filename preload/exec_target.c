/* Looks at a program before it is started. Called by intercept/exec.c, also in vfork children, so: no locks, no state.
 *
 * Whatever is larger than a few words is in a mapping of its own: a child made by clone() may have a stack of one page,
 * as that of GoogleTest's death tests has. */
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

#define MAX_SCRIPTS 5 /* the kernel's own limit of interpreters in a row */
#define MAX_HEADERS 32
#define MAX_DYNAMIC 4096 /* bytes of the dynamic section looked at */
#define MAX_NAMES (4u << 20)
#define LOADER "ld-linux-x86-64.so"
#define HEAD_BYTES 256 /* what the kernel reads of a script's first line */

static bool read_at(int fd, void *buf, size_t n, u64 offset)
{
    return sys_call6(SYS_pread64, fd, (long)buf, (long)n, (long)offset, 0, 0) == (long)n;
}

/* The kernel's rule for AT_SECURE: a changed user or group, or capabilities from the file for somebody who is not
 * root. */
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

#define WINDOW 16384

struct elf_file {
    int fd;
    u32 n;
    Elf64_Phdr header[MAX_HEADERS];
    char window[WINDOW]; /* of the names */
};

struct scratch {
    union {
        Elf64_Ehdr elf;
        char text[HEAD_BYTES + 1];
    } head;
    char interpreter[HEAD_BYTES + 1];
    struct elf_file file;
};

static const Elf64_Phdr *header_of(const struct elf_file *f, u32 type)
{
    for (u32 i = 0; i < f->n; i++) {
        if (f->header[i].p_type == type)
            return &f->header[i];
    }
    return NULL;
}

static bool offset_of(const struct elf_file *f, u64 address, u64 *offset)
{
    for (u32 i = 0; i < f->n; i++) {
        const Elf64_Phdr *p = &f->header[i];
        if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr < p->p_filesz) {
            *offset = address - p->p_vaddr + p->p_offset;
            return true;
        }
    }
    return false;
}

/* Where the names of dynamic symbols are in the file. */
static bool find_names(const struct elf_file *f, u64 *offset, u64 *size)
{
    const Elf64_Phdr *dynamic = header_of(f, PT_DYNAMIC);
    u64 address = 0;
    *size = 0;
    for (u64 at = 0; dynamic && at + sizeof(Elf64_Dyn) <= dynamic->p_filesz && at < MAX_DYNAMIC;
         at += sizeof(Elf64_Dyn)) {
        Elf64_Dyn d;
        if (!read_at(f->fd, &d, sizeof d, dynamic->p_offset + at) || d.d_tag == DT_NULL)
            break;
        if (d.d_tag == DT_STRTAB)
            address = d.d_un.d_ptr;
        if (d.d_tag == DT_STRSZ)
            *size = d.d_un.d_val < MAX_NAMES ? d.d_un.d_val : MAX_NAMES;
    }
    return address && *size && offset_of(f, address, offset);
}

/* Bits of what the names tell. */
enum { NAMES_SANITIZER = 1, NAMES_TSAN = 2, NAMES_LIBSNARL = 4 };

static u32 telling_names(const char *names, size_t n)
{
    static const struct {
        const char *name;
        u32 bit;
    } marks[] = {{"__asan_init", NAMES_SANITIZER},
                 {"__msan_init", NAMES_SANITIZER},
                 {"__hwasan_init", NAMES_SANITIZER},
                 {"__tsan_init", NAMES_TSAN},
                 {"libsnarl.so", NAMES_LIBSNARL}};
    u32 found = 0;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (memmem(names, n, marks[i].name, strlen(marks[i].name) + 1))
            found |= marks[i].bit;
    }
    return found;
}

/* The runtime's entry is among the dynamic symbols whether it is linked in or comes as a library. Programs built by
 * snarl cc name that of one sanitizer, and libsnarl. */
static bool is_sanitized(struct elf_file *f)
{
    u64 offset, size;
    u32 found = 0;
    const u64 overlap = 32;
    if (!find_names(f, &offset, &size))
        return false;
    for (u64 at = 0; at < size; at += WINDOW - overlap) {
        u64 n = size - at < WINDOW ? size - at : WINDOW;
        if (!read_at(f->fd, f->window, n, offset + at))
            return false;
        found |= telling_names(f->window, n);
        if (n < WINDOW)
            break;
    }
    return (found & NAMES_SANITIZER) || (found & (NAMES_TSAN | NAMES_LIBSNARL)) == NAMES_TSAN;
}

static enum exec_target elf_target(int fd, const Elf64_Ehdr *h, struct elf_file *f)
{
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != EM_X86_64)
        return TARGET_FOREIGN;
    f->fd = fd;
    f->n = h->e_phnum < MAX_HEADERS ? h->e_phnum : MAX_HEADERS;
    if (!read_at(fd, f->header, f->n * sizeof f->header[0], h->e_phoff))
        return TARGET_UNKNOWN;
    const Elf64_Phdr *interpreter = header_of(f, PT_INTERP);
    if (!interpreter)
        return TARGET_STATIC;
    if (!interpreter_is_glibc(fd, interpreter))
        return TARGET_FOREIGN;
    if (is_sanitized(f))
        return TARGET_SANITIZED;
    return gains_privileges(fd) ? TARGET_PRIVILEGED : TARGET_WATCHABLE;
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

static enum exec_target look_at(int dirfd, const char *path, struct scratch *s)
{
    for (int depth = 0; depth < MAX_SCRIPTS; depth++) {
        int fd = (int)sys_call6(SYS_openat, dirfd, (long)path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0, 0, 0);
        if (fd < 0)
            return TARGET_UNKNOWN;
        memset(&s->head, 0, sizeof s->head);
        long n = sys_read(fd, s->head.text, HEAD_BYTES);
        enum exec_target target = TARGET_UNKNOWN;
        if (n >= (long)sizeof(Elf64_Ehdr) && memcmp(s->head.elf.e_ident, ELFMAG, SELFMAG) == 0)
            target = elf_target(fd, &s->head.elf, &s->file);
        if (target == TARGET_STATIC && strstr(path, LOADER))
            target = TARGET_WATCHABLE; /* the loader itself, called as a program */
        sys_close(fd);
        if (n < 3 || s->head.text[0] != '#' || s->head.text[1] != '!')
            return target;
        const char *next = script_interpreter(s->head.text);
        if (!next)
            return TARGET_UNKNOWN;
        memcpy(s->interpreter, next, strlen(next) + 1);
        path = s->interpreter;
        dirfd = AT_FDCWD;
    }
    return TARGET_UNKNOWN;
}

enum exec_target exec_target_at(int dirfd, const char *path)
{
    struct scratch *s = sys_map(sizeof *s);
    enum exec_target target = s ? look_at(dirfd, path, s) : TARGET_UNKNOWN;
    sys_unmap(s, sizeof *s);
    return target;
}

/* path: room for PATH_MAX. */
static enum exec_target search_along(const char *file, const char *search, char *path)
{
    for (;;) {
        size_t n = strcspn(search, ":");
        struct text t = text_in(path, PATH_MAX);
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

enum exec_target exec_target_search(const char *file, const char *search)
{
    if (strchr(file, '/'))
        return exec_target_at(AT_FDCWD, file);
    char *path = sys_map(PATH_MAX);
    enum exec_target target = path ? search_along(file, search ? search : "/bin:/usr/bin", path) : TARGET_UNKNOWN;
    sys_unmap(path, PATH_MAX);
    return target;
}
