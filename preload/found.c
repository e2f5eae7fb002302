/* A finding has been made: where gdb stops, and what --halt does. Called by the engine in the thread that made the finding,
 * with internal locks of any rank but RANK_ARENA held. Takes no lock, allocates nothing.
 *
 * Whether a finding counts (suppressions, the baseline, --fail-on) is known outside only: `snarl run` is asked, and the
 * thread waits for its answer. Others that come to the same internal lock wait, too, but those that only use what they
 * have go on. Without `snarl run` the rule is the default of --fail-on. */
#include "found.h"

#include <elf.h>
#include <errno.h>

#include "analyze/engine.h"
#include "interceptor.h"
#include "model/run.h"
#include "model/thread.h"
#include "start.h"

#define SLICE_NS 200000000ULL
#define MAX_ENDED 512u

extern const char own_begin[] __asm__("__ehdr_start") HIDDEN;

/* `snarl run --gdb` has a breakpoint at its first instruction: the finding, and where this library begins and ends, are
 * in the registers of arguments 1 to 3. Exported under another name, by which it is found in a stripped library, too. */
static __attribute__((naked, noinline, used)) void stop_here(__attribute__((unused)) u64 finding,
                                                             __attribute__((unused)) const char *begin,
                                                             __attribute__((unused)) const char *end)
{
    __asm__("ret");
}
EXPORT_ALIAS(snarl_found, stop_here);

/* Behind this library's last segment. */
static const char *own_end(void)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)own_begin;
    const Elf64_Phdr *segment = (const Elf64_Phdr *)(const void *)(own_begin + header->e_phoff);
    u64 end = 0;
    for (u32 i = 0; i < header->e_phnum; i++)
        if (segment[i].p_type == PT_LOAD && segment[i].p_vaddr + segment[i].p_memsz > end)
            end = segment[i].p_vaddr + segment[i].p_memsz;
    return own_begin + end;
}

/* Ends the whole run: first the others, then this process. */
static void end_run(ref_t finding)
{
    ref_t list[MAX_ENDED];
    u32 n = 0;
    run()->halted = finding;
    for (ref_t p = run()->processes; p && n < MAX_ENDED - 1; p = ((struct process_rec *)arena_at(p))->next_process)
        if (p != engine_process())
            list[n++] = p;
    list[n++] = engine_process();
    start_end_processes(list, n);
}

/* What counts by default. */
static bool is_proven(const struct finding_rec *f)
{
    return f->verdict <= VERDICT_PREDICTED ||
           (f->verdict == VERDICT_POSSIBLE && (f->kind == FINDING_LOCK_ORDER || f->kind == FINDING_LOCK_MISUSE));
}

/* Waits for the judgement; JUDGEMENT_NONE when nobody is there any more who could give it. */
static u32 judgement_of(struct finding_rec *f, u32 judge)
{
    struct run_state *rs = run();
    u32 judgement;
    for (;;) {
        u32 seen = __atomic_load_n(&rs->judged, __ATOMIC_ACQUIRE);
        judgement = __atomic_load_n(&f->judgement, __ATOMIC_ACQUIRE);
        if (judgement || (sys_futex_wait(&rs->judged, seen, SLICE_NS) == -ETIMEDOUT && ilock_process_gone(judge)))
            return judgement;
    }
}

static bool ends_run(struct finding_rec *f)
{
    u32 judge = __atomic_load_n(&run()->judge, __ATOMIC_ACQUIRE);
    if (!judge)
        return is_proven(f);
    return judgement_of(f, judge) == JUDGEMENT_ENDS;
}

void found(ref_t finding)
{
    stop_here(finding, own_begin, own_end());
    if (run()->options.halt && ends_run(arena_at(finding)))
        end_run(finding);
}
