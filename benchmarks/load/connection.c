#include "connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "frame.h"

enum { INBOX = 1 << 20, EVENTS = 512, OPEN_SECONDS = 120 };

struct client client;

// RFC 6455, section 1.3: this key has this answer.
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

static void watch(struct connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(client.epoll, operation, connection->socket, &event))
        die("epoll_ctl: %s", strerror(errno));
}

void watch_input(void) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(client.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event))
        die("standard input must be a pipe or a terminal: %s", strerror(errno));
}

void send_bytes(struct connection *connection, const uint8_t *bytes, size_t length) {
    ssize_t sent = send(connection->socket, bytes, length, MSG_NOSIGNAL);
    if (sent < 0) die("send: %s", strerror(errno));
    if ((size_t)sent < length) die("the server stopped reading: %zd of %zu bytes", sent, length);
}

void send_text(struct connection *connection, const char *text, size_t length) {
    uint8_t frame[CLIENT_OVERHEAD + SMALL_PAYLOAD];
    send_bytes(connection, frame, frame_write(frame, OPCODE_TEXT, text, length));
}

static void begin(struct connection *connection) {
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connection->socket < 0) die("socket: %s", strerror(errno));
    int on = 1;
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(client.ports[connection->node]),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address) &&
        errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    connection->stage = CONNECTING;
    watch(connection, EPOLL_CTL_ADD, EPOLLOUT);
}

static void request_upgrade(struct connection *connection) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->socket, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) die("connect: %s", strerror(error));
    char request[512];
    int length = snprintf(
        request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
        client.path, client.ports[connection->node], KEY, client.dialect->header);
    send_bytes(connection, (uint8_t *)request, (size_t)length);
    connection->stage = UPGRADING;
    watch(connection, EPOLL_CTL_MOD, EPOLLIN);
}

static void open_namespace(struct connection *connection) {
    connection->stage = OPENING;
    send_text(connection, client.dialect->open, strlen(client.dialect->open));
}

static void enter(struct connection *connection) {
    if (connection->joins) {
        connection->stage = JOINING;
        char text[SMALL_PAYLOAD];
        send_text(connection, text, template_write(text, client.dialect->join, 0, connection->room));
    } else {
        connection->stage = READY;
        client.ready++;
    }
}

// Returns the size of the response's head, 0 while it is incomplete.
static size_t read_upgrade(struct connection *connection, const uint8_t *bytes, size_t length) {
    const uint8_t *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = (size_t)(end - bytes) + 4;
    if (head < 12 || memcmp(bytes, "HTTP/1.1 101", 12) || !memmem(bytes, head, ACCEPT, sizeof ACCEPT - 1))
        die("the server refused the upgrade of %s:\n%.*s", client.path, (int)length, bytes);
    if (client.dialect->greeting) connection->stage = GREETING;
    else if (client.dialect->open) open_namespace(connection);
    else enter(connection);
    return head;
}

static bool starts(const uint8_t *text, size_t length, const char *with) {
    size_t wanted = strlen(with);
    return length >= wanted && !memcmp(text, with, wanted);
}

// Returns whether the workload got it.
static bool take_text(struct connection *connection, const uint8_t *text, size_t length, uint64_t now) {
    const struct dialect *dialect = client.dialect;
    if (dialect->ping && starts(text, length, dialect->ping)) {
        send_text(connection, dialect->pong, strlen(dialect->pong));
        return false;
    }
    switch (connection->stage) {
    case GREETING:
        if (!starts(text, length, dialect->greeting)) die("no greeting: %.*s", (int)length, text);
        open_namespace(connection);
        return false;
    case OPENING:
        if (!starts(text, length, dialect->opened)) die("not opened: %.*s", (int)length, text);
        enter(connection);
        return false;
    case JOINING:
        if (memmem(text, length, "error", 5) || memmem(text, length, "exception", 9))
            die("not joined: %.*s", (int)length, text);
        connection->stage = READY;
        client.ready++;
        return false;
    default:
        if (!client.message) die("a message that nobody asked for: %.*s", (int)length, text);
        client.message(connection, text, length, now);
        return true;
    }
}

