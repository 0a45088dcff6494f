// WebSocket frames (RFC 6455, section 5), as far as small messages without extensions need them.
#ifndef FRAME_H
#define FRAME_H

#include <stddef.h>
#include <stdint.h>

enum opcode { OPCODE_TEXT = 1, OPCODE_BINARY = 2, OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10 };

enum { SMALL_PAYLOAD = 125, CLIENT_OVERHEAD = 6 };

struct frame {
    uint8_t opcode;
    const uint8_t *payload;
    size_t length;
    size_t whole; // header and payload
};

// Writes a masked client frame of at most SMALL_PAYLOAD bytes; returns its size.
size_t frame_write(uint8_t *out, enum opcode opcode, const void *payload, size_t length);

// 1: a whole frame was read. 0: more bytes are needed. -1: not what a server may send here
// (masked, fragmented or compressed).
int frame_read(const uint8_t *bytes, size_t available, struct frame *frame);

#endif
