// SPDX-License-Identifier: GPL-2.0-only
/*
 * A programmable VFIO migration driver for the lab guest: mediated devices that follow a device script, as the mock does.
 *
 * The model is the mock's, compiled into this module (model.h); this file puts it behind the interfaces of the kernel: mediated devices,
 * migration and logging operations of the VFIO core, and data descriptors. The VFIO core itself, its states and its checks, is the
 * kernel's own, which is what the lab is for.
 *
 * Each mediated device has, in its sysfs folder:
 *   script    the device script (harness/vfio/include/device_script.h); writable while the device is closed. A refused script is EINVAL
 *   refusal   why the last script was refused
 *   defects   names of defects that are switched on (defects.c), "none" for none
 *   gate      a gate's name, written here, opens the gate: calls that it holds return
 *   progress  what has happened so far, as words and numbers; `held` calls wait at a gate now
 *   waits     1: calls take their time, and gates hold them. 0: calls return at once, and what they leave to wait for is in `events`
 *   peer      "NAME STATE", written here: another device has entered a state
 *   hold      "GATE 1" and "GATE 0", written here: the caller begins and ends to hold a call that the device, with waits 0, would hold
 *   events    read here: "cost NANOSECONDS gates BITS lost N" of the calls since the last read, the progress, and then their events, a line each
 */
#include <linux/anon_inodes.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/vfio.h>
#include <linux/wait.h>

#include "defects.h"
#include "model.h"

/* The most that one read or write moves, and the longest argument of an ioctl. */
enum { TRANSFER = SZ_1M, ARGUMENT = 256, REASON = 480 };

static const char default_script[] = "ackmatrix-device 1\n";

struct lab_device {
	struct vfio_device vdev;
	struct mutex lock; /* of everything below */
	struct model *model;
	char *script;
	char refusal[REASON];
	u64 defects;
	bool is_open, uses_info_v2, returns_at_once;
	/* What calls have left to wait for. */
	u64 left_cost;
	u32 left_gates;
	/* The session that is open, or 0; whether a reset ended the last one; whether the device was loaded and has not run since. */
	u32 session;
	bool was_reset, is_loaded, took_foreign;
	u64 reported_reinits, enomsgs;
	u32 last_flags;
	/* Gates that are open, a bit each; the waiters look without the lock. */
	u32 open_gates;
	u64 held;
	wait_queue_head_t changed;
};

/* What a data descriptor stands for. */
struct session {
	struct lab_device *device;
	u32 number;
	enum vfio_device_mig_state purpose;
};

static bool has_defect(const struct lab_device *device, enum defect defect)
{
	return device->defects >> defect & 1;
}

/*
 * Ends a call: lets the device take its time, and waits for the gates that hold the return. A signal that kills the caller ends the wait.
 * The lock is not held, so that other calls go on.
 */
static s64 end_call(struct lab_device *device, struct model_outcome outcome)
{
	bool returns_at_once;

	mutex_lock(&device->lock);
	returns_at_once = device->returns_at_once;
	device->left_cost += outcome.cost_ns;
	device->left_gates |= outcome.gates;
	mutex_unlock(&device->lock);
	if (returns_at_once)
		return outcome.result;
	if (outcome.cost_ns)
		fsleep(outcome.cost_ns / 1000);
	if (outcome.gates) {
		mutex_lock(&device->lock);
		device->held++;
		mutex_unlock(&device->lock);
		wait_event_killable(device->changed, !(outcome.gates & ~READ_ONCE(device->open_gates)));
		mutex_lock(&device->lock);
		device->held--;
		mutex_unlock(&device->lock);
	}
	return outcome.result;
}

/* --- Data descriptors --------------------------------------------------------------------------- */

static bool is_live(const struct session *session)
{
	return session->device->session == session->number;
}

