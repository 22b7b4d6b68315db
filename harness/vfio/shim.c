/*
 * The preload shim: puts mock devices behind file descriptors of an unmodified QEMU.
 *
 * Before main it reads the side folder named by ACKMATRIX_SIDE, makes a placeholder descriptor for
 * the iommufd and for each device at the numbers QEMU is told to use, and from then on answers the
 * libc calls on these descriptors from the model. All other descriptors pass through untouched.
 *
 * The side folder holds:
 *   devices      `ackmatrix-side 1`, then `iommufd FD` and `device FD NAME SCRIPT-FILE` lines; `connect GATE`
 *                has every connect() of an IP socket wait for the gate, as a slow network does
 *   *.script     the device scripts, see device_script.h, or recordings to replay, see replay_device.h
 *   board        gates and progress, see gate_board.h
 *   device.log   made by the shim: one line per event, `TID#SEQ@SEC.NSEC+SEC.NSEC:EVENT TEXT`,
 *                thread, number in this file, CLOCK_REALTIME and CLOCK_MONOTONIC
 *
 * The process that loads the shim dies with the one that started it (ACKMATRIX_PARENT).
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "gate_board.h"
#include "mock_device.h"
#include "replay_device.h"
#include "system_calls.h"

#define EXPORT __attribute__((visibility("default")))

enum {
    MAX_DEVICES = BOARD_MAX_DEVICES,
    MAX_DESCRIPTORS = 4096,
    MAX_PATH = 512,
    MAX_DEVICES_FILE = 16 * 1024,
    MAX_STATES = 8, /* arcs of the longest transition, with room */
    LOG_CHUNK = 8 * 1024,
    NOT_OURS = 0,
    IOMMUFD = 1,
    DEVICE = 2,
    DATA = 3,
    ENVIRONMENT_BROKEN = 2,
};

/* The meaning of a descriptor number: kind in the low byte, device index, session. 0: the descriptor is not a mock's. */
static _Atomic uint64_t descriptors[MAX_DESCRIPTORS];

static uint64_t meaning(unsigned kind, unsigned index, uint32_t session) {
    return kind | (uint64_t)index << 8 | (uint64_t)session << 32;
}

static uint64_t lookup(int fd) {
    return fd >= 0 && fd < MAX_DESCRIPTORS ? atomic_load_explicit(&descriptors[fd], memory_order_acquire) : NOT_OURS;
}

struct mocked_device {
    pthread_mutex_t lock; /* guards every field below */
    struct mock_device *model;
    struct replay_device *replay; /* what answers in place of the model, which answers the rest; NULL for a device that follows a script */
    char name[SCRIPT_NAME_SIZE];
    int board_index;
    int board_gates[SCRIPT_MAX_GATES];
    uint32_t gates_seen; /* gates of the script the model knows to be open */
    uint64_t calls, held, holds;
    uint32_t asked_session; /* whose queries `asked` counts, also those that fail */
    uint64_t asked;
    enum vfio_device_mig_state entered[MAX_STATES]; /* by the call in progress */
    unsigned entered_count;
};

static struct {
    struct mocked_device devices[MAX_DEVICES];
    unsigned device_count;
    struct mock_iommufd *iommufd;
    pthread_mutex_t iommufd_lock;
    struct gate_board *board;
    int connect_gate; /* on the board; -1: none */
    int log;
    pthread_mutex_t log_lock; /* guards the sequence number and the order of lines in the file */
    uint64_t sequence;
} side = { .iommufd_lock = PTHREAD_MUTEX_INITIALIZER, .log_lock = PTHREAD_MUTEX_INITIALIZER, .connect_gate = -1, .log = -1 };

/* ---- the log ---- */

static void write_whole(int fd, const char *text, size_t length) {
    while (length > 0) {
        int64_t written = sys_write(fd, text, length);
        if (written == -EINTR)
            continue;
        if (written < 0) {
            /* A log with a gap would be judged as if nothing had happened there, so the process ends. */
            static const char message[] = "ackmatrix-shim: cannot write device.log (disk full?); stopping\n";
            sys_write(2, message, sizeof message - 1);
            sys_exit(ENVIRONMENT_BROKEN);
        }
        text += written;
        length -= (size_t)written;
    }
}

