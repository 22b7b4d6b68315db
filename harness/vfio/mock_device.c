/*
 * The device model. Top to bottom: events, the data of a saving session, script rules, states and
 * sessions, then the calls on the device descriptor and on data descriptors.
 */
#include "mock_device.h"

#include <stdlib.h>

#include "mock_call.h"
#include "segment.h"

enum { CONFIG_SIZE = 4096 };
static const uint64_t transfer_limit = 0x7ffff000;       /* the most one read() or write() of Linux moves */
static const uint64_t unread_limit = (uint64_t)1 << 62;  /* endless rules saturate here instead of wrapping */

enum session_kind { SESSION_NONE, SESSION_SAVING, SESSION_RESUMING };

/* The data that a saving session has not delivered yet: the rest of the present segment, then whole segments. */
struct outgoing {
    struct segment segment;
    uint64_t offset; /* of the next byte of it; == its length: none begun */
    bool segment_is_initial; /* counts as initial bytes: begun as such, or unread at a re-initialisation */
    uint64_t initial, dirty, final;
    uint32_t number; /* of the next segment */
};

struct mock_device {
    struct mock_world world;
    char name[MOCK_NAME_SIZE];
    struct device_script script;
    uint64_t events;

    bool bound, info_v2, dma_logging;
    uint8_t config[CONFIG_SIZE];

    enum vfio_device_mig_state state;
    struct script_estimate estimates[SCRIPT_QUANTITIES];

    enum session_kind session_kind;
    uint32_t session; /* the number of the present session, or of the last */
    bool session_closed;
    struct outgoing outgoing;
    struct segment_receiver receiver;
    bool drained, reinit_unreported;
    uint64_t drains, bytes_read, bytes_written;
    uint64_t queries_made, drained_queries_made; /* what triggers count: all that reached the device */
    uint64_t queries, drained_queries;           /* those that succeeded */
    uint32_t open_gates;                         /* a bit each */
    uint64_t gate_queries[SCRIPT_MAX_GATES];     /* all that reached the device since the gate was opened */

    uint64_t occurrences[SCRIPT_MAX_RULES];
    bool reached[SCRIPT_MAX_RULES]; /* read and written triggers: in this session */
};

/* A call in progress, with the effects of rules on it. */
struct call {
    enum device_call kind;
    int failure;      /* errno; 0: the call takes its course */
    uint64_t at_most; /* bytes it may move */
    uint64_t cost_ns;
    uint32_t gates;
    bool told; /* by an event of its own */
};

/* --- Events ----------------------------------------------------------------------------------- */

static void tell(struct mock_device *device, struct mock_event event) {
    event.sequence = ++device->events;
    event.device = device->name;
    device->world.event(device->world.context, &event);
}

/* --- The data of a saving session --------------------------------------------------------------- */

static uint64_t saturated_sum(uint64_t a, uint64_t b) {
    uint64_t sum = a + b;
    return sum < a || sum > unread_limit ? unread_limit : sum;
}

static uint64_t segment_left(const struct outgoing *outgoing) { return outgoing->segment.length - outgoing->offset; }
static uint64_t initial_bytes(const struct outgoing *outgoing) {
    return outgoing->initial + (outgoing->segment_is_initial ? segment_left(outgoing) : 0);
}
static uint64_t dirty_bytes(const struct outgoing *outgoing) {
    return outgoing->dirty + (outgoing->segment_is_initial || outgoing->segment.kind == SEGMENT_FINAL ? 0 : segment_left(outgoing));
}
static uint64_t unread_bytes(const struct outgoing *outgoing) {
    return segment_left(outgoing) + outgoing->initial + outgoing->dirty + outgoing->final;
}

static void begin_segment(struct outgoing *outgoing, enum segment_kind kind, uint64_t *length) {
    outgoing->segment = (struct segment){.kind = kind, .number = outgoing->number++, .length = *length};
    outgoing->segment_is_initial = kind == SEGMENT_INITIAL;
    outgoing->offset = 0;
    *length = 0;
}

/* Delivers `count` bytes, no more than are unread. */
static void deliver(struct outgoing *outgoing, uint8_t *bytes, size_t count) {
    while (count > 0) {
        if (segment_left(outgoing) == 0) {
            if (outgoing->initial > 0) begin_segment(outgoing, SEGMENT_INITIAL, &outgoing->initial);
            else if (outgoing->dirty > 0) begin_segment(outgoing, SEGMENT_DIRTY, &outgoing->dirty);
            else begin_segment(outgoing, SEGMENT_FINAL, &outgoing->final);
        }
        size_t now = segment_left(outgoing) < count ? (size_t)segment_left(outgoing) : count;
        segment_fill(&outgoing->segment, outgoing->offset, bytes, now);
        outgoing->offset += now;
        bytes += now, count -= now;
    }
}

static bool in_precopy(const struct mock_device *device) {
    return device->state == VFIO_DEVICE_STATE_PRE_COPY || device->state == VFIO_DEVICE_STATE_PRE_COPY_P2P;
}

/* Notes that the initial bytes have reached 0, once until a re-initialisation. */
static void note_drained(struct mock_device *device) {
    if (device->drained || initial_bytes(&device->outgoing) > 0) return;
    device->drained = true;
    device->drains++;
    device->drained_queries = device->drained_queries_made = 0;
    tell(device, (struct mock_event){.kind = MOCK_EVENT_DRAINED, .a = device->bytes_read});
}

static void reinitialise(struct mock_device *device, uint64_t bytes) {
    struct outgoing *outgoing = &device->outgoing;
    outgoing->segment_is_initial = true;
    outgoing->initial = saturated_sum(saturated_sum(outgoing->initial, outgoing->dirty), bytes);
    outgoing->dirty = 0;
    device->reinit_unreported = true;
    device->drained = false;
    device->drained_queries = device->drained_queries_made = 0;
    note_drained(device);
}

/* --- Script rules ----------------------------------------------------------------------------- */

static void enter_error(struct mock_device *device, struct call *call);
static void enter_running(struct mock_device *device);

static const char *const estimate_words[SCRIPT_QUANTITIES] = {"estimate-initial", "estimate-dirty", "estimate-stop-copy"};
static const char *const exact_words[SCRIPT_QUANTITIES] = {"exact-initial", "exact-dirty", "exact-stop-copy"};