static s64 defective_read(struct lab_device *device, const struct session *session, s64 result, void *bytes, size_t count)
{
	struct model_progress now = model_progress(device->model);

	if (result == -ENODEV && device->was_reset && has_defect(device, RESET_KEEPS_SESSION)) {
		memset(bytes, 0, count);
		return count;
	}
	if (result == -ENODEV && !device->was_reset && has_defect(device, READ_AFTER_END))
		return 0;
	if (result == -ENOMSG && has_defect(device, DRAINED_ZERO))
		return 0;
	if (result == 0 && now.state == VFIO_DEVICE_STATE_STOP_COPY && has_defect(device, STOP_COPY_ENOMSG))
		return -ENOMSG;
	if (result > 0 && device->is_loaded && has_defect(device, LOAD_CORRUPTS))
		((u8 *)bytes)[result - 1] ^= 0x80;
	return result;
}

static ssize_t data_read(struct file *file, char __user *buffer, size_t count, loff_t *position)
{
	struct session *session = file->private_data;
	struct lab_device *device = session->device;
	struct model_outcome outcome;
	void *bytes;
	s64 result;

	count = min_t(size_t, count, TRANSFER);
	bytes = kvmalloc(max_t(size_t, count, 1), GFP_KERNEL);
	if (!bytes)
		return -ENOMEM;
	mutex_lock(&device->lock);
	/* Data that is read is gone, so the memory is tried first. */
	if (fault_in_writeable(buffer, count) && !has_defect(device, READ_IGNORES_POINTER)) {
		outcome = (struct model_outcome){ .result = -EFAULT };
	} else {
		outcome = model_read(device->model, session->number, bytes, count);
		if (outcome.result == -ENOMSG)
			device->enomsgs++;
		outcome.result = defective_read(device, session, outcome.result, bytes, count);
	}
	mutex_unlock(&device->lock);
	result = end_call(device, outcome);
	if (result > 0 && copy_to_user(buffer, bytes, result) && !has_defect(device, READ_IGNORES_POINTER))
		result = -EFAULT;
	kvfree(bytes);
	return result;
}

static ssize_t data_write(struct file *file, const char __user *buffer, size_t count, loff_t *position)
{
	struct session *session = file->private_data;
	struct lab_device *device = session->device;
	struct model_outcome outcome;
	void *bytes;

	count = min_t(size_t, count, TRANSFER);
	bytes = kvmalloc(max_t(size_t, count, 1), GFP_KERNEL);
	if (!bytes)
		return -ENOMEM;
	if (copy_from_user(bytes, buffer, count)) {
		kvfree(bytes);
		return -EFAULT;
	}
	mutex_lock(&device->lock);
	if (has_defect(device, WRITE_WHOLE_ONLY) && count < 16) {
		outcome = (struct model_outcome){ .result = -EINVAL };
	} else {
		outcome = model_write(device->model, session->number, bytes, count);
		if (outcome.result == -ENODEV && has_defect(device, WRITE_AFTER_END))
			outcome.result = count;
		if (outcome.result == -EINVAL && has_defect(device, WRITE_TAKES_FOREIGN)) {
			device->took_foreign = true;
			outcome.result = count;
		}
	}
	mutex_unlock(&device->lock);
	kvfree(bytes);
	return end_call(device, outcome);
}

static void defective_info(struct lab_device *device, const struct vfio_precopy_info *asked, struct vfio_precopy_info *info)
{
	bool reinit = device->uses_info_v2 && info->flags & 1;

	if (reinit)
		device->reported_reinits++;
	if (has_defect(device, INFO_KEEPS_DIRTY))
		info->dirty_bytes = asked->dirty_bytes;
	if (has_defect(device, INFO_INITIAL_STAYS))
		info->initial_bytes = max_t(u64, info->initial_bytes, 16);
	if (has_defect(device, INFO_FLAGS_BEFORE_OPT_IN) && !device->uses_info_v2)
		info->flags = 1;
	if (has_defect(device, REINIT_REPEATED) && device->uses_info_v2) {
		device->last_flags |= info->flags;
		info->flags = device->last_flags;
	}
	if (has_defect(device, REINIT_KEEPS_DIRTY) && reinit)
		info->dirty_bytes += 4096;
}

