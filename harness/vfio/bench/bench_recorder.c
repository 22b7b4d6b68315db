/* What the recorder adds to a call: a read of data in the sizes that QEMU uses, and a precopy query, over calls that do nothing. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "recorder.h"
#include "vfio_uapi.h"

enum { DEVICE_FD = 100, DATA_FD = 101, CALLS = 100000 };

static int below_ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    uint8_t *argument = va_arg(arguments, uint8_t *);
    va_end(arguments);
    struct vfio_device_feature_mig_state opened = { .device_state = VFIO_DEVICE_STATE_PRE_COPY, .data_fd = DATA_FD };
    if (fd == DEVICE_FD && request == VFIO_DEVICE_FEATURE)
        memcpy(argument + sizeof(struct vfio_device_feature), &opened, sizeof opened);
    return 0;
}

static ssize_t below_read(int fd, void *buffer, size_t length) {
    (void)fd, (void)buffer;
    return (ssize_t)length;
}

static int below_open(const char *path, int flags, ...) {
    (void)path, (void)flags;
    return DEVICE_FD;
}

static int below_close(int fd) {
    (void)fd;
    return 0;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* other processes may run meanwhile */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(void) {
    static const struct recorded_calls calls = { .open = below_open, .close = below_close, .ioctl = below_ioctl, .read = below_read };
    static const size_t sizes[] = { 64, 32 << 10, 256 << 10, 1 << 20 };
    char folder[] = "/tmp/ackmatrix-bench.XXXXXX", command[64];
    unsigned char *bytes = malloc(1 << 20);
    if (!mkdtemp(folder) || !bytes)
        return 2;
    memset(bytes, 7, 1 << 20);
    recorder_start(folder, false, &calls);
    if (open("/dev/vfio/devices/vfio0", O_RDWR) != DEVICE_FD)
        return 2;
    struct {
        struct vfio_device_feature header;
        struct vfio_device_feature_mig_state value;
    } feature = { .header = { .argsz = sizeof feature, .flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE } };
    ioctl(DEVICE_FD, VFIO_DEVICE_FEATURE, &feature);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int count = sizes[i] > 64 << 10 ? CALLS / 10 : CALLS;
        double began = seconds();
        for (int n = 0; n < count; n++)
            if (read(DATA_FD, bytes, sizes[i]) != (ssize_t)sizes[i])
                return 2;
        printf("read of %7zu bytes  %8.2f us\n", sizes[i], (seconds() - began) / count * 1e6);
    }
    struct vfio_precopy_info info = { .argsz = sizeof info };
    double began = seconds();
    for (int n = 0; n < CALLS; n++)
        ioctl(DATA_FD, VFIO_MIG_GET_PRECOPY_INFO, &info);
    printf("precopy query          %8.2f us\n", (seconds() - began) / CALLS * 1e6);
    recorder_stop();
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? 0 : 2;
}
