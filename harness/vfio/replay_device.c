/* The replayed device: see replay_device.h. Top to bottom: the text, which call is due, and the calls. */
#include "replay_device.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mock_call.h"
#include "segment.h"

enum kind { FEATURE, STATE, DATA_SIZE, PRECOPY_INFO, READ, WRITE, RESET, CLOSE, KINDS };
static const char *const kind_names[KINDS] = {"feature", "state", "data-size", "precopy-info", "read", "write", "reset", "close"};

enum { DESCRIPTION = 96, MOST_OUTPUT = 256, NO_CALL = REPLAY_MOST_CALLS, DEPARTED = EPROTO };

struct replay_call {
    uint64_t position;
    enum kind kind;
    uint32_t number; /* a feature's flags, a state, the flags of an info */
    int64_t result;
    uint64_t size, dirty; /* asked for or reported */
    const uint8_t *output;
    size_t output_length;
    bool opens;
};

struct replay_device {
    struct mock_world world;
    struct mock_device *rest;
    char name[MOCK_NAME_SIZE];
    uint64_t events;
    struct device_script script; /* the abilities */
    bool free_polls, departed;

    struct replay_call *calls;
    uint8_t *outputs;
    size_t count, at;         /* the next call that is due; of polls that are free, where those begin */
    size_t move;              /* with free polls: the first call from there on that is no poll */
    size_t polled[KINDS];     /* where the search for the next poll of the kind begins */
    size_t last_poll[KINDS];  /* the last one that was answered; NO_CALL: none */
    uint64_t read_since_info; /* bytes */

    enum vfio_device_mig_state state;
    bool info_v2;
    uint32_t session;
    bool open, saving;
    struct segment segment; /* all that a saving session delivers */
    uint64_t queries, bytes_read, bytes_written;
};

/* --- The text ------------------------------------------------------------------------------------- */

static const char head[] = "ackmatrix-replay 1\n";

bool replay_is_text(const char *text, size_t length) { return length >= sizeof head - 1 && memcmp(text, head, sizeof head - 1) == 0; }

__attribute__((format(printf, 3, 4))) static bool refuse(struct script_refusal *refusal, unsigned line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    refusal->line = line;
    vsnprintf(refusal->reason, sizeof refusal->reason, format, arguments);
    va_end(arguments);
    return false;
}

static bool parse_state(const char *word, uint32_t *state) {
    for (*state = 0; *state < VFIO_DEVICE_STATE_NR; ++*state) {
        if (strcmp(word, device_state_name((enum vfio_device_mig_state)*state)) == 0) return true;
    }
    *state = UINT32_MAX;
    return strcmp(word, "UNKNOWN_STATE") == 0;
}

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

/* Hexadecimal into `bytes`; the length, or MOST_OUTPUT + 1 if it is none. */
static size_t parse_hex(const char *text, uint8_t *bytes) {
    size_t length = 0;
    if (strcmp(text, "-") == 0) return 0;
    for (; text[0] != '\0'; text += 2) {
        if (length == MOST_OUTPUT || digit(text[0]) < 0 || digit(text[1]) < 0) return MOST_OUTPUT + 1;
        bytes[length++] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
    }
    return length;
}

