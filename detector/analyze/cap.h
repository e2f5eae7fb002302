/* How much memory the shadow may take: half of what the machine, or the control group, has (cap.c). */
#ifndef SNARL_ANALYZE_CAP_H
#define SNARL_ANALYZE_CAP_H

#include "analyze/accesses.h"
#include "analyze/shadow.h"

extern u64 cap_bytes __attribute__((visibility("hidden")));   /* tests lower it */
extern u32 cap_regions __attribute__((visibility("hidden"))); /* touched regions up to which there is nothing to do */

void cap_start(void);
/* What the shadow of a region takes. */
u64 cap_resident(u32 region);
/* Between visits. Beyond the limit whole regions are forgotten, counted as LOSS_shadow_forgotten. */
SNARL_COLD void cap_check(struct accesses *a);
/* Every region can be full by now; asked now and then, as memory may fill without a new region. */
static inline bool cap_near(void)
{
    return snarl_unlikely(shadow_ntouched * 2ULL * SHADOW_REGION > cap_bytes);
}
static inline bool cap_due(void)
{
    return snarl_unlikely(__atomic_load_n(&shadow_ntouched, __ATOMIC_RELAXED) > cap_regions);
}

#endif
