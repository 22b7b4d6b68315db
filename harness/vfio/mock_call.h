/*
 * What the models share: the memory of the caller, and the form of a result.
 */
#ifndef ACKMATRIX_MOCK_CALL_H
#define ACKMATRIX_MOCK_CALL_H

#include <errno.h>
#include <string.h>

#include "mock_device.h"

/* Device identifiers of BIND_IOMMUFD lie apart from those of iommufd objects, which count from 1. */
enum { MOCK_DEVICE_ID = 1 << 30 };

static inline void *mock_pin(const struct mock_world *world, uint64_t address, size_t length, bool writable) {
    return world->pin(world->context, address, length, writable);
}

/* 0, or -EFAULT. */
static inline int mock_copy_in(const struct mock_world *world, void *to, uint64_t from, size_t length) {
    const void *bytes = mock_pin(world, from, length, false);
    if (bytes == NULL) return -EFAULT;
    memcpy(to, bytes, length);
    return 0;
}

static inline int mock_copy_out(const struct mock_world *world, uint64_t to, const void *from, size_t length) {
    void *bytes = mock_pin(world, to, length, true);
    if (bytes == NULL) return -EFAULT;
    memcpy(bytes, from, length);
    return 0;
}

/* The next state on the way of a device with these abilities, by single arcs; ERROR where there is no way. */
enum vfio_device_mig_state mock_next_state(const struct device_script *script, enum vfio_device_mig_state from, uint32_t to);

/* The system call's form of a result that is >= 0, or -errno. */
static inline struct mock_outcome mock_outcome_of(int64_t result) {
    if (result >= 0) return (struct mock_outcome){.result = result};
    return (struct mock_outcome){.result = -1, .error = (int)-result};
}

#endif
