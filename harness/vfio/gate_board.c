/* Gates and progress in shared memory: see gate_board.h. */
#include "gate_board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "system_calls.h"

enum { BOARD_VERSION = 1, CLAIM_NS = 1000000000, READ_TRIES = 64, READ_PAUSES = 5000, READ_PAUSE_NS = 100000 };
static const char BOARD_MAGIC[8] = { 'A', 'C', 'K', 'B', 'O', 'A', 'R', 'D' };

/* The thread that moves `taken` from 0 to 1 has claimed the name; it writes the name, and publishes it by moving `taken` to 2. */
struct board_name {
    _Atomic uint32_t taken;
    char text[BOARD_NAME_SIZE];
};

struct gate {
    struct board_name name;
    _Atomic uint32_t open;
};

enum { PROGRESS_WORDS = sizeof(struct board_progress) / sizeof(uint64_t) };

/* `version` is odd while the words are being written, so that a reader never mixes two states. */
struct board_device {
    struct board_name name;
    _Atomic uint32_t version;
    _Atomic uint64_t words[PROGRESS_WORDS];
};

struct gate_board {
    char magic[8];
    uint32_t version;
    _Atomic uint32_t all_open;
    _Atomic uint32_t changes;
    _Atomic uint32_t watchers;
    struct gate gates[BOARD_MAX_GATES];
    struct board_device devices[BOARD_MAX_DEVICES];
};

static struct gate_board *map(int fd) {
    int error = 0;
    struct gate_board *board = sys_map_shared(fd, sizeof *board, &error);
    sys_close(fd);
    if (!board)
        errno = error;
    return board;
}

struct gate_board *gate_board_create(const char *path) {
    int fd = sys_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    int result = fd < 0 ? fd : sys_truncate(fd, sizeof(struct gate_board));
    if (result < 0) {
        if (fd >= 0)
            sys_close(fd);
        errno = -result;
        return NULL;
    }
    struct gate_board *board = map(fd);
    if (board) {
        memcpy(board->magic, BOARD_MAGIC, sizeof board->magic);
        board->version = BOARD_VERSION;
    }
    return board;
}

struct gate_board *gate_board_map(const char *path) {
    int fd = sys_open(path, O_RDWR, 0);
    if (fd < 0) {
        errno = -fd;
        return NULL;
    }
    if (sys_file_size(fd) != (int64_t)sizeof(struct gate_board)) {
        sys_close(fd);
        errno = EINVAL;
        return NULL;
    }
    struct gate_board *board = map(fd);
    if (board && (memcmp(board->magic, BOARD_MAGIC, sizeof board->magic) != 0 || board->version != BOARD_VERSION)) {
        gate_board_unmap(board);
        errno = EINVAL;
        return NULL;
    }
    return board;
}

void gate_board_unmap(struct gate_board *board) {
    sys_unmap(board, sizeof *board);
}

static uint32_t *word(const _Atomic uint32_t *value) {
    return (uint32_t *)(uintptr_t)value;
}

/* 1 when the slot is `name`'s (claiming it if it was free), 0 when it is another's. */
static int claim(struct board_name *slot, const char *name) {
    uint32_t expected = 0;
    if (atomic_compare_exchange_strong(&slot->taken, &expected, 1)) {
        strncpy(slot->text, name, sizeof slot->text - 1);
        atomic_store(&slot->taken, 2);
        sys_futex_wake_all(word(&slot->taken));
        return 1;
    }
    /* A thread that claims a slot names it at once; a process that died has claimed a slot that stays nameless, and no thread owns it. */
    if (expected == 1) {
        sys_futex_wait(word(&slot->taken), 1, CLAIM_NS);
        expected = atomic_load(&slot->taken);
    }
    return expected == 2 && strncmp(slot->text, name, sizeof slot->text) == 0;
}

static int is_name(const char *name) {
    size_t length = strnlen(name, BOARD_NAME_SIZE);
    return length > 0 && length < BOARD_NAME_SIZE;
}

int gate_board_gate(struct gate_board *board, const char *name) {
    for (int i = 0; is_name(name) && i < BOARD_MAX_GATES; i++)
        if (claim(&board->gates[i].name, name))
            return i;
    return -1;
}

int gate_board_device(struct gate_board *board, const char *name) {
    for (int i = 0; is_name(name) && i < BOARD_MAX_DEVICES; i++)
        if (claim(&board->devices[i].name, name))
            return i;
    return -1;
}

int gate_board_is_open(const struct gate_board *board, int gate) {
    return atomic_load(&board->all_open) || atomic_load(&board->gates[gate].open);
}

static void announce(struct gate_board *board) {
    atomic_fetch_add(&board->changes, 1);
    if (atomic_load(&board->watchers))
        sys_futex_wake_all(word(&board->changes));
}

void gate_board_open(struct gate_board *board, int gate) {
    atomic_store(&board->gates[gate].open, 1);
    sys_futex_wake_all(word(&board->gates[gate].open));
    announce(board);
}

void gate_board_open_all(struct gate_board *board) {
    atomic_store(&board->all_open, 1);
    for (int i = 0; i < BOARD_MAX_GATES; i++)
        gate_board_open(board, i);
}

void gate_board_wait(struct gate_board *board, int gate) {
    while (!gate_board_is_open(board, gate))
        sys_futex_wait(word(&board->gates[gate].open), 0, GATE_LOOK_NS);
}

size_t gate_board_place_of_gate(int gate) {
    return offsetof(struct gate_board, gates) + (size_t)gate * sizeof(struct gate) + offsetof(struct gate, open);
}

size_t gate_board_place_of_all(void) {
    return offsetof(struct gate_board, all_open);
}

size_t gate_board_place_of_progress(int device) {
    return offsetof(struct gate_board, devices) + (size_t)device * sizeof(struct board_device) + offsetof(struct board_device, words);
}

void gate_board_publish(struct gate_board *board, int device, const struct board_progress *progress) {
    struct board_device *slot = &board->devices[device];
    uint64_t words[PROGRESS_WORDS];
    memcpy(words, progress, sizeof words);
    atomic_fetch_add(&slot->version, 1);
    for (int i = 0; i < PROGRESS_WORDS; i++)
        atomic_store(&slot->words[i], words[i]);
    atomic_fetch_add(&slot->version, 1);
    announce(board);
}

int gate_board_progress(const struct gate_board *board, int device, struct board_progress *progress) {
    const struct board_device *slot = &board->devices[device];
    for (int try = 0; try < READ_TRIES * READ_PAUSES; try++) {
        /* A publisher that was preempted while it wrote continues when it gets a processor, which may be this thread's. */
        if (try % READ_TRIES == READ_TRIES - 1)
            sys_sleep_ns(READ_PAUSE_NS);
        uint64_t words[PROGRESS_WORDS];
        uint32_t before = atomic_load(&slot->version);
        for (int i = 0; i < PROGRESS_WORDS; i++)
            words[i] = atomic_load(&slot->words[i]);
        if (!(before & 1) && atomic_load(&slot->version) == before) {
            memcpy(progress, words, sizeof *progress);
            return 0;
        }
    }
    return -1;
}

uint32_t gate_board_changes(const struct gate_board *board) {
    return atomic_load(&board->changes);
}

uint32_t gate_board_wait_change(struct gate_board *board, uint32_t seen, uint64_t timeout_ns) {
    atomic_fetch_add(&board->watchers, 1);
    if (atomic_load(&board->changes) == seen && timeout_ns)
        sys_futex_wait(word(&board->changes), seen, timeout_ns);
    atomic_fetch_sub(&board->watchers, 1);
    return atomic_load(&board->changes);
}
