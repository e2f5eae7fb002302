/* A run that was not started by `snarl run` (LD_PRELOAD alone): its own run folder, and the report at the end. */
#ifndef SNARL_PRELOAD_STANDALONE_H
#define SNARL_PRELOAD_STANDALONE_H

#include "base/types.h"
#include "model/run.h"

/* Makes a folder only for this user under $TMPDIR or /tmp, the arena in it, and the run's tables. Returns the folder,
 * NULL with the reason in *why. */
const char *standalone_create(const char *tmpdir, const struct run_options *options, const char **why)
    __attribute__((visibility("hidden")));
/* This process is the one that reports (also after an exec of the one that created the run). path: value of PATH. */
void standalone_own(const char *folder, const char *path) __attribute__((visibility("hidden")));
void standalone_disown(void) __attribute__((visibility("hidden"))); /* in a forked child */
bool standalone_owned(void) __attribute__((visibility("hidden")));
/* Prints the report on standard error by `snarl report`, or shorter by itself, and removes the folder. */
void standalone_report(void) __attribute__((visibility("hidden")));
/* The report is wanted by an exec that may still fail: prints, but keeps the folder. */
void standalone_report_and_keep(void) __attribute__((visibility("hidden")));

/* What is left when there is no command to print with: kinds and module+offset lines. raw_report.c */
void raw_report(const char *folder) __attribute__((visibility("hidden")));

#endif
