/*
 * The mock device's migration data: a sequence of segments, each whole in itself.
 *
 * A segment is a row of 64-bit lanes in host order, the last one cut short where the length is not a
 * multiple of 8: lane 0 holds the magic, the kind and the segment's number in its session, lane 1 the
 * length in bytes with the header, and each further lane a pattern of number and lane index. So
 * a receiver knows every byte before it comes: nothing can be lost, swapped, repeated or changed unseen.
 */
#ifndef ACKMATRIX_SEGMENT_H
#define ACKMATRIX_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEGMENT_HEADER = 16 };
enum segment_kind { SEGMENT_INITIAL = 1, SEGMENT_DIRTY = 2, SEGMENT_FINAL = 3 };
const char *segment_kind_name(enum segment_kind kind);

struct segment {
    enum segment_kind kind;
    uint32_t number; /* 0, 1, 2, ... within a session; 24 bits */
    uint64_t length; /* with the header: 16 or more */
};

/* Writes the `count` bytes of the segment that begin at `offset`. */
void segment_fill(const struct segment *segment, uint64_t offset, uint8_t *bytes, size_t count);

/* The receiving end: what has come of the sequence so far. All zero at the start of a session. */
struct segment_receiver {
    uint8_t header[SEGMENT_HEADER];
    struct segment segment; /* known once the header is whole */
    uint64_t offset;        /* bytes of the present segment received; 0 between segments */
    uint32_t number;        /* of the next segment to begin */
    bool final_received;    /* all has come; no byte may follow */
};

/* Takes bytes up to the end of the present segment at most, and says how many; 0 when a byte is not the
 * one that is due, which leaves the receiver unfit for more. `count` is 1 or more. `*whole` tells that
 * the segment, now receiver->segment, is complete. With `verify` off the payload is taken on trust. */
size_t segment_receive(struct segment_receiver *receiver, const uint8_t *bytes, size_t count, bool verify, bool *whole);

#endif