static void log_event(const struct mock_event *event) {
    char line[MOCK_EVENT_TEXT_SIZE + 128], text[MOCK_EVENT_TEXT_SIZE];
    mock_event_text(event, text, sizeof text);
    int thread = sys_thread_id();
    pthread_mutex_lock(&side.log_lock);
    uint64_t real = sys_realtime_ns(), monotonic = sys_monotonic_ns();
    int length = snprintf(line, sizeof line, "%d#%llu@%llu.%09llu+%llu.%09llu:%s\n", thread, (unsigned long long)++side.sequence,
        (unsigned long long)(real / 1000000000u), (unsigned long long)(real % 1000000000u),
        (unsigned long long)(monotonic / 1000000000u), (unsigned long long)(monotonic % 1000000000u), text);
    write_whole(side.log, line, (size_t)length);
    pthread_mutex_unlock(&side.log_lock);
}

/* ---- the model's world ---- */

static void device_event(void *context, const struct mock_event *event) {
    struct mocked_device *device = context;
    /* A reset has its own event, not that of an arc, and enters RUNNING. */
    if ((event->kind == MOCK_EVENT_STATE || event->kind == MOCK_EVENT_RESET) && device->entered_count < MAX_STATES)
        device->entered[device->entered_count++] =
            event->kind == MOCK_EVENT_RESET ? VFIO_DEVICE_STATE_RUNNING : (enum vfio_device_mig_state)event->b;
    log_event(event);
}

static void iommufd_event(void *context, const struct mock_event *event) {
    (void)context;
    log_event(event);
}

static void *pin(void *context, uint64_t address, size_t length, bool writable) {
    (void)context;
    return sys_accessible(address, length, writable) ? (void *)(uintptr_t)address : NULL;
}

static int open_data(void *context, uint32_t session) {
    struct mocked_device *device = context;
    int fd = sys_placeholder("ackmatrix-data");
    if (fd >= MAX_DESCRIPTORS) {
        sys_close(fd);
        return -EMFILE;
    }
    if (fd >= 0)
        atomic_store(&descriptors[fd], meaning(DATA, (unsigned)(device - side.devices), session));
    return fd;
}

/* ---- a call, from begin to return ---- */

static void publish(struct mocked_device *device) {
    struct mock_progress now = device->replay ? replay_device_progress(device->replay) : mock_device_progress(device->model);
    struct board_progress progress = {
        .state = (uint64_t)now.state,
        .queries = now.queries,
        .drained_queries = now.drained_queries,
        .drains = now.drains,
        .bytes_read = now.bytes_read,
        .bytes_written = now.bytes_written,
        .initial_bytes = now.initial_bytes,
        .dirty_bytes = now.dirty_bytes,
        .calls = device->calls,
        .held = device->held,
        .holds = device->holds,
    };
    gate_board_publish(side.board, device->board_index, &progress);
}

static void begin(struct mocked_device *device) {
    pthread_mutex_lock(&device->lock);
    device->entered_count = 0;
    unsigned count = mock_device_script(device->model)->gate_count;
    for (unsigned gate = 0; gate < count; gate++) {
        uint32_t bit = 1u << gate;
        if (!(device->gates_seen & bit) && gate_board_is_open(side.board, device->board_gates[gate])) {
            device->gates_seen |= bit;
            mock_device_gate_opened(device->model, gate);
        }
    }
}

/* A peer may react to a state by entering one itself (`error`), so its own arcs are not passed on: the two would answer each other forever. */
static void tell_peers(const struct mocked_device *device, const enum vfio_device_mig_state *entered, unsigned count) {
    for (unsigned i = 0; i < side.device_count; i++) {
        struct mocked_device *peer = &side.devices[i];
        if (peer == device)
            continue;
        pthread_mutex_lock(&peer->lock);
        for (unsigned state = 0; state < count; state++)
            mock_device_peer_entered(peer->model, device->name, entered[state]);
        publish(peer);
        pthread_mutex_unlock(&peer->lock);
    }
}

static void hold(struct mocked_device *device, unsigned gate) {
    int board_gate = device->board_gates[gate];
    if (gate_board_is_open(side.board, board_gate))
        return;
    pthread_mutex_lock(&device->lock);
    device->held++;
    device->holds++;
    mock_device_hold(device->model, gate, true);
    publish(device);
    pthread_mutex_unlock(&device->lock);

    gate_board_wait(side.board, board_gate);

    pthread_mutex_lock(&device->lock);
    device->held--;
    mock_device_hold(device->model, gate, false);
    publish(device);
    pthread_mutex_unlock(&device->lock);
}

