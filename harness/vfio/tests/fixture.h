/*
 * One mock device on a bench: its script, its log, and its calls as a process would make them.
 *
 * Calls return what the system call does, or -errno. The bench's memory is its own; addresses below
 * UNMAPPED fault.
 */
#ifndef ACKMATRIX_FIXTURE_H
#define ACKMATRIX_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mock_device.h"

enum { UNMAPPED = 4096, FIRST_DESCRIPTOR = 1000 };

struct bench {
    struct mock_device *device;
    char *log;
    size_t length, capacity;
    uint64_t last_sequence;
    int open_error;         /* errno for the next data sessions, 0: they open */
    uint32_t session;       /* the last that was opened */
    uint64_t fault;         /* an address that faults */
    enum device_call failing; /* the call that the world fails with `injected` */
    int injected;             /* an errno; 0: the world fails no call */
    enum vfio_device_mig_state asked_in; /* the state that the device was in when it last asked for a fault */
    struct mock_outcome last;
};

static inline void bench_event(void *context, const struct mock_event *event) {
    struct bench *bench = context;
    char text[MOCK_EVENT_TEXT_SIZE];
    size_t length = mock_event_text(event, text, sizeof text);
    assert_int_equal(event->sequence, ++bench->last_sequence);
    assert_int_equal(length, strlen(text));
    if (bench->length + length + 2 > bench->capacity) {
        bench->capacity = (bench->capacity + length + 2) * 2;
        bench->log = realloc(bench->log, bench->capacity);
        assert_non_null(bench->log);
    }
    memcpy(bench->log + bench->length, text, length);
    bench->log[bench->length + length] = '\n';
    bench->length += length + 1;
    bench->log[bench->length] = '\0';
}

static inline void *bench_pin(void *context, uint64_t address, size_t length, bool writable) {
    const struct bench *bench = context;
    (void)length, (void)writable;
    return address < UNMAPPED || address == bench->fault ? NULL : (void *)(uintptr_t)address;
}

static inline int bench_open_data(void *context, uint32_t session) {
    struct bench *bench = context;
    if (bench->open_error != 0) return -bench->open_error;
    bench->session = session;
    return FIRST_DESCRIPTOR + (int)session;
}

static inline int bench_fault(void *context, enum device_call call, enum vfio_device_mig_state state) {
    struct bench *bench = context;
    bench->asked_in = state;
    return call == bench->failing ? bench->injected : 0;
}

static inline struct device_script script_of(const char *text) {
    struct device_script script;
    struct script_refusal refusal;
    if (!device_script_parse(text, strlen(text), &script, &refusal)) fail_msg("line %u: %s\n%s", refusal.line, refusal.reason, text);
    return script;
}

static inline struct mock_world bench_world(struct bench *bench) {
    return (struct mock_world){.context = bench, .event = bench_event, .pin = bench_pin, .open_data = bench_open_data, .fault = bench_fault};
}

/* A device with this script below the header line, not yet bound. */
static inline struct bench *bench_unbound(const char *script) {
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    char text[8192];
    snprintf(text, sizeof text, "ackmatrix-device 1\n%s", script);
    struct device_script parsed = script_of(text);
    struct mock_world world = bench_world(bench);
    bench->device = mock_device_create("dev", &parsed, &world);
    assert_non_null(bench->device);
    return bench;
}

static inline void bench_free(struct bench *bench) {
    mock_device_destroy(bench->device);
    free(bench->log);
    free(bench);
}

static inline int64_t came_to(struct bench *bench, struct mock_outcome outcome) {
    bench->last = outcome;
    assert_true(outcome.error == 0 ? outcome.result >= 0 : outcome.result == -1);
    return outcome.error != 0 ? -outcome.error : outcome.result;
}

static inline int64_t device_ioctl(struct bench *bench, uint64_t request, const void *argument) {
    return came_to(bench, mock_device_ioctl(bench->device, request, (uint64_t)(uintptr_t)argument));
}

static inline int64_t bind_device(struct bench *bench) {
    struct vfio_device_bind_iommufd bind = {.argsz = sizeof bind, .iommufd = 99};
    return device_ioctl(bench, VFIO_DEVICE_BIND_IOMMUFD, &bind);
}

