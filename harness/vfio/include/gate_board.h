/*
 * Gates and progress in shared memory: one board for each side, a file that the runner makes and the
 * side's shim maps.
 *
 * A gate is a named latch: closed at first, opened once, never closed again. A device call that the
 * script holds waits for its gate. The board also shows each device's progress, so that the runner can
 * open a gate when a condition on the other side is true, without reading any log.
 *
 * Every function is safe to call from any thread of any process that has mapped the board. A shell, which cannot map it, reads and
 * writes the file: the shim sees a gate that was opened by a write to the file within GATE_LOOK_NS.
 */
#ifndef ACKMATRIX_GATE_BOARD_H
#define ACKMATRIX_GATE_BOARD_H

#include <stddef.h>
#include <stdint.h>

enum { BOARD_MAX_GATES = 64, BOARD_MAX_DEVICES = 16, BOARD_NAME_SIZE = 48, GATE_LOOK_NS = 20000000 };

/* A device's progress as the board shows it; the fields of struct mock_progress plus what holds it. */
struct board_progress {
    uint64_t state, queries, drained_queries, drains, bytes_read, bytes_written, initial_bytes, dirty_bytes;
    uint64_t calls;  /* all calls on the device so far */
    uint64_t held;   /* calls held at a gate right now */
    uint64_t holds;  /* calls that a gate has ever held */
};

struct gate_board;

/* Makes the file (it must not exist) and maps it. NULL with errno set on failure. */
struct gate_board *gate_board_create(const char *path);
/* Maps an existing board; EINVAL when the file is none. */
struct gate_board *gate_board_map(const char *path);
void gate_board_unmap(struct gate_board *board);

/* The gate's or the device's index, claiming a free slot on first use; -1 when the name is too long or the board is full. */
int gate_board_gate(struct gate_board *board, const char *name);
int gate_board_device(struct gate_board *board, const char *name);

int gate_board_is_open(const struct gate_board *board, int gate); /* 1 open, 0 closed */
void gate_board_open(struct gate_board *board, int gate);
void gate_board_open_all(struct gate_board *board); /* also gates claimed later: tear-down */
/* Sleeps until the gate is open. */
void gate_board_wait(struct gate_board *board, int gate);

void gate_board_publish(struct gate_board *board, int device, const struct board_progress *progress);
/* 0, or -1 if half a second brought no consistent state: the publishing process has died, or is stopped, while it wrote. */
int gate_board_progress(const struct gate_board *board, int device, struct board_progress *progress);
/* Sleeps until the board has changed since `seen` or `timeout_ns` has passed; returns the change count. Begin with gate_board_changes(). */
uint32_t gate_board_changes(const struct gate_board *board);
uint32_t gate_board_wait_change(struct gate_board *board, uint32_t seen, uint64_t timeout_ns);

/* Places in the file, in bytes from its start: the words that open a gate, or all gates, when they are 1 (32 bits each, in host order); and
 * a device's struct board_progress. */
size_t gate_board_place_of_gate(int gate);
size_t gate_board_place_of_all(void);
size_t gate_board_place_of_progress(int device);

#endif
