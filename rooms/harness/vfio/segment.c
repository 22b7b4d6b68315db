#include "segment.h"

#include <string.h>

static const uint32_t magic = 0x4d4b4341; /* "ACKM" in a little-endian dump */
enum { LANE = 8, HEADER_LANES = SEGMENT_HEADER / LANE };
static const uint32_t number_mask = 0xffffff;

const char *segment_kind_name(enum segment_kind kind) {
    switch (kind) {
    case SEGMENT_INITIAL: return "initial";
    case SEGMENT_DIRTY: return "dirty";
    case SEGMENT_FINAL: return "final";
    }
    return "unknown";
}

static inline uint64_t pattern(uint64_t seed, uint64_t lane) {
    uint64_t value = (seed + lane) * 0x9e3779b97f4a7c15u;
    return value ^ value >> 32;
}

static inline uint64_t pattern_seed(const struct segment *segment) {
    return (uint64_t)(segment->number & number_mask) << 40;
}

static uint64_t lane_value(const struct segment *segment, uint64_t lane) {
    if (lane == 0) {
        uint32_t kind_and_number = (uint32_t)segment->kind << 24 | (segment->number & number_mask);
        uint8_t bytes[LANE];
        memcpy(bytes, &magic, 4);
        memcpy(bytes + 4, &kind_and_number, 4);
        uint64_t value;
        memcpy(&value, bytes, LANE);
        return value;
    }
    if (lane == 1) return segment->length;
    return pattern(pattern_seed(segment), lane);
}

/* The bytes up to the next lane boundary, or to where whole pattern lanes begin. */
static size_t odd_bytes(uint64_t offset, size_t count) {
    size_t odd = offset < SEGMENT_HEADER || offset % LANE != 0 ? LANE - (size_t)(offset % LANE) : 0;
    if (odd == 0 && count < LANE) odd = count;
    return odd < count ? odd : count;
}

void segment_fill(const struct segment *segment, uint64_t offset, uint8_t *bytes, size_t count) {
    while (count > 0) {
        size_t odd = odd_bytes(offset, count);
        if (odd > 0) {
            uint64_t value = lane_value(segment, offset / LANE);
            memcpy(bytes, (const uint8_t *)&value + offset % LANE, odd);
        } else {
            uint64_t seed = pattern_seed(segment), lane = offset / LANE;
            odd = count / LANE * LANE;
            for (size_t at = 0; at < odd; at += LANE) {
                uint64_t value = pattern(seed, lane++);
                memcpy(bytes + at, &value, LANE);
            }
        }
        bytes += odd, offset += odd, count -= odd;
    }
}

static bool segment_matches(const struct segment *segment, uint64_t offset, const uint8_t *bytes, size_t count) {
    while (count > 0) {
        size_t odd = odd_bytes(offset, count);
        if (odd > 0) {
            uint64_t value = lane_value(segment, offset / LANE);
            if (memcmp(bytes, (const uint8_t *)&value + offset % LANE, odd) != 0) return false;
        } else {
            uint64_t seed = pattern_seed(segment), lane = offset / LANE, difference = 0;
            odd = count / LANE * LANE;
            for (size_t at = 0; at < odd; at += LANE) {
                uint64_t value;
                memcpy(&value, bytes + at, LANE);
                difference |= value ^ pattern(seed, lane++);
            }
            if (difference != 0) return false;
        }
        bytes += odd, offset += odd, count -= odd;
    }
    return true;
}

/* Whether the header is one that may come now: a known kind, the next number, a length that holds it. */
static bool begin_segment(struct segment_receiver *receiver) {
    uint32_t found, kind_and_number;
    struct segment *segment = &receiver->segment;
    memcpy(&found, receiver->header, 4);
    memcpy(&kind_and_number, receiver->header + 4, 4);
    memcpy(&segment->length, receiver->header + 8, 8);
    uint32_t kind = kind_and_number >> 24;
    segment->kind = (enum segment_kind)kind;
    segment->number = kind_and_number & number_mask;
    return found == magic && kind >= SEGMENT_INITIAL && kind <= SEGMENT_FINAL
        && segment->number == (receiver->number & number_mask) && segment->length >= SEGMENT_HEADER;
}

size_t segment_receive(struct segment_receiver *receiver, const uint8_t *bytes, size_t count, bool verify, bool *whole) {
    size_t taken = 0;
    *whole = false;
    if (receiver->final_received) return 0;
    if (receiver->offset < SEGMENT_HEADER) {
        taken = SEGMENT_HEADER - (size_t)receiver->offset;
        if (taken > count) taken = count;
        memcpy(receiver->header + receiver->offset, bytes, taken);
        receiver->offset += taken;
        if (receiver->offset < SEGMENT_HEADER) return taken;
        if (!begin_segment(receiver)) return 0;
    }
    uint64_t left = receiver->segment.length - receiver->offset;
    size_t payload = count - taken;
    if (payload > left) payload = (size_t)left;
    if (verify && !segment_matches(&receiver->segment, receiver->offset, bytes + taken, payload)) return 0;
    receiver->offset += payload;
    if (receiver->offset == receiver->segment.length) {
        *whole = true;
        receiver->offset = 0;
        receiver->number++;
        if (receiver->segment.kind == SEGMENT_FINAL) receiver->final_received = true;
    }
    return taken + payload;
}
