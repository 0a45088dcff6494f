#include "dialect.h"

#include <string.h>

static const struct dialect DIALECTS[] = {
    {
        // gatewright's plain frames; the bare Starlette peer speaks them too
        .name = "calls",
        .join = "{\"event\":\"join\",\"data\":{\"room\":\"r\"},\"id\":1}",
        .call = "{\"event\":\"echo\",\"data\":{\"text\":\"hello\",\"n\":#},\"id\":#}",
        .reply = "{\"id\":#,\"data\":{\"text\":\"hello\",\"n\":#}}",
        .publish = "{\"event\":\"pub\",\"data\":{\"text\":\"hello\",\"n\":#}}",
        .delivery = "{\"event\":\"msg\",\"data\":{\"text\":\"hello\",\"n\":#}}",
    },
    {
        // NestJS platform-ws: no ids, the answer is an event
        .name = "events",
        .join = "{\"event\":\"join\",\"data\":{\"room\":\"r\"}}",
        .call = "{\"event\":\"echo\",\"data\":{\"text\":\"hello\",\"n\":#}}",
        .reply = "{\"event\":\"echo\",\"data\":{\"text\":\"hello\",\"n\":#}}",
        .publish = "{\"event\":\"pub\",\"data\":{\"text\":\"hello\",\"n\":#}}",
        .delivery = "{\"event\":\"msg\",\"data\":{\"text\":\"hello\",\"n\":#}}",
    },
    {
        // Socket.IO v5 in Engine.IO v4: '4' is an Engine.IO message; '0' CONNECT, '2' EVENT, '3' ACK
        .name = "socketio",
        .greeting = "0{",
        .open = "40",
        .opened = "40",
        .ping = "2",
        .pong = "3",
        .join = "420[\"join\",{\"room\":\"r\"}]",
        .call = "42#[\"echo\",{\"text\":\"hello\",\"n\":#}]",
        .reply = "43#[{\"text\":\"hello\",\"n\":#}]",
        .publish = "42[\"pub\",{\"text\":\"hello\",\"n\":#}]",
        .delivery = "42[\"msg\",{\"text\":\"hello\",\"n\":#}]",
    },
};

const struct dialect *dialect_named(const char *name) {
    for (size_t i = 0; i < sizeof DIALECTS / sizeof *DIALECTS; i++)
        if (!strcmp(DIALECTS[i].name, name)) return &DIALECTS[i];
    return NULL;
}

size_t template_write(char *out, const char *template, uint64_t number) {
    char digits[20];
    size_t count = 0;
    do digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    char *end = out;
    for (; *template; template++) {
        if (*template != '#') *end++ = *template;
        else for (size_t i = count; i--;) *end++ = digits[i];
    }
    return (size_t)(end - out);
}

bool template_match(const char *template, const uint8_t *text, size_t length, uint64_t *number) {
    const uint8_t *end = text + length;
    bool known = false;
    for (; *template; template++) {
        if (*template != '#') {
            if (text == end || *text++ != (uint8_t)*template) return false;
            continue;
        }
        const uint8_t *first = text;
        uint64_t value = 0;
        while (text < end && *text >= '0' && *text <= '9') value = value * 10 + (*text++ - '0');
        if (text == first || (known && value != *number)) return false;
        *number = value;
        known = true;
    }
    return text == end;
}
