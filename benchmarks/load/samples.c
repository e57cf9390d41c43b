#include "samples.h"

#include "text.h"

#include <math.h>
#include <stdlib.h>

void samples_add(struct samples *samples, uint64_t nanoseconds)
{
    if (samples->count == samples->space) {
        samples->space = samples->space ? 2 * samples->space : 4096;
        samples->list = reallocarray(samples->list, samples->space, sizeof *samples->list);
        if (!samples->list)
            die("run for a shorter time", "out of memory");
    }
    samples->list[samples->count++] = nanoseconds;
}

static int rising(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

void samples_sort(struct samples *samples)
{
    if (samples->count)
        qsort(samples->list, samples->count, sizeof *samples->list, rising);
}

double samples_at(const struct samples *sorted, double part)
{
    if (!sorted->count)
        return 0;
    size_t rank = (size_t)ceil(part * (double)sorted->count);
    return (double)sorted->list[rank ? rank - 1 : 0];
}
