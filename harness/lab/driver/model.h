/*
 * The device model behind the driver: the mock of harness/vfio, compiled for the kernel.
 *
 * The mock has its own definitions of the uAPI, which cannot meet the kernel's in one file. So driver.c, which has the kernel's, and
 * model.c, which has the mock's, know each other by plain types alone. Memory that the model reaches is the kernel's: the driver copies
 * from and to the user. One thread at a time uses a model.
 */
#ifndef ACKMATRIX_MODEL_H
#define ACKMATRIX_MODEL_H

#include <linux/types.h>

struct model;

/* What a call returned: >= 0, or -errno; how long the device takes; a bit for each gate that holds the call's return. */
struct model_outcome {
	s64 result;
	u64 cost_ns;
	u32 gates;
};

struct model_progress {
	u32 state;
	u64 queries, drained_queries, drains, bytes_read, bytes_written, initial_bytes, dirty_bytes;
};

/* A device in RUNNING that follows a script, or NULL with the reason: the script is refused, or there is no memory. */
struct model *model_create(const char *name, const char *script, size_t length, char *reason, size_t room);
void model_destroy(struct model *model);

u32 model_migration_flags(const struct model *model);
bool model_has_dirty_tracking(const struct model *model);
/* The gate's bit number, or -1. */
int model_gate(const struct model *model, const char *name);

void model_open(struct model *model);
void model_close(struct model *model);
/* An ioctl on the device whose argument is this memory. */
struct model_outcome model_ioctl(struct model *model, u32 request, void *argument, size_t size);
struct model_outcome model_access(struct model *model, void *bytes, size_t count, u64 offset, bool write);

/* *session is the number of the session that the last arc has opened, or 0. */
struct model_outcome model_set_state(struct model *model, u32 state, u32 *session);
struct model_outcome model_data_size(struct model *model, u64 *size);
struct model_outcome model_use_info_v2(struct model *model);
struct model_outcome model_start_logging(struct model *model, u64 page_size);
struct model_outcome model_stop_logging(struct model *model);
bool model_is_logging(struct model *model);

struct model_outcome model_precopy_info(struct model *model, u32 session, void *info, size_t size);
struct model_outcome model_read(struct model *model, u32 session, void *bytes, size_t count);
struct model_outcome model_write(struct model *model, u32 session, const void *bytes, size_t count);
void model_close_data(struct model *model, u32 session);

void model_gate_opened(struct model *model, unsigned int gate);
void model_hold(struct model *model, unsigned int gate, bool begins);
/* `entered` is another device and the state that it has entered, "NAME STATE"; false if the state has another name. */
bool model_peer_entered(struct model *model, char *entered);
/* The events since the last time, a line each, as text; *lost events had no room. Returns the length. */
size_t model_take_events(struct model *model, char *text, size_t room, u32 *lost);
struct model_progress model_progress(const struct model *model);

#endif