/* One call. `outputs` is where its output goes. `line` is terminated, and shorter than the buffers. */
static bool parse_call(const char *line, struct replay_call *call, uint8_t *outputs) {
    char kind[16], word[2 * MOST_OUTPUT + 2];
    int end = -1;
    const char *rest;
    *call = (struct replay_call){.output = outputs};
    if (sscanf(line, "%" SCNu64 " %15s%n", &call->position, kind, &end) != 2) return false;
    for (call->kind = FEATURE; call->kind < KINDS && strcmp(kind, kind_names[call->kind]) != 0;) call->kind++;
    rest = line + end;
    end = -1;
    switch (call->kind) {
    case FEATURE:
        if (sscanf(rest, " %" SCNu32 " %" SCNd64 " %513s%n", &call->number, &call->result, word, &end) != 3) return false;
        call->output_length = parse_hex(word, outputs);
        if (call->output_length > MOST_OUTPUT) return false;
        break;
    case STATE: {
        char opens[8];
        if (sscanf(rest, " %31s %" SCNd64 " %7s%n", word, &call->result, opens, &end) != 3 || !parse_state(word, &call->number)) return false;
        call->opens = strcmp(opens, "opens") == 0;
        if (!call->opens && strcmp(opens, "-") != 0) return false;
        break;
    }
    case DATA_SIZE: sscanf(rest, " %" SCNd64 " %" SCNu64 "%n", &call->result, &call->size, &end); break;
    case PRECOPY_INFO:
        sscanf(rest, " %" SCNd64 " %" SCNu64 " %" SCNu64 " %" SCNu32 "%n", &call->result, &call->size, &call->dirty, &call->number, &end);
        break;
    case READ:
    case WRITE: sscanf(rest, " %" SCNu64 " %" SCNd64 "%n", &call->size, &call->result, &end); break;
    case RESET:
    case CLOSE: sscanf(rest, " %" SCNd64 "%n", &call->result, &end); break;
    case KINDS: return false;
    }
    if (end < 0 || rest[end] != '\0') return false;
    return call->result <= 0 || ((call->kind == READ || call->kind == WRITE) && (uint64_t)call->result <= call->size)
        || (call->kind != READ && call->kind != WRITE && call->result <= INT32_MAX);
}

static bool parse(struct replay_device *device, const char *text, size_t length, struct script_refusal *refusal) {
    char line[2 * MOST_OUTPUT + 128];
    size_t outputs = 0;
    unsigned number = 0;
    for (const char *start = text, *end = text + length; start < end;) {
        const char *feed = memchr(start, '\n', (size_t)(end - start));
        size_t size = (size_t)((feed != NULL ? feed : end) - start);
        number++;
        if (size >= sizeof line || memchr(start, '\0', size) != NULL) return refuse(refusal, number, "expected a call, found %zu bytes", size);
        memcpy(line, start, size);
        line[size] = '\0';
        start = feed != NULL ? feed + 1 : end;
        if (number == 1) continue; /* the head */
        if (number == 2) {
            device->free_polls = strcmp(line, "polls free") == 0;
            if (!device->free_polls && strcmp(line, "polls counted") != 0) {
                return refuse(refusal, 2, "expected 'polls counted' or 'polls free', found '%.40s'", line);
            }
            continue;
        }
        if (device->count == REPLAY_MOST_CALLS) return refuse(refusal, number, "expected at most %d calls, found more", REPLAY_MOST_CALLS);
        if (!parse_call(line, &device->calls[device->count], device->outputs + outputs)) {
            return refuse(refusal, number, "expected POSITION, a call and what came back, found '%.60s'", line);
        }
        outputs += device->calls[device->count++].output_length;
    }
    return device->count > 0 || refuse(refusal, number, "expected calls, found none");
}

static void find_move(struct replay_device *device);

/* The abilities that the recording shows. */
static void set_abilities(struct replay_device *device) {
    struct script_refusal refusal;
    static const char plain[] = "ackmatrix-device 1\n";
    device_script_parse(plain, sizeof plain - 1, &device->script, &refusal);
    for (size_t i = 0; i < device->count; i++) {
        const struct replay_call *call = &device->calls[i];
        bool asks = call->kind == FEATURE && call->number == (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION);
        if (!asks || call->result < 0 || call->output_length == 0) continue;
        device->script.p2p = (call->output[0] & VFIO_MIGRATION_P2P) != 0;
        device->script.precopy = (call->output[0] & VFIO_MIGRATION_PRE_COPY) != 0;
        return;
    }
}

struct replay_device *replay_device_create(const char *name, const char *text, size_t length, const struct mock_world *world,
                                           struct script_refusal *refusal) {
    *refusal = (struct script_refusal){0};
    if (!replay_is_text(text, length) || length > REPLAY_MOST_TEXT) {
        refuse(refusal, 1, "expected 'ackmatrix-replay 1' and at most %d bytes, found %zu bytes", REPLAY_MOST_TEXT, length);
        return NULL;
    }
    size_t lines = 0;
    for (const char *at = text, *end = text + length; at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) lines++;
    if (lines > REPLAY_MOST_CALLS) lines = REPLAY_MOST_CALLS;
    struct replay_device *device = calloc(1, sizeof *device);
    bool made = device != NULL && (device->calls = calloc(lines + 1, sizeof *device->calls)) != NULL
        && (device->outputs = malloc(length / 2 + MOST_OUTPUT + 1)) != NULL;
    if (made) {
        device->world = *world;
        device->state = VFIO_DEVICE_STATE_RUNNING;
        for (size_t i = 0; i + 1 < sizeof device->name && name[i] != '\0'; i++) device->name[i] = name[i];
        for (int kind = 0; kind < KINDS; kind++) device->last_poll[kind] = NO_CALL;
    }
    if (!made || !parse(device, text, length, refusal)) {
        replay_device_destroy(device);
        return NULL;
    }
    set_abilities(device);
    find_move(device);
    device->rest = mock_device_create(name, &device->script, world);
    if (device->rest != NULL) return device;
    replay_device_destroy(device);
    return NULL;
}

