/* The recorder's functions for its tests; the library exports none of them. */
#ifndef ACKMATRIX_RECORDER_H
#define ACKMATRIX_RECORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The calls below the recorder: of the next library that was preloaded, or of libc. */
struct recorded_calls {
    int (*open)(const char *path, int flags, ...);
    int (*openat)(int folder, const char *path, int flags, ...);
    int (*close)(int fd);
    int (*ioctl)(int fd, unsigned long request, ...);
    ssize_t (*read)(int fd, void *buffer, size_t length);
    ssize_t (*write)(int fd, const void *buffer, size_t length);
    ssize_t (*pread)(int fd, void *buffer, size_t length, int64_t offset);
    ssize_t (*pwrite)(int fd, const void *buffer, size_t length, int64_t offset);
};

/* From now on VFIO calls are recorded in a file of the folder, which must exist. `contents`: what is read and written is kept, too. */
void recorder_start(const char *folder, bool contents, const struct recorded_calls *below);
/* Writes the last line and forgets every descriptor, so that another recording can be started. */
void recorder_stop(void);

#endif
