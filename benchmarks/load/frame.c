#include "frame.h"

// The mask protects proxies, not us: a constant one is valid and keeps runs alike. It isn't zero,
// so that the server has to unmask.
static const uint8_t MASK[4] = {0x37, 0xfa, 0x21, 0x3d};

size_t frame_write(uint8_t *out, enum opcode opcode, const void *payload, size_t length) {
    const uint8_t *from = payload;
    out[0] = (uint8_t)(0x80 | opcode);
    out[1] = (uint8_t)(0x80 | length);
    for (size_t i = 0; i < 4; i++) out[2 + i] = MASK[i];
    for (size_t i = 0; i < length; i++) out[CLIENT_OVERHEAD + i] = from[i] ^ MASK[i & 3];
    return CLIENT_OVERHEAD + length;
}

int frame_read(const uint8_t *bytes, size_t available, struct frame *frame) {
    if (available < 2) return 0;
    if ((bytes[0] & 0xf0) != 0x80 || (bytes[1] & 0x80)) return -1;
    size_t header = 2;
    uint64_t length = bytes[1];
    if (length >= 126) {
        size_t wide = length == 126 ? 2 : 8;
        header += wide;
        if (available < header) return 0;
        length = 0;
        for (size_t i = 2; i < header; i++) length = length << 8 | bytes[i];
    }
    if (available - header < length) return 0;
    frame->opcode = bytes[0] & 0x0f;
    frame->payload = bytes + header;
    frame->length = length;
    frame->whole = header + length;
    return 1;
}