/* Carries out a rule's action. `call` is the call in progress, NULL if there is none. */
static void act(struct mock_device *device, struct call *call, const struct script_rule *rule) {
    struct mock_event event = {.kind = MOCK_EVENT_INJECTED, .a = rule->line, .b = rule->bytes};
    bool able = true;
    switch (rule->action) {
    case ACTION_REINIT:
        able = in_precopy(device);
        event.word = able ? "reinit" : "reinit-ignored";
        tell(device, event);
        if (able) reinitialise(device, rule->bytes);
        break;
    case ACTION_DIRTY:
        able = in_precopy(device);
        event.word = able ? "dirty" : "dirty-ignored";
        tell(device, event);
        if (able) device->outgoing.dirty = saturated_sum(device->outgoing.dirty, rule->bytes);
        break;
    case ACTION_ESTIMATE:
        event.word = (rule->estimate.fixed ? estimate_words : exact_words)[rule->quantity];
        event.b = rule->estimate.fixed ? rule->estimate.bytes : 0;
        tell(device, event);
        device->estimates[rule->quantity] = rule->estimate;
        break;
    case ACTION_FAIL:
        event.word = call != NULL ? "fail" : "fail-ignored";
        event.b = (uint64_t)rule->error;
        tell(device, event);
        if (call != NULL && call->failure == 0) call->failure = rule->error;
        break;
    case ACTION_SHORT:
        event.word = call != NULL ? "short" : "short-ignored";
        tell(device, event);
        if (call != NULL && rule->bytes < call->at_most) call->at_most = rule->bytes;
        break;
    case ACTION_HOLD:
        event.word = call != NULL ? "hold" : "hold-ignored";
        event.b = rule->hold;
        tell(device, event);
        if (call != NULL) call->gates |= (uint32_t)1 << rule->hold;
        break;
    case ACTION_ERROR:
        able = device->state != VFIO_DEVICE_STATE_ERROR;
        event.word = able ? "error" : "error-ignored";
        tell(device, event);
        if (able) enter_error(device, call);
        break;
    case ACTION_RESET:
        able = device->state != VFIO_DEVICE_STATE_RUNNING;
        event.word = able ? "reset" : "reset-ignored";
        tell(device, event);
        if (able) enter_running(device);
        break;
    }
}

/* Counts an occurrence of the rule's trigger, and acts if `when` picks it. */
static void occur(struct mock_device *device, struct call *call, const struct script_rule *rule) {
    uint64_t occurrence = ++device->occurrences[rule - device->script.rules];
    if (occurrence < rule->first || occurrence > rule->last || (occurrence - rule->first) % rule->step != 0) return;
    act(device, call, rule);
}

#define FOR_EACH_RULE(rule, device) \
    for (const struct script_rule *rule = (device)->script.rules, *end_ = rule + (device)->script.rule_count; rule < end_; rule++)

/* State triggers act in two steps: `fail` before the state is entered, everything else after. */
static void occur_state(struct mock_device *device, struct call *call, enum vfio_device_mig_state state, bool fails) {
    FOR_EACH_RULE(rule, device) {
        if (rule->trigger == TRIGGER_STATE && rule->state == state && (rule->action == ACTION_FAIL) == fails) occur(device, call, rule);
    }
}

/* read and written triggers: fail and short before `total` bytes are reached, everything else after. */
static void occur_total(struct mock_device *device, struct call *call, enum script_trigger trigger, uint64_t total, bool before) {
    FOR_EACH_RULE(rule, device) {
        bool *reached = &device->reached[rule - device->script.rules];
        bool early = rule->action == ACTION_FAIL || rule->action == ACTION_SHORT;
        if (rule->trigger != trigger || early != before || *reached || total < rule->threshold) continue;
        *reached = true;
        occur(device, call, rule);
    }
}

static void occur_query(struct mock_device *device, struct call *call) {
    uint64_t drained_query = device->drained_queries_made, session_query = device->queries_made;
    for (unsigned gate = 0; gate < device->script.gate_count; gate++) device->gate_queries[gate] += device->open_gates >> gate & 1;
    FOR_EACH_RULE(rule, device) {
        bool of_drain = rule->trigger == TRIGGER_QUERY && rule->threshold == drained_query;
        bool of_session = rule->trigger == TRIGGER_SESSION_QUERY && rule->threshold == session_query;
        bool of_gate = rule->trigger == TRIGGER_GATE_QUERY && rule->threshold == device->gate_queries[rule->gate];
        if (of_drain || of_session || of_gate) occur(device, call, rule);
    }
}

/* --- States and sessions ------------------------------------------------------------------------ */

enum { NO_WAY = VFIO_DEVICE_STATE_ERROR };

/* The first step of the way from one state (row) to another (column), by the uAPI's full set of states. */
static const uint8_t first_step[VFIO_DEVICE_STATE_NR][VFIO_DEVICE_STATE_NR] = {
#define STOP VFIO_DEVICE_STATE_STOP
#define RUN VFIO_DEVICE_STATE_RUNNING
#define SCOPY VFIO_DEVICE_STATE_STOP_COPY
#define RESUM VFIO_DEVICE_STATE_RESUMING
#define RP2P VFIO_DEVICE_STATE_RUNNING_P2P
#define PCOPY VFIO_DEVICE_STATE_PRE_COPY
#define PP2P VFIO_DEVICE_STATE_PRE_COPY_P2P
    /* to:     ERROR   STOP  RUN   SCOPY  RESUM  RP2P  PCOPY   PP2P */
    [STOP]  = {NO_WAY, STOP, RP2P, SCOPY, RESUM, RP2P, RP2P,   RP2P},
    [RUN]   = {NO_WAY, RP2P, RUN,  RP2P,  RP2P,  RP2P, PCOPY,  RP2P},
    [SCOPY] = {NO_WAY, STOP, STOP, SCOPY, STOP,  STOP, NO_WAY, NO_WAY},
    [RESUM] = {NO_WAY, STOP, STOP, STOP,  RESUM, STOP, STOP,   STOP},
    [RP2P]  = {NO_WAY, STOP, RUN,  STOP,  STOP,  RP2P, RUN,    PP2P},
    [PCOPY] = {NO_WAY, RUN,  RUN,  PP2P,  RUN,   RUN,  PCOPY,  PP2P},
    [PP2P]  = {NO_WAY, RP2P, RP2P, SCOPY, RP2P,  RP2P, PCOPY,  PP2P},
#undef STOP
#undef RUN
#undef SCOPY
#undef RESUM
#undef RP2P
#undef PCOPY
#undef PP2P
};