/* Everything that takes time happens after the lock is released: peers, the cost, the gates. */
static int64_t finish(struct mocked_device *device, struct mock_outcome outcome) {
    enum vfio_device_mig_state entered[MAX_STATES];
    unsigned count = device->entered_count;
    memcpy(entered, device->entered, sizeof entered);
    device->calls++;
    publish(device);
    pthread_mutex_unlock(&device->lock);

    if (count > 0)
        tell_peers(device, entered, count);
    if (outcome.cost_ns > 0)
        sys_sleep_ns(outcome.cost_ns);
    for (unsigned gate = 0; outcome.gates >> gate; gate++)
        if (outcome.gates >> gate & 1)
            hold(device, gate);
    if (outcome.error)
        errno = outcome.error;
    return outcome.result;
}

static struct mocked_device *device_of(uint64_t what) {
    return &side.devices[what >> 8 & 0xff];
}

static uint32_t session_of(uint64_t what) {
    return (uint32_t)(what >> 32);
}

static int64_t refuse(int error) {
    errno = error;
    return -1;
}

/* See BRISK_QUERIES. A query with the guest stopped is part of the downtime, and the last one. */
static void pace(struct mocked_device *device, uint32_t session, struct mock_outcome *outcome) {
    if (device->asked_session != session) {
        device->asked_session = session;
        device->asked = 0;
    }
    struct mock_progress now = device->replay ? replay_device_progress(device->replay) : mock_device_progress(device->model);
    bool waits = ++device->asked > BRISK_QUERIES && now.state == VFIO_DEVICE_STATE_PRE_COPY;
    if (waits && outcome->cost_ns < QUERY_PACE_NS)
        outcome->cost_ns = QUERY_PACE_NS;
}

static int64_t mocked_ioctl(uint64_t what, unsigned long request, uint64_t argument) {
    if ((what & 0xff) == IOMMUFD) {
        pthread_mutex_lock(&side.iommufd_lock);
        struct mock_outcome outcome = mock_iommufd_ioctl(side.iommufd, request, argument);
        pthread_mutex_unlock(&side.iommufd_lock);
        if (outcome.error)
            errno = outcome.error;
        return outcome.result;
    }
    struct mocked_device *device = device_of(what);
    begin(device);
    if ((what & 0xff) == DEVICE)
        return finish(device, device->replay ? replay_device_ioctl(device->replay, request, argument) : mock_device_ioctl(device->model, request, argument));
    struct mock_outcome outcome = device->replay ? replay_data_ioctl(device->replay, session_of(what), request, argument)
                                                 : mock_data_ioctl(device->model, session_of(what), request, argument);
    if (request == VFIO_MIG_GET_PRECOPY_INFO)
        pace(device, session_of(what), &outcome);
    return finish(device, outcome);
}

static int64_t mocked_read(uint64_t what, void *buffer, size_t length) {
    if ((what & 0xff) != DATA)
        return refuse(EINVAL);
    struct mocked_device *device = device_of(what);
    begin(device);
    return finish(device, device->replay ? replay_data_read(device->replay, session_of(what), (uintptr_t)buffer, length)
                                         : mock_data_read(device->model, session_of(what), (uintptr_t)buffer, length));
}

static int64_t mocked_write(uint64_t what, const void *buffer, size_t length) {
    if ((what & 0xff) != DATA)
        return refuse(EINVAL);
    struct mocked_device *device = device_of(what);
    begin(device);
    return finish(device, device->replay ? replay_data_write(device->replay, session_of(what), (uintptr_t)buffer, length)
                                         : mock_data_write(device->model, session_of(what), (uintptr_t)buffer, length));
}

static int64_t mocked_pread(uint64_t what, void *buffer, size_t length, int64_t offset) {
    if ((what & 0xff) != DEVICE)
        return refuse(ESPIPE);
    struct mocked_device *device = device_of(what);
    begin(device);
    return finish(device, mock_device_pread(device->model, (uintptr_t)buffer, length, (uint64_t)offset));
}

static int64_t mocked_pwrite(uint64_t what, const void *buffer, size_t length, int64_t offset) {
    if ((what & 0xff) != DEVICE)
        return refuse(ESPIPE);
    struct mocked_device *device = device_of(what);
    begin(device);
    return finish(device, mock_device_pwrite(device->model, (uintptr_t)buffer, length, (uint64_t)offset));
}