/* FEATURE with `size` bytes of data, in and out. */
static inline int64_t feature(struct bench *bench, uint32_t flags, void *data, size_t size) {
    struct {
        uint32_t argsz, flags;
        uint8_t data[64];
    } argument = {.argsz = (uint32_t)(8 + size), .flags = flags};
    assert_true(size <= sizeof argument.data);
    if (size > 0) memcpy(argument.data, data, size);
    int64_t result = device_ioctl(bench, VFIO_DEVICE_FEATURE, &argument);
    if (size > 0) memcpy(data, argument.data, size);
    return result;
}

static inline int64_t set_state(struct bench *bench, uint32_t state, int32_t *data_fd) {
    struct vfio_device_feature_mig_state argument = {.device_state = state, .data_fd = -77};
    int64_t result = feature(bench, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &argument, sizeof argument);
    if (data_fd != NULL) *data_fd = argument.data_fd;
    return result;
}

static inline enum vfio_device_mig_state get_state(struct bench *bench) {
    struct vfio_device_feature_mig_state argument = {.device_state = 99, .data_fd = 77};
    assert_int_equal(feature(bench, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &argument, sizeof argument), 0);
    assert_int_equal(argument.data_fd, -1);
    return (enum vfio_device_mig_state)argument.device_state;
}

static inline int64_t opt_in(struct bench *bench) {
    return feature(bench, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, NULL, 0);
}

static inline uint64_t data_size(struct bench *bench) {
    uint64_t size = 0;
    assert_int_equal(feature(bench, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &size, sizeof size), 0);
    return size;
}

/* A precopy query whose structure came with these flags and garbage in the sizes. */
static inline int64_t query(struct bench *bench, uint32_t flags, struct vfio_precopy_info *info) {
    *info = (struct vfio_precopy_info){.argsz = sizeof *info, .flags = flags, .initial_bytes = 0xdead, .dirty_bytes = 0xbeef};
    return came_to(bench, mock_data_ioctl(bench->device, bench->session, VFIO_MIG_GET_PRECOPY_INFO, (uint64_t)(uintptr_t)info));
}

static inline int64_t read_data(struct bench *bench, void *buffer, size_t length) {
    return came_to(bench, mock_data_read(bench->device, bench->session, (uint64_t)(uintptr_t)buffer, length));
}

static inline int64_t write_data(struct bench *bench, const void *buffer, size_t length) {
    return came_to(bench, mock_data_write(bench->device, bench->session, (uint64_t)(uintptr_t)buffer, length));
}

/* Reads up to `limit` bytes and drops them; the bytes read. */
static inline uint64_t drop_data(struct bench *bench, uint64_t limit) {
    static uint8_t buffer[65536];
    uint64_t total = 0;
    while (total < limit) {
        int64_t count = read_data(bench, buffer, limit - total < sizeof buffer ? (size_t)(limit - total) : sizeof buffer);
        if (count <= 0) break;
        total += (uint64_t)count;
    }
    return total;
}

/* A bound device. */
static inline struct bench *bench_of(const char *script) {
    struct bench *bench = bench_unbound(script);
    assert_int_equal(bind_device(bench), 0);
    return bench;
}

/* A bound device in `state`, INFOv2 asked for where it is offered, its log emptied. */
static inline struct bench *bench_in(enum vfio_device_mig_state state, const char *script) {
    struct bench *bench = bench_of(script);
    if (mock_device_script(bench->device)->info_v2) assert_int_equal(opt_in(bench), 0);
    assert_int_equal(set_state(bench, state, NULL), 0);
    assert_int_equal(get_state(bench), state);
    bench->length = 0;
    return bench;
}

/* The log since it was last emptied; it is emptied by this, and stays readable until the next event. */
static inline const char *take_log(struct bench *bench) {
    if (bench->length == 0) return "";
    bench->length = 0;
    return bench->log;
}

/* splitmix64: every bit of the seed counts. */
static inline uint64_t random_bits(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static inline uint64_t random_below(uint64_t *state, uint64_t limit) { return random_bits(state) % limit; }

/* A new seed each time, or that of the environment; printed, so that a failure can be repeated. */
static inline uint64_t test_seed(const char *test) {
    const char *given = getenv("ACKMATRIX_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    print_message("%s: ACKMATRIX_SEED=%llu\n", test, (unsigned long long)seed);
    return seed;
}

#endif