static bool exists(const struct device_script *script, uint32_t state) {
    switch (state) {
    case VFIO_DEVICE_STATE_STOP:
    case VFIO_DEVICE_STATE_RUNNING:
    case VFIO_DEVICE_STATE_STOP_COPY:
    case VFIO_DEVICE_STATE_RESUMING: return true;
    case VFIO_DEVICE_STATE_RUNNING_P2P: return script->p2p;
    case VFIO_DEVICE_STATE_PRE_COPY: return script->precopy;
    case VFIO_DEVICE_STATE_PRE_COPY_P2P: return script->precopy && script->p2p;
    default: return false;
    }
}

/* The next state on the way, or NO_WAY; steps to states the device lacks are looked through. */
enum vfio_device_mig_state mock_next_state(const struct device_script *script, enum vfio_device_mig_state from, uint32_t to) {
    if (!exists(script, to)) return (enum vfio_device_mig_state)NO_WAY;
    uint8_t next = first_step[from][to];
    while (next != NO_WAY && !exists(script, next)) next = first_step[next][to];
    return (enum vfio_device_mig_state)next;
}

static bool in_saving_group(enum vfio_device_mig_state state) {
    return state == VFIO_DEVICE_STATE_PRE_COPY || state == VFIO_DEVICE_STATE_PRE_COPY_P2P || state == VFIO_DEVICE_STATE_STOP_COPY;
}

static enum session_kind session_of(enum vfio_device_mig_state state) {
    return in_saving_group(state) ? SESSION_SAVING : state == VFIO_DEVICE_STATE_RESUMING ? SESSION_RESUMING : SESSION_NONE;
}

static void end_session(struct mock_device *device) {
    if (device->session_kind == SESSION_NONE) return;
    device->session_kind = SESSION_NONE;
    device->outgoing = (struct outgoing){0};
    tell(device, (struct mock_event){.kind = MOCK_EVENT_SESSION_END, .a = device->session});
}

/* Begins the session that the state just entered calls for. */
static void begin_session(struct mock_device *device) {
    device->session++;
    device->session_kind = session_of(device->state);
    device->session_closed = false;
    device->outgoing = (struct outgoing){0};
    device->receiver = (struct segment_receiver){0};
    device->bytes_read = device->bytes_written = 0;
    device->queries = device->drained_queries = device->queries_made = device->drained_queries_made = device->drains = 0;
    device->reinit_unreported = false;
    memset(device->reached, 0, sizeof device->reached);
    const char *word = device->session_kind == SESSION_SAVING ? "saving" : "resuming";
    tell(device, (struct mock_event){.kind = MOCK_EVENT_SESSION_BEGIN, .word = word, .a = device->session});
    device->drained = true;
    if (in_precopy(device)) {
        device->drained = false;
        device->outgoing.initial = device->script.initial;
        note_drained(device);
    }
}

static void tell_state(struct mock_device *device, enum vfio_device_mig_state from) {
    tell(device, (struct mock_event){.kind = MOCK_EVENT_STATE, .a = from, .b = device->state});
}

static void enter_error(struct mock_device *device, struct call *call) {
    enum vfio_device_mig_state from = device->state;
    device->state = VFIO_DEVICE_STATE_ERROR;
    tell_state(device, from);
    end_session(device);
    occur_state(device, call, VFIO_DEVICE_STATE_ERROR, false);
}

/* A reset leads to RUNNING from any state, and ends the session. */
static void enter_running(struct mock_device *device) {
    enum vfio_device_mig_state from = device->state;
    device->state = VFIO_DEVICE_STATE_RUNNING;
    device->dma_logging = false;
    tell(device, (struct mock_event){.kind = MOCK_EVENT_RESET, .a = from});
    end_session(device);
}

/* Enters a neighbouring state. 0 or -errno; on failure the state is as before. A new session's descriptor goes to *data_fd. */
static int enter(struct mock_device *device, struct call *call, enum vfio_device_mig_state to, int32_t *data_fd) {
    enum vfio_device_mig_state from = device->state;
    enum session_kind kind = session_of(to);
    bool same_session = kind == session_of(from);
    if (from == VFIO_DEVICE_STATE_RESUMING && !device->receiver.final_received) return -EINVAL;
    occur_state(device, call, to, true);
    if (call->failure != 0) return -call->failure;
    if (kind != SESSION_NONE && !same_session) {
        int descriptor = device->world.open_data(device->world.context, device->session + 1);
        if (descriptor < 0) return descriptor;
        *data_fd = descriptor;
    }
    device->state = to;
    tell_state(device, from);
    if (!same_session) end_session(device);
    if (kind != SESSION_NONE && !same_session) begin_session(device);
    if (to == VFIO_DEVICE_STATE_STOP_COPY) device->outgoing.final = device->script.stop_copy;
    occur_state(device, call, to, false);
    return 0;
}

/* Goes all the way to a state. A rule may put the device into ERROR on the way: that ends it, unless the state was reached. */
static int go(struct mock_device *device, struct call *call, uint32_t to, int32_t *data_fd) {
    for (;;) {
        enum vfio_device_mig_state next = mock_next_state(&device->script, device->state, to);
        if ((int)next == NO_WAY) return -EINVAL;
        if (next == device->state) return 0;
        int refusal = enter(device, call, next, data_fd);
        if (refusal != 0) return refusal;
        if (next == to) return 0;
        if (device->state != next) return -EIO;
    }
}

/* --- Calls ------------------------------------------------------------------------------------ */

/* Begins a call: the world may fail it before any rule of the script counts it. */
static struct call begin_call(struct mock_device *device, enum device_call kind) {
    struct call call = {.kind = kind, .at_most = transfer_limit};
    if (device->world.fault != NULL) call.failure = device->world.fault(device->world.context, kind, device->state);
    if (call.failure != 0) {
        tell(device, (struct mock_event){.kind = MOCK_EVENT_INJECTED, .word = "fail", .b = (uint64_t)call.failure});
        return call;
    }
    call.cost_ns = device->script.cost_ns[kind];
    FOR_EACH_RULE(rule, device) {
        if (rule->trigger == TRIGGER_CALL && rule->call == kind) occur(device, &call, rule);
    }
    return call;
}