static long data_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct session *session = file->private_data;
	struct lab_device *device = session->device;
	struct vfio_precopy_info asked, info;
	struct model_outcome outcome;
	s64 result;

	if (request != VFIO_MIG_GET_PRECOPY_INFO)
		return -ENOTTY;
	if (copy_from_user(&asked, (void __user *)argument, sizeof(asked)))
		return -EFAULT;
	mutex_lock(&device->lock);
#ifdef HAS_PRECOPY_INFO_V2
	if (device->vdev.precopy_info_v2 && !device->uses_info_v2) {
		model_use_info_v2(device->model);
		device->uses_info_v2 = true;
	}
#endif
	info = asked;
	if (has_defect(device, INFO_TAKES_SHORT_ARGSZ))
		info.argsz = sizeof(info);
	outcome = model_precopy_info(device->model, session->number, &info, sizeof(info));
	if (outcome.result == -EINVAL && is_live(session) && info.argsz >= sizeof(info) && has_defect(device, INFO_OUTSIDE_PRECOPY)) {
		info.initial_bytes = info.dirty_bytes = 0;
		outcome.result = 0;
	}
	if (outcome.result == 0)
		defective_info(device, &asked, &info);
	mutex_unlock(&device->lock);
	result = end_call(device, outcome);
	if (result == 0 && copy_to_user((void __user *)argument, &info, sizeof(info)))
		result = -EFAULT;
	return result;
}

/* Readable: there is data, or its end, or an error to be read. */
static __poll_t data_poll(struct file *file, poll_table *table)
{
	struct session *session = file->private_data;
	struct lab_device *device = session->device;
	struct model_progress now;
	bool readable;

	poll_wait(file, &device->changed, table);
	mutex_lock(&device->lock);
	now = model_progress(device->model);
	readable = !is_live(session) || now.state == VFIO_DEVICE_STATE_STOP_COPY || now.initial_bytes || now.dirty_bytes;
	readable = readable && !has_defect(device, POLL_NEVER);
	mutex_unlock(&device->lock);
	if (session->purpose == VFIO_DEVICE_STATE_RESUMING)
		return EPOLLOUT | EPOLLWRNORM;
	return readable ? EPOLLIN | EPOLLRDNORM : 0;
}

static loff_t data_seek(struct file *file, loff_t offset, int whence)
{
	/* A stream has no FMODE_LSEEK, so this is called with the defect alone. */
	return 0;
}

static int data_release(struct inode *inode, struct file *file)
{
	struct session *session = file->private_data;
	struct lab_device *device = session->device;

	mutex_lock(&device->lock);
	model_close_data(device->model, session->number);
	mutex_unlock(&device->lock);
	put_device(&device->vdev.device);
	kfree(session);
	return 0;
}

static const struct file_operations data_operations = {
	.owner = THIS_MODULE,
	.read = data_read,
	.write = data_write,
	.unlocked_ioctl = data_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = data_poll,
	.llseek = data_seek,
	.release = data_release,
};

/* The file of a session; the device lives as long as it. */
static struct file *open_session(struct lab_device *device, u32 number, enum vfio_device_mig_state purpose)
{
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL);
	struct file *file;

	if (!session)
		return ERR_PTR(-ENOMEM);
	session->device = device;
	session->number = number;
	session->purpose = purpose;
	file = anon_inode_getfile("ackmatrix-data", &data_operations, session, purpose == VFIO_DEVICE_STATE_RESUMING ? O_WRONLY : O_RDONLY);
	if (IS_ERR(file)) {
		kfree(session);
		return file;
	}
	stream_open(file->f_inode, file);
	if (has_defect(device, SEEKABLE))
		file->f_mode |= FMODE_LSEEK;
	get_device(&device->vdev.device);
	return file;
}

/* --- Migration and logging operations of the VFIO core -------------------------------------------- */

static struct lab_device *lab_device(struct vfio_device *vdev)
{
	return container_of(vdev, struct lab_device, vdev);
}

