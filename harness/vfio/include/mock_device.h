/*
 * The mock VFIO device: a pure model of a device with a migration driver.
 *
 * A model is a context object: no process globals, no allocation after creation, no clock, sleep,
 * thread or I/O. A call returns what the kernel would return, and what the call would cost. The
 * model's driver (the preload shim with the wall clock, the engine with a virtual one) waits for the
 * cost and the gates, makes descriptors and writes the log. One thread at a time uses a model. Two
 * models that run the same script and receive the same calls report identical events.
 *
 * Behaviour follows Linux 7.2's VFIO core and uAPI text; numbers and layouts are in vfio_uapi.h.
 */
#ifndef ACKMATRIX_MOCK_DEVICE_H
#define ACKMATRIX_MOCK_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device_script.h"
#include "vfio_uapi.h"

/* Events of the model. mock_event_text() fixes the text of each kind. */
enum mock_event_kind {
    MOCK_EVENT_OPEN,          /* device_open  (NAME) mig_flags 0x%x, reinit %d  (the first event, at creation) */
    MOCK_EVENT_CALL,          /* device_call  (NAME) CALL ret %d  (at the end of any call that has no other event) */
    MOCK_EVENT_STATE,         /* device_state  (NAME) from %s to %s  (one line per single arc, or into ERROR) */
    MOCK_EVENT_SESSION_BEGIN, /* device_session_begin  (NAME) saving|resuming session %u */
    MOCK_EVENT_SESSION_END,   /* device_session_end  (NAME) session %u */
    MOCK_EVENT_PRECOPY_INFO,  /* device_precopy_info  (NAME) init %u, dirty %u, reinit %d, ret %d
                                 (as reported; query counts the session's, 0 when the call did not get so far) */
    MOCK_EVENT_READ,          /* device_read  (NAME) size %u, ret %d */
    MOCK_EVENT_WRITE,         /* device_write  (NAME) size %u, ret %d */
    MOCK_EVENT_DRAINED,       /* device_drained  (NAME) total %u  (initial bytes reached 0; bytes read so far) */
    MOCK_EVENT_LOADED,        /* device_loaded  (NAME) initial|dirty|final size %u, total %u  (a whole segment has arrived) */
    MOCK_EVENT_INJECTED,      /* device_injected  (NAME) line %u, action ACTION, value %d  (a script rule fired; ACTION is
                                 reinit, dirty, short, error, fail (value: errno), hold (the gate's index), estimate-initial,
                                 -dirty, -stop-copy, the same with exact-, or NAME-ignored where it could do nothing.
                                 Line 0, action fail: the world's `fault` fails the call.) */
    MOCK_EVENT_HOLD_BEGIN,    /* device_hold_begin  (NAME) gate GATE */
    MOCK_EVENT_HOLD_END,      /* device_hold_end  (NAME) gate GATE */
    MOCK_EVENT_UNKNOWN,       /* device_unknown_ioctl  (NAME) request 0x%x */
    MOCK_EVENT_RESET,         /* device_reset  (NAME) from %s */
    MOCK_EVENT_CLOSE,         /* device_close  (NAME) state %s */
    MOCK_EVENT_DEPARTED,      /* device_departed  (NAME) at %u, expected CALL; found CALL  (replay_device.h) */
    MOCK_EVENT_KINDS
};

struct mock_event {
    uint64_t sequence; /* 1, 2, 3, ... within one device */
    enum mock_event_kind kind;
    const char *device; /* lives as long as the model */
    const char *word;   /* call, kind, action or gate name of the text; NULL where the text has none */
    const char *found;  /* the call of a departure */
    uint64_t a, b, c; /* the text's numbers in their order; states as enum vfio_device_mig_state */
    int64_t ret;         /* >= 0, or -errno */
};

/* The event as a line without its end, NUL terminated. Returns the length, always < size; size must
 * be at least MOCK_EVENT_TEXT_SIZE. */
enum { MOCK_EVENT_TEXT_SIZE = 256 };
size_t mock_event_text(const struct mock_event *event, char *text, size_t size);