/* Ends a call with `result`: >= 0, or -errno. */
static struct mock_outcome end_call(struct mock_device *device, const struct call *call, int64_t result) {
    if (!call->told) tell(device, (struct mock_event){.kind = MOCK_EVENT_CALL, .word = device_call_name(call->kind), .ret = result});
    struct mock_outcome outcome = mock_outcome_of(result);
    outcome.cost_ns = call->cost_ns;
    outcome.gates = call->gates;
    return outcome;
}

static void add_transfer_cost(struct call *call, uint64_t bytes, uint64_t rate) {
    if (rate == 0) return;
    unsigned __int128 cost = (unsigned __int128)bytes * 1000000000u / rate + call->cost_ns;
    call->cost_ns = cost > UINT64_MAX ? UINT64_MAX : (uint64_t)cost;
}

static struct mock_outcome unknown_request(struct mock_device *device, uint64_t request) {
    tell(device, (struct mock_event){.kind = MOCK_EVENT_UNKNOWN, .a = request});
    return mock_outcome_of(-ENOTTY);
}

/* --- The device descriptor: identity, regions, interrupts ----------------------------------------- */

/* Every structure begins with argsz. Copies `size` bytes in and checks that argsz covers them. */
static int copy_argument(const struct mock_device *device, void *to, uint64_t argument, size_t size) {
    int fault = mock_copy_in(&device->world, to, argument, size);
    if (fault != 0) return fault;
    uint32_t argsz;
    memcpy(&argsz, to, sizeof argsz);
    return argsz < size ? -EINVAL : 0;
}

/* Differs between devices, and is the same in every run. */
static uint32_t device_id(const struct mock_device *device) {
    uint32_t hash = 2166136261u;
    for (const char *c = device->name; *c != '\0'; c++) hash = (hash ^ (uint8_t)*c) * 16777619u;
    return (hash & (MOCK_DEVICE_ID - 1)) | MOCK_DEVICE_ID;
}

static int bind(struct mock_device *device, struct call *call, uint64_t argument) {
    (void)call;
    struct vfio_device_bind_iommufd bind;
    int error = copy_argument(device, &bind, argument, sizeof bind);
    if (error != 0) return error;
    if (bind.flags != 0 || bind.iommufd < 0 || device->bound) return -EINVAL;
    bind.out_devid = device_id(device);
    error = mock_copy_out(&device->world, argument, &bind, sizeof bind);
    if (error == 0) device->bound = true;
    return error;
}

static int attach(struct mock_device *device, struct call *call, uint64_t argument) {
    (void)call;
    struct vfio_device_attach_iommufd_pt attach;
    int error = copy_argument(device, &attach, argument, sizeof attach);
    if (error != 0) return error;
    if (attach.flags != 0) return -EINVAL;
    return attach.pt_id == 0 ? -ENOENT : 0;
}

static int detach(struct mock_device *device, struct call *call, uint64_t argument) {
    (void)call;
    struct vfio_device_detach_iommufd_pt detach;
    int error = copy_argument(device, &detach, argument, sizeof detach);
    if (error != 0) return error;
    return detach.flags != 0 ? -EINVAL : 0;
}

static int get_info(struct mock_device *device, struct call *call, uint64_t argument) {
    (void)call;
    struct vfio_device_info info = {0};
    size_t least = offsetof(struct vfio_device_info, cap_offset);
    int error = copy_argument(device, &info, argument, least);
    if (error != 0) return error;
    info.flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI;
    info.num_regions = VFIO_PCI_NUM_REGIONS;
    info.num_irqs = VFIO_PCI_NUM_IRQS;
    return mock_copy_out(&device->world, argument, &info, info.argsz < sizeof info ? least : sizeof info);
}

static int get_region_info(struct mock_device *device, struct call *call, uint64_t argument) {
    (void)call;
    struct vfio_region_info info;
    int error = copy_argument(device, &info, argument, sizeof info);
    if (error != 0) return error;
    if (info.index >= VFIO_PCI_NUM_REGIONS) return -EINVAL;
    bool config = info.index == VFIO_PCI_CONFIG_REGION_INDEX;
    info.flags = config ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
    info.cap_offset = 0;
    info.size = config ? CONFIG_SIZE : 0;
    info.offset = (uint64_t)info.index << VFIO_PCI_OFFSET_SHIFT;
    return mock_copy_out(&device->world, argument, &info, sizeof info);
}

static int get_irq_info(struct mock_device *device, struct call *call, uint64_t argument) {
    (void)call;
    struct vfio_irq_info info;
    int error = copy_argument(device, &info, argument, sizeof info);
    if (error != 0) return error;
    if (info.index >= VFIO_PCI_NUM_IRQS) return -EINVAL;
    info.flags = VFIO_IRQ_INFO_EVENTFD;
    info.flags |= info.index == VFIO_PCI_INTX_IRQ_INDEX ? VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED : VFIO_IRQ_INFO_NORESIZE;
    info.count = 0;
    return mock_copy_out(&device->world, argument, &info, sizeof info);
}

/* The device has no interrupts, so only well-formed requests about none of them can succeed. */
static int set_irqs(struct mock_device *device, struct call *call, uint64_t argument) {
    (void)call;
    struct vfio_irq_set set;
    int error = copy_argument(device, &set, argument, sizeof set);
    if (error != 0) return error;
    uint32_t data = set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK, action = set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
    bool one_each = data != 0 && (data & (data - 1)) == 0 && action != 0 && (action & (action - 1)) == 0;
    if ((set.flags & ~(data | action)) != 0 || !one_each) return -EINVAL;
    if (set.index >= VFIO_PCI_NUM_IRQS || set.start != 0 || set.count != 0) return -EINVAL;
    return 0;
}

static int reset(struct mock_device *device, struct call *call, uint64_t argument) {
    (void)argument;
    bool entered = device->state != VFIO_DEVICE_STATE_RUNNING;
    if (entered) occur_state(device, call, VFIO_DEVICE_STATE_RUNNING, true);
    if (call->failure != 0) return -call->failure;
    enter_running(device);
    call->told = true;
    if (entered) occur_state(device, call, VFIO_DEVICE_STATE_RUNNING, false);
    return 0;
}