void replay_device_destroy(struct replay_device *device) {
    if (device == NULL) return;
    if (device->rest != NULL) mock_device_destroy(device->rest);
    free(device->calls);
    free(device->outputs);
    free(device);
}

struct mock_device *replay_device_rest(struct replay_device *device) { return device->rest; }

/* --- Which call is due ------------------------------------------------------------------------------ */

static void tell(struct replay_device *device, struct mock_event event) {
    event.sequence = ++device->events;
    event.device = device->name;
    device->world.event(device->world.context, &event);
}

static bool finds_nothing(const struct replay_call *call) { return call->kind == READ && (call->result == 0 || call->result == -ENOMSG); }

static bool is_poll(const struct replay_call *call) {
    bool reports = call->kind == FEATURE && (call->number & VFIO_DEVICE_FEATURE_MASK) == VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;
    return call->kind == DATA_SIZE || call->kind == PRECOPY_INFO || reports || finds_nothing(call);
}

static void describe(const struct replay_call *call, char text[DESCRIPTION], bool with_result) {
    size_t length = 0;
    switch (call->kind) {
    case FEATURE: length = (size_t)snprintf(text, DESCRIPTION, "feature 0x%" PRIx32, call->number); break;
    case STATE: length = (size_t)snprintf(text, DESCRIPTION, "set %s", device_state_name((enum vfio_device_mig_state)call->number)); break;
    case READ:
    case WRITE: length = (size_t)snprintf(text, DESCRIPTION, "%s size %" PRIu64, kind_names[call->kind], call->size); break;
    case CLOSE: length = (size_t)snprintf(text, DESCRIPTION, "close of the data descriptor"); break;
    default: length = (size_t)snprintf(text, DESCRIPTION, "%s", kind_names[call->kind]); break;
    }
    if (with_result && length < DESCRIPTION) snprintf(text + length, DESCRIPTION - length, " (ret %" PRId64 ")", call->result);
}

static const struct replay_call *depart(struct replay_device *device, const struct replay_call *expected, const struct replay_call *found) {
    char due[DESCRIPTION] = "no further call", made[DESCRIPTION];
    if (expected != NULL) describe(expected, due, true);
    describe(found, made, false);
    device->departed = true;
    tell(device, (struct mock_event){.kind = MOCK_EVENT_DEPARTED, .a = expected != NULL ? expected->position : 0, .word = due, .found = made});
    return NULL;
}

static bool is_same(const struct replay_call *recorded, const struct replay_call *asked) {
    if (recorded->kind != asked->kind) return false;
    switch (asked->kind) {
    case FEATURE:
    case STATE: return recorded->number == asked->number;
    case READ:
    case WRITE: return recorded->size == asked->size;
    default: return true;
    }
}

static void find_move(struct replay_device *device) {
    for (device->move = device->at; device->free_polls && device->move < device->count && is_poll(&device->calls[device->move]);) device->move++;
}

static const struct replay_call *take_move(struct replay_device *device, size_t move) {
    device->at = move + 1;
    find_move(device);
    for (int kind = 0; kind < KINDS; kind++) device->polled[kind] = device->at;
    return &device->calls[move];
}