static void mocked_close(int fd, uint64_t what) {
    atomic_store(&descriptors[fd], NOT_OURS);
    if ((what & 0xff) == IOMMUFD)
        return;
    struct mocked_device *device = device_of(what);
    begin(device);
    if ((what & 0xff) == DEVICE)
        mock_device_close(device->model);
    else if (device->replay)
        replay_data_close(device->replay, session_of(what));
    else
        mock_data_close(device->model, session_of(what));
    finish(device, (struct mock_outcome){ 0 });
}

/* ---- libc's names ---- */

static int64_t with_errno(int64_t result) {
    return result < 0 ? refuse((int)-result) : result;
}

EXPORT int ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    uint64_t what = lookup(fd);
    return (int)(what ? mocked_ioctl(what, request, (uintptr_t)argument) : with_errno(sys_ioctl(fd, request, argument)));
}

EXPORT ssize_t read(int fd, void *buffer, size_t length) {
    uint64_t what = lookup(fd);
    return what ? mocked_read(what, buffer, length) : with_errno(sys_read(fd, buffer, length));
}

EXPORT ssize_t write(int fd, const void *buffer, size_t length) {
    uint64_t what = lookup(fd);
    return what ? mocked_write(what, buffer, length) : with_errno(sys_write(fd, buffer, length));
}

EXPORT ssize_t pread64(int fd, void *buffer, size_t length, off64_t offset) {
    uint64_t what = lookup(fd);
    return what ? mocked_pread(what, buffer, length, offset) : with_errno(sys_pread(fd, buffer, length, offset));
}

EXPORT ssize_t pwrite64(int fd, const void *buffer, size_t length, off64_t offset) {
    uint64_t what = lookup(fd);
    return what ? mocked_pwrite(what, buffer, length, offset) : with_errno(sys_pwrite(fd, buffer, length, offset));
}

EXPORT ssize_t pread(int fd, void *buffer, size_t length, off_t offset) {
    return pread64(fd, buffer, length, offset);
}

EXPORT ssize_t pwrite(int fd, const void *buffer, size_t length, off_t offset) {
    return pwrite64(fd, buffer, length, offset);
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length) {
    if (side.connect_gate >= 0 && length >= sizeof address->sa_family && (address->sa_family == AF_INET || address->sa_family == AF_INET6))
        gate_board_wait(side.board, side.connect_gate);
    return (int)with_errno(sys_connect(fd, address, length));
}

EXPORT int close(int fd) {
    uint64_t what = lookup(fd);
    if (what)
        mocked_close(fd, what);
    return (int)with_errno(sys_close(fd));
}

#define LIBRARY "ackmatrix-shim"
#include "fortified_reads.h"

/* ---- starting to use a side folder ---- */