/* Function-level reset is all the device has: there is no bus to reset. */
static int hot_reset_info(struct mock_device *device, struct call *call, uint64_t argument) {
    (void)call;
    struct vfio_pci_hot_reset_info info;
    int error = copy_argument(device, &info, argument, sizeof info);
    return error != 0 ? error : -ENODEV;
}

/* --- The device descriptor: features --------------------------------------------------------------- */

struct feature_argument {
    uint32_t argsz, flags;
    uint64_t data; /* the address of what follows the header */
};

static int feature_migration(struct mock_device *device, struct call *call, const struct feature_argument *argument) {
    (void)call;
    struct vfio_device_feature_migration migration = {.flags = VFIO_MIGRATION_STOP_COPY};
    if (device->script.p2p) migration.flags |= VFIO_MIGRATION_P2P;
    if (device->script.precopy) migration.flags |= VFIO_MIGRATION_PRE_COPY;
    return mock_copy_out(&device->world, argument->data, &migration, sizeof migration);
}

static int feature_device_state(struct mock_device *device, struct call *call, const struct feature_argument *argument) {
    struct vfio_device_feature_mig_state state;
    uint8_t *data = mock_pin(&device->world, argument->data, sizeof state, true);
    if (data == NULL) return -EFAULT;
    memcpy(&state, data, sizeof state);
    int result = 0;
    int32_t data_fd = -1;
    if ((argument->flags & VFIO_DEVICE_FEATURE_SET) != 0) result = go(device, call, state.device_state, &data_fd);
    else state.device_state = device->state;
    state.data_fd = data_fd;
    memcpy(data, &state, sizeof state);
    return result;
}

static uint64_t reported(const struct mock_device *device, enum script_quantity quantity, uint64_t truth) {
    return device->estimates[quantity].fixed ? device->estimates[quantity].bytes : truth;
}

static int feature_data_size(struct mock_device *device, struct call *call, const struct feature_argument *argument) {
    (void)call;
    uint64_t truth = unread_bytes(&device->outgoing);
    if (device->state != VFIO_DEVICE_STATE_STOP_COPY) truth += device->script.stop_copy;
    struct vfio_device_feature_mig_data_size size = {.stop_copy_length = reported(device, QUANTITY_STOP_COPY, truth)};
    return mock_copy_out(&device->world, argument->data, &size, sizeof size);
}

static int feature_precopy_info_v2(struct mock_device *device, struct call *call, const struct feature_argument *argument) {
    (void)call, (void)argument;
    device->info_v2 = true;
    return 0;
}

static bool is_page_size(uint64_t size) { return size >= 4096 && (size & (size - 1)) == 0; }

enum { LOGGING_MAX_RANGES = 256 };

static int feature_logging_start(struct mock_device *device, struct call *call, const struct feature_argument *argument) {
    (void)call;
    struct vfio_device_feature_dma_logging_control control;
    int error = mock_copy_in(&device->world, &control, argument->data, sizeof control);
    if (error != 0) return error;
    if (!is_page_size(control.page_size) || control.__reserved != 0 || control.num_ranges == 0) return -EINVAL;
    if (control.num_ranges > LOGGING_MAX_RANGES) return -E2BIG;
    for (uint32_t i = 0; i < control.num_ranges; i++) {
        struct vfio_device_feature_dma_logging_range range;
        error = mock_copy_in(&device->world, &range, control.ranges + i * sizeof range, sizeof range);
        if (error != 0) return error;
        if (range.length == 0 || (range.iova | range.length) % control.page_size != 0) return -EINVAL;
        if (range.iova + (range.length - 1) < range.iova) return -EOVERFLOW;
    }
    if (device->dma_logging) return -EINVAL;
    error = mock_copy_out(&device->world, argument->data, &control, sizeof control);
    if (error == 0) device->dma_logging = true;
    return error;
}

static int feature_logging_stop(struct mock_device *device, struct call *call, const struct feature_argument *argument) {
    (void)call, (void)argument;
    device->dma_logging = false;
    return 0;
}

/* Nothing is dirty, and a report only ever sets bits, so the bitmap is checked and left alone. */
static int feature_logging_report(struct mock_device *device, struct call *call, const struct feature_argument *argument) {
    (void)call;
    struct vfio_device_feature_dma_logging_report report;
    int error = mock_copy_in(&device->world, &report, argument->data, sizeof report);
    if (error != 0) return error;
    if (!is_page_size(report.page_size) || report.length == 0 || !device->dma_logging) return -EINVAL;
    if (report.iova + (report.length - 1) < report.iova) return -EOVERFLOW;
    uint64_t pages = (report.length - 1) / report.page_size + 1, bytes = (pages + 63) / 64 * 8;
    return mock_pin(&device->world, report.bitmap, (size_t)bytes, true) == NULL ? -EFAULT : 0;
}

struct feature {
    uint32_t index, operations;
    size_t size;
    enum device_call get, set;
    int (*handle)(struct mock_device *, struct call *, const struct feature_argument *);
};

enum { GET = VFIO_DEVICE_FEATURE_GET, SET = VFIO_DEVICE_FEATURE_SET, PROBE = VFIO_DEVICE_FEATURE_PROBE };

static const struct feature features[] = {
    {VFIO_DEVICE_FEATURE_MIGRATION, GET, 8, CALL_MIGRATION, CALL_MIGRATION, feature_migration},
    {VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, GET | SET, 8, CALL_GET_STATE, CALL_SET_STATE, feature_device_state},
    {VFIO_DEVICE_FEATURE_DMA_LOGGING_START, SET, 24, CALL_DMA_LOGGING_START, CALL_DMA_LOGGING_START, feature_logging_start},
    {VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, SET, 0, CALL_DMA_LOGGING_STOP, CALL_DMA_LOGGING_STOP, feature_logging_stop},
    {VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, GET, 32, CALL_DMA_LOGGING_REPORT, CALL_DMA_LOGGING_REPORT, feature_logging_report},
    {VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, GET, 8, CALL_DATA_SIZE, CALL_DATA_SIZE, feature_data_size},
    {VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, SET, 0, CALL_PRECOPY_INFO_V2, CALL_PRECOPY_INFO_V2, feature_precopy_info_v2},
};

