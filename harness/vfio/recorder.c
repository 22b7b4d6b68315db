/*
 * The recorder: a preload library that passes every call on, and writes down those on descriptors of VFIO and iommufd.
 *
 * It knows a descriptor by the path that it was opened with, by the call that made it, or, for one that the process was given, by what
 * the first VFIO request on it finds behind /proc/self/fd. Every other call costs the look into one table. The calls below are those of
 * the next library (the preload shim among them), or of libc.
 *
 * With ACKMATRIX_RECORDING=FOLDER in the environment a process that makes a VFIO call writes
 *   PID.calls      one line per call, when it has returned: `TID#SEQ@SEC.NSEC+SEC.NSEC:EVENT TEXT`, as the shim's device.log. The file is
 *                  mapped, so what was written is in it whatever ends the process: whole lines, the last one perhaps cut, then NULs
 *   PID.command    its command line, as the kernel shows it
 *   PID.NAME.N.read, PID.NAME.N.write
 *                  with ACKMATRIX_RECORDING_CONTENTS=1, the bytes that went through the N-th data session of the device, in order
 * The events are the recorded_* of harness/events/trace-events. If a file cannot be written, recording ends, and the process goes on.
 */
#include "recorder.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_script.h"
#include "system_calls.h"
#include "xxh3.h"

#define EXPORT __attribute__((visibility("default")))

enum {
    MAX_DESCRIPTORS = 64 * 1024,
    MAX_PATH = 512,
    MAX_NAME = 64,
    MAX_ARGUMENT = 256, /* bytes of an argument that a line keeps */
    MAX_LINE = 4 * MAX_ARGUMENT + MAX_PATH + 512,
    MOST_FILES = 100, /* of one process id: a process that executes another program keeps its id */
    SHORT_LINE = MAX_NAME + 256,
    WINDOW = 1 << 20, /* of the file that is mapped at a time, some 8000 lines */
};

enum kind { IOMMUFD, CONTAINER, GROUP, DEVICE, DATA };
static const char *const kind_names[] = { "iommufd", "container", "group", "device", "data" };

/* A descriptor of interest. It is never freed, since another thread may be in a call on it while it is closed. */
struct descriptor {
    struct descriptor *made_before;
    enum kind kind;
    char name[MAX_NAME]; /* of the device, or the kind */
    uint32_t sessions;   /* of a device: the data sessions that it has opened */
    int read, written;   /* of a data session: the files of its contents, or -1; never closed, for the same reason */
};

static _Atomic(struct descriptor *) descriptors[MAX_DESCRIPTORS];
static _Atomic(struct descriptor *) last_made;
static struct recorded_calls below;

static struct {
    atomic_bool on;
    bool contents;
    char folder[MAX_PATH];
    pthread_mutex_t lock; /* guards what follows, and the order of the lines in the file */
    int file;             /* -1 before the first call */
    int process;
    char *window;
    uint64_t begins;      /* where in the file the window begins */
    size_t used;          /* bytes of the window */
    uint64_t sequence, calls;
} recording = { .lock = PTHREAD_MUTEX_INITIALIZER, .file = -1 };

static struct descriptor *lookup(int fd) {
    return fd >= 0 && fd < MAX_DESCRIPTORS ? atomic_load_explicit(&descriptors[fd], memory_order_acquire) : NULL;
}

/* ---- the file ---- */