static void take_frame(struct connection *connection, const struct frame *frame, uint64_t now, bool *any) {
    uint8_t pong[CLIENT_OVERHEAD + SMALL_PAYLOAD];
    switch (frame->opcode) {
    case OPCODE_TEXT:
    case OPCODE_BINARY:
        if (take_text(connection, frame->payload, frame->length, now)) *any = true;
        return;
    case OPCODE_PING:
        send_bytes(connection, pong, frame_write(pong, OPCODE_PONG, frame->payload, frame->length));
        return;
    case OPCODE_PONG:
        return;
    case OPCODE_CLOSE:
        die("the server closed with code %d: %.*s",
            frame->length >= 2 ? frame->payload[0] << 8 | frame->payload[1] : 0,
            frame->length > 2 ? (int)frame->length - 2 : 0, frame->payload + 2);
    default:
        die("a frame with opcode %d", frame->opcode);
    }
}

static void keep(struct connection *connection, const uint8_t *bytes, size_t length) {
    free(connection->kept);
    connection->kept = NULL;
    connection->kept_length = length;
    if (!length) return; // thousands of idle connections keep nothing
    connection->kept = malloc(length);
    if (!connection->kept) die("out of memory");
    memcpy(connection->kept, bytes, length);
}

static void read_some(struct connection *connection) {
    static uint8_t inbox[INBOX];
    size_t before = connection->kept_length;
    if (before == INBOX) die("a frame larger than %d bytes", INBOX);
    if (before) memcpy(inbox, connection->kept, before);
    ssize_t received = recv(connection->socket, inbox + before, INBOX - before, 0);
    if (received < 0 && errno == EAGAIN) return;
    if (received < 0) die("recv: %s", strerror(errno));
    if (received == 0) die("the server dropped a connection (stage %d)", connection->stage);

    uint64_t now = now_ns();
    const uint8_t *rest = inbox;
    size_t left = before + (size_t)received;
    if (connection->stage == UPGRADING) {
        size_t head = read_upgrade(connection, rest, left);
        rest += head;
        left -= head;
    }
    bool any = false;
    struct frame frame;
    int found = 0;
    while (connection->stage != UPGRADING && (found = frame_read(rest, left, &frame)) == 1) {
        take_frame(connection, &frame, now, &any);
        rest += frame.whole;
        left -= frame.whole;
    }
    if (found < 0) die("the server sent a masked, fragmented or compressed frame");
    keep(connection, rest, left);
    if (any && client.after) client.after(connection, now);
}

bool poll_once(int milliseconds) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(client.epoll, events, EVENTS, milliseconds);
    if (count < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    bool ended = false;
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        char byte;
        if (!connection) ended = read(STDIN_FILENO, &byte, 1) <= 0;
        else if (connection->stage == CONNECTING) request_upgrade(connection);
        else read_some(connection);
    }
    return ended;
}

void poll_until(uint64_t nanoseconds) {
    uint64_t now = now_ns();
    uint64_t left = nanoseconds > now ? nanoseconds - now : 0;
    struct timespec wait = {.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
    struct pollfd ready = {.fd = client.epoll, .events = POLLIN}; // epoll_wait knows no microseconds
    if (ppoll(&ready, 1, &wait, NULL) > 0) poll_once(0);
}

void open_all(struct connection *connections, size_t count, size_t at_once) {
    uint64_t deadline = now_ns() + OPEN_SECONDS * 1000000000ull;
    while (client.ready < count) {
        while (client.opened < count && client.opened - client.ready < at_once)
            begin(&connections[client.opened++]);
        poll_once(1000);
        if (now_ns() > deadline)
            die("only %zu of %zu connections were ready after %d s", client.ready, count, OPEN_SECONDS);
    }
}