/* The recorded poll that answers this one, if it is one; *answer is a changed copy where it is answered again. */
static const struct replay_call *polled(struct replay_device *device, const struct replay_call *asked, size_t move, struct replay_call *answer) {
    size_t *from = &device->polled[asked->kind], *last = &device->last_poll[asked->kind];
    for (size_t i = *from > device->at ? *from : device->at; i < move; i++) {
        const struct replay_call *call = &device->calls[i];
        if (call->kind != asked->kind || (asked->kind == FEATURE && call->number != asked->number)) continue;
        *from = i + 1, *last = i;
        if (asked->kind == PRECOPY_INFO) device->read_since_info = 0;
        return call;
    }
    *from = move;
    /* A read that finds no poll may be the one that finds data. */
    if (asked->kind == READ && move < device->count && device->calls[move].kind == READ) return NULL;
    if (*last == NO_CALL) return NULL;
    *answer = device->calls[*last];
    if (answer->kind == FEATURE && answer->number != asked->number) return NULL;
    if (answer->kind == PRECOPY_INFO && answer->result == 0) {
        uint64_t read = device->read_since_info, initial = answer->size < read ? answer->size : read;
        answer->size -= initial, read -= initial;
        answer->dirty -= answer->dirty < read ? answer->dirty : read;
        answer->number &= ~(uint32_t)VFIO_PRECOPY_INFO_REINIT;
    }
    return answer;
}

/* A poll before the next move whose answer the user must not miss; NULL: none is left. */
static const struct replay_call *missed_poll(const struct replay_device *device, size_t move) {
    for (size_t i = device->polled[PRECOPY_INFO] > device->at ? device->polled[PRECOPY_INFO] : device->at; i < move; i++) {
        const struct replay_call *call = &device->calls[i];
        bool news = call->result < 0 || (device->info_v2 && (call->number & VFIO_PRECOPY_INFO_REINIT) != 0);
        if (call->kind == PRECOPY_INFO && news) return call;
    }
    return NULL;
}

/* The recorded call that answers this one; NULL after a departure. */
static const struct replay_call *due(struct replay_device *device, const struct replay_call *asked, struct replay_call *answer) {
    if (device->departed) return NULL;
    size_t move = device->move;
    if (device->free_polls && (asked->kind == READ || is_poll(asked))) {
        const struct replay_call *poll = polled(device, asked, move, answer);
        if (poll != NULL) return poll;
    }
    if (device->free_polls) {
        const struct replay_call *missed = missed_poll(device, move);
        if (missed != NULL) return depart(device, missed, asked);
    }
    const struct replay_call *expected = move < device->count ? &device->calls[move] : NULL;
    if (expected == NULL || !is_same(expected, asked)) return depart(device, expected, asked);
    return take_move(device, move);
}

uint64_t replay_device_left(const struct replay_device *device) {
    uint64_t left = 0;
    for (size_t i = device->at; i < device->count && !device->departed; i++) left += !device->free_polls || !is_poll(&device->calls[i]);
    return left;
}

/* --- The device descriptor --------------------------------------------------------------------------- */

static struct mock_outcome told(struct replay_device *device, const char *call, int64_t result) {
    tell(device, (struct mock_event){.kind = MOCK_EVENT_CALL, .word = call, .ret = result});
    return mock_outcome_of(result);
}

static void end_session(struct replay_device *device) {
    if (device->open) tell(device, (struct mock_event){.kind = MOCK_EVENT_SESSION_END, .a = device->session});
    device->open = false;
}

/* All that is read from here to the call that opens the next session. */
static uint64_t session_bytes(const struct replay_device *device) {
    uint64_t total = 0;
    for (size_t i = device->at; i < device->count && !(device->calls[i].kind == STATE && device->calls[i].opens); i++) {
        if (device->calls[i].kind == READ && device->calls[i].result > 0) total += (uint64_t)device->calls[i].result;
    }
    return total;
}

/* Enters a state arc by arc, as a device with these abilities does, and tells of each. */
static void enter(struct replay_device *device, enum vfio_device_mig_state state) {
    while (device->state != state) {
        enum vfio_device_mig_state from = device->state, next = mock_next_state(&device->script, from, state);
        device->state = next == VFIO_DEVICE_STATE_ERROR ? state : next;
        tell(device, (struct mock_event){.kind = MOCK_EVENT_STATE, .a = from, .b = device->state});
        bool keeps = device->state == VFIO_DEVICE_STATE_PRE_COPY || device->state == VFIO_DEVICE_STATE_PRE_COPY_P2P
            || device->state == VFIO_DEVICE_STATE_STOP_COPY;
        if (!keeps || !device->saving) end_session(device);
    }
}

