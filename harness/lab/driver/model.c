// SPDX-License-Identifier: GPL-2.0-only
/* The mock of harness/vfio for driver.c: see model.h. */
#include "model.h"

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "mock_device.h"

/* As many bytes of events as a read of a sysfs file takes, with a line before them. */
enum { EVENTS = 4096 - 256 };

struct model {
	struct mock_device *device;
	const struct device_script *script;
	/* The memory of the call in progress. */
	u8 *memory;
	size_t size;
	bool is_logging;
	/* Events that nobody has taken; only the latest are of interest, and those that find no room are counted. */
	char events[EVENTS];
	size_t events_length;
	u32 lost_events;
};

static void hear(void *context, const struct mock_event *event)
{
	struct model *model = context;

	if (EVENTS - model->events_length < MOCK_EVENT_TEXT_SIZE + 1) {
		model->lost_events++;
		return;
	}
	model->events_length += mock_event_text(event, model->events + model->events_length, MOCK_EVENT_TEXT_SIZE);
	model->events[model->events_length++] = '\n';
}

static void *pin(void *context, uint64_t address, size_t length, bool writable)
{
	struct model *model = context;
	u64 offset = address - (u64)(uintptr_t)model->memory;

	if (!model->memory || offset > model->size || length > model->size - offset)
		return NULL;
	return model->memory + offset;
}

/* A session's descriptor is its number: the driver makes a file of it. */
static int open_data(void *context, uint32_t session)
{
	return (int)session;
}

struct model *model_create(const char *name, const char *text, size_t length, char *reason, size_t room)
{
	struct model *model = kvzalloc(sizeof(*model), GFP_KERNEL);
	struct device_script *script = kvzalloc(sizeof(*script), GFP_KERNEL);
	struct script_refusal *refusal = kvzalloc(sizeof(*refusal), GFP_KERNEL);
	struct mock_world world = { .context = model, .event = hear, .pin = pin, .open_data = open_data };
	bool made = false;

	strscpy(reason, "no memory for a device", room);
	if (!model || !script || !refusal)
		goto out;
	if (!device_script_parse(text, length, script, refusal)) {
		snprintf(reason, room, "line %u: %s", refusal->line, refusal->reason);
		goto out;
	}
	model->device = mock_device_create(name, script, &world);
	made = model->device;
	if (made)
		model->script = mock_device_script(model->device);
out:
	kvfree(refusal);
	kvfree(script);
	if (made)
		return model;
	kvfree(model);
	return NULL;
}

void model_destroy(struct model *model)
{
	mock_device_destroy(model->device);
	kvfree(model);
}

u32 model_migration_flags(const struct model *model)
{
	return VFIO_MIGRATION_STOP_COPY | (model->script->p2p ? VFIO_MIGRATION_P2P : 0) |
	       (model->script->precopy ? VFIO_MIGRATION_PRE_COPY : 0);
}

bool model_has_dirty_tracking(const struct model *model)
{
	return model->script->dirty_tracking;
}

int model_gate(const struct model *model, const char *name)
{
	unsigned int gate;

	for (gate = 0; gate < model->script->gate_count; gate++)
		if (!strcmp(model->script->gates[gate], name))
			return (int)gate;
	return -1;
}

static struct model_outcome told(struct mock_outcome outcome)
{
	return (struct model_outcome){
		.result = outcome.result < 0 ? -outcome.error : outcome.result,
		.cost_ns = outcome.cost_ns,
		.gates = outcome.gates,
	};
}

/* Lends the model this memory for one call. */
static u64 lend(struct model *model, void *memory, size_t size)
{
	model->memory = memory;
	model->size = size;
	return (u64)(uintptr_t)memory;
}

static struct model_outcome taken_back(struct model *model, struct mock_outcome outcome)
{
	model->memory = NULL;
	model->size = 0;
	return told(outcome);
}

struct model_outcome model_ioctl(struct model *model, u32 request, void *argument, size_t size)
{
	return taken_back(model, mock_device_ioctl(model->device, request, lend(model, argument, size)));
}

void model_open(struct model *model)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };

	model_ioctl(model, VFIO_DEVICE_BIND_IOMMUFD, &bind, sizeof(bind));
}

void model_close(struct model *model)
{
	model->is_logging = false;
	mock_device_close(model->device);
}

struct model_outcome model_access(struct model *model, void *bytes, size_t count, u64 offset, bool write)
{
	u64 address = lend(model, bytes, count);

	return taken_back(model, write ? mock_device_pwrite(model->device, address, count, offset)
				       : mock_device_pread(model->device, address, count, offset));
}

static struct model_outcome feature(struct model *model, u32 index, u32 operation, void *data, size_t size)
{
	struct {
		u32 argsz, flags;
		u8 data[32];
	} argument = { .argsz = 8 + size, .flags = index | operation };
	struct model_outcome outcome;