/* 0 where the device has the feature, else -errno. */
static int feature_missing(const struct device_script *script, uint32_t index) {
    switch (index) {
    case VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2: return !script->precopy ? -EINVAL : !script->info_v2 ? -ENOTTY : 0;
    case VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
    case VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
    case VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: return script->dirty_tracking ? 0 : -ENOTTY;
    default: return 0;
    }
}

static int use_feature(struct mock_device *device, struct call *call, const struct feature *feature, const struct feature_argument *argument) {
    uint32_t operations = argument->flags & (GET | SET);
    int missing = feature_missing(&device->script, feature->index);
    if (missing != 0) return missing;
    if ((operations & ~feature->operations) != 0) return -EINVAL;
    if ((argument->flags & PROBE) != 0) return 0;
    if (operations == 0 || argument->argsz - sizeof(struct vfio_device_feature) < feature->size) return -EINVAL;
    return feature->handle(device, call, argument);
}

/* A FEATURE call that is too malformed to be named, or names an unknown feature. */
static struct mock_outcome nameless_feature(struct mock_device *device, int error) {
    tell(device, (struct mock_event){.kind = MOCK_EVENT_CALL, .word = "feature", .ret = error});
    return mock_outcome_of(error);
}

static struct mock_outcome feature_request(struct mock_device *device, uint64_t address) {
    struct feature_argument argument = {.data = address + sizeof(struct vfio_device_feature)};
    if (!device->bound) return nameless_feature(device, -EINVAL);
    struct vfio_device_feature header;
    int error = copy_argument(device, &header, address, sizeof header);
    if (error != 0) return nameless_feature(device, error);
    argument.argsz = header.argsz, argument.flags = header.flags;
    uint32_t operations = header.flags & (GET | SET), index = header.flags & VFIO_DEVICE_FEATURE_MASK;
    bool probe = (header.flags & PROBE) != 0;
    if ((header.flags & ~(uint32_t)(VFIO_DEVICE_FEATURE_MASK | GET | SET | PROBE)) != 0) return nameless_feature(device, -EINVAL);
    if (operations == (GET | SET) && !probe) return nameless_feature(device, -EINVAL);

    const struct feature *feature = NULL;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        if (features[i].index == index) feature = &features[i];
    }
    if (feature == NULL && !probe) return nameless_feature(device, -ENOTTY);
    enum device_call kind = probe ? CALL_FEATURE_PROBE : operations == SET ? feature->set : feature->get;
    struct call call = begin_call(device, kind);
    int result = call.failure != 0 ? -call.failure : feature == NULL ? -ENOTTY : use_feature(device, &call, feature, &argument);
    return end_call(device, &call, result);
}

/* --- The device descriptor: entry points ------------------------------------------------------------- */

struct request {
    uint32_t number;
    enum device_call kind;
    int (*handle)(struct mock_device *, struct call *, uint64_t argument);
};

static const struct request requests[] = {
    {VFIO_DEVICE_BIND_IOMMUFD, CALL_BIND, bind},
    {VFIO_DEVICE_ATTACH_IOMMUFD_PT, CALL_ATTACH, attach},
    {VFIO_DEVICE_DETACH_IOMMUFD_PT, CALL_DETACH, detach},
    {VFIO_DEVICE_GET_INFO, CALL_INFO, get_info},
    {VFIO_DEVICE_GET_REGION_INFO, CALL_REGION_INFO, get_region_info},
    {VFIO_DEVICE_GET_IRQ_INFO, CALL_IRQ_INFO, get_irq_info},
    {VFIO_DEVICE_SET_IRQS, CALL_SET_IRQS, set_irqs},
    {VFIO_DEVICE_RESET, CALL_RESET, reset},
    {VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, CALL_HOT_RESET_INFO, hot_reset_info},
};

struct mock_outcome mock_device_ioctl(struct mock_device *device, uint64_t request, uint64_t argument) {
    if (request == VFIO_DEVICE_FEATURE) return feature_request(device, argument);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        if (requests[i].number != request) continue;
        struct call call = begin_call(device, requests[i].kind);
        int result = call.failure != 0                                ? -call.failure
                     : !device->bound && requests[i].kind != CALL_BIND ? -EINVAL
                                                                      : requests[i].handle(device, &call, argument);
        return end_call(device, &call, result);
    }
    return unknown_request(device, request);
}

/* The configuration space: a type 0 header, the PCI Express capability of an endpoint, nothing beyond. */
enum {
    CONFIG_COMMAND = 0x04, CONFIG_STATUS = 0x06, CONFIG_CLASS = 0x0a, CONFIG_CACHE_LINE = 0x0c, CONFIG_SUBSYSTEM = 0x2c,
    CONFIG_CAPABILITIES = 0x34, CONFIG_INTERRUPT_LINE = 0x3c, CONFIG_EXPRESS = 0x40,
};

static void put_config(struct mock_device *device, unsigned at, uint32_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) device->config[at + i] = (uint8_t)(value >> 8 * i);
}

static void make_config(struct mock_device *device) {
    put_config(device, 0x00, 0x41431b36, 4);                       /* vendor, device */
    put_config(device, CONFIG_STATUS, 0x0010, 2);                  /* has a capability list */
    put_config(device, CONFIG_CLASS, 0x0200, 2);                   /* Ethernet controller */
    put_config(device, CONFIG_SUBSYSTEM, 0x41431b36, 4);
    put_config(device, CONFIG_CAPABILITIES, CONFIG_EXPRESS, 1);
    put_config(device, CONFIG_EXPRESS, 0x00020010, 4);             /* PCI Express, last, version 2, endpoint */
    put_config(device, CONFIG_EXPRESS + 0x04, 0x10008000, 4);      /* function-level reset, role-based error reporting */
    put_config(device, CONFIG_EXPRESS + 0x0c, 0x00000011, 4);      /* link: 2.5 GT/s, x1 */
    put_config(device, CONFIG_EXPRESS + 0x12, 0x0011, 2);
}