static int64_t set_state(struct replay_device *device, uint64_t address, const struct vfio_device_feature_mig_state *wanted) {
    struct replay_call asked = {.kind = STATE, .number = wanted->device_state}, answer;
    struct vfio_device_feature_mig_state reply = {.device_state = wanted->device_state, .data_fd = -1};
    const struct replay_call *call = due(device, &asked, &answer);
    if (call == NULL) return -DEPARTED;
    if (call->result < 0) return call->result;
    uint64_t data = address + sizeof(struct vfio_device_feature);
    if (mock_pin(&device->world, data, sizeof reply, true) == NULL) return -EFAULT;
    if (call->opens) {
        int fd = device->world.open_data(device->world.context, device->session + 1);
        if (fd < 0) return fd;
        reply.data_fd = fd;
    }
    enter(device, (enum vfio_device_mig_state)wanted->device_state);
    if (call->opens) {
        end_session(device);
        device->session++;
        device->open = true;
        device->saving = wanted->device_state != VFIO_DEVICE_STATE_RESUMING;
        device->segment = (struct segment){.kind = SEGMENT_FINAL, .length = session_bytes(device)};
        device->queries = device->bytes_read = device->bytes_written = device->read_since_info = 0;
        tell(device, (struct mock_event){.kind = MOCK_EVENT_SESSION_BEGIN, .word = device->saving ? "saving" : "resuming", .a = device->session});
    }
    return mock_copy_out(&device->world, data, &reply, sizeof reply);
}

static int64_t get_size(struct replay_device *device, uint64_t address) {
    struct replay_call asked = {.kind = DATA_SIZE}, answer;
    const struct replay_call *call = due(device, &asked, &answer);
    if (call == NULL) return -DEPARTED;
    struct vfio_device_feature_mig_data_size size = {.stop_copy_length = call->size};
    if (call->result < 0) return call->result;
    return mock_copy_out(&device->world, address + sizeof(struct vfio_device_feature), &size, sizeof size);
}

static int64_t any_feature(struct replay_device *device, uint64_t address, const struct vfio_device_feature *header) {
    struct replay_call asked = {.kind = FEATURE, .number = header->flags}, answer;
    const struct replay_call *call = due(device, &asked, &answer);
    if (call == NULL) return -DEPARTED;
    if (call->result >= 0 && header->flags == (VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2)) device->info_v2 = true;
    size_t room = header->argsz > sizeof *header ? header->argsz - sizeof *header : 0;
    size_t length = call->output_length < room ? call->output_length : room;
    bool answers = (header->flags & VFIO_DEVICE_FEATURE_GET) != 0 && (header->flags & VFIO_DEVICE_FEATURE_PROBE) == 0;
    int error = answers && call->result >= 0 && length > 0 ? mock_copy_out(&device->world, address + sizeof *header, call->output, length) : 0;
    return error != 0 ? error : call->result;
}

static struct mock_outcome feature(struct replay_device *device, uint64_t address) {
    struct vfio_device_feature header;
    struct vfio_device_feature_mig_state wanted;
    if (mock_copy_in(&device->world, &header, address, sizeof header) != 0) return told(device, "feature-probe", -EFAULT);
    if (header.flags == (VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE)) {
        if (mock_copy_in(&device->world, &wanted, address + sizeof header, sizeof wanted) != 0) return told(device, "set-state", -EFAULT);
        return told(device, "set-state", set_state(device, address, &wanted));
    }
    if (header.flags == (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE)) return told(device, "data-size", get_size(device, address));
    return told(device, "feature-probe", any_feature(device, address, &header));
}

static struct mock_outcome reset(struct replay_device *device) {
    struct replay_call asked = {.kind = RESET}, answer;
    const struct replay_call *call = due(device, &asked, &answer);
    if (call == NULL || call->result < 0) return told(device, "reset", call == NULL ? -DEPARTED : call->result);
    tell(device, (struct mock_event){.kind = MOCK_EVENT_RESET, .a = device->state});
    end_session(device);
    device->state = VFIO_DEVICE_STATE_RUNNING;
    return mock_outcome_of(call->result);
}

struct mock_outcome replay_device_ioctl(struct replay_device *device, uint64_t request, uint64_t argument) {
    if (request == VFIO_DEVICE_FEATURE) return feature(device, argument);
    if (request == VFIO_DEVICE_RESET) return reset(device);
    return mock_device_ioctl(device->rest, request, argument);
}

