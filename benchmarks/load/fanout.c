#include "fanout.h"

#include <stdio.h>
#include <stdlib.h>

#include "connection.h"
#include "frame.h"
#include "measure.h"

enum { STUCK_SECONDS = 30 };

static struct histogram last_deliveries;

static struct fanout fanout;

static struct publication {
    uint64_t at; // when it was, or was to be, sent
    uint32_t room, publisher, delivered;
} *publications;

static struct {
    struct connection *members, *publishers; // these are in no room
    size_t per_room;
    size_t published, done, limit;
    bool measuring;
    uint64_t out_of_order;
} state;

static void publish(size_t publisher, uint64_t at) {
    struct connection *connection = &state.publishers[publisher];
    char text[SMALL_PAYLOAD];
    size_t length = template_write(text, client.dialect->publish, state.published, connection->room);
    publications[state.published++] =
        (struct publication){.at = at, .room = (uint32_t)connection->room, .publisher = (uint32_t)publisher};
    send_text(connection, text, length);
}

static bool may_publish(void) {
    return state.published < state.limit &&
           (!state.measuring || seconds_measured() < fanout.seconds);
}

static void take_delivery(struct connection *connection, const uint8_t *text, size_t length, uint64_t now) {
    uint64_t number;
    if (!template_match(client.dialect->delivery, text, length, &number))
        die("expected the delivery %s, got %.*s", client.dialect->delivery, (int)length, text);
    if (!connection->joins) die("a delivery to a connection outside the rooms");
    if (number >= state.published) die("a delivery of nothing that was published: %.*s", (int)length, text);
    struct publication *publication = &publications[number];
    if (connection->room != publication->room)
        die("publish %llu to room %u came to room %zu", (unsigned long long)number, publication->room,
            connection->room);
    if (number + 1 <= connection->last) state.out_of_order++;
    else connection->last = number + 1;
    histogram_add(&latencies, now - publication->at);
    if (++publication->delivered > state.per_room) die("publish %llu came twice", (unsigned long long)number);
    if (publication->delivered < state.per_room) return;
    histogram_add(&last_deliveries, now - publication->at);
    state.done++;
    if (!fanout.rate && may_publish()) publish(publication->publisher, now_ns());
}

static void await_all(void) {
    uint64_t deadline = now_ns() + (STUCK_SECONDS + (uint64_t)fanout.seconds) * 1000000000u;
    while (state.done < state.published) {
        poll_once(100);
        if (now_ns() > deadline)
            die("%zu of %zu publishes had reached everyone when time was up", state.done, state.published);
    }
}

static void publish_until(size_t limit) {
    state.limit = limit;
    if (fanout.rate) {
        // What is due is sent, however late; its time is the one at which it was due. So a server
        // that stands still for a moment has made all of them late that fell into it.
        uint64_t began = now_ns();
        for (size_t sent = 0; may_publish(); sent++) {
            uint64_t due = began + (uint64_t)((double)sent / fanout.rate * 1e9);
            while (now_ns() < due) poll_until(due);
            publish(state.published % (fanout.rooms * fanout.in_flight), due);
        }
    } else {
        for (size_t i = 0; i < fanout.rooms * fanout.in_flight && may_publish(); i++)
            publish(i, now_ns());
    }
    await_all();
}

void run_fanout(struct fanout workload) {
    fanout = workload;
    if (!fanout.receiving) fanout.receiving = client.nodes;
    if (fanout.receiving > client.nodes) die("members on more nodes than there are");
    if (!fanout.rooms || fanout.members % fanout.rooms)
        die("expected as many members for each of %zu rooms, got %zu together", fanout.rooms, fanout.members);
    size_t silent = client.nodes - fanout.receiving; // connections that hear nothing
    size_t publishers = fanout.rooms * fanout.in_flight;
    size_t count = fanout.members + publishers + silent;
    state.members = allocate(count);
    state.publishers = state.members + fanout.members;
    state.per_room = fanout.members / fanout.rooms;
    for (size_t i = 0; i < count; i++) {
        struct connection *connection = &state.members[i];
        connection->joins = i < fanout.members;
        // A room's members are neighbours, so each room is on all of their nodes. All is published
        // on the first: what reaches the others has come by way of their backplane.
        if (connection->joins) {
            connection->room = i / state.per_room;
            connection->node = i % fanout.receiving;
        } else if (i < fanout.members + publishers) {
            connection->room = (i - fanout.members) % fanout.rooms;
            connection->node = 0;
        } else {
            connection->node = fanout.receiving + i - fanout.members - publishers;
        }
    }
    publications = calloc(fanout.warm_up + fanout.publishes, sizeof *publications);
    if (!publications) die("out of memory");
    open_all(state.members, count, AT_ONCE);
    client.message = take_delivery;
    publish_until(fanout.warm_up);

    histogram_reset(&last_deliveries);
    state.measuring = true;
    begin_measuring();
    publish_until(fanout.warm_up + fanout.publishes);
    double elapsed = seconds_measured();
    printf("{\"publishes\":%llu,\"deliveries\":%llu,\"rate\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"last_p50_ms\":%.3f,\"last_p99_ms\":%.3f,\"out_of_order\":%llu,\"elapsed\":%.3f,"
           "\"generator_cpu\":%.3f}\n",
           (unsigned long long)last_deliveries.count, (unsigned long long)latencies.count,
           (double)latencies.count / elapsed, histogram_quantile(&latencies, 0.5),
           histogram_quantile(&latencies, 0.99), histogram_quantile(&last_deliveries, 0.5),
           histogram_quantile(&last_deliveries, 0.99), (unsigned long long)state.out_of_order,
           elapsed, cpu_measured() / elapsed);
}
