/* The reader of /proc/self/maps: lines as kernels write them, broken ones, lines longer than its buffer, the file
 * itself. */
#include "unit.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maps.h"

static bool parse(const char *line, struct maps_entry *m)
{
    return maps_parse(line, (u32)strlen(line), m);
}

static void lines(void)
{
    struct maps_entry m;
    CU_ASSERT_FATAL(parse("7f12a0000000-7f12a0021000 rw-s 00001000 fd:1a 4711       /tmp/x y", &m));
    CU_ASSERT_EQUAL(m.lo, 0x7f12a0000000);
    CU_ASSERT_EQUAL(m.hi, 0x7f12a0021000);
    CU_ASSERT_EQUAL(m.offset, 0x1000);
    CU_ASSERT_EQUAL(m.device, 0xfdULL << 32 | 0x1a);
    CU_ASSERT_EQUAL(m.inode, 4711);
    CU_ASSERT_TRUE(m.shared);
    CU_ASSERT_FATAL(parse("00400000-00401000 r--p 00000000 00:00 0", &m));
    CU_ASSERT_FALSE(m.shared);
    CU_ASSERT_FATAL(parse("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]", &m));
    CU_ASSERT_EQUAL(m.hi, 0xffffffffff601000);
}

static void broken_lines(void)
{
    static const char good[] = "7f12a0000000-7f12a0021000 rw-s 00001000 fd:1a 4711";
    struct maps_entry m;
    char line[sizeof good];
    for (u32 n = 0; n + 4 < sizeof good - 1; n++) /* cut anywhere before the inode's first digit */
        CU_ASSERT_FALSE(maps_parse(good, n, &m));
    for (u32 i = 0; i + 5 < sizeof good; i++) { /* one character wrong */
        memcpy(line, good, sizeof good);
        line[i] = '?';
        bool permission = i >= 26 && i <= 29;
        CU_ASSERT_EQUAL(parse(line, &m), permission);
    }
    CU_ASSERT_FALSE(parse("2000-1000 rw-p 0 0:0 0", &m));
    CU_ASSERT_FALSE(parse("", &m));
}

static char path[] = "/tmp/snarl-maps-XXXXXX";

/* A file of n mappings of a page each; every third with a path longer than the reader's buffer, and no end of line
 * behind the last one. */
static void write_file(u32 n, u32 path_length)
{
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    FILE *f = fdopen(fd, "w");
    for (u32 i = 0; i < n; i++) {
        fprintf(f, "%s%x000-%x000 rw-%c 00000000 08:01 %u ", i ? "\n" : "", 2 * i + 1, 2 * i + 2, i % 2 ? 's' : 'p',
                i + 1);
        for (u32 k = 0; i % 3 == 0 && k < path_length; k++)
            fputc('a' + (int)(k % 26), f);
    }
    fclose(f);
}

static void search(void)
{
    static const u32 lengths[] = {0, 900, 950, 990, 1000, 1020, 3000, 4096};
    for (u32 l = 0; l < ARRAY_LEN(lengths); l++) {
        enum { N = 60 };
        struct maps_entry m;
        memcpy(path + sizeof path - 7, "XXXXXX", 6);
        write_file(N, lengths[l]);
        for (u32 i = 0; i < N; i++) {
            u64 lo = (2 * i + 1) * 0x1000ULL;
            CU_ASSERT_FATAL(maps_find_in(path, lo, &m));
            CU_ASSERT_EQUAL(m.inode, i + 1);
            CU_ASSERT_EQUAL(m.shared, i % 2 == 1);
            CU_ASSERT_TRUE(maps_find_in(path, lo + 0xfff, &m));
            CU_ASSERT_FALSE(maps_find_in(path, lo + 0x1000, &m));
        }
        unlink(path);
    }
}

static void own_process(void)
{
    struct maps_entry m, again;
    char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(shared != MAP_FAILED);
    CU_ASSERT_FATAL(maps_find((u64)shared + 4096, &m));
    CU_ASSERT_TRUE(m.shared);
    CU_ASSERT_NOT_EQUAL(m.inode, 0); /* its own, the same in a forked child */
    CU_ASSERT_FATAL(maps_find((u64)&m, &again));
    CU_ASSERT_FALSE(again.shared);
    munmap(shared, 8192);
    CU_ASSERT_FALSE(maps_find((u64)shared, &m) && m.shared);
    CU_ASSERT_FALSE(maps_find(1, &m));
    CU_ASSERT_FALSE(maps_find_in("/nonexistent/maps", 1, &m));
}

UNIT_TESTS("maps", {"lines", lines}, {"broken_lines", broken_lines}, {"search", search}, {"own_process", own_process})
