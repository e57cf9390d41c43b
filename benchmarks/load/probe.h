/* How long a wrong inner box takes to be refused, by the client it claims: does time tell who is known? */
#ifndef PROBE_H
#define PROBE_H

#include "load.h"

#include <signal.h>
#include <stdio.h>

/* One after the other, blocking, until done or `*stop`. */
void probe_run(const struct options *options, const volatile sig_atomic_t *stop);

/* A field of the JSON line, begun with a comma, when probes ran. Returns the bytes a server gave away: 0. */
uint64_t probe_report(FILE *out);

#endif