static void give_up(const char *what, int error) {
    char text[MAX_PATH + 128];
    int length = snprintf(text, sizeof text, "ackmatrix-recorder: %s: %s; nothing more is recorded, and the process goes on\n", what, strerror(error));
    atomic_store(&recording.on, false);
    sys_write(2, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

static bool write_whole(int fd, const void *bytes, size_t length) {
    for (const char *rest = bytes; length > 0;) {
        int64_t written = sys_write(fd, rest, length);
        if (written == -EINTR)
            continue;
        if (written <= 0) {
            give_up("the recording cannot be written", written < 0 ? (int)-written : EIO);
            return false;
        }
        rest += written;
        length -= (size_t)written;
    }
    return true;
}

/* Opens a new file of the recording; -1, and nothing more is recorded, if that fails. */
static int new_file(const char *name) {
    char path[2 * MAX_PATH];
    snprintf(path, sizeof path, "%s/%s", recording.folder, name);
    int fd = sys_open(path, O_RDWR | O_CREAT | O_EXCL, 0644);
    if (fd < 0 && fd != -EEXIST)
        give_up(path, -fd);
    return fd;
}

static void keep_command(const char *name) {
    int from = sys_open("/proc/self/cmdline", O_RDONLY, 0), to = from < 0 ? -1 : new_file(name);
    char bytes[4096];
    for (int64_t got; to >= 0 && (got = sys_read(from, bytes, sizeof bytes)) != 0;)
        if (got != -EINTR && (got < 0 || !write_whole(to, bytes, (size_t)got)))
            break;
    if (from >= 0)
        sys_close(from);
    if (to >= 0)
        sys_close(to);
}

/* ---- texts: a line costs less than the call that it is about ---- */

struct text {
    char *at, *end;
};

static void put(struct text *text, const char *plain) {
    while (*plain && text->at < text->end) *text->at++ = *plain++;
}

static void put_number(struct text *text, uint64_t value, unsigned radix, unsigned width) {
    char digits[64], *first = digits + sizeof digits;
    do {
        *--first = "0123456789abcdef"[value % radix];
        value /= radix;
    } while (value > 0 || (size_t)(digits + sizeof digits - first) < width);
    while (first < digits + sizeof digits && text->at < text->end) *text->at++ = *first++;
}

static void put_unsigned(struct text *text, const char *before, uint64_t value) {
    put(text, before);
    put_number(text, value, 10, 1);
}

static void put_signed(struct text *text, const char *before, int64_t value) {
    put(text, before);
    if (value < 0)
        put(text, "-");
    put_number(text, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, 1);
}

static void put_hex(struct text *text, const char *before, uint64_t value) {
    put(text, before);
    put_number(text, value, 16, 1);
}

static void put_time(struct text *text, const char *before, uint64_t ns) {
    put_unsigned(text, before, ns / 1000000000u);
    put(text, ".");
    put_number(text, ns % 1000000000u, 10, 9);
}

/* ` (NAME)`, which begins every event of a device. */
static void put_device(struct text *text, const char *event, const char *name) {
    put(text, event);
    put(text, "  (");
    put(text, name);
    put(text, ")");
}

/* Maps the next part of the file. */
static bool next_window(void) {
    int error = 0;
    uint64_t begins = recording.window ? recording.begins + recording.used : 0, page = begins / 4096 * 4096;
    if (recording.window)
        sys_unmap(recording.window, WINDOW);
    recording.window = NULL;
    int result = sys_allocate(recording.file, page, WINDOW);
    if (result == -EOPNOTSUPP)
        result = sys_truncate(recording.file, page + WINDOW); /* a file system that cannot promise the room */
    char *window = result < 0 ? NULL : sys_map_at(recording.file, WINDOW, page, &error);
    if (!window) {
        give_up("the recording cannot be written", result < 0 ? -result : error);
        return false;
    }
    recording.window = window;
    recording.begins = page;
    recording.used = (size_t)(begins - page);
    return true;
}

/* One line, in the lock: stamps do not decrease, and numbers have no gap. */
static void append(const char *event, size_t length) {
    static _Thread_local int thread;
    enum { STAMP = 128 };
    if (thread == 0)
        thread = sys_thread_id();
    if (length > MAX_LINE)
        length = MAX_LINE;
    if ((!recording.window || recording.used + STAMP + length > WINDOW) && !next_window())
        return;
    char *start = recording.window + recording.used;
    struct text text = { start, start + STAMP };
    put_unsigned(&text, "", (uint64_t)thread);
    put_unsigned(&text, "#", ++recording.sequence);
    put_time(&text, "@", sys_realtime_ns());
    put_time(&text, "+", sys_monotonic_ns());
    put(&text, ":");
    memcpy(text.at, event, length);
    text.at[length] = '\n';
    recording.used += (size_t)(text.at + length + 1 - start);
}

/* The process has made its first VFIO call. */
static void begin_file(void) {
    char name[MAX_NAME], text[MAX_NAME];
    recording.process = sys_process_id();
    for (int number = 1; recording.file < 0 && number <= MOST_FILES && recording.on; number++) {
        snprintf(name, sizeof name, number == 1 ? "%d.calls" : "%d.%d.calls", recording.process, number);
        recording.file = new_file(name);
    }
    if (recording.file < 0) {
        if (recording.on)
            give_up(recording.folder, EEXIST);
        return;
    }
    strcpy(strrchr(name, '.'), ".command");
    keep_command(name);
    append(text, (size_t)snprintf(text, sizeof text, "recorded_begin process %d, contents %d", recording.process, recording.contents));
}

static void record_text(const char *event, size_t length) {
    pthread_mutex_lock(&recording.lock);
    if (recording.on && recording.file < 0)
        begin_file();
    if (recording.on) {
        append(event, length);
        recording.calls++;
    }
    pthread_mutex_unlock(&recording.lock);
}

__attribute__((format(printf, 1, 2))) static void record(const char *format, ...) {
    char event[MAX_LINE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(event, sizeof event, format, arguments);
    va_end(arguments);
    record_text(event, (size_t)length < sizeof event ? (size_t)length : sizeof event - 1);
}

/* ---- descriptors ---- */

/* What a name in an event may hold: a parenthesis or a blank would end it. */
static void set_name(struct descriptor *descriptor, const char *name) {
    size_t length = 0;
    for (; name[length] && length + 1 < MAX_NAME; length++) {
        char c = name[length];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("._-:", c);
        descriptor->name[length] = plain ? c : '_';
    }
    descriptor->name[length] = 0;
}

static struct descriptor *make(enum kind kind, const char *name) {
    struct descriptor *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    *made = (struct descriptor){ .kind = kind, .read = -1, .written = -1 };
    set_name(made, name);
    made->made_before = atomic_exchange(&last_made, made);
    return made;
}

static void know(int fd, struct descriptor *descriptor) {
    if (fd >= 0 && fd < MAX_DESCRIPTORS)
        atomic_store_explicit(&descriptors[fd], descriptor, memory_order_release);
    else if (fd >= MAX_DESCRIPTORS)
        give_up("a descriptor number is too large", EMFILE);
}

/* The kind of a path, of a file that was opened or of what /proc/self/fd tells; -1 if it has nothing to do with VFIO. */
static int kind_of_path(const char *path) {
    static const struct { const char *start; enum kind kind; } starts[] = {
        { "/dev/iommu", IOMMUFD }, { "/dev/vfio/vfio", CONTAINER }, { "/dev/vfio/devices/", DEVICE }, { "/dev/vfio/", GROUP },
        { "anon_inode:[vfio-device]", DEVICE }, { "/memfd:ackmatrix-iommufd", IOMMUFD }, { "/memfd:ackmatrix-device", DEVICE },
        { "/memfd:ackmatrix-data", DATA },
    };
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(path, starts[i].start, strlen(starts[i].start)) == 0)
            return (int)starts[i].kind;
    return -1;
}

/* The kind of a descriptor by the first request on it, where its path tells nothing. */
static enum kind kind_of_request(unsigned long request) {
    if (request >= IOMMU_DESTROY)
        return IOMMUFD;
    if (request == VFIO_MIG_GET_PRECOPY_INFO)
        return DATA;
    return request <= VFIO_SET_IOMMU ? CONTAINER : request <= VFIO_GROUP_GET_DEVICE_FD ? GROUP : DEVICE;
}

/* A descriptor that the process was given: a VFIO request is the first that is seen of it. */
static struct descriptor *find(int fd, unsigned long request) {
    if ((request >> 8) != VFIO_TYPE || fd < 0 || fd >= MAX_DESCRIPTORS)
        return NULL;
    char link[64], path[MAX_PATH], name[MAX_NAME];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int64_t length = sys_read_link(link, path, sizeof path - 1);
    if (length < 0)
        return NULL; /* not open: the call will say so */
    path[length] = 0;
    int kind = kind_of_path(path);
    if (kind < 0)
        kind = (int)kind_of_request(request);
    snprintf(name, sizeof name, "fd%d", fd);
    struct descriptor *found = make((enum kind)kind, name), *none = NULL;
    /* Of two threads that find the same descriptor, one has found it. */
    if (found && atomic_compare_exchange_strong(&descriptors[fd], &none, found))
        record("recorded_open  (%s) %s ret %d, found 1, took 0 ns, path %s", found->name, kind_names[kind], fd, path);
    return lookup(fd);
}

static void opened(const char *path, int fd, int error, uint64_t took) {
    int kind = path ? kind_of_path(path) : -1;
    if (kind < 0)
        return;
    const char *slash = strrchr(path, '/');
    struct descriptor unknown = { .kind = (enum kind)kind }, *made = fd < 0 ? &unknown : make((enum kind)kind, slash ? slash + 1 : path);
    if (!made)
        return;
    if (fd < 0)
        set_name(made, slash ? slash + 1 : path);
    else
        know(fd, made);
    record("recorded_open  (%s) %s ret %d, found 0, took %llu ns, path %.256s", made->name, kind_names[kind], fd < 0 ? -error : fd,
        (unsigned long long)took, path);
}

/* The file of what is read from, or written to, a data session. */
static int contents_file(const struct descriptor *session, uint32_t number, const char *direction) {
    char name[2 * MAX_NAME];
    if (!recording.contents || !recording.on)
        return -1;
    snprintf(name, sizeof name, "%d.%s.%u.%s", sys_process_id(), session->name, number, direction);
    return new_file(name);
}

static void begin_session(struct descriptor *device, int fd, bool saves) {
    struct descriptor *session = make(DATA, device->name);
    if (!session)
        return;
    uint32_t number = ++device->sessions;
    *(saves ? &session->read : &session->written) = contents_file(session, number, saves ? "read" : "write");
    know(fd, session);
}

/* ---- requests ---- */

#define NAMED(request) { request, #request }
static const struct { unsigned long request; const char *name; } request_names[] = {
    NAMED(VFIO_GET_API_VERSION), NAMED(VFIO_CHECK_EXTENSION), NAMED(VFIO_SET_IOMMU), NAMED(VFIO_GROUP_GET_STATUS),
    NAMED(VFIO_GROUP_SET_CONTAINER), NAMED(VFIO_GROUP_GET_DEVICE_FD), NAMED(VFIO_DEVICE_GET_INFO), NAMED(VFIO_DEVICE_GET_REGION_INFO),
    NAMED(VFIO_DEVICE_GET_IRQ_INFO), NAMED(VFIO_DEVICE_SET_IRQS), NAMED(VFIO_DEVICE_RESET), NAMED(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO),
    NAMED(VFIO_DEVICE_FEATURE), NAMED(VFIO_DEVICE_BIND_IOMMUFD), NAMED(VFIO_DEVICE_ATTACH_IOMMUFD_PT), NAMED(VFIO_DEVICE_DETACH_IOMMUFD_PT),
    NAMED(VFIO_MIG_GET_PRECOPY_INFO), NAMED(IOMMU_DESTROY), NAMED(IOMMU_IOAS_ALLOC), NAMED(IOMMU_IOAS_ALLOW_IOVAS), NAMED(IOMMU_IOAS_COPY),
    NAMED(IOMMU_IOAS_IOVA_RANGES), NAMED(IOMMU_IOAS_MAP), NAMED(IOMMU_IOAS_UNMAP), NAMED(IOMMU_OPTION), NAMED(IOMMU_VFIO_IOAS),
    NAMED(IOMMU_HWPT_ALLOC), NAMED(IOMMU_GET_HW_INFO), NAMED(IOMMU_HWPT_SET_DIRTY_TRACKING), NAMED(IOMMU_HWPT_GET_DIRTY_BITMAP),
    NAMED(IOMMU_HWPT_INVALIDATE), NAMED(IOMMU_FAULT_QUEUE_ALLOC), NAMED(IOMMU_IOAS_MAP_FILE), NAMED(IOMMU_VIOMMU_ALLOC),
    NAMED(IOMMU_IOAS_CHANGE_PROCESS),
};
/* The type 1 IOMMU of a container has numbers that are also those of a device. */
static const struct { unsigned long request; const char *name; } container_names[] = {
    { VFIO_REQUEST(VFIO_BASE + 12), "VFIO_IOMMU_GET_INFO" }, { VFIO_REQUEST(VFIO_BASE + 13), "VFIO_IOMMU_MAP_DMA" },
    { VFIO_REQUEST(VFIO_BASE + 14), "VFIO_IOMMU_UNMAP_DMA" }, { VFIO_REQUEST(VFIO_BASE + 15), "VFIO_IOMMU_ENABLE" },
    { VFIO_REQUEST(VFIO_BASE + 16), "VFIO_IOMMU_DISABLE" }, { VFIO_REQUEST(VFIO_BASE + 17), "VFIO_IOMMU_DIRTY_PAGES" },
};

static const char *request_name(enum kind kind, unsigned long request) {
    for (size_t i = 0; kind == CONTAINER && i < sizeof container_names / sizeof *container_names; i++)
        if (container_names[i].request == request)
            return container_names[i].name;
    for (size_t i = 0; i < sizeof request_names / sizeof *request_names; i++)
        if (request_names[i].request == request)
            return request_names[i].name;
    return "unknown";
}

/* An argument as far as a line keeps it. */
struct argument {
    size_t length;
    uint8_t bytes[MAX_ARGUMENT];
};

static void copy_argument(struct argument *copy, enum kind kind, unsigned long request, uint64_t argument) {
    uint32_t size = 0;
    copy->length = 0;
    if (request == VFIO_GET_API_VERSION || (kind != CONTAINER && request == VFIO_DEVICE_RESET))
        return;
    if (kind == CONTAINER && (request == VFIO_CHECK_EXTENSION || request == VFIO_SET_IOMMU)) {
        copy->length = sizeof argument; /* a number */
        memcpy(copy->bytes, &argument, sizeof argument);
        return;
    }
    if (kind == GROUP && request == VFIO_GROUP_GET_DEVICE_FD)
        size = MAX_NAME; /* a text, which may end before the page does */
    else if (kind == GROUP && request == VFIO_GROUP_SET_CONTAINER)
        size = sizeof(int32_t);
    else if (!sys_copy(&size, argument, sizeof size)) /* the argument begins with its size */
        return;
    if (size > MAX_ARGUMENT)
        size = MAX_ARGUMENT;
    while (size > 0 && !sys_copy(copy->bytes, argument, size)) size = request == VFIO_GROUP_GET_DEVICE_FD && kind == GROUP ? size - 1 : 0;
    copy->length = size;
    if (kind == GROUP && request == VFIO_GROUP_GET_DEVICE_FD)
        copy->length = strnlen((const char *)copy->bytes, size);
}

static const char *hex(const struct argument *argument, char text[2 * MAX_ARGUMENT + 1]) {
    static const char digits[] = "0123456789abcdef";
    if (argument->length == 0)
        return "-";
    for (size_t i = 0; i < argument->length; i++) {
        text[2 * i] = digits[argument->bytes[i] >> 4];
        text[2 * i + 1] = digits[argument->bytes[i] & 15];
    }
    text[2 * argument->length] = 0;
    return text;
}

struct returned {
    int result, error;
    uint64_t took;
};

static long long traced(const struct returned *returned) {
    return returned->result < 0 ? -returned->error : returned->result;
}

static struct returned call_ioctl(int fd, unsigned long request, void *argument) {
    uint64_t began = sys_monotonic_ns();
    struct returned returned = { .result = below.ioctl(fd, request, argument) };
    returned.error = errno;
    returned.took = sys_monotonic_ns() - began;
    return returned;
}

static struct returned query(const struct descriptor *what, int fd, struct vfio_precopy_info *info) {
    struct returned returned = call_ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, info);
    struct vfio_precopy_info answer = { 0 };
    if (returned.result >= 0)
        answer = *info;
    char event[SHORT_LINE];
    struct text text = { event, event + sizeof event };
    put_device(&text, "recorded_precopy_info", what->name);
    put_unsigned(&text, " init ", answer.initial_bytes);
    put_unsigned(&text, ", dirty ", answer.dirty_bytes);
    put_hex(&text, ", flags 0x", answer.flags);
    put_signed(&text, ", ret ", traced(&returned));
    put_unsigned(&text, ", took ", returned.took);
    put(&text, " ns");
    record_text(event, (size_t)(text.at - event));
    return returned;
}

/* A feature with an event of its own; false: it has none, and no call was made. */
static bool feature(struct descriptor *what, int fd, void *argument, const struct argument *before, struct returned *returned) {
    struct {
        struct vfio_device_feature header;
        union {
            struct vfio_device_feature_mig_state state;
            struct vfio_device_feature_mig_data_size size;
        };
    } feature;
    if (before->length < 16)
        return false;
    memcpy(&feature, before->bytes, 16);
    if (feature.header.flags == (VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE)) {
        unsigned state = feature.state.device_state;
        *returned = call_ioctl(fd, VFIO_DEVICE_FEATURE, argument);
        if (returned->result >= 0)
            memcpy(&feature, argument, 16);
        int data = returned->result >= 0 ? feature.state.data_fd : -1;
        if (data >= 0)
            begin_session(what, data, state != VFIO_DEVICE_STATE_RESUMING);
        record("recorded_state  (%s) set %s ret %lld, data fd %d, took %llu ns", what->name,
            state < VFIO_DEVICE_STATE_NR ? device_state_name((enum vfio_device_mig_state)state) : "UNKNOWN STATE", traced(returned), data,
            (unsigned long long)returned->took);
        return true;
    }
    if (feature.header.flags == (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE)) {
        *returned = call_ioctl(fd, VFIO_DEVICE_FEATURE, argument);
        if (returned->result >= 0)
            memcpy(&feature, argument, 16);
        record("recorded_data_size  (%s) stop-copy %llu, ret %lld, took %llu ns", what->name,
            (unsigned long long)(returned->result >= 0 ? feature.size.stop_copy_length : 0), traced(returned), (unsigned long long)returned->took);
        return true;
    }
    return false;
}

static struct returned any_request(struct descriptor *what, int fd, unsigned long request, void *argument) {
    struct argument before, after;
    char in[2 * MAX_ARGUMENT + 1], out[2 * MAX_ARGUMENT + 1];
    struct returned returned;
    copy_argument(&before, what->kind, request, (uintptr_t)argument);
    if (what->kind == DEVICE && request == VFIO_DEVICE_FEATURE && feature(what, fd, argument, &before, &returned))
        return returned;
    returned = call_ioctl(fd, request, argument);
    copy_argument(&after, what->kind, request, (uintptr_t)argument);
    bool same = after.length == before.length && memcmp(after.bytes, before.bytes, before.length) == 0;
    record("recorded_ioctl  (%s) %s 0x%lx ret %lld, took %llu ns, in %s, out %s", what->name, request_name(what->kind, request), request,
        traced(&returned), (unsigned long long)returned.took, hex(&before, in), same ? "=" : hex(&after, out));
    if (what->kind == GROUP && request == VFIO_GROUP_GET_DEVICE_FD && returned.result >= 0) {
        char name[MAX_NAME] = "";
        memcpy(name, before.bytes, before.length < MAX_NAME ? before.length : MAX_NAME - 1);
        struct descriptor *device = make(DEVICE, name);
        if (device) {
            know(returned.result, device);
            record("recorded_open  (%s) device ret %d, found 0, took %llu ns, path %s", device->name, returned.result,
                (unsigned long long)returned.took, name);
        }
    }
    return returned;
}

/* ---- data ---- */

static void keep(int file, const void *bytes, int64_t count) {
    if (file >= 0 && count > 0 && recording.on)
        write_whole(file, bytes, (size_t)count);
}

static unsigned long long hash_of(const void *bytes, int64_t count) {
    return count > 0 ? (unsigned long long)xxh3_64(bytes, (size_t)count) : 0;
}

static ssize_t recorded_transfer(const struct descriptor *what, int fd, const void *buffer, size_t length, bool reads) {
    uint64_t began = sys_monotonic_ns();
    ssize_t result = reads ? below.read(fd, (void *)(uintptr_t)buffer, length) : below.write(fd, buffer, length);
    int error = errno;
    uint64_t took = sys_monotonic_ns() - began;
    char event[SHORT_LINE];
    struct text text = { event, event + sizeof event };
    put_device(&text, reads ? "recorded_read" : "recorded_write", what->name);
    put_unsigned(&text, " size ", length);
    put_signed(&text, ", ret ", result < 0 ? -(int64_t)error : result);
    put_hex(&text, ", hash 0x", hash_of(buffer, result));
    put_unsigned(&text, ", took ", took);
    put(&text, " ns");
    record_text(event, (size_t)(text.at - event));
    keep(reads ? what->read : what->written, buffer, result);
    errno = error;
    return result;
}

static ssize_t recorded_access(const struct descriptor *what, int fd, const void *buffer, size_t length, int64_t offset, bool reads) {
    uint64_t began = sys_monotonic_ns();
    ssize_t result = reads ? below.pread(fd, (void *)(uintptr_t)buffer, length, offset) : below.pwrite(fd, buffer, length, offset);
    int error = errno;
    uint64_t took = sys_monotonic_ns() - began;
    record("recorded_access  (%s) %s offset 0x%llx, size %zu, ret %lld, hash 0x%llx, took %llu ns", what->name, reads ? "read" : "write",
        (unsigned long long)offset, length, result < 0 ? -(long long)error : (long long)result, hash_of(buffer, result), (unsigned long long)took);
    errno = error;
    return result;
}

/* ---- libc's names ---- */

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        static const char message[] = "ackmatrix-recorder: libc has no call of a name that is recorded\n";
        sys_write(2, message, sizeof message - 1);
        sys_exit(2);
    }
    return found;
}