struct place {
    const char *folder;
    char *reason;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static int wrong(const struct place *place, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(place->reason, place->size, format, arguments);
    va_end(arguments);
    return -1;
}

static int join(const struct place *place, char *path, const char *file) {
    int length = snprintf(path, MAX_PATH, "%s/%s", place->folder, file);
    return length < MAX_PATH ? 0 : wrong(place, "%s/%s: expected a path of fewer than %d bytes, found %d", place->folder, file, MAX_PATH, length);
}

/* The whole file into `text`, NUL terminated; its length, or -1. */
static int64_t read_file(const struct place *place, const char *file, char *text, size_t size) {
    char path[MAX_PATH];
    if (join(place, path, file) < 0)
        return -1;
    int fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return wrong(place, "%s: cannot be opened: %s", path, strerror(-fd));
    size_t length = 0;
    int64_t got;
    while ((got = sys_read(fd, text + length, size - length)) > 0 || got == -EINTR) {
        length += got > 0 ? (size_t)got : 0;
        if (length == size) {
            sys_close(fd);
            return wrong(place, "%s: expected fewer than %zu bytes, found more", path, size);
        }
    }
    sys_close(fd);
    if (got < 0)
        return wrong(place, "%s: cannot be read: %s", path, strerror((int)-got));
    text[length] = 0;
    return (int64_t)length;
}

static int occupy(const struct place *place, unsigned line, int fd, const char *name, uint64_t what) {
    if (fd < 3 || fd >= MAX_DESCRIPTORS)
        return wrong(place, "%s/devices:%u: expected a descriptor number from 3 to %d, found %d", place->folder, line, MAX_DESCRIPTORS - 1, fd);
    int placeholder = sys_placeholder(name);
    int moved = placeholder < 0 ? placeholder : sys_move(placeholder, fd);
    if (moved < 0) {
        if (placeholder >= 0)
            sys_close(placeholder);
        return wrong(place, "%s/devices:%u: descriptor %d cannot be taken: %s", place->folder, line, fd, strerror(-moved));
    }
    atomic_store(&descriptors[fd], what);
    return 0;
}

static int add_iommufd(const struct place *place, unsigned line, int fd) {
    if (side.iommufd)
        return wrong(place, "%s/devices:%u: expected one iommufd line, found a second", place->folder, line);
    struct mock_world world = { .event = iommufd_event, .pin = pin, .open_data = open_data };
    side.iommufd = mock_iommufd_create("iommufd", &world);
    return side.iommufd ? occupy(place, line, fd, "ackmatrix-iommufd", meaning(IOMMUFD, 0, 0)) : wrong(place, "out of memory");
}

/* The model of a device that follows a script. */
static int add_script(const struct place *place, const char *file, struct mocked_device *device, const struct mock_world *world) {
    static char text[SCRIPT_MAX_TEXT + 2]; /* before main there is one thread */
    static struct device_script script;
    struct script_refusal refusal;
    int64_t length = read_file(place, file, text, sizeof text);
    if (length < 0)
        return -1;
    if (!device_script_parse(text, (size_t)length, &script, &refusal))
        return wrong(place, "%s/%s:%u: %s", place->folder, file, refusal.line, refusal.reason);
    for (unsigned gate = 0; gate < script.gate_count; gate++) {
        device->board_gates[gate] = gate_board_gate(side.board, script.gates[gate]);
        if (device->board_gates[gate] < 0)
            return wrong(place, "%s/%s: the board has no room for gate '%s'", place->folder, file, script.gates[gate]);
    }
    device->model = mock_device_create(device->name, &script, world);
    return device->model ? 0 : wrong(place, "out of memory");
}

/* 1 if the file is a recording, which is then replayed; 0 if it is something else; -1 for a recording that cannot be. */
static int add_replay(const struct place *place, const char *file, struct mocked_device *device, const struct mock_world *world) {
    char path[MAX_PATH], head[32];
    struct script_refusal refusal;
    if (join(place, path, file) < 0)
        return -1;
    int fd = sys_open(path, O_RDONLY, 0);
    int64_t length = fd < 0 ? 0 : sys_pread(fd, head, sizeof head, 0), size = fd < 0 ? 0 : sys_file_size(fd);
    if (fd >= 0)
        sys_close(fd);
    if (length <= 0 || !replay_is_text(head, (size_t)length))
        return 0;
    if (size > REPLAY_MOST_TEXT)
        return wrong(place, "%s: expected at most %d bytes, found more", path, REPLAY_MOST_TEXT);
    char *text = malloc((size_t)size + 2);
    if (!text)
        return wrong(place, "out of memory");
    length = read_file(place, file, text, (size_t)size + 2);
    if (length >= 0)
        device->replay = replay_device_create(device->name, text, (size_t)length, world, &refusal);
    free(text);
    if (length < 0)
        return -1;
    if (!device->replay)
        return refusal.line ? wrong(place, "%s:%u: %s", path, refusal.line, refusal.reason) : wrong(place, "out of memory");
    device->model = replay_device_rest(device->replay);
    return 1;
}

static int add_device(const struct place *place, unsigned line, int fd, const char *name, const char *file) {
    if (side.device_count == MAX_DEVICES)
        return wrong(place, "%s/devices:%u: expected at most %d devices, found more", place->folder, line, MAX_DEVICES);
    for (unsigned i = 0; i < side.device_count; i++)
        if (strcmp(side.devices[i].name, name) == 0)
            return wrong(place, "%s/devices:%u: expected each device once, found '%s' a second time", place->folder, line, name);
    struct mocked_device *device = &side.devices[side.device_count];
    *device = (struct mocked_device){ .lock = PTHREAD_MUTEX_INITIALIZER };
    snprintf(device->name, sizeof device->name, "%s", name);
    device->board_index = gate_board_device(side.board, name);
    if (device->board_index < 0)
        return wrong(place, "%s/devices:%u: the board has no room for device '%s'", place->folder, line, name);
    struct mock_world world = { .context = device, .event = device_event, .pin = pin, .open_data = open_data };
    int replays = add_replay(place, file, device, &world);
    if (replays < 0 || (replays == 0 && add_script(place, file, device, &world) < 0))
        return -1;
    side.device_count++;
    publish(device);
    return occupy(place, line, fd, "ackmatrix-device", meaning(DEVICE, side.device_count - 1, 0));
}

static int read_devices(const struct place *place) {
    char text[MAX_DEVICES_FILE];
    if (read_file(place, "devices", text, sizeof text) < 0)
        return -1;
    unsigned number = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char name[SCRIPT_NAME_SIZE], file[SCRIPT_NAME_SIZE + 16];
        int fd, end = -1;
        number++;
        if (number == 1) {
            if (strcmp(line, "ackmatrix-side 1") != 0)
                return wrong(place, "%s/devices:1: expected 'ackmatrix-side 1', found '%.40s'", place->folder, line);
        } else if (*line == 0) {
            continue;
        } else if (sscanf(line, "iommufd %d%n", &fd, &end) == 1 && end >= 0 && line[end] == 0) {
            if (add_iommufd(place, number, fd) < 0)
                return -1;
        } else if (sscanf(line, "device %d %47s %63s%n", &fd, name, file, &end) == 3 && end >= 0 && line[end] == 0) {
            if (add_device(place, number, fd, name, file) < 0)
                return -1;
        } else if (sscanf(line, "connect %47s%n", name, &end) == 1 && end >= 0 && line[end] == 0) {
            side.connect_gate = gate_board_gate(side.board, name);
            if (side.connect_gate < 0)
                return wrong(place, "%s/devices:%u: the board has no room for gate '%s'", place->folder, number, name);
        } else {
            return wrong(place, "%s/devices:%u: expected 'iommufd FD', 'device FD NAME SCRIPT-FILE' or 'connect GATE', found '%.60s'",
                place->folder, number, line);
        }
    }
    return 0;
}

