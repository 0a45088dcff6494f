// The load generator: one thread, one epoll, any number of WebSocket clients against 127.0.0.1.
//
//   load echo   PORT PATH DIALECT CONNECTIONS IN_FLIGHT WARM_UP_SECONDS SECONDS
//   load fanout PORT PATH DIALECT ROOMS MEMBERS IN_FLIGHT WARM_UP_PUBLISHES PUBLISHES SECONDS RATE NODES
//   load idle   PORT PATH DIALECT CONNECTIONS AT_ONCE
//
// With PORT,PORT,… the connections are spread evenly over several nodes; of a fan-out, the members
// over the first NODES of them (0: all), and the others get one connection each.
//
// Prints the line "measuring" when measuring begins and one line of JSON when it has ended; the
// caller reads the server's CPU time at both. `idle` then keeps its connections (and answers
// pings) until its standard input ends. Exit code 2 and a sentence when anything is not as it
// should be: every reply and every delivery is compared with what was sent.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "connection.h"
#include "fanout.h"
#include "frame.h"
#include "measure.h"

// --- echo: every connection keeps so many calls in flight; a reply is followed by the next call.

static struct {
    size_t answered; // in this read
} echo;

static void send_calls(struct connection *connection, size_t count, uint64_t now) {
    uint8_t frames[MAX_IN_FLIGHT * (CLIENT_OVERHEAD + SMALL_PAYLOAD)];
    size_t length = 0;
    for (; count; count--) {
        char text[SMALL_PAYLOAD];
        uint64_t number = connection->next++;
        size_t slot = number % MAX_IN_FLIGHT;
        if (connection->calls[slot].at)
            die("call %llu still waits for its reply", (unsigned long long)connection->calls[slot].number);
        connection->calls[slot].number = number;
        connection->calls[slot].at = now;
        size_t size = template_write(text, client.dialect->call, number, 0);
        length += frame_write(frames + length, OPCODE_TEXT, text, size);
    }
    send_bytes(connection, frames, length);
}

static void take_reply(struct connection *connection, const uint8_t *text, size_t length, uint64_t now) {
    uint64_t number;
    if (!template_match(client.dialect->reply, text, length, &number))
        die("expected the reply %s, got %.*s", client.dialect->reply, (int)length, text);
    size_t slot = number % MAX_IN_FLIGHT;
    if (!connection->calls[slot].at || connection->calls[slot].number != number)
        die("a reply to no call: %.*s", (int)length, text);
    histogram_add(&latencies, now - connection->calls[slot].at);
    connection->calls[slot].at = 0;
    echo.answered++;
}

static void call_again(struct connection *connection, uint64_t now) {
    send_calls(connection, echo.answered, now);
    echo.answered = 0;
}

static void run_echo(size_t count, size_t in_flight, double warm_up, double seconds) {
    if (in_flight < 1 || in_flight > MAX_IN_FLIGHT / 2)
        die("in flight: expected 1 to %d, got %zu", MAX_IN_FLIGHT / 2, in_flight);
    struct connection *connections = allocate(count);
    open_all(connections, count, AT_ONCE);
    client.message = take_reply;
    client.after = call_again;
    // Calls count from 1: an id 0 is another library's "no id".
    for (size_t i = 0; i < count; i++) {
        connections[i].next = 1;
        send_calls(&connections[i], in_flight, now_ns());
    }
    uint64_t began = now_ns();
    while ((double)(now_ns() - began) < warm_up * 1e9) poll_once(10);
    begin_measuring();
    while (seconds_measured() < seconds) poll_once(10);
    double elapsed = seconds_measured();
    if (!latencies.count) die("no reply within %.1f s", elapsed);
    printf("{\"messages\":%llu,\"rate\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"elapsed\":%.3f,"
           "\"generator_cpu\":%.3f}\n",
           (unsigned long long)latencies.count, (double)latencies.count / elapsed,
           histogram_quantile(&latencies, 0.5), histogram_quantile(&latencies, 0.99), elapsed,
           cpu_measured() / elapsed);
}

// --- idle: open, and stay.

static void run_idle(size_t count, size_t at_once) {
    struct connection *connections = allocate(count);
    begin_measuring();
    open_all(connections, count, at_once);
    double elapsed = seconds_measured();
    printf("{\"connections\":%zu,\"rate\":%.0f,\"elapsed\":%.3f,\"generator_cpu\":%.3f}\n", count,
           (double)count / elapsed, elapsed, cpu_measured() / elapsed);
    watch_input();
    while (!poll_once(1000)) {}
}

static size_t number(char **arguments, int at, int count) {
    if (at >= count) die("too few arguments: see the top of main.c");
    return (size_t)strtoul(arguments[at], NULL, 10);
}

static double decimal(char **arguments, int at, int count) {
    if (at >= count) die("too few arguments: see the top of main.c");
    return strtod(arguments[at], NULL);
}

static void read_ports(char *text) {
    for (char *port = strtok(text, ","); port; port = strtok(NULL, ",")) {
        if (client.nodes == MAX_NODES) die("expected at most %d ports", MAX_NODES);
        client.ports[client.nodes++] = (uint16_t)strtoul(port, NULL, 10);
    }
}

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count < 5) die("too few arguments: see the top of main.c");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    read_ports(arguments[2]);
    client.path = arguments[3];
    client.dialect = dialect_named(arguments[4]);
    if (!client.dialect) die("expected a dialect (calls, gw, events or socketio), got %s", arguments[4]);
    client.epoll = epoll_create1(0);
    size_t first = number(arguments, 5, count), second = number(arguments, 6, count);
    if (!strcmp(arguments[1], "echo"))
        run_echo(first, second, decimal(arguments, 7, count), decimal(arguments, 8, count));
    else if (!strcmp(arguments[1], "fanout"))
        run_fanout((struct fanout){
            .rooms = first,
            .members = second,
            .in_flight = number(arguments, 7, count),
            .warm_up = number(arguments, 8, count),
            .publishes = number(arguments, 9, count),
            .seconds = decimal(arguments, 10, count),
            .rate = decimal(arguments, 11, count),
            .receiving = number(arguments, 12, count),
        });
    else if (!strcmp(arguments[1], "idle")) run_idle(first, second);
    else die("expected echo, fanout or idle, got %s", arguments[1]);
    return 0;
}
