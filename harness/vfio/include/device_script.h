/*
 * The device script: the abilities of a mock device, its speed, and what happens to it when.
 *
 * Line-oriented text; `#` starts a comment. Sizes take K, M, G (1024); times ns, us, ms, s; rates are
 * sizes with /s. The first line that is not a comment is `ackmatrix-device 1`. Every setting has a
 * default, the value shown here, and may occur once.
 *
 *   ackmatrix-device 1
 *   has precopy p2p reinit          abilities; `has stop-copy` alone: no precopy, no P2P
 *   info-v2 yes                     whether MIG_PRECOPY_INFOv2 is answered; only with precopy
 *   dirty-tracking yes              whether DMA logging is offered
 *   initial 64K                     bytes of initial data delivered after PRE_COPY is entered: 0, or 16 and more
 *   stop-copy 256K                  bytes delivered in STOP_COPY, 16 and more
 *   drained enomsg                  the answer of read() when PRE_COPY has nothing now: enomsg, or 0 as mtty's
 *   estimate initial|dirty|stop-copy SIZE|exact     the size that is reported, whatever is delivered
 *   rate read|write SIZE/s          bytes per second of the device; unlimited by default
 *   cost CALL TIME                  a fixed cost per call
 *   on TRIGGER [when=FIRST[..[LAST]][+STEP]] do ACTION
 *
 * Triggers, all by protocol progress, never by time:
 *   query N          the Nth precopy query since the initial bytes were last drained
 *   session-query N  the Nth precopy query since PRE_COPY was entered
 *   gate-query GATE N    the Nth precopy query since GATE was opened
 *   read SIZE        SIZE bytes of the session were read       (once a session, in the call that reaches it)
 *   written SIZE     SIZE bytes of the session were written
 *   state STATE      STATE is entered
 *   call CALL        CALL is made
 *   peer NAME STATE  another device of the same process entered STATE
 *   gate GATE        GATE was opened
 * The parser refuses what can never happen: settings, triggers and actions of precopy without `has precopy`,
 * P2P states without `has p2p`, reinit without `has reinit`.
 *
 * A query that a `call` rule fails did not reach the device and is not counted; one that a query rule
 * fails is counted, so that `on query 2 do fail EIO` fails one query and not all that follow. Rules on a
 * query and on a call apply before the call does, so `on query 2 do reinit 4K` shows in that reply. At
 * read and written triggers fail and short apply before the data moves, everything else after it.
 *
 * `when` picks among the occurrences of the trigger over the life of the device, as strace does:
 * when=2 the second, when=2..4 three, when=3.. from the third on, when=1+2 each odd one. Without it: each.
 *
 * Actions:
 *   reinit SIZE      re-initialise: SIZE new initial bytes, dirty bytes restart at 0; data still unread counts as initial
 *   dirty SIZE       SIZE new dirty bytes
 *   estimate initial|dirty|stop-copy SIZE|exact
 *   fail ERRNO       the call in progress fails and has no effect
 *   short SIZE       the read or write in progress moves at most SIZE bytes
 *   hold GATE        the call in progress takes effect; its return is held until GATE is open
 *   error            the device enters ERROR
 *   reset            the device is reset without QEMU's knowledge, as by its guest: it is RUNNING, and its
 *                    session has ended; its own rules on state RUNNING do not apply
 * fail, short and hold need a call in progress, so not with peer or gate triggers; fail not with state
 * ERROR, which nothing can refuse; short only with call read, call write, read and written. reinit and
 * dirty are 0, or 16 and more; they, error and reset do nothing when the device is not in PRE_COPY (is in
 * ERROR or RUNNING already), and their event says so: `reinit-ignored`.
 */
#ifndef ACKMATRIX_DEVICE_SCRIPT_H
#define ACKMATRIX_DEVICE_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio_uapi.h"

enum {
    SCRIPT_MAX_RULES = 64,
    SCRIPT_MAX_GATES = 32,
    SCRIPT_NAME_SIZE = 48,       /* gate and peer names with their NUL; [A-Za-z0-9_.-]+ */
    SCRIPT_MAX_TEXT = 64 * 1024, /* bytes of a whole script */
    SCRIPT_REASON_SIZE = 480,    /* room for the names that are legal */
};

