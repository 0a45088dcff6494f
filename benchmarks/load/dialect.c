#include "dialect.h"

#include <string.h>

static const struct dialect DIALECTS[] = {
    {
        // gatewright's plain frames; the bare Starlette peer speaks them too
        .name = "calls",
        .header = "",
        .join = "{\"event\":\"join\",\"data\":{\"room\":\"r@\"},\"id\":1}",
        .call = "{\"event\":\"echo\",\"data\":{\"text\":\"hello\",\"n\":#},\"id\":#}",
        .reply = "{\"id\":#,\"data\":{\"text\":\"hello\",\"n\":#}}",
        .publish = "{\"event\":\"pub\",\"data\":{\"room\":\"r@\",\"text\":\"hello\",\"n\":#}}",
        .delivery = "{\"event\":\"msg\",\"data\":{\"text\":\"hello\",\"n\":#}}",
    },
    {
        // the same with sessions
        .name = "gw",
        .header = "Sec-WebSocket-Protocol: gw.v1.json\r\n",
        .open = "{\"op\":\"open\"}",
        .opened = "{\"op\":\"hello\"",
        .ping = "{\"op\":\"ping\"",
        .pong = "{\"op\":\"pong\"}",
        .join = "{\"event\":\"join\",\"data\":{\"room\":\"r@\"},\"id\":1}",
        .call = "{\"event\":\"echo\",\"data\":{\"text\":\"hello\",\"n\":#},\"id\":#}",
        .reply = "{\"id\":#,\"data\":{\"text\":\"hello\",\"n\":#}}",
        .publish = "{\"event\":\"pub\",\"data\":{\"room\":\"r@\",\"text\":\"hello\",\"n\":#}}",
        .delivery = "{\"event\":\"msg\",\"data\":{\"text\":\"hello\",\"n\":#},\"seq\":*}",
    },
    {
        // NestJS platform-ws: no ids, the answer is an event
        .name = "events",
        .header = "",
        .join = "{\"event\":\"join\",\"data\":{\"room\":\"r@\"}}",
        .call = "{\"event\":\"echo\",\"data\":{\"text\":\"hello\",\"n\":#}}",
        .reply = "{\"event\":\"echo\",\"data\":{\"text\":\"hello\",\"n\":#}}",
        .publish = "{\"event\":\"pub\",\"data\":{\"room\":\"r@\",\"text\":\"hello\",\"n\":#}}",
        .delivery = "{\"event\":\"msg\",\"data\":{\"text\":\"hello\",\"n\":#}}",
    },
    {
        // Socket.IO v5 in Engine.IO v4: '4' is an Engine.IO message; '0' CONNECT, '2' EVENT, '3' ACK
        .name = "socketio",
        .header = "",
        .greeting = "0{",
        .open = "40",
        .opened = "40",
        .ping = "2",
        .pong = "3",
        .join = "420[\"join\",{\"room\":\"r@\"}]",
        .call = "42#[\"echo\",{\"text\":\"hello\",\"n\":#}]",
        .reply = "43#[{\"text\":\"hello\",\"n\":#}]",
        .publish = "42[\"pub\",{\"room\":\"r@\",\"text\":\"hello\",\"n\":#}]",
        .delivery = "42[\"msg\",{\"text\":\"hello\",\"n\":#}]",
    },
};

const struct dialect *dialect_named(const char *name) {
    for (size_t i = 0; i < sizeof DIALECTS / sizeof *DIALECTS; i++)
        if (!strcmp(DIALECTS[i].name, name)) return &DIALECTS[i];
    return NULL;
}

static char *number_write(char *out, uint64_t number) {
    char digits[20];
    size_t count = 0;
    do digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count) *out++ = digits[--count];
    return out;
}

size_t template_write(char *out, const char *template, uint64_t number, uint64_t room) {
    char *end = out;
    for (; *template; template++) {
        if (*template == '#') end = number_write(end, number);
        else if (*template == '@') end = number_write(end, room);
        else *end++ = *template;
    }
    return (size_t)(end - out);
}

bool template_match(const char *template, const uint8_t *text, size_t length, uint64_t *number) {
    const uint8_t *end = text + length;
    bool known = false;
    for (; *template; template++) {
        if (*template != '#' && *template != '*') {
            if (text == end || *text++ != (uint8_t)*template) return false;
            continue;
        }
        const uint8_t *first = text;
        uint64_t value = 0;
        while (text < end && *text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
        if (text == first) return false;
        if (*template == '*') continue;
        if (known && value != *number) return false;
        *number = value;
        known = true;
    }
    return text == end;
}
