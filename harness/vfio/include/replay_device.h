/*
 * The replayed device: a recording as a device that insists on its calls.
 *
 * Each migration call is compared with the one that the recording has next, and answered as it was answered then. The first call that
 * differs is a departure: an event names both calls, and that call and all later ones fail with EPROTO. What is no migration call
 * (regions, interrupts, binding) is answered by a mock. The same rules of purity as in mock_device.h apply.
 *
 * The text, as `ackmatrix replay` makes it of a trace; POSITION is the number of the entry in the trace, RESULT >= 0 or -errno:
 *   ackmatrix-replay 1
 *   polls counted|free
 *   POSITION feature FLAGS RESULT HEX|-        FEATURE other than those below; the data behind the header after the call
 *   POSITION state STATE RESULT opens|-        `opens`: a data descriptor came back
 *   POSITION data-size RESULT SIZE
 *   POSITION precopy-info RESULT INITIAL DIRTY FLAGS
 *   POSITION read SIZE RESULT
 *   POSITION write SIZE RESULT
 *   POSITION reset RESULT
 *   POSITION close RESULT                      of the data descriptor
 *
 * A poll is a call that moves nothing: data-size, precopy-info, a report of DMA logging, and a read that finds nothing. How often a user
 * polls is a matter of its clock. With `polls free` the polls between two other calls may come more or less often, in any mixture: each is
 * answered by the next recorded poll of its kind there, then by the last one again, with what was read since taken off. To go on without
 * a poll that reported a REINIT, or failed, is a departure. With `polls counted` every call must come as it was recorded.
 *
 * Recordings have hashes of the data, not the bytes. What is read is one segment of the mock's data, as long as all that was read in the
 * session; what is written is taken as it comes.
 */
#ifndef ACKMATRIX_REPLAY_DEVICE_H
#define ACKMATRIX_REPLAY_DEVICE_H

#include "mock_device.h"

enum { REPLAY_MOST_CALLS = 1 << 18, REPLAY_MOST_TEXT = 64 << 20 };

struct replay_device;

/* True if the text is a replay and not a device script. */
bool replay_is_text(const char *text, size_t length);
/* NULL with *refusal filled in, or (line 0) when out of memory. The text is not kept. */
struct replay_device *replay_device_create(const char *name, const char *text, size_t length, const struct mock_world *world,
                                           struct script_refusal *refusal);
void replay_device_destroy(struct replay_device *device);

struct mock_outcome replay_device_ioctl(struct replay_device *device, uint64_t request, uint64_t argument);
struct mock_outcome replay_data_ioctl(struct replay_device *device, uint32_t session, uint64_t request, uint64_t argument);
struct mock_outcome replay_data_read(struct replay_device *device, uint32_t session, uint64_t buffer, size_t length);
struct mock_outcome replay_data_write(struct replay_device *device, uint32_t session, uint64_t buffer, size_t length);
void replay_data_close(struct replay_device *device, uint32_t session);

/* The mock that answers everything else. */
struct mock_device *replay_device_rest(struct replay_device *device);
struct mock_progress replay_device_progress(const struct replay_device *device);
/* The recorded calls that were not made so far, without polls if those are free; 0 after a departure. */
uint64_t replay_device_left(const struct replay_device *device);

#endif
