/*
 * The fortified twins of the reads that a preload library takes over (QEMU 10.0 is built to call them): the same, once the buffer is known to
 * be large enough. A library includes this once, behind its own read, pread and pread64; LIBRARY is its name.
 */
#ifndef ACKMATRIX_FORTIFIED_READS_H
#define ACKMATRIX_FORTIFIED_READS_H

#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "system_calls.h"

static void check_fits(size_t length, size_t room) {
    if (length <= room)
        return;
    static const char message[] = LIBRARY ": buffer overflow detected: a read asks for more than its buffer holds\n";
    sys_write(2, message, sizeof message - 1);
    abort();
}

ssize_t __read_chk(int fd, void *buffer, size_t length, size_t room);
ssize_t __pread_chk(int fd, void *buffer, size_t length, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *buffer, size_t length, off64_t offset, size_t room);

EXPORT ssize_t __read_chk(int fd, void *buffer, size_t length, size_t room) {
    check_fits(length, room);
    return read(fd, buffer, length);
}

EXPORT ssize_t __pread_chk(int fd, void *buffer, size_t length, off_t offset, size_t room) {
    check_fits(length, room);
    return pread(fd, buffer, length, offset);
}

EXPORT ssize_t __pread64_chk(int fd, void *buffer, size_t length, off64_t offset, size_t room) {
    check_fits(length, room);
    return pread64(fd, buffer, length, offset);
}

#endif
