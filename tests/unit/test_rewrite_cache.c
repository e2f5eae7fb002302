/* What is kept of a module, used again: random programs must do the same by it. A file that is damaged, or that others
 * could have written, is none. */
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/rewrite_cache.h"
#include "rewrite_random.h"

static struct machine machine;
static u64 state;
static char home[] = "/tmp/snarl-cache-XXXXXX", folder[128], file[256];
static u8 text[TEXT_BYTES], first_data[DATA_BYTES], after[DATA_BYTES];

static u64 draw(void *arg)
{
    (void)arg;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static struct cache_key key;
static void made(const struct rewritten *m, const struct rewrite *r)
{
    cache_keep(m, r, &key);
}

static bool start(void)
{
    static bool done;
    if (done)
        return true;
    done = __builtin_cpu_supports("avx") && mkdtemp(home) && machine_map(&machine) && rewrite_enter_start();
    machine_catch();
    cache_start(home, NULL);
    snprintf(folder, sizeof folder, "%s/snarl/rewrite", home);
    key = (struct cache_key){.name = {0xabc, 0xdef}, .slow = (u64)(uintptr_t)rewrite_enter, .cells = machine.shadow};
    key.to = machine_target();
    snprintf(file, sizeof file, "%s/0000000000000abc0000000000000def", folder);
    rewrite_made = made;
    return done;
}

static u32 run(u64 pc)
{
    u64 back = (u64)(uintptr_t)cpu_back, sp = (u64)machine.stack + STACK_BYTES - 1024;
    u32 faults = machine_faults;
    memcpy(machine.data, first_data, DATA_BYTES);
    memset(machine.stack, 0, STACK_BYTES);
    memcpy((void *)sp, &back, 8);
    memset(&cpu_now, 0, sizeof cpu_now);
    cpu_now.reg[RBX] = (u64)machine.data + HEAP_AT + 2048;
    cpu_now.reg[R12] = (u64)machine.data + HEAP_AT + 6144;
    cpu_now.reg[RSP] = sp;
    cpu_now.flags = 0x202;
    cpu_now.pc = pc;
    machine_logged = 0;
    cpu_run();
    return machine_faults - faults;
}

static struct random_code code;

static void draw_program(u64 seed)
{
    state = seed * 0x9e3779b97f4a7c15ULL + 1;
    code = (struct random_code){.m = &machine, .draw = draw};
    machine_module = NULL;
    mprotect(machine.text, TEXT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
    memset(machine.text, 0xcc, TEXT_BYTES);
    memset(machine.data, 0, DATA_BYTES);
    random_program(&code);
    for (u32 i = HEAP_AT; i < DATA_BYTES; i++)
        machine.data[i] = (u8)(i * 7);
    memcpy(first_data, machine.data, DATA_BYTES);
    memcpy(text, machine.text, TEXT_BYTES);
}

static bool rewrite(struct rewritten *out)
{
    struct check_target to = machine_target();
    struct image image = machine_image(&machine);
    struct code_range functions[FUNCTIONS];
    for (u32 i = 0; i < FUNCTIONS; i++)
        functions[i] = (struct code_range){(u64)code.begin[i], (u64)code.end[i], 0};
    return rewrite_module(out, &image, &to, key.slow, key.cells, 0, functions, FUNCTIONS) == REWRITTEN;
}

static bool use(struct rewritten *out)
{
    struct image image = machine_image(&machine);
    return cache_use(out, &image, &key);
}

static void unpatch(void)
{
    mprotect(machine.text, TEXT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
    memcpy(machine.text, text, TEXT_BYTES);
}

static void same_as_made(void)
{
    static struct logged log[LOG_MOST];
    CU_ASSERT_TRUE_FATAL(start());
    for (u64 seed = 1; seed <= 60; seed++) {
        struct rewritten out;
        draw_program(seed);
        u32 faults = run(code.starts[0]);
        memcpy(after, machine.data, DATA_BYTES);
        CU_ASSERT_TRUE_FATAL(rewrite(&out));
        struct coverage coverage = out.coverage;
        machine_module = &out;
        machine_now = ~0u;
        run(code.starts[0]);
        u32 logged = machine_logged, nsites = out.nsites;
        memcpy(log, machine_log, logged * sizeof *log);
        u64 pc = out.sites[0].pc;
        rewritten_drop(&out);
        machine_module = NULL;
        unpatch();
        CU_ASSERT_TRUE_FATAL(use(&out));
        machine_module = &out;
        CU_ASSERT_EQUAL(run(code.starts[0]), faults);
        CU_ASSERT_TRUE(faults || memcmp(machine.data, after, DATA_BYTES) == 0);
        CU_ASSERT_TRUE(machine_logged == logged && memcmp(log, machine_log, logged * sizeof *log) == 0);
        CU_ASSERT_TRUE(out.nsites == nsites && out.sites[0].pc == pc);
        CU_ASSERT_EQUAL(memcmp(&coverage, &out.coverage, sizeof coverage), 0);
        rewritten_drop(&out);
        unpatch();
    }
}

static bool refused(void)
{
    struct rewritten out;
    bool used = use(&out);
    if (used)
        rewritten_drop(&out);
    bool changed = memcmp(machine.text, text, TEXT_BYTES) != 0;
    unpatch();
    return !used && !changed;
}

static void keep_one(void)
{
    struct rewritten out;
    draw_program(7);
    CU_ASSERT_TRUE_FATAL(rewrite(&out));
    rewritten_drop(&out);
    unpatch();
}

static void damaged(void)
{
    static u8 whole[1 << 22];
    CU_ASSERT_TRUE_FATAL(start());
    keep_one();
    int fd = open(file, O_RDWR);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    long n = read(fd, whole, sizeof whole);
    CU_ASSERT_TRUE_FATAL(n > 4096 && n < (long)sizeof whole);
    u32 accepted = 0;
    for (u32 i = 0; i < 400; i++) {
        long at = i < 100 ? i * 8 : (long)(draw(NULL) % (u64)n);
        u8 bad = whole[at] ^ (u8)(1u << draw(NULL) % 8);
        pwrite(fd, &bad, 1, at);
        accepted += !refused();
        pwrite(fd, &whole[at], 1, at);
    }
    CU_ASSERT_EQUAL(accepted, 0);
    for (long cut = 0; cut < n; cut += n / 17) {
        CU_ASSERT_EQUAL(ftruncate(fd, cut), 0);
        CU_ASSERT_TRUE(refused());
        pwrite(fd, whole, (size_t)n, 0);
    }
    pwrite(fd, "x", 1, n);
    CU_ASSERT_TRUE(refused());
    CU_ASSERT_EQUAL(ftruncate(fd, n), 0);
    CU_ASSERT_FALSE(refused()); /* as it was */
    close(fd);
}

/* Another module, place of thread-local variables, number; another text under the same id. */
static void not_fitting(void)
{
    CU_ASSERT_TRUE_FATAL(start());
    keep_one();
    struct cache_key right = key;
    key.first = 1 << 22;
    CU_ASSERT_TRUE(refused());
    key = right;
    key.to.now += 8;
    CU_ASSERT_TRUE(refused());
    key = right;
    key.name[1]++;
    CU_ASSERT_TRUE(refused());
    key = right;
    machine.text[TEXT_BYTES - 1] ^= 1;
    memcpy(text, machine.text, TEXT_BYTES);
    CU_ASSERT_TRUE(refused());
    machine.text[TEXT_BYTES - 1] ^= 1;
    memcpy(text, machine.text, TEXT_BYTES);
    CU_ASSERT_FALSE(refused());
}

static void not_private(void)
{
    char other[300];
    CU_ASSERT_TRUE_FATAL(start());
    keep_one();
    chmod(file, 0620);
    CU_ASSERT_TRUE(refused());
    chmod(file, 0644);
    CU_ASSERT_TRUE(refused());
    chmod(file, 0600);
    chmod(folder, 0730);
    CU_ASSERT_TRUE(refused());
    chmod(folder, 0700);
    snprintf(other, sizeof other, "%s/other", home);
    CU_ASSERT_EQUAL(link(file, other), 0);
    CU_ASSERT_TRUE(refused()); /* a second name, where others may be */
    unlink(other);
    CU_ASSERT_FALSE(refused());
    CU_ASSERT_EQUAL(rename(file, other), 0);
    CU_ASSERT_EQUAL(symlink(other, file), 0);
    CU_ASSERT_TRUE(refused());
    unlink(file);
    CU_ASSERT_EQUAL(mkfifo(file, 0600), 0);
    CU_ASSERT_TRUE(refused()); /* and does not wait */
    unlink(file);
    unlink(other);
    if (geteuid() == 0) { /* another user's */
        keep_one();
        CU_ASSERT_EQUAL(chown(file, 65534, 65534), 0);
        CU_ASSERT_TRUE(refused());
        unlink(file);
    }
}

static u32 files(void)
{
    char command[256];
    unsigned n = 0;
    snprintf(command, sizeof command, "ls %s | wc -l", folder);
    FILE *f = popen(command, "r");
    CU_ASSERT_TRUE(f && fscanf(f, "%u", &n) == 1);
    pclose(f);
    return n;
}

/* Sparse files stand for large ones: the oldest go. What a killed writer has left goes when it is old. */
static void bounded(void)
{
    CU_ASSERT_TRUE_FATAL(start());
    keep_one();
    for (int i = 0; i < 5; i++) {
        char name[300];
        struct timespec times[2] = {{1000 + i, 0}, {1000 + i, 0}};
        snprintf(name, sizeof name, i == 4 ? "%s/new.%d" : "%s/%d", folder, i);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        CU_ASSERT_TRUE(fd >= 0 && ftruncate(fd, 400 << 20) == 0 && futimens(fd, times) == 0);
        close(fd);
    }
    CU_ASSERT_EQUAL(files(), 6);
    keep_one();
    CU_ASSERT_EQUAL(files(), 3); /* it, and the two that were used last */
    CU_ASSERT_FALSE(refused());
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", home);
    CU_ASSERT_EQUAL(system(command), 0);
    CU_ASSERT_TRUE(refused());
    CU_ASSERT_EQUAL(mkdir(home, 0700), 0);
    keep_one();
    CU_ASSERT_FALSE(refused());
    CU_ASSERT_EQUAL(system(command), 0);
}

UNIT_TESTS("the cache of rewritten modules", {"same_as_made", same_as_made}, {"damaged", damaged},
           {"not_fitting", not_fitting}, {"not_private", not_private}, {"bounded", bounded})