static void reset_model(struct lab_device *device)
{
	struct model_progress now = model_progress(device->model);

	if (now.state == VFIO_DEVICE_STATE_STOP_COPY && has_defect(device, RESET_KEEPS_STATE))
		return;
	model_ioctl(device->model, VFIO_DEVICE_RESET, NULL, 0);
	device->session = 0;
	device->was_reset = true;
	wake_up_all(&device->changed);
}

/* Takes one arc; *session is the number of the session that it opens, or 0. The lock is held. */
static struct model_outcome take_arc(struct lab_device *device, enum vfio_device_mig_state from, enum vfio_device_mig_state to, u32 *session)
{
	bool saving = to == VFIO_DEVICE_STATE_PRE_COPY || to == VFIO_DEVICE_STATE_PRE_COPY_P2P || to == VFIO_DEVICE_STATE_STOP_COPY;
	struct model_outcome outcome = model_set_state(device->model, to, session);

	if (outcome.result == -EINVAL && from == VFIO_DEVICE_STATE_RESUMING &&
	    (has_defect(device, RESUME_TAKES_TRUNCATED) || device->took_foreign)) {
		model_ioctl(device->model, VFIO_DEVICE_RESET, NULL, 0);
		outcome = model_set_state(device->model, to, session);
	}
	if (outcome.result)
		return outcome;
	if (from == VFIO_DEVICE_STATE_RESUMING)
		device->is_loaded = true;
	if (to == VFIO_DEVICE_STATE_RUNNING || to == VFIO_DEVICE_STATE_RUNNING_P2P)
		device->is_loaded = false;
	if (*session) {
		device->session = *session;
		device->last_flags = 0;
	} else if (!saving) {
		device->session = 0;
	}
	if (!*session && to == VFIO_DEVICE_STATE_STOP_COPY && has_defect(device, SECOND_DESCRIPTOR))
		*session = device->session;
	device->was_reset = device->took_foreign = false;
	return outcome;
}

/* Goes to a state by the arcs of the core's table. At most the last one opens a session: no way leads through a state with data. */
static struct file *set_state(struct vfio_device *vdev, enum vfio_device_mig_state state)
{
	struct lab_device *device = lab_device(vdev);
	struct model_outcome outcome = { 0 }, arc;
	enum vfio_device_mig_state from, to;
	struct file *file = NULL;
	u32 session = 0;
	s64 result;

	mutex_lock(&device->lock);
	while (outcome.result == 0 && (from = model_progress(device->model).state) != state) {
		outcome.result = vfio_mig_get_next_state(vdev, from, state, &to);
		if (outcome.result)
			break;
		arc = take_arc(device, from, to, &session);
		outcome.result = arc.result;
		outcome.cost_ns += arc.cost_ns;
		outcome.gates |= arc.gates;
		/* A rule of the script may have put the device elsewhere. */
		if (outcome.result == 0 && model_progress(device->model).state != to)
			outcome.result = to == state ? 0 : -EIO;
		if (to == state)
			break;
	}
	mutex_unlock(&device->lock);
	wake_up_all(&device->changed);
	if (outcome.result == 0 && session)
		file = open_session(device, session, state);
	result = end_call(device, outcome);
	if (result < 0 && !IS_ERR_OR_NULL(file))
		fput(file);
	return result < 0 ? ERR_PTR(result) : file;
}

static int get_state(struct vfio_device *vdev, enum vfio_device_mig_state *state)
{
	struct lab_device *device = lab_device(vdev);

	mutex_lock(&device->lock);
	*state = model_progress(device->model).state;
	if (*state == VFIO_DEVICE_STATE_PRE_COPY_P2P && has_defect(device, STATE_IS_STALE))
		*state = VFIO_DEVICE_STATE_PRE_COPY;
	mutex_unlock(&device->lock);
	return 0;
}

static int get_data_size(struct vfio_device *vdev, unsigned long *size)
{
	struct lab_device *device = lab_device(vdev);
	struct model_outcome outcome;
	u64 bytes = 0;
	u32 state;

	mutex_lock(&device->lock);
	state = model_progress(device->model).state;
	outcome = model_data_size(device->model, &bytes);
	if (state == VFIO_DEVICE_STATE_STOP_COPY && has_defect(device, SIZE_ZERO))
		bytes = 0;
	if (state == VFIO_DEVICE_STATE_RUNNING && has_defect(device, SIZE_NOT_IN_RUNNING))
		outcome.result = -EINVAL;
	mutex_unlock(&device->lock);
	*size = bytes;
	return end_call(device, outcome);
}

