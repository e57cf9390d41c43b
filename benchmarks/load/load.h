/* What the rooms of the generator share: the options, the clock, the event loop's addresses. */
#ifndef LOAD_H
#define LOAD_H

#include "clients.h"
#include "text.h"

#include <sys/epoll.h>

struct options {
    struct address server;
    uint8_t S[KEY_BYTES];
    const char *clients, *cold, *record, *raw;
    double seconds, rate, deadline_seconds, garbage;
    uint64_t sessions;
    unsigned width, retries, ephemerals, idle, dribble, bad_inner;
    uint32_t source_first, source_last; /* IPv4 in host order; 0 = the system chooses */
    bool first_failure;
};

/* Who an event is for; the other half of its data is an index in that room. */
enum room { FETCH, PRESSURE };

/* How often what has no event of its own is looked after: deadlines, retries, dribbled bytes. */
enum { SWEEP_MS = 20 };

/* A crowd arrives at 5,000 a second at most, so that its arrival alone does not overflow a server's backlog. */
enum { ARRIVALS_PER_SWEEP = 100 };

uint64_t now_ns(void);

/* A non-blocking socket whose connect has begun, from the next source address; -1 with errno. */
int dial(const struct options *options);

void watch(int epoll, int operation, int fd, uint32_t events, enum room room, uint32_t index);

/* An even pace of `per_second`, from its first look at the clock on; 0 = as fast as there is room. */
struct pace {
    double per_second;
    uint64_t began, taken;
};

void pace_begin(struct pace *pace, uint64_t now);
uint64_t pace_due(const struct pace *pace);

#endif
