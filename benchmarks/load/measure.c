#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

struct histogram latencies;

static struct {
    uint64_t began;
    double cpu;
} measure;

static double own_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

struct connection *allocate(size_t count) {
    struct connection *connections = calloc(count, sizeof *connections);
    if (!connections) die("out of memory");
    for (size_t i = 0; i < count; i++) connections[i].node = i % client.nodes;
    return connections;
}

void begin_measuring(void) {
    histogram_reset(&latencies);
    puts("measuring");
    measure.cpu = own_cpu();
    measure.began = now_ns();
}

double seconds_measured(void) {
    return measure.began ? (double)(now_ns() - measure.began) / 1e9 : 0;
}

double cpu_measured(void) { return own_cpu() - measure.cpu; }
