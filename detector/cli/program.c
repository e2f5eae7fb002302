/* Looks at a program before it is started: where it is, and whether a preloaded library can watch it. Called by the
 * verb run. Takes no locks; allocates with malloc; reads files. */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli.h"
#include "report/buffer.h"

#define MAX_SCRIPTS 5 /* the kernel's limit of interpreters in a row */
#define MAX_LINE 256  /* what the kernel reads of a script's first line */
#define LOADER "ld-linux-x86-64.so"

/* ---- finding it ---- */

static int usable(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return errno == EACCES ? STATUS_NOT_EXECUTABLE : STATUS_NOT_FOUND;
    return S_ISREG(st.st_mode) && access(path, X_OK) == 0 ? 0 : STATUS_NOT_EXECUTABLE;
}

char *program_search(const char *name, int *status)
{
    const char *list = getenv("PATH");
    *status = STATUS_NOT_FOUND;
    for (list = list ? list : "/bin:/usr/bin";; list++) {
        size_t n = strcspn(list, ":");
        char *path = NULL;
        if (asprintf(&path, "%.*s%s%s", (int)n, list, n ? "/" : "", name) < 0)
            abort();
        int found = usable(path);
        if (found == 0)
            return path;
        if (found == STATUS_NOT_EXECUTABLE)
            *status = found;
        free(path);
        list += n;
        if (!*list)
            return NULL;
    }
}

char *program_find(const char *name, int *status)
{
    char *path = NULL;
    if (strchr(name, '/')) {
        *status = usable(name);
        path = *status ? NULL : strdup(name);
    } else if (*name) {
        path = program_search(name, status);
    } else {
        *status = STATUS_NOT_FOUND;
    }
    if (path)
        return path;
    struct stat st;
    if (*status == STATUS_NOT_FOUND)
        cli_say("cannot find the program '%s'%s", name, strchr(name, '/') ? "" : " on PATH");
    else if (stat(name, &st) == 0 && S_ISDIR(st.st_mode))
        cli_say("'%s' is a folder, not a program", name);
    else
        cli_say("'%s' cannot be executed: no permission, or not a program", name);
    return NULL;
}

/* ---- what it is ---- */

/* What the file's sections and symbols tell. */
struct traits {
    bool elf, foreign, interpreter, other_libc, go;
    bool takes_tsan, has_libsnarl; /* both: built by snarl cc */
    const char *sanitizer;
};

static void look_at_symbols(Elf *e, Elf_Scn *section, const GElf_Shdr *h, struct traits *t)
{
    static const char *const marks[][2] = {{"__asan_init", "AddressSanitizer"},
                                           {"__tsan_init", "ThreadSanitizer"},
                                           {"__msan_init", "MemorySanitizer"},
                                           {"__hwasan_init", "HWAddressSanitizer"}};
    Elf_Data *data = elf_getdata(section, NULL);
    size_t n = data && h->sh_entsize ? data->d_size / h->sh_entsize : 0;
    for (size_t i = 0; i < n && !t->sanitizer; i++) {
        GElf_Sym s;
        const char *name = gelf_getsym(data, (int)i, &s) ? elf_strptr(e, h->sh_link, s.st_name) : NULL;
        for (size_t k = 0; name && k < ARRAY_LEN(marks); k++)
            if (strcmp(name, marks[k][0]) != 0)
                continue;
            else if (strcmp(name, "__tsan_init") == 0 && s.st_shndx == SHN_UNDEF)
                t->takes_tsan = true;
            else
                t->sanitizer = marks[k][1];
    }
}

static void look_at_libraries(Elf *e, Elf_Scn *section, const GElf_Shdr *h, struct traits *t)
{
    Elf_Data *data = elf_getdata(section, NULL);
    size_t n = data && h->sh_entsize ? data->d_size / h->sh_entsize : 0;
    for (size_t i = 0; i < n; i++) {
        GElf_Dyn d;
        if (!gelf_getdyn(data, (int)i, &d) || d.d_tag != DT_NEEDED)
            continue;
        const char *name = elf_strptr(e, h->sh_link, d.d_un.d_val);
        t->has_libsnarl |= name && strcmp(name, "libsnarl.so") == 0;
    }
}

static void look_at_sections(Elf *e, struct traits *t)
{
    Elf_Scn *section = NULL;
    size_t names;
    if (elf_getshdrstrndx(e, &names))
        return;
    while ((section = elf_nextscn(e, section))) {
        GElf_Shdr h;
        if (!gelf_getshdr(section, &h))
            continue;
        const char *name = elf_strptr(e, names, h.sh_name);
        t->go |= name && (strcmp(name, ".go.buildinfo") == 0 || strcmp(name, ".note.go.buildid") == 0);
        if (h.sh_type == SHT_DYNSYM || h.sh_type == SHT_SYMTAB)
            look_at_symbols(e, section, &h, t);
        if (h.sh_type == SHT_DYNAMIC)
            look_at_libraries(e, section, &h, t);
    }
    if (t->takes_tsan && !t->has_libsnarl && !t->sanitizer)
        t->sanitizer = "ThreadSanitizer";
}

