// The load generator: one thread, one epoll, any number of WebSocket clients against 127.0.0.1.
//
//   load echo   PORT PATH DIALECT CONNECTIONS IN_FLIGHT WARM_UP_SECONDS SECONDS
//   load fanout PORT PATH DIALECT MEMBERS IN_FLIGHT WARM_UP_PUBLISHES PUBLISHES SECONDS
//   load idle   PORT PATH DIALECT CONNECTIONS AT_ONCE
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
#include "frame.h"
#include "histogram.h"

enum { AT_ONCE = 32, STUCK_SECONDS = 30 };

static struct histogram latencies;

static struct connection *allocate(size_t count) {
    struct connection *connections = calloc(count, sizeof *connections);
    if (!connections) die("out of memory");
    return connections;
}

static double own_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static struct {
    uint64_t began;
    double cpu;
} measure;

static void begin_measuring(void) {
    histogram_reset(&latencies);
    puts("measuring");
    measure.cpu = own_cpu();
    measure.began = now_ns();
}

static double seconds_measured(void) { return (double)(now_ns() - measure.began) / 1e9; }

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
        size_t size = template_write(text, client.dialect->call, number);
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
           (own_cpu() - measure.cpu) / elapsed);
}

// --- fan-out: one publisher outside the room; a publish is done when the last member has it.

static struct histogram last_deliveries;

static struct {
    struct connection *publisher;
    size_t members;
    size_t published, done, limit;
    double seconds; // no further publish after so many
    uint64_t *sent_at;
    uint32_t *delivered;
    uint64_t out_of_order;
} fanout;

static void publish(void) {
    char text[SMALL_PAYLOAD];
    size_t length = template_write(text, client.dialect->publish, fanout.published);
    fanout.sent_at[fanout.published++] = now_ns();
    send_text(fanout.publisher, text, length);
}

static bool may_publish(void) {
    return fanout.published < fanout.limit &&
           (!measure.began || seconds_measured() < fanout.seconds);
}

static void take_delivery(struct connection *connection, const uint8_t *text, size_t length, uint64_t now) {
    uint64_t number;
    if (!template_match(client.dialect->delivery, text, length, &number))
        die("expected the delivery %s, got %.*s", client.dialect->delivery, (int)length, text);
    if (connection == fanout.publisher) die("a delivery to a connection outside the room");
    if (number >= fanout.published) die("a delivery of nothing that was published: %.*s", (int)length, text);
    if (number + 1 <= connection->last) fanout.out_of_order++;
    else connection->last = number + 1;
    histogram_add(&latencies, now - fanout.sent_at[number]);
    if (++fanout.delivered[number] > fanout.members) die("publish %llu came twice", (unsigned long long)number);
    if (fanout.delivered[number] < fanout.members) return;
    histogram_add(&last_deliveries, now - fanout.sent_at[number]);
    fanout.done++;
    if (may_publish()) publish();
}

static void publish_until(size_t limit, size_t in_flight) {
    fanout.limit = limit;
    uint64_t deadline = now_ns() + (STUCK_SECONDS + (uint64_t)fanout.seconds) * 1000000000u;
    for (size_t i = 0; i < in_flight && may_publish(); i++) publish();
    while (fanout.done < fanout.published) {
        poll_once(100);
        if (now_ns() > deadline)
            die("%zu of %zu publishes had reached everyone when time was up", fanout.done, fanout.published);
    }
}

static void run_fanout(size_t members, size_t in_flight, size_t warm_up, size_t publishes, double seconds) {
    struct connection *connections = allocate(members + 1);
    for (size_t i = 0; i < members; i++) connections[i].joins = true;
    fanout.members = members;
    fanout.seconds = seconds;
    fanout.publisher = &connections[members];
    fanout.sent_at = calloc(warm_up + publishes, sizeof *fanout.sent_at);
    fanout.delivered = calloc(warm_up + publishes, sizeof *fanout.delivered);
    if (!fanout.sent_at || !fanout.delivered) die("out of memory");
    open_all(connections, members + 1, AT_ONCE);
    client.message = take_delivery;
    publish_until(warm_up, in_flight);

    histogram_reset(&last_deliveries);
    begin_measuring();
    publish_until(warm_up + publishes, in_flight);
    double elapsed = seconds_measured();
    printf("{\"publishes\":%llu,\"deliveries\":%llu,\"rate\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"last_p50_ms\":%.3f,\"last_p99_ms\":%.3f,\"out_of_order\":%llu,\"elapsed\":%.3f,"
           "\"generator_cpu\":%.3f}\n",
           (unsigned long long)last_deliveries.count, (unsigned long long)latencies.count,
           (double)latencies.count / elapsed, histogram_quantile(&latencies, 0.5),
           histogram_quantile(&latencies, 0.99), histogram_quantile(&last_deliveries, 0.5),
           histogram_quantile(&last_deliveries, 0.99), (unsigned long long)fanout.out_of_order,
           elapsed, (own_cpu() - measure.cpu) / elapsed);
}

// --- idle: open, and stay.

static void run_idle(size_t count, size_t at_once) {
    struct connection *connections = allocate(count);
    begin_measuring();
    open_all(connections, count, at_once);
    double elapsed = seconds_measured();
    printf("{\"connections\":%zu,\"rate\":%.0f,\"elapsed\":%.3f,\"generator_cpu\":%.3f}\n", count,
           (double)count / elapsed, elapsed, (own_cpu() - measure.cpu) / elapsed);
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

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count < 5) die("too few arguments: see the top of main.c");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    client.port = (uint16_t)number(arguments, 2, count);
    client.path = arguments[3];
    client.dialect = dialect_named(arguments[4]);
    if (!client.dialect) die("expected a dialect (calls, events or socketio), got %s", arguments[4]);
    client.epoll = epoll_create1(0);
    size_t first = number(arguments, 5, count), second = number(arguments, 6, count);
    if (!strcmp(arguments[1], "echo"))
        run_echo(first, second, decimal(arguments, 7, count), decimal(arguments, 8, count));
    else if (!strcmp(arguments[1], "fanout"))
        run_fanout(first, second, number(arguments, 7, count), number(arguments, 8, count),
                   decimal(arguments, 9, count));
    else if (!strcmp(arguments[1], "idle")) run_idle(first, second);
    else die("expected echo, fanout or idle, got %s", arguments[1]);
    return 0;
}
