// What every workload counts with.
#ifndef MEASURE_H
#define MEASURE_H

#include <stddef.h>

#include "connection.h"
#include "histogram.h"

enum { AT_ONCE = 32 };

extern struct histogram latencies;

// Neighbours are on different nodes.
struct connection *allocate(size_t count);

// Empties the latencies and tells the caller.
void begin_measuring(void);

// Since then; 0 before.
double seconds_measured(void);
double cpu_measured(void);

#endif
