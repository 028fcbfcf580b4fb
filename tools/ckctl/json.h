/* SPDX-License-Identifier: GPL-2.0 */
/* What jansson does not have: printing for --json, and text from anywhere. */
#ifndef CKCTL_JSON_H
#define CKCTL_JSON_H

#include <jansson.h>

/* Print @value to stdout and drop the reference; NULL means out of memory. */
int json_print(json_t *value);
/* A JSON string of any bytes: what is not UTF-8 becomes U+FFFD. */
json_t *json_text(const char *text);

#endif
