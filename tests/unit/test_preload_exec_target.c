/* preload/exec_target.c on programs of every kind, made up byte by byte where the system has none. */
#include "exec_target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static char folder[] = "/tmp/snarl-unit-XXXXXX", path[64];

/* A file with this content, executable. */
static const char *file(const void *content, size_t n, int mode)
{
    if (!path[0] && !mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/target", folder);
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0700);
    if (fd < 0 || write(fd, content, n) != (ssize_t)n || fchmod(fd, (mode_t)mode))
        abort();
    close(fd);
    return path;
}

struct program {
    Elf64_Ehdr e;
    Elf64_Phdr p[3];
    Elf64_Dyn d[3];
    char loader[32];
    char names[64];
};

static struct program program(const char *loader, const char *name)
{
    struct program x;
    memset(&x, 0, sizeof x);
    memcpy(x.e.e_ident, ELFMAG, SELFMAG);
    x.e.e_ident[EI_CLASS] = ELFCLASS64;
    x.e.e_machine = EM_X86_64;
    x.e.e_phoff = offsetof(struct program, p);
    x.e.e_phnum = 3;
    x.p[0] = (Elf64_Phdr){.p_type = PT_LOAD, .p_vaddr = 0x1000, .p_filesz = sizeof x};
    x.p[1] = (Elf64_Phdr){.p_type = PT_DYNAMIC, .p_offset = offsetof(struct program, d), .p_filesz = sizeof x.d};
    x.p[2] = (Elf64_Phdr){.p_type = loader ? PT_INTERP : PT_NULL,
                          .p_offset = offsetof(struct program, loader),
                          .p_filesz = sizeof x.loader};
    x.d[0] = (Elf64_Dyn){.d_tag = DT_STRTAB, .d_un.d_ptr = 0x1000 + offsetof(struct program, names)};
    x.d[1] = (Elf64_Dyn){.d_tag = DT_STRSZ, .d_un.d_val = sizeof x.names};
    snprintf(x.loader, sizeof x.loader, "%s", loader ? loader : "");
    snprintf(x.names + 1, sizeof x.names - 1, "%s", name);
    return x;
}

#define GLIBC "/lib64/ld-linux-x86-64.so.2"

static enum exec_target kind(struct program x)
{
    return exec_target_at(AT_FDCWD, file(&x, sizeof x, 0700));
}

static void dynamic(void)
{
    CU_ASSERT_EQUAL(kind(program(GLIBC, "main")), TARGET_WATCHABLE);
    CU_ASSERT_EQUAL(exec_target_at(AT_FDCWD, "/proc/self/exe"), TARGET_WATCHABLE);
}

static void statically_linked(void)
{
    CU_ASSERT_EQUAL(kind(program(NULL, "main")), TARGET_STATIC);
}

static void the_loader_itself(void)
{
    CU_ASSERT_EQUAL(exec_target_at(AT_FDCWD, GLIBC), TARGET_WATCHABLE);
}

static void foreign(void)
{
    struct program x = program(GLIBC, "main");
    x.e.e_ident[EI_CLASS] = ELFCLASS32;
    CU_ASSERT_EQUAL(kind(x), TARGET_FOREIGN);
    x = program(GLIBC, "main");
    x.e.e_machine = EM_AARCH64;
    CU_ASSERT_EQUAL(kind(x), TARGET_FOREIGN);
    CU_ASSERT_EQUAL(kind(program("/lib/ld-musl-x86_64.so.1", "main")), TARGET_FOREIGN);
}

static void sanitized(void)
{
    CU_ASSERT_EQUAL(kind(program(GLIBC, "__asan_init")), TARGET_SANITIZED);
    CU_ASSERT_EQUAL(kind(program(GLIBC, "__tsan_init")), TARGET_SANITIZED);
    CU_ASSERT_EQUAL(kind(program(GLIBC, "__asan_initial")), TARGET_WATCHABLE);
    struct program built_for_us = program(GLIBC, "__tsan_init");
    snprintf(built_for_us.names + 32, 32, "libsnarl.so");
    CU_ASSERT_EQUAL(kind(built_for_us), TARGET_WATCHABLE);
    snprintf(built_for_us.names + 1, 32, "__asan_init");
    CU_ASSERT_EQUAL(kind(built_for_us), TARGET_SANITIZED);
}

