/* Crowds that never become a session: idle connections, dribblers, senders of garbage. */
#ifndef PRESSURE_H
#define PRESSURE_H

#include "load.h"

#include <stdio.h>

void pressure_prepare(const struct options *options, int epoll);

/* Send the garbage that is due. */
void pressure_fill(uint64_t now);
uint64_t pressure_due(void);

void pressure_event(uint32_t index, uint32_t events);

/* Bring the crowds up to their number, a few at a time, and dribble the bytes that are due. */
void pressure_sweep(uint64_t now);

/* Fields of the JSON line, each begun with a comma. Returns the bytes that a server gave away: 0. */
uint64_t pressure_report(FILE *out, double seconds);

#endif
