// Non-blocking WebSocket clients on one epoll: connect, upgrade, greet, join, then messages.
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dialect.h"

enum { MAX_IN_FLIGHT = 64, MAX_NODES = 16 };

enum stage { UNOPENED, CONNECTING, UPGRADING, GREETING, OPENING, JOINING, READY };

struct connection {
    int socket;
    enum stage stage;
    size_t node;                     // index of its port
    bool joins;                      // enters its room before it is ready
    size_t room;
    uint64_t next;                   // number of its next call
    uint64_t last;                   // number of its last delivery + 1
    struct {
        uint64_t number, at;         // at 0: free
    } calls[MAX_IN_FLIGHT];
    uint8_t *kept;                   // the beginning of a frame whose rest hasn't arrived
    size_t kept_length;
};

struct client {
    int epoll;
    uint16_t ports[MAX_NODES];
    size_t nodes;
    const char *path;
    const struct dialect *dialect;
    size_t opened, ready;
    // What the workload does with messages: `now` is when the bytes were read, in nanoseconds;
    // `after` runs once per read that brought messages.
    void (*message)(struct connection *, const uint8_t *text, size_t length, uint64_t now);
    void (*after)(struct connection *, uint64_t now);
};

extern struct client client;

uint64_t now_ns(void);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Opens all of them, at most `at_once` at a time, and returns when the last one is ready.
void open_all(struct connection *connections, size_t count, size_t at_once);

// Writes whole frames. The workloads keep so little in flight that the kernel's buffer always has
// room; should it not, the server has stopped reading and the run ends.
void send_bytes(struct connection *connection, const uint8_t *bytes, size_t length);
void send_text(struct connection *connection, const char *text, size_t length);

// Handles what is ready, waiting at most so long. Returns true when standard input has ended and
// was asked for by watch_input().
bool poll_once(int milliseconds);

// Waits until then at the longest, and handles what is ready first.
void poll_until(uint64_t nanoseconds);
void watch_input(void);

#endif