/* How the model reaches the world. Every member except `context` and `fault` must be set. None may call the model back. */
struct mock_world {
    void *context;
    /* Receives each event, in order, inside the call that causes it. */
    void (*event)(void *context, const struct mock_event *event);
    /* The caller's memory: a pointer to `length` bytes at `address`, or NULL where the kernel would say EFAULT. */
    void *(*pin)(void *context, uint64_t address, size_t length, bool writable);
    /* A descriptor number for a new data session, or -errno, which fails the SET that needs it. */
    int (*open_data)(void *context, uint32_t session);
    /* Injects a fault: asked before each call that enum device_call names, while the device is in `state`. An errno makes the call fail:
     * an event says so, no rule counts the call, the device keeps its state, and the call costs nothing. 0 lets the call take its course;
     * NULL does so for every call. */
    int (*fault)(void *context, enum device_call call, enum vfio_device_mig_state state);
};

/* The outcome of a call. */
struct mock_outcome {
    int64_t result;   /* as the system call returns it: -1 with `error` set on failure */
    int error;        /* errno, 0 on success */
    uint64_t cost_ns; /* the time that the device takes; the driver sleeps, or advances its virtual clock */
    uint32_t gates;   /* a bit for each gate of the script: the call returns when all of them are open */
};

struct mock_device;

/*
 * A device in RUNNING, not yet bound. Script and name are copied, the name cut at MOCK_NAME_SIZE. NULL when out of memory.
 *
 * Where the uAPI leaves a choice to the driver, this device behaves so: it refuses (EINVAL) to leave RESUMING
 * while data is missing, and stays in RESUMING; a refused arc leaves the device in the state before the arc; a
 * write of unexpected data is refused as a whole (EINVAL); data of PRE_COPY that is unread at the end of PRE_COPY
 * comes first in STOP_COPY; STOP_COPY without PRE_COPY delivers the final segment alone; a reset enters RUNNING
 * as an arc would.
 */
enum { MOCK_NAME_SIZE = 64 }; /* with its NUL */
struct mock_device *mock_device_create(const char *name, const struct device_script *script, const struct mock_world *world);
void mock_device_destroy(struct mock_device *device);

/* Calls on the device descriptor. */
struct mock_outcome mock_device_ioctl(struct mock_device *device, uint64_t request, uint64_t argument);
struct mock_outcome mock_device_pread(struct mock_device *device, uint64_t buffer, size_t length, uint64_t offset);
struct mock_outcome mock_device_pwrite(struct mock_device *device, uint64_t buffer, size_t length, uint64_t offset);
/* The device descriptor was closed: the INFOv2 opt-in is forgotten, the migration state is not. */
void mock_device_close(struct mock_device *device);

/* Calls on a data descriptor, named by the session it was opened for; an ended session is ENODEV. */
struct mock_outcome mock_data_ioctl(struct mock_device *device, uint32_t session, uint64_t request, uint64_t argument);
struct mock_outcome mock_data_read(struct mock_device *device, uint32_t session, uint64_t buffer, size_t length);
struct mock_outcome mock_data_write(struct mock_device *device, uint32_t session, uint64_t buffer, size_t length);
void mock_data_close(struct mock_device *device, uint32_t session);

/* Inputs from outside: another device has entered a state; a gate of the script (by index) was opened. */
void mock_device_peer_entered(struct mock_device *device, const char *peer, enum vfio_device_mig_state state);
void mock_device_gate_opened(struct mock_device *device, unsigned gate);

/* The driver says when it begins and ends to hold a call, so that the log shows it in order. */
void mock_device_hold(struct mock_device *device, unsigned gate, bool begin);

/* The progress of the device. The session is the present one, or the last one until another begins. */
struct mock_progress {
    enum vfio_device_mig_state state;
    uint64_t queries;         /* successful GET_PRECOPY_INFO of the present saving session */
    uint64_t drained_queries; /* of these, the ones since the initial bytes were last drained; 0 while they are not drained */
    uint64_t drains;          /* how often the initial bytes reached 0 in the present session */
    uint64_t bytes_read;      /* in the present session */
    uint64_t bytes_written;   /* in the present session */
    uint64_t initial_bytes;   /* true, undelivered; not the estimate */
    uint64_t dirty_bytes;
};
struct mock_progress mock_device_progress(const struct mock_device *device);
const struct device_script *mock_device_script(const struct mock_device *device);

/*
 * The mock iommufd: the address-space calls that a real QEMU makes before it may use a device. It checks
 * identifiers, and reports no page dirty. The same rules of purity as above apply;
 * `open_data` of its world is not used.
 */
struct mock_iommufd;
struct mock_iommufd *mock_iommufd_create(const char *name, const struct mock_world *world);
void mock_iommufd_destroy(struct mock_iommufd *iommufd);
struct mock_outcome mock_iommufd_ioctl(struct mock_iommufd *iommufd, uint64_t request, uint64_t argument);

#endif
