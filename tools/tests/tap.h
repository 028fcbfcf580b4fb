/* SPDX-License-Identifier: GPL-2.0 */
/* The Test Anything Protocol: one line a check, the plan at the end. */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdbool.h>

/* "ok 1 - what" or "not ok 1 - what"; returns @good. */
bool ok(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A check that cannot be made here, and why. */
void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "# …", for what a failure needs to be understood. */
void diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The plan; returns main()'s exit status. */
int done(void);

#endif