/* The bits of a byte that may be written. */
static uint8_t config_mask(uint64_t at) {
    static const struct { uint16_t at; uint8_t mask; } writable[] = {
        {CONFIG_COMMAND, 0x47}, {CONFIG_COMMAND + 1, 0x05}, /* spaces, bus master, parity, SERR, INTx disable */
        {CONFIG_CACHE_LINE, 0xff}, {CONFIG_INTERRUPT_LINE, 0xff},
        {CONFIG_EXPRESS + 0x08, 0xff}, {CONFIG_EXPRESS + 0x09, 0x7f}, /* device control */
        {CONFIG_EXPRESS + 0x10, 0xc3}, {CONFIG_EXPRESS + 0x11, 0x0f}, /* link control */
        {CONFIG_EXPRESS + 0x28, 0x1f}, {CONFIG_EXPRESS + 0x29, 0x04}, /* device control 2 */
    };
    for (size_t i = 0; i < sizeof writable / sizeof *writable; i++) {
        if (writable[i].at == at) return writable[i].mask;
    }
    return 0;
}

/* Where in the configuration space an access begins, or -EINVAL; *length is cut at its end. */
static int64_t config_place(const struct mock_device *device, uint64_t offset, size_t *length) {
    uint64_t region = offset >> VFIO_PCI_OFFSET_SHIFT, at = offset & (((uint64_t)1 << VFIO_PCI_OFFSET_SHIFT) - 1);
    if (!device->bound || region != VFIO_PCI_CONFIG_REGION_INDEX || at >= CONFIG_SIZE) return -EINVAL;
    if (*length > CONFIG_SIZE - at) *length = (size_t)(CONFIG_SIZE - at);
    return (int64_t)at;
}

struct mock_outcome mock_device_pread(struct mock_device *device, uint64_t buffer, size_t length, uint64_t offset) {
    struct call call = begin_call(device, CALL_CONFIG_READ);
    int64_t at = config_place(device, offset, &length), result = at;
    if (call.failure != 0) result = -call.failure;
    else if (at >= 0) result = length == 0 ? 0 : mock_copy_out(&device->world, buffer, device->config + at, length);
    return end_call(device, &call, result == 0 ? (int64_t)length : result);
}

struct mock_outcome mock_device_pwrite(struct mock_device *device, uint64_t buffer, size_t length, uint64_t offset) {
    struct call call = begin_call(device, CALL_CONFIG_WRITE);
    int64_t at = config_place(device, offset, &length);
    if (call.failure != 0) return end_call(device, &call, -call.failure);
    if (at < 0) return end_call(device, &call, at);
    const uint8_t *bytes = length == 0 ? NULL : mock_pin(&device->world, buffer, length, false);
    if (length > 0 && bytes == NULL) return end_call(device, &call, -EFAULT);
    for (size_t i = 0; i < length; i++) {
        uint8_t mask = config_mask((uint64_t)at + i), *byte = &device->config[(uint64_t)at + i];
        *byte = (uint8_t)((*byte & ~mask) | (bytes[i] & mask));
    }
    return end_call(device, &call, (int64_t)length);
}

void mock_device_close(struct mock_device *device) {
    device->bound = device->info_v2 = device->dma_logging = false;
    tell(device, (struct mock_event){.kind = MOCK_EVENT_CLOSE, .a = device->state});
}

/* --- Data descriptors ------------------------------------------------------------------------- */

static bool is_live(const struct mock_device *device, uint32_t session) {
    return device->session_kind != SESSION_NONE && session == device->session && !device->session_closed;
}

/* Answers a precopy query into *info; *flag is for the event. */
static int precopy_info(struct mock_device *device, struct call *call, uint32_t session, uint64_t argument, struct vfio_precopy_info *info, bool *flag) {
    struct vfio_precopy_info reply;
    if (!is_live(device, session)) return -ENODEV;
    if (device->session_kind != SESSION_SAVING) return -ENOTTY;
    int error = copy_argument(device, &reply, argument, sizeof reply);
    if (error != 0) return error;
    if (!in_precopy(device)) return -EINVAL;
    uint8_t *out = mock_pin(&device->world, argument, sizeof reply, true);
    if (out == NULL) return -EFAULT;

    device->queries_made++;
    if (device->drained) device->drained_queries_made++;
    occur_query(device, call);
    if (call->failure != 0) return -call->failure;
    if (!is_live(device, session)) return -ENODEV;

    reply.initial_bytes = reported(device, QUANTITY_INITIAL, initial_bytes(&device->outgoing));
    reply.dirty_bytes = reported(device, QUANTITY_DIRTY, dirty_bytes(&device->outgoing));
    if (device->info_v2) { /* else the caller's flags come back as they are */
        reply.flags = device->reinit_unreported ? VFIO_PRECOPY_INFO_REINIT : 0;
        *flag = device->reinit_unreported;
        device->reinit_unreported = false;
    }
    device->queries++;
    if (device->drained) device->drained_queries++;
    memcpy(out, &reply, sizeof reply);
    *info = reply;
    return 0;
}

struct mock_outcome mock_data_ioctl(struct mock_device *device, uint32_t session, uint64_t request, uint64_t argument) {
    if (request != VFIO_MIG_GET_PRECOPY_INFO) return unknown_request(device, request);
    struct vfio_precopy_info info = {0};
    bool flag = false;
    struct call call = begin_call(device, CALL_PRECOPY_INFO);
    int result = call.failure != 0 ? -call.failure : precopy_info(device, &call, session, argument, &info, &flag);
    tell(device, (struct mock_event){
        .kind = MOCK_EVENT_PRECOPY_INFO, .a = info.initial_bytes, .b = info.dirty_bytes, .c = flag, .ret = result});
    call.told = true;
    return end_call(device, &call, result);
}

/* How many bytes a read or write may move once the rules at `trigger` have spoken; -errno if one fails it. */
static int64_t allowed(struct mock_device *device, struct call *call, enum script_trigger trigger, uint64_t done, uint64_t wanted) {
    uint64_t count = wanted < call->at_most ? wanted : call->at_most;
    if (count > 0) occur_total(device, call, trigger, done + count, true);
    if (call->failure != 0) return -call->failure;
    return (int64_t)(count < call->at_most ? count : call->at_most);
}

