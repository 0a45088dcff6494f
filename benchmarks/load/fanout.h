// Publishes to rooms, each of which is done when the last member has it.
#ifndef FANOUT_H
#define FANOUT_H

#include <stddef.h>

struct fanout {
    size_t rooms, members;     // members of all rooms together, evenly spread
    size_t in_flight;          // publishers of each room; without a rate each has one publish under way
    size_t warm_up, publishes; // of all rooms together
    size_t receiving;          // nodes with members; the others have one connection each, in no room
    double seconds;            // no further publish after so many
    double rate;               // publishes per second, on time whatever comes back; 0: no clock
};

void run_fanout(struct fanout workload);

#endif