static const struct vfio_migration_ops migration_operations = {
	.migration_set_state = set_state,
	.migration_get_state = get_state,
	.migration_get_data_size = get_data_size,
};

static int log_start(struct vfio_device *vdev, struct rb_root_cached *ranges, u32 count, u64 *page_size)
{
	struct lab_device *device = lab_device(vdev);
	struct model_outcome outcome;

	mutex_lock(&device->lock);
	if (has_defect(device, LOGGING_TWICE))
		model_stop_logging(device->model);
	outcome = model_start_logging(device->model, *page_size);
	mutex_unlock(&device->lock);
	return end_call(device, outcome);
}

static int log_stop(struct vfio_device *vdev)
{
	struct lab_device *device = lab_device(vdev);
	struct model_outcome outcome;

	mutex_lock(&device->lock);
	outcome = model_stop_logging(device->model);
	mutex_unlock(&device->lock);
	return end_call(device, outcome);
}

/* The device writes no guest memory. */
static int log_read_and_clear(struct vfio_device *vdev, unsigned long iova, unsigned long length, struct iova_bitmap *dirty)
{
	struct lab_device *device = lab_device(vdev);
	bool is_logging;

	mutex_lock(&device->lock);
	is_logging = model_is_logging(device->model);
	mutex_unlock(&device->lock);
	return is_logging ? 0 : -EINVAL;
}

static const struct vfio_log_ops log_operations = {
	.log_start = log_start,
	.log_stop = log_stop,
	.log_read_and_clear = log_read_and_clear,
};

/* --- Device operations of the VFIO core ------------------------------------------------------------- */

static int open_device(struct vfio_device *vdev)
{
	struct lab_device *device = lab_device(vdev);

	mutex_lock(&device->lock);
	device->is_open = true;
	model_open(device->model);
	mutex_unlock(&device->lock);
	return 0;
}

/* The next user finds the device as a reset leaves it. */
static void close_device(struct vfio_device *vdev)
{
	struct lab_device *device = lab_device(vdev);

	mutex_lock(&device->lock);
	if (!has_defect(device, CLOSE_KEEPS_STATE))
		reset_model(device);
	model_close(device->model);
	device->is_open = device->uses_info_v2 = device->is_loaded = device->took_foreign = false;
	mutex_unlock(&device->lock);
}

/* The longest region has a page, which QEMU reads at once and wants as a whole. */
static ssize_t access_device(struct lab_device *device, char __user *to, const char __user *from, size_t count, loff_t *position)
{
	struct model_outcome outcome;
	s64 result = -EFAULT;
	void *bytes;

	count = min_t(size_t, count, PAGE_SIZE);
	bytes = kzalloc(max_t(size_t, count, 1), GFP_KERNEL);
	if (!bytes)
		return -ENOMEM;
	if (from && copy_from_user(bytes, from, count))
		goto out;
	mutex_lock(&device->lock);
	outcome = model_access(device->model, bytes, count, *position, from);
	mutex_unlock(&device->lock);
	result = end_call(device, outcome);
	if (result > 0 && to && copy_to_user(to, bytes, result))
		result = -EFAULT;
	if (result > 0)
		*position += result;
out:
	kfree(bytes);
	return result;
}

static ssize_t read_device(struct vfio_device *vdev, char __user *buffer, size_t count, loff_t *position)
{
	return access_device(lab_device(vdev), buffer, NULL, count, position);
}

static ssize_t write_device(struct vfio_device *vdev, const char __user *buffer, size_t count, loff_t *position)
{
	return access_device(lab_device(vdev), NULL, buffer, count, position);
}

