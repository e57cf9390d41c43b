/* Every duration of a run, kept whole so that a percentile is exact; in nanoseconds. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
    uint64_t *list;
    size_t count, space;
};

void samples_add(struct samples *samples, uint64_t nanoseconds);

void samples_sort(struct samples *samples);

/* The value that `part` of the sorted samples do not exceed; 0 when there is none. */
double samples_at(const struct samples *sorted, double part);

#endif