/* Another library's constructor may make calls before ours has run. */
static const struct recorded_calls *calls_below(void) {
    if (!below.ioctl) {
        struct recorded_calls found;
        *(void **)&found.open = next("open64");
        *(void **)&found.openat = next("openat64");
        *(void **)&found.close = next("close");
        *(void **)&found.read = next("read");
        *(void **)&found.write = next("write");
        *(void **)&found.pread = next("pread64");
        *(void **)&found.pwrite = next("pwrite64");
        *(void **)&found.ioctl = next("ioctl");
        below = found;
    }
    return &below;
}

static struct descriptor *recorded(int fd) {
    struct descriptor *what = lookup(fd);
    return what && recording.on ? what : NULL;
}

EXPORT int ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    calls_below();
    struct descriptor *what = recorded(fd);
    if (!what && recording.on && !lookup(fd))
        what = find(fd, request);
    if (!what)
        return below.ioctl(fd, request, argument);
    struct returned returned = what->kind == DATA && request == VFIO_MIG_GET_PRECOPY_INFO ? query(what, fd, argument)
                                                                                        : any_request(what, fd, request, argument);
    errno = returned.error;
    return returned.result;
}

EXPORT ssize_t read(int fd, void *buffer, size_t length) {
    calls_below();
    struct descriptor *what = recorded(fd);
    return what && what->kind == DATA ? recorded_transfer(what, fd, buffer, length, true) : below.read(fd, buffer, length);
}