static long device_ioctl(struct vfio_device *vdev, unsigned int request, unsigned long argument)
{
	struct lab_device *device = lab_device(vdev);
	void __user *user = (void __user *)argument;
	u8 bytes[ARGUMENT] = { 0 };
	struct model_outcome outcome;
	u32 size = 0;
	s64 result;

	switch (request) {
	case VFIO_DEVICE_RESET:
		mutex_lock(&device->lock);
		reset_model(device);
		mutex_unlock(&device->lock);
		return 0;
	case VFIO_DEVICE_GET_INFO:
	case VFIO_DEVICE_GET_REGION_INFO:
	case VFIO_DEVICE_GET_IRQ_INFO:
	case VFIO_DEVICE_SET_IRQS:
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		break;
	default:
		return -ENOTTY;
	}
	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	size = min_t(u32, size, sizeof(bytes));
	if (size < sizeof(size))
		return -EINVAL;
	if (copy_from_user(bytes, user, size))
		return -EFAULT;
	mutex_lock(&device->lock);
	outcome = model_ioctl(device->model, request, bytes, size);
	mutex_unlock(&device->lock);
	result = end_call(device, outcome);
	if (result >= 0 && copy_to_user(user, bytes, size))
		return -EFAULT;
	return result;
}

#ifdef HAS_REGION_INFO_CAPS
static int region_info(struct vfio_device *vdev, struct vfio_region_info *info, struct vfio_info_cap *caps)
{
	struct lab_device *device = lab_device(vdev);
	struct model_outcome outcome;

	mutex_lock(&device->lock);
	outcome = model_ioctl(device->model, VFIO_DEVICE_GET_REGION_INFO, info, sizeof(*info));
	mutex_unlock(&device->lock);
	return end_call(device, outcome);
}
#endif

static int init_device(struct vfio_device *vdev)
{
	struct lab_device *device = lab_device(vdev);

	mutex_init(&device->lock);
	init_waitqueue_head(&device->changed);
	return 0;
}

static void release_device(struct vfio_device *vdev)
{
	struct lab_device *device = lab_device(vdev);

	if (device->model)
		model_destroy(device->model);
	kfree(device->script);
}

static const struct vfio_device_ops device_operations = {
	.name = "ackmatrix_mdev",
	.init = init_device,
	.release = release_device,
	.open_device = open_device,
	.close_device = close_device,
	.read = read_device,
	.write = write_device,
	.ioctl = device_ioctl,
#ifdef HAS_REGION_INFO_CAPS
	.get_region_info_caps = region_info,
#endif
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
};

/* --- Knobs ------------------------------------------------------------------------------------------ */

/* Makes the device follow a script; it must be closed. */
static int follow(struct lab_device *device, const char *text, size_t length)
{
	char *script = kmemdup_nul(text, length, GFP_KERNEL);
	struct model *model;

	if (!script)
		return -ENOMEM;
	model = model_create(dev_name(device->vdev.dev), text, length, device->refusal, sizeof(device->refusal));
	if (!model) {
		kfree(script);
		return -EINVAL;
	}
	if (device->model)
		model_destroy(device->model);
	kfree(device->script);
	device->model = model;
	device->script = script;
	device->refusal[0] = '\0';
	device->open_gates = 0;
	device->reported_reinits = device->enomsgs = 0;
	device->vdev.migration_flags = model_migration_flags(model);
	device->vdev.log_ops = model_has_dirty_tracking(model) ? &log_operations : NULL;
	return 0;
}

static struct lab_device *of(struct device *dev)
{
	return dev_get_drvdata(dev);
}

static ssize_t script_show(struct device *dev, struct device_attribute *attribute, char *text)
{
	struct lab_device *device = of(dev);
	ssize_t length;

	mutex_lock(&device->lock);
	length = sysfs_emit(text, "%s", device->script);
	mutex_unlock(&device->lock);
	return length;
}

static ssize_t script_store(struct device *dev, struct device_attribute *attribute, const char *text, size_t count)
{
	struct lab_device *device = of(dev);
	int error;

	mutex_lock(&device->lock);
	error = device->is_open ? -EBUSY : follow(device, text, count);
	mutex_unlock(&device->lock);
	return error ?: count;
}
static DEVICE_ATTR_RW(script);