/* Every call a script can name; device_call_name() has the names. */
enum device_call {
    CALL_BIND, CALL_ATTACH, CALL_DETACH, CALL_INFO, CALL_REGION_INFO, CALL_IRQ_INFO, CALL_SET_IRQS,
    CALL_RESET, CALL_HOT_RESET_INFO, CALL_MIGRATION, CALL_GET_STATE, CALL_SET_STATE, CALL_DATA_SIZE,
    CALL_PRECOPY_INFO_V2, CALL_DMA_LOGGING_START, CALL_DMA_LOGGING_STOP, CALL_DMA_LOGGING_REPORT,
    CALL_FEATURE_PROBE, CALL_PRECOPY_INFO, CALL_READ, CALL_WRITE, CALL_CONFIG_READ, CALL_CONFIG_WRITE,
    DEVICE_CALLS
};
const char *device_call_name(enum device_call call); /* "bind", "attach", ..., "set-state", "precopy-info", "read", ... */
/* The state as scripts, events and QEMU's traces call it: "RUNNING", "PRE_COPY_P2P", ...; "UNKNOWN STATE" outside the enumeration. */
const char *device_state_name(enum vfio_device_mig_state state);

enum script_trigger { TRIGGER_QUERY, TRIGGER_SESSION_QUERY, TRIGGER_READ, TRIGGER_WRITTEN, TRIGGER_STATE, TRIGGER_CALL, TRIGGER_PEER, TRIGGER_GATE, TRIGGER_GATE_QUERY };
enum script_action { ACTION_REINIT, ACTION_DIRTY, ACTION_ESTIMATE, ACTION_FAIL, ACTION_SHORT, ACTION_HOLD, ACTION_ERROR, ACTION_RESET };
enum script_quantity { QUANTITY_INITIAL, QUANTITY_DIRTY, QUANTITY_STOP_COPY, SCRIPT_QUANTITIES };

/* An estimate: the truth (exact), or a number that stays whatever is delivered. */
struct script_estimate {
    bool fixed;
    uint64_t bytes;
};

struct script_rule {
    unsigned line;
    enum script_trigger trigger;
    uint64_t threshold;                /* N or SIZE of the trigger */
    enum vfio_device_mig_state state;  /* state and peer triggers */
    enum device_call call;             /* call trigger */
    char peer[SCRIPT_NAME_SIZE];       /* peer trigger */
    unsigned gate;                     /* gate triggers: index into gates */
    unsigned hold;                     /* hold action: index into gates */
    uint64_t first, last, step;        /* occurrences that count: first, first+step, ... <= last */
    enum script_action action;
    enum script_quantity quantity;     /* estimate action */
    struct script_estimate estimate;   /* estimate action */
    uint64_t bytes;                    /* reinit, dirty, short */
    int error;                         /* fail */
};

struct device_script {
    bool precopy, p2p, reinit, info_v2, dirty_tracking;
    uint64_t initial, stop_copy;
    bool drained_enomsg; /* false: read() returns 0 */
    struct script_estimate estimates[SCRIPT_QUANTITIES];
    uint64_t read_rate, write_rate; /* bytes per second, 0 = unlimited */
    uint64_t cost_ns[DEVICE_CALLS];
    unsigned gate_count;
    char gates[SCRIPT_MAX_GATES][SCRIPT_NAME_SIZE];
    unsigned rule_count;
    struct script_rule rules[SCRIPT_MAX_RULES];
};

/* Why a script was refused: the line (1-based; 0 for the script as a whole) and the reason, one sentence. */
struct script_refusal {
    unsigned line;
    char reason[SCRIPT_REASON_SIZE];
};

/* Parses `length` bytes. True and *script filled, or false and *refusal filled. Pure; the text need not end in NUL or LF. */
bool device_script_parse(const char *text, size_t length, struct device_script *script, struct script_refusal *refusal);

#endif
