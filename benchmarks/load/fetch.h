/* Honest sessions: Hello, Get, the answer opened and checked, Bye, close. */
#ifndef FETCH_H
#define FETCH_H

#include "load.h"

#include <stdio.h>

void fetch_prepare(const struct options *options, int epoll);

/* Begin what is due and has room; when `stopping`, nothing. */
void fetch_fill(uint64_t now, bool stopping);

/* When fetch_fill has something to begin; UINT64_MAX when only an event can tell. */
uint64_t fetch_due(void);

void fetch_event(uint32_t index, uint32_t events);
void fetch_sweep(uint64_t now);

/* Nothing runs; and nothing more was asked for, or none is to begin. */
bool fetch_done(bool stopping);

/* Fields of the JSON line, without braces. */
void fetch_report(FILE *out, double seconds);

#endif