static void look_at_segments(Elf *e, int fd, struct traits *t)
{
    size_t n;
    if (elf_getphdrnum(e, &n))
        return;
    for (size_t i = 0; i < n && i < 1000; i++) {
        GElf_Phdr p;
        char path[256] = "";
        if (!gelf_getphdr(e, (int)i, &p) || p.p_type != PT_INTERP)
            continue;
        t->interpreter = true;
        if (p.p_filesz < sizeof path && pread(fd, path, p.p_filesz, (off_t)p.p_offset) > 0)
            t->other_libc = !strstr(path, LOADER);
    }
}

static struct traits look_at(int fd)
{
    struct traits t = {0};
    GElf_Ehdr h;
    elf_version(EV_CURRENT);
    Elf *e = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    if (e && elf_kind(e) == ELF_K_ELF && gelf_getehdr(e, &h)) {
        t.elf = true;
        t.foreign = h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_machine != EM_X86_64;
        if (!t.foreign) {
            look_at_segments(e, fd, &t);
            look_at_sections(e, &t);
        }
    }
    elf_end(e);
    return t;
}

/* The kernel's rule for AT_SECURE, in which the loader ignores LD_PRELOAD: changed user or group, or capabilities from
 * the file. */
static bool gains_privileges(int fd)
{
    struct stat st;
    struct statvfs fs;
    uid_t euid = geteuid();
    gid_t egid = getegid();
    if (fstat(fd, &st) < 0)
        return false;
    bool honoured = !(fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_NOSUID)) && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
    if (honoured && (st.st_mode & S_ISUID))
        euid = st.st_uid;
    if (honoured && (st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        egid = st.st_gid;
    if (euid != getuid() || egid != getgid())
        return true;
    return honoured && getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

static const char *reason_of(const struct traits *t, bool privileged)
{
    if (t->foreign)
        return "it is built for another architecture than x86-64. Run it on such a machine, or build it for x86-64";
    if (!t->interpreter && t->go)
        return "it is a Go program, which does not use libc's locks. Go's own race detector (go build -race) and its "
               "stack dumps (SIGQUIT) "
               "are made for it";
    if (!t->interpreter)
        return "it is statically linked, so no library can be loaded into it. Link it dynamically (without -static)";
    if (t->other_libc)
        return "it does not run on glibc's loader (musl, perhaps). Build it against glibc";
    if (privileged)
        return "it gains privileges when it starts (set-user-id, set-group-id or file capabilities), and then the "
               "loader ignores preloaded "
               "libraries. Run a copy of it without them, or as the user that it would become";
    return NULL;
}

static char *obstacle_of(const char *path, const struct traits *t, bool privileged)
{
    struct buffer b = {0};
    const char *reason = reason_of(t, privileged);
    if (t->sanitizer && !reason)
        buffer_print(&b,
                     "%s cannot be watched: it is built with %s, which takes over the same functions. Build it without "
                     "-fsanitize",
                     path, t->sanitizer);
    else if (reason)
        buffer_print(&b, "%s cannot be watched: %s", path, reason);
    else
        return NULL;
    buffer_put(&b, "; or use --force to run it unwatched.");
    return buffer_take(&b);
}

/* The interpreter of a "#!" line, in place; NULL when it is no script. */
static char *interpreter_of(char *head)
{
    if (head[0] != '#' || head[1] != '!')
        return NULL;
    head += 2 + strspn(head + 2, " \t");
    head[strcspn(head, " \t\r\n")] = 0;
    return *head ? head : NULL;
}

char *program_obstacle(const char *name)
{
    char path[4096], *answer = NULL;
    snprintf(path, sizeof path, "%s", name);
    for (int depth = 0; depth < MAX_SCRIPTS; depth++) {
        char head[MAX_LINE + 1] = "";
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
            return NULL; /* readable by nobody but the kernel: it can still be watched */
        ssize_t n = pread(fd, head, MAX_LINE, 0);
        char *interpreter = n > 2 ? interpreter_of(head) : NULL;
        if (!interpreter) {
            struct traits t = look_at(fd);
            const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
            if (strncmp(base, "ld-linux", 8) == 0 || strncmp(base, "ld-2.", 5) == 0)
                t.interpreter = true; /* the loader itself, called as a program */
            answer = t.elf ? obstacle_of(path, &t, gains_privileges(fd)) : NULL;
        }
        close(fd);
        if (!interpreter)
            return answer;
        snprintf(path, sizeof path, "%s", interpreter);
    }
    return answer;
}