	memcpy(argument.data, data, size);
	outcome = model_ioctl(model, VFIO_DEVICE_FEATURE, &argument, 8 + size);
	memcpy(data, argument.data, size);
	return outcome;
}

struct model_outcome model_set_state(struct model *model, u32 state, u32 *session)
{
	struct vfio_device_feature_mig_state argument = { .device_state = state, .data_fd = -1 };
	struct model_outcome outcome =
		feature(model, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_SET, &argument, sizeof(argument));

	*session = outcome.result < 0 || argument.data_fd < 0 ? 0 : argument.data_fd;
	return outcome;
}

struct model_outcome model_data_size(struct model *model, u64 *size)
{
	return feature(model, VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, VFIO_DEVICE_FEATURE_GET, size, sizeof(*size));
}

struct model_outcome model_use_info_v2(struct model *model)
{
	u64 nothing = 0;

	return feature(model, VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, VFIO_DEVICE_FEATURE_SET, &nothing, 0);
}

/* The core has checked and copied the ranges; the model reports no page dirty, so it needs none of them. */
struct model_outcome model_start_logging(struct model *model, u64 page_size)
{
	if (model->is_logging)
		return (struct model_outcome){ .result = -EINVAL };
	model->is_logging = true;
	return (struct model_outcome){ 0 };
}

struct model_outcome model_stop_logging(struct model *model)
{
	model->is_logging = false;
	return (struct model_outcome){ 0 };
}

bool model_is_logging(struct model *model)
{
	return model->is_logging;
}

struct model_outcome model_precopy_info(struct model *model, u32 session, void *info, size_t size)
{
	return taken_back(model, mock_data_ioctl(model->device, session, VFIO_MIG_GET_PRECOPY_INFO, lend(model, info, size)));
}

struct model_outcome model_read(struct model *model, u32 session, void *bytes, size_t count)
{
	return taken_back(model, mock_data_read(model->device, session, lend(model, bytes, count), count));
}

struct model_outcome model_write(struct model *model, u32 session, const void *bytes, size_t count)
{
	return taken_back(model, mock_data_write(model->device, session, lend(model, (void *)bytes, count), count));
}

void model_close_data(struct model *model, u32 session)
{
	mock_data_close(model->device, session);
}

void model_gate_opened(struct model *model, unsigned int gate)
{
	mock_device_gate_opened(model->device, gate);
}

void model_hold(struct model *model, unsigned int gate, bool begins)
{
	mock_device_hold(model->device, gate, begins);
}

bool model_peer_entered(struct model *model, char *entered)
{
	char *state = strchr(entered, ' ');
	unsigned int number;

	if (!state)
		return false;
	*state++ = '\0';
	for (number = 0; number < VFIO_DEVICE_STATE_NR; number++) {
		if (strcmp(device_state_name(number), state))
			continue;
		mock_device_peer_entered(model->device, entered, number);
		return true;
	}
	return false;
}

size_t model_take_events(struct model *model, char *text, size_t room, u32 *lost)
{
	size_t length = min(room, model->events_length);

	memcpy(text, model->events, length);
	*lost = model->lost_events;
	model->events_length = 0;
	model->lost_events = 0;
	return length;
}

struct model_progress model_progress(const struct model *model)
{
	struct mock_progress now = mock_device_progress(model->device);

	return (struct model_progress){
		.state = now.state,
		.queries = now.queries,
		.drained_queries = now.drained_queries,
		.drains = now.drains,
		.bytes_read = now.bytes_read,
		.bytes_written = now.bytes_written,
		.initial_bytes = now.initial_bytes,
		.dirty_bytes = now.dirty_bytes,
	};
}

/* The model divides 128-bit numbers, for which gcc calls a function that the kernel has not. */
unsigned __int128 __udivti3(unsigned __int128 dividend, unsigned __int128 divisor);
unsigned __int128 __udivti3(unsigned __int128 dividend, unsigned __int128 divisor)
{
	unsigned __int128 quotient = 0, rest = 0;
	int bit;

	for (bit = 127; bit >= 0; bit--) {
		rest = rest << 1 | (dividend >> bit & 1);
		if (rest < divisor)
			continue;
		rest -= divisor;
		quotient |= (unsigned __int128)1 << bit;
	}
	return quotient;
}

/* gcc 12 names this one beside it, in a kernel that is optimised for size, and never calls it. */
__int128 __divti3(__int128 dividend, __int128 divisor);
__int128 __divti3(__int128 dividend, __int128 divisor)
{
	bool is_negative = (dividend < 0) != (divisor < 0);
	unsigned __int128 quotient =
		__udivti3(dividend < 0 ? -(unsigned __int128)dividend : dividend, divisor < 0 ? -(unsigned __int128)divisor : divisor);

	return is_negative ? -(__int128)quotient : (__int128)quotient;
}