/* Only a change of user raises AT_SECURE: root's own programs with the bit are like others. */
static void privileged(void)
{
    struct program x = program(GLIBC, "main");
    CU_ASSERT_EQUAL(exec_target_at(AT_FDCWD, file(&x, sizeof x, 04755)), TARGET_WATCHABLE);
    if (geteuid() != 0 || chown(path, 12345, (gid_t)-1) || chmod(path, 04755))
        return;
    enum exec_target got = exec_target_at(AT_FDCWD, path);
    CU_ASSERT(got == TARGET_PRIVILEGED || got == TARGET_WATCHABLE /* a file system mounted nosuid */);
}

static void scripts(void)
{
    static const char sh[] = "#! /bin/sh -e\necho\n", missing[] = "#!/nonexistent/interpreter\n", loop[] = "#!",
                      none[] = "#!   \n";
    CU_ASSERT_EQUAL(exec_target_at(AT_FDCWD, file(sh, sizeof sh - 1, 0700)), TARGET_WATCHABLE);
    CU_ASSERT_EQUAL(exec_target_at(AT_FDCWD, file(missing, sizeof missing - 1, 0700)), TARGET_UNKNOWN);
    CU_ASSERT_EQUAL(exec_target_at(AT_FDCWD, file(none, sizeof none - 1, 0700)), TARGET_UNKNOWN);
    char self[80];
    int n = snprintf(self, sizeof self, "%s%s\n", loop, path);
    CU_ASSERT_EQUAL(exec_target_at(AT_FDCWD, file(self, (size_t)n, 0700)), TARGET_UNKNOWN);
}

static void no_program(void)
{
    CU_ASSERT_EQUAL(exec_target_at(AT_FDCWD, "/nonexistent"), TARGET_UNKNOWN);
    CU_ASSERT_EQUAL(exec_target_at(AT_FDCWD, "/"), TARGET_UNKNOWN);
    CU_ASSERT_EQUAL(exec_target_at(AT_FDCWD, file("", 0, 0700)), TARGET_UNKNOWN);
    CU_ASSERT_EQUAL(exec_target_at(AT_FDCWD, file("text\n", 5, 0700)), TARGET_UNKNOWN);
}

/* Every cut and many damages of a program's head: no crash, some answer. */
static void hostile(void)
{
    struct program x = program(GLIBC, "main"), y;
    for (size_t n = 0; n < sizeof x; n += 7)
        exec_target_at(AT_FDCWD, file(&x, n, 0700));
    for (size_t i = 0; i < sizeof x; i++) {
        y = x;
        ((unsigned char *)&y)[i] ^= 0xff;
        exec_target_at(AT_FDCWD, file(&y, sizeof y, 0700));
    }
    CU_ASSERT_EQUAL(kind(x), TARGET_WATCHABLE);
}

static void searched(void)
{
    CU_ASSERT_EQUAL(exec_target_search("sh", "/nonexistent:/bin"), TARGET_WATCHABLE);
    CU_ASSERT_EQUAL(exec_target_search("sh", NULL), TARGET_WATCHABLE);
    CU_ASSERT_EQUAL(exec_target_search("no-such-program", "/bin:/usr/bin"), TARGET_UNKNOWN);
    CU_ASSERT_EQUAL(exec_target_search("sh", ""), TARGET_UNKNOWN);
    CU_ASSERT_EQUAL(exec_target_search("/bin/sh", ""), TARGET_WATCHABLE);
    unlink(path);
    rmdir(folder);
}

UNIT_TESTS("exec target", {"dynamic", dynamic}, {"statically_linked", statically_linked},
           {"the_loader_itself", the_loader_itself}, {"foreign", foreign}, {"sanitized", sanitized},
           {"privileged", privileged}, {"scripts", scripts}, {"no_program", no_program}, {"hostile", hostile},
           {"searched", searched})
