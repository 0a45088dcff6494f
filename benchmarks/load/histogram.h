// Latencies in steps of 10 µs up to 20 s; what is longer counts as 20 s.
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { HISTOGRAM_STEP_NS = 10000, HISTOGRAM_STEPS = 2000000 };

struct histogram {
    uint64_t count;
    uint32_t steps[HISTOGRAM_STEPS];
};

static inline void histogram_add(struct histogram *histogram, uint64_t nanoseconds) {
    uint64_t step = nanoseconds / HISTOGRAM_STEP_NS;
    histogram->steps[step < HISTOGRAM_STEPS ? step : HISTOGRAM_STEPS - 1]++;
    histogram->count++;
}

static inline void histogram_reset(struct histogram *histogram) {
    memset(histogram, 0, sizeof *histogram);
}

// In milliseconds.
static inline double histogram_quantile(const struct histogram *histogram, double quantile) {
    uint64_t rank = (uint64_t)(quantile * (double)histogram->count);
    uint64_t seen = 0;
    for (size_t step = 0; step < HISTOGRAM_STEPS; step++) {
        seen += histogram->steps[step];
        if (seen > rank || (seen && seen == histogram->count))
            return ((double)step + 0.5) * HISTOGRAM_STEP_NS / 1e6;
    }
    return 0;
}

#endif
