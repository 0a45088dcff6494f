// What each kind of peer says and hears, as templates in which every '#' is the message's
// number, '@' that of a room, and '*' in what is heard any number.
#ifndef DIALECT_H
#define DIALECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dialect {
    const char *name;
    const char *header;     // of the handshake, with its end of line, or empty
    const char *greeting;   // the server's first message starts so; NULL: it says nothing first
    const char *open;       // what we say then; NULL: nothing
    const char *opened;     // the server's answer to that starts so
    const char *ping;       // a heartbeat inside the messages starts so, and
    const char *pong;       // its answer; NULL: only WebSocket's own
    const char *join;       // enter the room; whatever comes next says that it was entered
    const char *call;
    const char *reply;
    const char *publish;
    const char *delivery;
};

const struct dialect *dialect_named(const char *name);

// Fills in the numbers; returns the length, which is at most SMALL_PAYLOAD for numbers below 10^7.
size_t template_write(char *out, const char *template, uint64_t number, uint64_t room);

// Whether the text is exactly the template with one and the same number at every '#'.
bool template_match(const char *template, const uint8_t *text, size_t length, uint64_t *number);

#endif