/* --- The data descriptor ----------------------------------------------------------------------------- */

static bool is_live(const struct replay_device *device, uint32_t session) { return device->open && session == device->session; }

static int64_t query(struct replay_device *device, uint32_t session, uint64_t argument, struct vfio_precopy_info *info) {
    struct replay_call asked = {.kind = PRECOPY_INFO}, answer;
    if (!is_live(device, session)) return -ENODEV;
    int error = mock_copy_in(&device->world, info, argument, sizeof *info);
    if (error != 0) return error;
    const struct replay_call *call = due(device, &asked, &answer);
    if (call == NULL) return -DEPARTED;
    device->queries += call->result >= 0;
    if (call->result < 0) return call->result;
    info->initial_bytes = call->size, info->dirty_bytes = call->dirty, info->flags = call->number;
    return mock_copy_out(&device->world, argument, info, sizeof *info);
}

struct mock_outcome replay_data_ioctl(struct replay_device *device, uint32_t session, uint64_t request, uint64_t argument) {
    if (request != VFIO_MIG_GET_PRECOPY_INFO) return mock_device_ioctl(device->rest, request, argument);
    struct vfio_precopy_info info = {0};
    int64_t result = query(device, session, argument, &info);
    bool ok = result >= 0;
    tell(device, (struct mock_event){
        .kind = MOCK_EVENT_PRECOPY_INFO, .a = ok ? info.initial_bytes : 0, .b = ok ? info.dirty_bytes : 0,
        .c = ok && device->info_v2 && (info.flags & VFIO_PRECOPY_INFO_REINIT) != 0, .ret = result});
    return mock_outcome_of(result);
}

static int64_t read_data(struct replay_device *device, uint32_t session, uint64_t buffer, size_t length) {
    struct replay_call asked = {.kind = READ, .size = length}, answer;
    if (!is_live(device, session)) return -ENODEV;
    const struct replay_call *call = due(device, &asked, &answer);
    if (call == NULL) return -DEPARTED;
    if (call->result <= 0) return call->result;
    uint8_t *bytes = mock_pin(&device->world, buffer, (size_t)call->result, true);
    if (bytes == NULL) return -EFAULT;
    if (device->segment.length >= SEGMENT_HEADER) segment_fill(&device->segment, device->bytes_read, bytes, (size_t)call->result);
    else memset(bytes, 0, (size_t)call->result);
    device->bytes_read += (uint64_t)call->result;
    device->read_since_info += (uint64_t)call->result;
    return call->result;
}

struct mock_outcome replay_data_read(struct replay_device *device, uint32_t session, uint64_t buffer, size_t length) {
    int64_t result = read_data(device, session, buffer, length);
    tell(device, (struct mock_event){.kind = MOCK_EVENT_READ, .a = length, .ret = result});
    return mock_outcome_of(result);
}

static int64_t write_data(struct replay_device *device, uint32_t session, size_t length) {
    struct replay_call asked = {.kind = WRITE, .size = length}, answer;
    if (!is_live(device, session)) return -ENODEV;
    const struct replay_call *call = due(device, &asked, &answer);
    if (call == NULL) return -DEPARTED;
    if (call->result > 0) device->bytes_written += (uint64_t)call->result;
    return call->result;
}

struct mock_outcome replay_data_write(struct replay_device *device, uint32_t session, uint64_t buffer, size_t length) {
    (void)buffer;
    int64_t result = write_data(device, session, length);
    tell(device, (struct mock_event){.kind = MOCK_EVENT_WRITE, .a = length, .ret = result});
    return mock_outcome_of(result);
}

void replay_data_close(struct replay_device *device, uint32_t session) {
    struct replay_call asked = {.kind = CLOSE}, answer;
    (void)session;
    const struct replay_call *call = due(device, &asked, &answer);
    tell(device, (struct mock_event){.kind = MOCK_EVENT_CALL, .word = "data-close", .ret = call == NULL ? -DEPARTED : call->result});
}

struct mock_progress replay_device_progress(const struct replay_device *device) {
    return (struct mock_progress){
        .state = device->state, .queries = device->queries, .bytes_read = device->bytes_read, .bytes_written = device->bytes_written};
}