int shim_start(const char *folder, char *reason, size_t size) {
    struct place place = { .folder = folder, .reason = reason, .size = size };
    char path[MAX_PATH];
    if (join(&place, path, "board") < 0)
        return -1;
    side.board = gate_board_map(path);
    if (!side.board)
        return wrong(&place, "%s: cannot be used as a gate board: %s", path, strerror(errno));
    if (join(&place, path, "device.log") < 0)
        return -1;
    side.log = sys_open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (side.log < 0)
        return wrong(&place, "%s: cannot be opened: %s", path, strerror(-side.log));
    return read_devices(&place);
}

void shim_stop(void) {
    for (int fd = 0; fd < MAX_DESCRIPTORS; fd++)
        if (lookup(fd)) {
            atomic_store(&descriptors[fd], NOT_OURS);
            sys_close(fd);
        }
    for (unsigned i = 0; i < side.device_count; i++)
        if (side.devices[i].replay)
            replay_device_destroy(side.devices[i].replay);
        else
            mock_device_destroy(side.devices[i].model);
    if (side.iommufd)
        mock_iommufd_destroy(side.iommufd);
    if (side.board)
        gate_board_unmap(side.board);
    if (side.log >= 0)
        sys_close(side.log);
    side.device_count = 0;
    side.iommufd = NULL;
    side.board = NULL;
    side.connect_gate = -1;
    side.log = -1;
    side.sequence = 0;
}

static _Noreturn void give_up(const char *reason) {
    char text[SHIM_REASON_SIZE + 32];
    int length = snprintf(text, sizeof text, "ackmatrix-shim: %s\n", reason);
    sys_write(2, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
    sys_exit(ENVIRONMENT_BROKEN);
}

/* Children of QEMU must not use the side folder too, so the variables are unset here. */
__attribute__((constructor)) static void load(void) {
    const char *parent = getenv("ACKMATRIX_PARENT");
    if (parent) {
        if (sys_die_with_parent() < 0)
            give_up("the parent-death signal cannot be set");
        /* The parent may have died before the signal was asked for. */
        if (sys_parent() != atoi(parent))
            give_up("the process that started this one is gone");
        unsetenv("ACKMATRIX_PARENT");
    }
    const char *folder = getenv("ACKMATRIX_SIDE");
    if (folder) {
        char reason[SHIM_REASON_SIZE], copy[MAX_PATH];
        snprintf(copy, sizeof copy, "%s", folder);
        unsetenv("ACKMATRIX_SIDE");
        if (shim_start(copy, reason, sizeof reason) < 0)
            give_up(reason);
    }
}