static ssize_t refusal_show(struct device *dev, struct device_attribute *attribute, char *text)
{
	struct lab_device *device = of(dev);
	ssize_t length;

	mutex_lock(&device->lock);
	length = sysfs_emit(text, "%s\n", device->refusal);
	mutex_unlock(&device->lock);
	return length;
}
static DEVICE_ATTR_RO(refusal);

static ssize_t defects_show(struct device *dev, struct device_attribute *attribute, char *text)
{
	struct lab_device *device = of(dev);
	u64 defects;

	mutex_lock(&device->lock);
	defects = device->defects;
	mutex_unlock(&device->lock);
	return defects ? (ssize_t)defects_text(defects, text, PAGE_SIZE) : sysfs_emit(text, "none\n");
}

static ssize_t defects_store(struct device *dev, struct device_attribute *attribute, const char *text, size_t count)
{
	struct lab_device *device = of(dev);
	u64 defects;
	int error = defects_parse(text, &defects);

	if (error)
		return error;
	mutex_lock(&device->lock);
	device->defects = defects;
	mutex_unlock(&device->lock);
	return count;
}
static DEVICE_ATTR_RW(defects);

static ssize_t gate_store(struct device *dev, struct device_attribute *attribute, const char *text, size_t count)
{
	struct lab_device *device = of(dev);
	char *name = kmemdup_nul(text, count, GFP_KERNEL);
	int gate;

	if (!name)
		return -ENOMEM;
	mutex_lock(&device->lock);
	gate = model_gate(device->model, strim(name));
	if (gate >= 0) {
		WRITE_ONCE(device->open_gates, device->open_gates | 1U << gate);
		model_gate_opened(device->model, gate);
	}
	mutex_unlock(&device->lock);
	kfree(name);
	wake_up_all(&device->changed);
	return gate < 0 ? -ENOENT : count;
}
static DEVICE_ATTR_WO(gate);

static ssize_t progress_show(struct device *dev, struct device_attribute *attribute, char *text)
{
	struct lab_device *device = of(dev);
	struct model_progress now;
	ssize_t length;

	mutex_lock(&device->lock);
	now = model_progress(device->model);
	length = sysfs_emit(text, "state %u queries %llu drained %llu drains %llu read %llu written %llu reinits %llu enomsgs %llu held %llu v2 %d\n",
			    now.state, now.queries, now.drained_queries, now.drains, now.bytes_read, now.bytes_written, device->reported_reinits,
			    device->enomsgs, device->held, device->uses_info_v2);
	mutex_unlock(&device->lock);
	return length;
}
static DEVICE_ATTR_RO(progress);

static ssize_t waits_store(struct device *dev, struct device_attribute *attribute, const char *text, size_t count)
{
	struct lab_device *device = of(dev);
	bool waits;
	int error = kstrtobool(text, &waits);

	if (error)
		return error;
	mutex_lock(&device->lock);
	device->returns_at_once = !waits;
	mutex_unlock(&device->lock);
	return count;
}
static DEVICE_ATTR_WO(waits);

static ssize_t peer_store(struct device *dev, struct device_attribute *attribute, const char *text, size_t count)
{
	struct lab_device *device = of(dev);
	char *entered = kmemdup_nul(text, count, GFP_KERNEL);
	bool is_known;

	if (!entered)
		return -ENOMEM;
	mutex_lock(&device->lock);
	is_known = model_peer_entered(device->model, strim(entered));
	mutex_unlock(&device->lock);
	kfree(entered);
	return is_known ? count : -EINVAL;
}
static DEVICE_ATTR_WO(peer);

static ssize_t hold_store(struct device *dev, struct device_attribute *attribute, const char *text, size_t count)
{
	struct lab_device *device = of(dev);
	char name[64];
	int gate, begins;

	if (sscanf(text, "%63s %d", name, &begins) != 2)
		return -EINVAL;
	mutex_lock(&device->lock);
	gate = model_gate(device->model, name);
	if (gate >= 0)
		model_hold(device->model, gate, begins);
	mutex_unlock(&device->lock);
	return gate < 0 ? -ENOENT : count;
}
static DEVICE_ATTR_WO(hold);

