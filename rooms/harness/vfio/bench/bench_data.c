/*
 * How fast the mock device makes and checks its data, and answers queries, beside what a tester without it would use:
 * read(2) from /dev/zero, which makes bytes that nobody can check, and memcpy, which makes none. Ratios are of this one run.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mock_device.h"

enum { CHUNK = 1 << 20, CHUNKS = 2048, QUERIES = 2000000 };

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void ignore(void *context, const struct mock_event *event) {
    (void)context;
    (void)event;
}

static void *as_it_is(void *context, uint64_t address, size_t length, bool writable) {
    (void)context;
    (void)length;
    (void)writable;
    return (void *)(uintptr_t)address;
}

static int numbered(void *context, uint32_t session) {
    (void)context;
    return (int)session + 10;
}

static void must(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "bench_data: %s failed\n", what);
        exit(1);
    }
}

static struct mock_device *device(const struct device_script *script) {
    struct mock_world world = { .event = ignore, .pin = as_it_is, .open_data = numbered };
    struct mock_device *made = mock_device_create("v0", script, &world);
    must(made != NULL, "mock_device_create");
    struct vfio_device_bind_iommufd bind = { .argsz = sizeof bind, .iommufd = 9 };
    must(mock_device_ioctl(made, VFIO_DEVICE_BIND_IOMMUFD, (uintptr_t)&bind).result == 0, "bind");
    return made;
}

static uint32_t enter(struct mock_device *made, unsigned state) {
    struct {
        struct vfio_device_feature header;
        struct vfio_device_feature_mig_state value;
    } feature = { .header = { .argsz = sizeof feature, .flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE },
        .value = { .device_state = state, .data_fd = -1 } };
    must(mock_device_ioctl(made, VFIO_DEVICE_FEATURE, (uintptr_t)&feature).result == 0, "set-state");
    return (uint32_t)feature.value.data_fd - 10;
}

int main(void) {
    static const char text[] = "ackmatrix-device 1\nhas precopy p2p reinit\ninitial 2G\n";
    struct device_script script;
    struct script_refusal refusal;
    must(device_script_parse(text, sizeof text - 1, &script, &refusal), refusal.reason);
    struct mock_device *source = device(&script), *destination = device(&script);
    uint32_t saving = enter(source, VFIO_DEVICE_STATE_PRE_COPY), loading = enter(destination, VFIO_DEVICE_STATE_RESUMING);
    unsigned char *bytes = malloc(CHUNK), *copy = malloc(CHUNK);
    must(bytes && copy, "malloc");
    memset(bytes, 1, CHUNK);

    double reading = 0, writing = 0, copying = 0, zeroing = 0;
    int zero = open("/dev/zero", O_RDONLY);
    must(zero >= 0, "open /dev/zero");
    for (int i = 0; i < CHUNKS; i++) {
        double began = seconds();
        must(mock_data_read(source, saving, (uintptr_t)bytes, CHUNK).result == CHUNK, "read");
        double read_end = seconds();
        must(mock_data_write(destination, loading, (uintptr_t)bytes, CHUNK).result == CHUNK, "write");
        double write_end = seconds();
        memcpy(copy, bytes, CHUNK);
        double copy_end = seconds();
        must(read(zero, copy, CHUNK) == CHUNK, "read /dev/zero");
        reading += read_end - began;
        writing += write_end - read_end;
        copying += copy_end - write_end;
        zeroing += seconds() - copy_end;
    }
    must(mock_device_progress(destination).bytes_written == (uint64_t)CHUNK * CHUNKS, "counting");

    double began = seconds();
    struct vfio_precopy_info info;
    for (int i = 0; i < QUERIES; i++) {
        info = (struct vfio_precopy_info){ .argsz = sizeof info };
        must(mock_data_ioctl(source, saving, VFIO_MIG_GET_PRECOPY_INFO, (uintptr_t)&info).result == 0, "query");
    }
    double querying = seconds() - began;

    double total = (double)CHUNK * CHUNKS / 1e9;
    printf("device data, %.1f GB in chunks of 1 MiB\n", total);
    printf("    read, made        %6.1f GB/s   %5.2f of memcpy, %5.2f of read(/dev/zero)\n", total / reading, copying / reading, zeroing / reading);
    printf("    write, checked    %6.1f GB/s   %5.2f of memcpy, %5.2f of read(/dev/zero)\n", total / writing, copying / writing, zeroing / writing);
    printf("    memcpy            %6.1f GB/s\n", total / copying);
    printf("    read(/dev/zero)   %6.1f GB/s\n", total / zeroing);
    printf("precopy queries       %6.1f million/s\n", QUERIES / querying / 1e6);
    mock_device_destroy(source);
    mock_device_destroy(destination);
    return 0;
}
