/* One entry per bug: findings with the same id become one. */
#ifndef SNARL_REPORT_GROUP_H
#define SNARL_REPORT_GROUP_H

#include <jansson.h>

/* Merges findings of equal id in place: counts are summed, the strongest is the one shown (observed before predicted
 * before possible; of the same verdict a deadlock before a lock-order, then the first). Cycles over the same locks
 * taken by the same functions, only reached on different ways, become one too: its id is that of the way with the
 * fewest locks held (of these the smallest), the others' are listed in "also". So do races of the same
 * instructions for globals of a module without symbols, of which the elements of an array have a name each. Sorts: strongest first, then by kind,
 * then as they came. */
void group_findings(json_t *findings);

/* 0 for the strongest verdict; unknown ones are weakest. */
int group_verdict_rank(const char *verdict);
/* Smaller is stronger: by verdict, then by kind. */
int group_strength(const json_t *finding);

#endif