static ssize_t events_show(struct device *dev, struct device_attribute *attribute, char *text)
{
	enum { HEAD = 256 };
	struct lab_device *device = of(dev);
	struct model_progress now;
	size_t events, head;
	u32 lost;

	mutex_lock(&device->lock);
	now = model_progress(device->model);
	/* The head is written last, since it tells of what had no room. */
	events = model_take_events(device->model, text + HEAD, PAGE_SIZE - HEAD, &lost);
	head = scnprintf(text, HEAD, "cost %llu gates %u lost %u state %u queries %llu drained %llu drains %llu read %llu written %llu\n",
			 device->left_cost, device->left_gates, lost, now.state, now.queries, now.drained_queries, now.drains,
			 now.bytes_read, now.bytes_written);
	device->left_cost = 0;
	device->left_gates = 0;
	mutex_unlock(&device->lock);
	memmove(text + head, text + HEAD, events);
	return head + events;
}
static DEVICE_ATTR_RO(events);

static struct attribute *knobs_attrs[] = {
	&dev_attr_script.attr, &dev_attr_refusal.attr, &dev_attr_defects.attr, &dev_attr_gate.attr, &dev_attr_progress.attr,
	&dev_attr_waits.attr, &dev_attr_peer.attr, &dev_attr_hold.attr, &dev_attr_events.attr, NULL,
};
ATTRIBUTE_GROUPS(knobs);

/* --- Mediated devices --------------------------------------------------------------------------------- */

static int probe(struct mdev_device *mdev)
{
	struct lab_device *device = vfio_alloc_device(lab_device, vdev, &mdev->dev, &device_operations);
	int error;

	if (IS_ERR(device))
		return PTR_ERR(device);
	device->vdev.mig_ops = &migration_operations;
	error = follow(device, default_script, sizeof(default_script) - 1);
	if (error)
		goto put;
	dev_set_drvdata(&mdev->dev, device);
	error = vfio_register_emulated_iommu_dev(&device->vdev);
	if (error)
		goto put;
	return 0;
put:
	vfio_put_device(&device->vdev);
	return error;
}

/* No call may stay held, or the device would never be closed. */
static void remove(struct mdev_device *mdev)
{
	struct lab_device *device = of(&mdev->dev);

	WRITE_ONCE(device->open_gates, ~0U);
	wake_up_all(&device->changed);
	vfio_unregister_group_dev(&device->vdev);
	vfio_put_device(&device->vdev);
}

static struct mdev_driver mdev_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.max_instances = 64,
	.probe = probe,
	.remove = remove,
	.driver = {
		.name = "ackmatrix_mdev",
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
		.dev_groups = knobs_groups,
	},
};

static struct mdev_type type = { .sysfs_name = "scripted", .pretty_name = "follows a device script" };
static struct mdev_type *types[] = { &type };
static struct mdev_parent parent;
static struct class *class;
static struct device *root;

static int __init start(void)
{
	int error = mdev_register_driver(&mdev_driver);

	if (error)
		return error;
	/* The class names the type: ackmatrix-scripted. */
	class = class_create("ackmatrix");
	if (IS_ERR(class)) {
		error = PTR_ERR(class);
		goto driver;
	}
	root = device_create(class, NULL, MKDEV(0, 0), NULL, "ackmatrix");
	if (IS_ERR(root)) {
		error = PTR_ERR(root);
		goto class;
	}
	error = mdev_register_parent(&parent, root, &mdev_driver, types, ARRAY_SIZE(types));
	if (!error)
		return 0;
	device_unregister(root);
class:
	class_destroy(class);
driver:
	mdev_unregister_driver(&mdev_driver);
	return error;
}

static void __exit stop(void)
{
	mdev_unregister_parent(&parent);
	device_unregister(root);
	class_destroy(class);
	mdev_unregister_driver(&mdev_driver);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("VFIO migration device that follows an ackmatrix device script");