EXPORT ssize_t write(int fd, const void *buffer, size_t length) {
    calls_below();
    struct descriptor *what = recorded(fd);
    return what && what->kind == DATA ? recorded_transfer(what, fd, buffer, length, false) : below.write(fd, buffer, length);
}

EXPORT ssize_t pread64(int fd, void *buffer, size_t length, off64_t offset) {
    calls_below();
    struct descriptor *what = recorded(fd);
    return what ? recorded_access(what, fd, buffer, length, offset, true) : below.pread(fd, buffer, length, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *buffer, size_t length, off64_t offset) {
    calls_below();
    struct descriptor *what = recorded(fd);
    return what ? recorded_access(what, fd, buffer, length, offset, false) : below.pwrite(fd, buffer, length, offset);
}

EXPORT ssize_t pread(int fd, void *buffer, size_t length, off_t offset) {
    return pread64(fd, buffer, length, offset);
}

EXPORT ssize_t pwrite(int fd, const void *buffer, size_t length, off_t offset) {
    return pwrite64(fd, buffer, length, offset);
}

EXPORT int close(int fd) {
    calls_below();
    struct descriptor *what = lookup(fd);
    if (!what)
        return below.close(fd);
    /* Forgotten before the call: afterwards another thread may open something else with this number. */
    atomic_store_explicit(&descriptors[fd], NULL, memory_order_release);
    uint64_t began = sys_monotonic_ns();
    int result = below.close(fd), error = errno;
    uint64_t took = sys_monotonic_ns() - began;
    if (recording.on)
        record("recorded_close  (%s) %s fd %d, ret %d, took %llu ns", what->name, kind_names[what->kind], fd, result < 0 ? -error : result,
            (unsigned long long)took);
    errno = error;
    return result;
}

/* An open of a VFIO path, with its mode where the flags need one. */
static int recorded_open(int folder, const char *path, int flags, unsigned mode) {
    calls_below();
    uint64_t began = recording.on ? sys_monotonic_ns() : 0;
    int fd = folder == AT_FDCWD ? below.open(path, flags, mode) : below.openat(folder, path, flags, mode), error = errno;
    if (recording.on)
        opened(path, fd, error, sys_monotonic_ns() - began);
    errno = error;
    return fd;
}

#define MODE_OF(flags, arguments, mode)                                                    \
    do {                                                                                   \
        if ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {                            \
            va_start(arguments, flags);                                                    \
            mode = va_arg(arguments, unsigned);                                            \
            va_end(arguments);                                                             \
        }                                                                                  \
    } while (0)

EXPORT int open64(const char *path, int flags, ...) {
    va_list arguments;
    unsigned mode = 0;
    MODE_OF(flags, arguments, mode);
    return recorded_open(AT_FDCWD, path, flags, mode);
}

EXPORT int open(const char *path, int flags, ...) {
    va_list arguments;
    unsigned mode = 0;
    MODE_OF(flags, arguments, mode);
    return recorded_open(AT_FDCWD, path, flags, mode);
}

EXPORT int openat64(int folder, const char *path, int flags, ...) {
    va_list arguments;
    unsigned mode = 0;
    MODE_OF(flags, arguments, mode);
    return recorded_open(folder, path, flags, mode);
}

EXPORT int openat(int folder, const char *path, int flags, ...) {
    va_list arguments;
    unsigned mode = 0;
    MODE_OF(flags, arguments, mode);
    return recorded_open(folder, path, flags, mode);
}

#define LIBRARY "ackmatrix-recorder"
#include "fortified_reads.h"

/* The fortified twins of the opens: the flags are known to need no mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);

EXPORT int __open_2(const char *path, int flags) {
    return recorded_open(AT_FDCWD, path, flags, 0);
}

EXPORT int __open64_2(const char *path, int flags) {
    return recorded_open(AT_FDCWD, path, flags, 0);
}

EXPORT int __openat_2(int folder, const char *path, int flags) {
    return recorded_open(folder, path, flags, 0);
}

EXPORT int __openat64_2(int folder, const char *path, int flags) {
    return recorded_open(folder, path, flags, 0);
}

/* ---- from begin to end ---- */

void recorder_start(const char *folder, bool contents, const struct recorded_calls *calls) {
    if (calls)
        below = *calls;
    else
        calls_below();
    snprintf(recording.folder, sizeof recording.folder, "%s", folder);
    recording.contents = contents;
    recording.file = -1;
    recording.window = NULL;
    recording.sequence = recording.calls = 0;
    atomic_store(&recording.on, true);
}

void recorder_stop(void) {
    pthread_mutex_lock(&recording.lock);
    if (recording.on && recording.file >= 0) {
        char text[MAX_NAME];
        append(text, (size_t)snprintf(text, sizeof text, "recorded_end calls %llu", (unsigned long long)recording.calls));
    }
    if (recording.window) {
        sys_unmap(recording.window, WINDOW);
        sys_truncate(recording.file, recording.begins + recording.used);
    }
    recording.window = NULL;
    atomic_store(&recording.on, false);
    if (recording.file >= 0)
        sys_close(recording.file);
    recording.file = -1;
    pthread_mutex_unlock(&recording.lock);
    for (int fd = 0; fd < MAX_DESCRIPTORS; fd++)
        if (atomic_load_explicit(&descriptors[fd], memory_order_relaxed))
            atomic_store(&descriptors[fd], NULL);
}

/* A child that a recorded process forks closes what it has inherited and executes something else: that is no call of the device's user.
 * Before the first call, as in a daemon, the child is the one that will make it. */
static void after_fork(void) {
    pthread_mutex_init(&recording.lock, NULL);
    if (recording.file >= 0)
        atomic_store(&recording.on, false);
}

/* Unlike the shim's, the variables stay: a program that the command starts is recorded, too. */
__attribute__((constructor)) static void load(void) {
    pthread_atfork(NULL, NULL, after_fork);
    const char *folder = getenv("ACKMATRIX_RECORDING"), *contents = getenv("ACKMATRIX_RECORDING_CONTENTS");
    if (folder)
        recorder_start(folder, contents && strcmp(contents, "1") == 0, NULL);
}

__attribute__((destructor)) static void unload(void) {
    recorder_stop();
}