static int64_t read_data(struct mock_device *device, struct call *call, uint32_t session, uint64_t buffer, size_t length) {
    if (!is_live(device, session)) return -ENODEV;
    if (device->session_kind != SESSION_SAVING) return -EBADF;
    uint64_t unread = unread_bytes(&device->outgoing);
    if (unread == 0 && length > 0) return in_precopy(device) && device->script.drained_enomsg ? -ENOMSG : 0;
    int64_t count = allowed(device, call, TRIGGER_READ, device->bytes_read, length < unread ? length : unread);
    if (count <= 0) return count;
    uint8_t *bytes = mock_pin(&device->world, buffer, (size_t)count, true);
    if (bytes == NULL) return -EFAULT;
    deliver(&device->outgoing, bytes, (size_t)count);
    device->bytes_read += (uint64_t)count;
    add_transfer_cost(call, (uint64_t)count, device->script.read_rate);
    return count;
}

struct mock_outcome mock_data_read(struct mock_device *device, uint32_t session, uint64_t buffer, size_t length) {
    struct call call = begin_call(device, CALL_READ);
    int64_t result = call.failure != 0 ? -call.failure : read_data(device, &call, session, buffer, length);
    tell(device, (struct mock_event){.kind = MOCK_EVENT_READ, .a = length, .ret = result});
    call.told = true;
    if (result > 0) {
        note_drained(device);
        occur_total(device, &call, TRIGGER_READ, device->bytes_read, false);
    }
    return end_call(device, &call, result);
}

static int64_t write_data(struct mock_device *device, struct call *call, uint32_t session, const uint8_t **bytes, uint64_t buffer, size_t length) {
    if (!is_live(device, session)) return -ENODEV;
    if (device->session_kind != SESSION_RESUMING) return -EBADF;
    int64_t count = allowed(device, call, TRIGGER_WRITTEN, device->bytes_written, length);
    if (count <= 0) return count;
    *bytes = mock_pin(&device->world, buffer, (size_t)count, false);
    if (*bytes == NULL) return -EFAULT;
    struct segment_receiver attempt = device->receiver;
    for (size_t at = 0, taken; at < (size_t)count; at += taken) {
        bool whole;
        taken = segment_receive(&attempt, *bytes + at, (size_t)count - at, true, &whole);
        if (taken == 0) return -EINVAL;
    }
    add_transfer_cost(call, (uint64_t)count, device->script.write_rate);
    return count;
}

struct mock_outcome mock_data_write(struct mock_device *device, uint32_t session, uint64_t buffer, size_t length) {
    const uint8_t *bytes = NULL;
    struct call call = begin_call(device, CALL_WRITE);
    int64_t result = call.failure != 0 ? -call.failure : write_data(device, &call, session, &bytes, buffer, length);
    tell(device, (struct mock_event){.kind = MOCK_EVENT_WRITE, .a = length, .ret = result});
    call.told = true;
    /* The data was verified; the second walk takes it in, and tells of segments after the write that completed them. */
    for (size_t at = 0, count = result > 0 ? (size_t)result : 0, taken; at < count; at += taken) {
        bool whole;
        taken = segment_receive(&device->receiver, bytes + at, count - at, false, &whole);
        if (taken == 0) break; /* the caller changed its buffer meanwhile: the load will not complete */
        device->bytes_written += taken;
        if (!whole) continue;
        const struct segment *segment = &device->receiver.segment;
        tell(device, (struct mock_event){
            .kind = MOCK_EVENT_LOADED, .word = segment_kind_name(segment->kind), .a = segment->length, .b = device->bytes_written});
    }
    if (result > 0) occur_total(device, &call, TRIGGER_WRITTEN, device->bytes_written, false);
    return end_call(device, &call, result);
}

void mock_data_close(struct mock_device *device, uint32_t session) {
    if (is_live(device, session)) device->session_closed = true;
    tell(device, (struct mock_event){.kind = MOCK_EVENT_CALL, .word = "data-close"});
}

/* --- Inputs from outside, and the model as a whole ----------------------------------------------------- */

void mock_device_peer_entered(struct mock_device *device, const char *peer, enum vfio_device_mig_state state) {
    FOR_EACH_RULE(rule, device) {
        if (rule->trigger == TRIGGER_PEER && rule->state == state && strcmp(rule->peer, peer) == 0) occur(device, NULL, rule);
    }
}

void mock_device_gate_opened(struct mock_device *device, unsigned gate) {
    if (gate < device->script.gate_count) device->open_gates |= (uint32_t)1 << gate;
    FOR_EACH_RULE(rule, device) {
        if (rule->trigger == TRIGGER_GATE && rule->gate == gate) occur(device, NULL, rule);
    }
}

void mock_device_hold(struct mock_device *device, unsigned gate, bool begin) {
    const char *name = gate < device->script.gate_count ? device->script.gates[gate] : "?";
    tell(device, (struct mock_event){.kind = begin ? MOCK_EVENT_HOLD_BEGIN : MOCK_EVENT_HOLD_END, .word = name});
}

struct mock_progress mock_device_progress(const struct mock_device *device) {
    return (struct mock_progress){
        .state = device->state,
        .queries = device->queries,
        .drained_queries = device->drained_queries,
        .drains = device->drains,
        .bytes_read = device->bytes_read,
        .bytes_written = device->bytes_written,
        .initial_bytes = initial_bytes(&device->outgoing),
        .dirty_bytes = dirty_bytes(&device->outgoing),
    };
}

const struct device_script *mock_device_script(const struct mock_device *device) { return &device->script; }

struct mock_device *mock_device_create(const char *name, const struct device_script *script, const struct mock_world *world) {
    struct mock_device *device = calloc(1, sizeof *device);
    if (device == NULL) return NULL;
    device->world = *world;
    device->script = *script;
    for (size_t i = 0; i + 1 < sizeof device->name && name[i] != '\0'; i++) device->name[i] = name[i];
    device->state = VFIO_DEVICE_STATE_RUNNING;
    device->drained = true;
    memcpy(device->estimates, script->estimates, sizeof device->estimates);
    make_config(device);
    uint64_t flags = VFIO_MIGRATION_STOP_COPY | (script->p2p ? VFIO_MIGRATION_P2P : 0) | (script->precopy ? VFIO_MIGRATION_PRE_COPY : 0);
    tell(device, (struct mock_event){.kind = MOCK_EVENT_OPEN, .a = flags, .b = script->reinit});
    return device;
}

void mock_device_destroy(struct mock_device *device) { free(device); }
