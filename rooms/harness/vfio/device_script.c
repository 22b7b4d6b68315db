/* The parser of device scripts: one pass over the lines, then the checks that need the whole script. */
#include "device_script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- Names -------------------------------------------------------------------------------------- */

static const char *const call_names[DEVICE_CALLS] = {
    [CALL_BIND] = "bind", [CALL_ATTACH] = "attach", [CALL_DETACH] = "detach", [CALL_INFO] = "info",
    [CALL_REGION_INFO] = "region-info", [CALL_IRQ_INFO] = "irq-info", [CALL_SET_IRQS] = "set-irqs",
    [CALL_RESET] = "reset", [CALL_HOT_RESET_INFO] = "hot-reset-info", [CALL_MIGRATION] = "migration",
    [CALL_GET_STATE] = "get-state", [CALL_SET_STATE] = "set-state", [CALL_DATA_SIZE] = "data-size",
    [CALL_PRECOPY_INFO_V2] = "precopy-info-v2", [CALL_DMA_LOGGING_START] = "dma-logging-start",
    [CALL_DMA_LOGGING_STOP] = "dma-logging-stop", [CALL_DMA_LOGGING_REPORT] = "dma-logging-report",
    [CALL_FEATURE_PROBE] = "feature-probe", [CALL_PRECOPY_INFO] = "precopy-info", [CALL_READ] = "read",
    [CALL_WRITE] = "write", [CALL_CONFIG_READ] = "config-read", [CALL_CONFIG_WRITE] = "config-write",
};

static const char *const state_names[VFIO_DEVICE_STATE_NR] = {
    [VFIO_DEVICE_STATE_ERROR] = "ERROR", [VFIO_DEVICE_STATE_STOP] = "STOP",
    [VFIO_DEVICE_STATE_RUNNING] = "RUNNING", [VFIO_DEVICE_STATE_STOP_COPY] = "STOP_COPY",
    [VFIO_DEVICE_STATE_RESUMING] = "RESUMING", [VFIO_DEVICE_STATE_RUNNING_P2P] = "RUNNING_P2P",
    [VFIO_DEVICE_STATE_PRE_COPY] = "PRE_COPY", [VFIO_DEVICE_STATE_PRE_COPY_P2P] = "PRE_COPY_P2P",
};

static const char *const trigger_names[] = {
    [TRIGGER_QUERY] = "query", [TRIGGER_SESSION_QUERY] = "session-query", [TRIGGER_READ] = "read", [TRIGGER_WRITTEN] = "written",
    [TRIGGER_STATE] = "state", [TRIGGER_CALL] = "call", [TRIGGER_PEER] = "peer", [TRIGGER_GATE] = "gate", [TRIGGER_GATE_QUERY] = "gate-query",
};
enum { TRIGGERS = sizeof trigger_names / sizeof *trigger_names };

static const char *const action_names[] = {
    [ACTION_REINIT] = "reinit", [ACTION_DIRTY] = "dirty", [ACTION_ESTIMATE] = "estimate", [ACTION_FAIL] = "fail",
    [ACTION_SHORT] = "short", [ACTION_HOLD] = "hold", [ACTION_ERROR] = "error", [ACTION_RESET] = "reset",
};
enum { ACTIONS = sizeof action_names / sizeof *action_names };

static const char *const quantity_names[SCRIPT_QUANTITIES] = {
    [QUANTITY_INITIAL] = "initial", [QUANTITY_DIRTY] = "dirty", [QUANTITY_STOP_COPY] = "stop-copy",
};

/* What drivers and the VFIO core return. */
#define ERRNO(name) {#name, name}
static const struct { const char *name; int number; } errors[] = {
    ERRNO(EPERM), ERRNO(ENOENT), ERRNO(EINTR), ERRNO(EIO), ERRNO(ENXIO), ERRNO(E2BIG), ERRNO(EBADF), ERRNO(EAGAIN), ERRNO(ENOMEM),
    ERRNO(EACCES), ERRNO(EFAULT), ERRNO(EBUSY), ERRNO(EEXIST), ERRNO(ENODEV), ERRNO(EINVAL), ERRNO(ENOTTY), ERRNO(EFBIG),
    ERRNO(ENOSPC), ERRNO(EPIPE), ERRNO(ERANGE), ERRNO(ENOSYS), ERRNO(ENOMSG), ERRNO(EPROTO), ERRNO(EOVERFLOW), ERRNO(EMSGSIZE),
    ERRNO(EOPNOTSUPP), ERRNO(ETIMEDOUT), ERRNO(ECANCELED),
};
enum { ERRORS = sizeof errors / sizeof *errors };

const char *device_call_name(enum device_call call) { return (unsigned)call < DEVICE_CALLS ? call_names[call] : "unknown"; }
const char *device_state_name(enum vfio_device_mig_state state) {
    return (unsigned)state < VFIO_DEVICE_STATE_NR ? state_names[state] : "UNKNOWN STATE";
}

/* --- Words and refusals --------------------------------------------------------------------------- */

enum {
    HEADER_SIZE = 16,     /* of a segment: no data is shorter, but none at all */
    QUOTED_SIZE = 32,
    LIST_SIZE = 384,
};
static const uint64_t most_data = (uint64_t)1 << 48;
static const uint64_t most_time = 3600u * 1000000000ull;

/* Where each setting stands, to refuse the second and to name the first. */
enum { SET_HAS, SET_INFO_V2, SET_DIRTY_TRACKING, SET_INITIAL, SET_STOP_COPY, SET_DRAINED, SET_RATE_READ, SET_RATE_WRITE,
       SET_ESTIMATE, SET_COST = SET_ESTIMATE + SCRIPT_QUANTITIES, SETTINGS = SET_COST + DEVICE_CALLS };

struct word {
    const char *text;
    size_t length; /* 0: the line has ended */
};

struct parser {
    const char *at, *line_end, *end;
    unsigned line;
    unsigned set[SETTINGS];
    struct device_script *script;
    struct script_refusal *refusal;
};

/* Always false, so that `return refuse(...)` reads well. */
__attribute__((format(printf, 3, 4))) static bool refuse(struct parser *parser, unsigned line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(parser->refusal->reason, sizeof parser->refusal->reason, format, arguments);
    va_end(arguments);
    parser->refusal->line = line;
    return false;
}

struct quoted {
    char text[QUOTED_SIZE];
};

/* A word for a message: in quotes, cut, and fit for a terminal. */
static struct quoted quote(struct word word) {
    struct quoted quoted;
    if (word.length == 0) {
        snprintf(quoted.text, sizeof quoted.text, "the end of the line");
        return quoted;
    }
    char printable[25];
    size_t length = word.length < sizeof printable ? word.length : sizeof printable - 1;
    for (size_t i = 0; i < length; i++) printable[i] = word.text[i] > ' ' && word.text[i] <= '~' ? word.text[i] : '?';
    printable[length] = '\0';
    snprintf(quoted.text, sizeof quoted.text, "'%s'%s", printable, length < word.length ? "..." : "");
    return quoted;
}

struct list {
    char text[LIST_SIZE];
};

static void append(struct list *list, const char *name) {
    size_t length = strlen(list->text);
    snprintf(list->text + length, sizeof list->text - length, "%s%s", length > 0 ? ", " : "", name);
}

static struct list list_of(const char *const *names, size_t count) {
    struct list list = {""};
    for (size_t i = 0; i < count; i++) append(&list, names[i]);
    return list;
}

static bool is(struct word word, const char *text) { return word.length == strlen(text) && memcmp(word.text, text, word.length) == 0; }

static bool is_space(char c) { return c == ' ' || c == '\t'; }

static struct word peek(const struct parser *parser) {
    const char *start = parser->at;
    while (start < parser->line_end && is_space(*start)) start++;
    const char *stop = start;
    while (stop < parser->line_end && !is_space(*stop)) stop++;
    return (struct word){start, (size_t)(stop - start)};
}

static struct word next(struct parser *parser) {
    struct word word = peek(parser);
    parser->at = word.text + word.length;
    return word;
}

static bool expect_end(struct parser *parser) {
    struct word word = next(parser);
    return word.length == 0 || refuse(parser, parser->line, "expected the end of the line, found %s", quote(word).text);
}

/* The index of the next word among names. `what` says what was expected, `after` after what. */
static bool expect_name(struct parser *parser, const char *const *names, size_t count, const char *what, const char *after, unsigned *index) {
    struct word word = next(parser);
    for (unsigned i = 0; i < count; i++) {
        if (is(word, names[i])) return *index = i, true;
    }
    return refuse(parser, parser->line, "expected %s after '%s', found %s; one of %s", what, after, quote(word).text, list_of(names, count).text);
}

static bool expect_state(struct parser *parser, const char *after, enum vfio_device_mig_state *state) {
    struct word word = next(parser);
    for (unsigned i = 0; i < VFIO_DEVICE_STATE_NR; i++) {
        if (is(word, state_names[i])) return *state = (enum vfio_device_mig_state)i, true;
    }
    return refuse(parser, parser->line, "expected a state name after '%s', found %s; states are %s", after, quote(word).text,
                  list_of(state_names, VFIO_DEVICE_STATE_NR).text);
}

/* --- Numbers ---------------------------------------------------------------------------------------- */

enum reading { NOT_A_NUMBER, TOO_LARGE, A_NUMBER };

static enum reading times(uint64_t *value, uint64_t factor) {
    if (*value > UINT64_MAX / factor) return TOO_LARGE;
    *value *= factor;
    return A_NUMBER;
}

/* The decimal digits a word begins with, which are taken off it. */
static enum reading digits(struct word *word, uint64_t *value) {
    enum reading reading = NOT_A_NUMBER;
    *value = 0;
    for (; word->length > 0 && *word->text >= '0' && *word->text <= '9'; word->text++, word->length--) {
        unsigned digit = (unsigned)(*word->text - '0');
        if (reading == TOO_LARGE) continue;
        reading = *value > (UINT64_MAX - digit) / 10 ? TOO_LARGE : A_NUMBER;
        *value = *value * 10 + digit;
    }
    return reading;
}

static enum reading size_of(struct word word, uint64_t *value) {
    enum reading reading = digits(&word, value);
    if (reading == NOT_A_NUMBER || word.length == 0) return reading;
    unsigned shift = is(word, "K") ? 10 : is(word, "M") ? 20 : is(word, "G") ? 30 : 0;
    if (shift == 0) return NOT_A_NUMBER;
    return reading == TOO_LARGE ? TOO_LARGE : times(value, (uint64_t)1 << shift);
}

static bool accept_number(struct parser *parser, enum reading reading, struct word word, const char *what, const char *after) {
    if (reading == NOT_A_NUMBER) return refuse(parser, parser->line, "expected %s after '%s', found %s", what, after, quote(word).text);
    if (reading == TOO_LARGE) return refuse(parser, parser->line, "%s after '%s' is more than 64 bits hold", quote(word).text, after);
    return true;
}

static bool expect_size(struct parser *parser, const char *after, uint64_t *value) {
    struct word word = next(parser);
    return accept_number(parser, size_of(word, value), word, "a size such as 4096, 64K, 1M or 2G", after);
}

/* The size of something that is delivered: none, or what a segment can have. */
static bool expect_data_size(struct parser *parser, const char *after, bool may_be_none, uint64_t *value) {
    if (!expect_size(parser, after, value)) return false;
    if (*value < HEADER_SIZE && (*value > 0 || !may_be_none)) {
        return refuse(parser, parser->line, "expected %s after '%s', found %llu: data comes in segments with a header of %d bytes",
                      may_be_none ? "0, or 16 and more," : "16 and more", after, (unsigned long long)*value, HEADER_SIZE);
    }
    if (*value > most_data) return refuse(parser, parser->line, "expected at most 262144G (2^48 bytes) after '%s', found %llu", after, (unsigned long long)*value);
    return true;
}

static bool expect_positive_size(struct parser *parser, const char *after, uint64_t *value) {
    if (!expect_size(parser, after, value)) return false;
    return *value > 0 || refuse(parser, parser->line, "expected a size of 1 and more after '%s', found 0", after);
}

static bool expect_count(struct parser *parser, const char *after, uint64_t *value) {
    struct word word = next(parser), rest = word;
    enum reading reading = digits(&rest, value);
    if (rest.length > 0) reading = NOT_A_NUMBER;
    if (!accept_number(parser, reading, word, "a number", after)) return false;
    return *value > 0 || refuse(parser, parser->line, "expected a number of 1 and more after '%s', found 0: queries count from 1", after);
}

static bool expect_time(struct parser *parser, const char *after, uint64_t *value) {
    struct word word = next(parser), unit = word;
    enum reading reading = digits(&unit, value);
    uint64_t factor = is(unit, "ns") ? 1 : is(unit, "us") ? 1000 : is(unit, "ms") ? 1000000 : is(unit, "s") ? 1000000000 : 0;
    if (factor == 0) reading = NOT_A_NUMBER;
    if (reading == A_NUMBER) reading = times(value, factor);
    if (!accept_number(parser, reading, word, "a time such as 500ns, 20us, 5ms or 1s", after)) return false;
    return *value <= most_time || refuse(parser, parser->line, "expected at most 3600s after '%s', found %s", after, quote(word).text);
}

static bool expect_rate(struct parser *parser, const char *after, uint64_t *value) {
    struct word word = next(parser), size = word;
    enum reading reading = NOT_A_NUMBER;
    if (word.length > 2 && memcmp(word.text + word.length - 2, "/s", 2) == 0) {
        size.length -= 2;
        reading = size_of(size, value);
    }
    if (!accept_number(parser, reading, word, "a rate such as 100M/s", after)) return false;
    return *value > 0 || refuse(parser, parser->line, "expected a rate of 1/s and more after '%s', found 0: leave it out for unlimited", after);
}

/* --- Settings --------------------------------------------------------------------------------------- */

static bool set_once(struct parser *parser, unsigned setting, const char *name) {
    if (parser->set[setting] != 0) {
        return refuse(parser, parser->line, "'%s' is set already in line %u; a setting may stand once", name, parser->set[setting]);
    }
    parser->set[setting] = parser->line;
    return true;
}

static bool expect_yes_no(struct parser *parser, const char *after, bool *value) {
    static const char *const names[] = {"no", "yes"};
    unsigned index;
    if (!expect_name(parser, names, 2, "yes or no", after, &index)) return false;
    *value = index == 1;
    return true;
}

static bool parse_has(struct parser *parser) {
    static const char *const names[] = {"precopy", "p2p", "reinit", "stop-copy"};
    bool has[4] = {false};
    do {
        unsigned index;
        if (!expect_name(parser, names, 4, "an ability", "has", &index)) return false;
        if (has[index]) return refuse(parser, parser->line, "'%s' stands twice after 'has'", names[index]);
        has[index] = true;
    } while (peek(parser).length > 0);
    parser->script->precopy = has[0], parser->script->p2p = has[1], parser->script->reinit = has[2];
    if (has[2] && !has[0]) return refuse(parser, parser->line, "'has reinit' needs precopy: only initial bytes of PRE_COPY can be re-initialised");
    return true;
}

static bool expect_estimate(struct parser *parser, enum script_quantity *quantity, struct script_estimate *estimate) {
    unsigned index;
    if (!expect_name(parser, quantity_names, SCRIPT_QUANTITIES, "a quantity", "estimate", &index)) return false;
    *quantity = (enum script_quantity)index;
    *estimate = (struct script_estimate){0};
    if (is(peek(parser), "exact")) return next(parser), true;
    estimate->fixed = true;
    struct word word = next(parser);
    return accept_number(parser, size_of(word, &estimate->bytes), word, "a size or 'exact'", quantity_names[index]);
}

static bool parse_estimate(struct parser *parser) {
    enum script_quantity quantity;
    struct script_estimate estimate;
    if (!expect_estimate(parser, &quantity, &estimate)) return false;
    parser->script->estimates[quantity] = estimate;
    static const char *const names[] = {"estimate initial", "estimate dirty", "estimate stop-copy"};
    return set_once(parser, SET_ESTIMATE + quantity, names[quantity]);
}

static bool parse_rate(struct parser *parser) {
    static const char *const names[] = {"read", "write"};
    unsigned index;
    if (!expect_name(parser, names, 2, "read or write", "rate", &index)) return false;
    if (!set_once(parser, SET_RATE_READ + index, index == 0 ? "rate read" : "rate write")) return false;
    return expect_rate(parser, names[index], index == 0 ? &parser->script->read_rate : &parser->script->write_rate);
}

static bool parse_cost(struct parser *parser) {
    unsigned call;
    if (!expect_name(parser, call_names, DEVICE_CALLS, "a call", "cost", &call)) return false;
    char name[64];
    snprintf(name, sizeof name, "cost %s", call_names[call]);
    return set_once(parser, SET_COST + call, name) && expect_time(parser, call_names[call], &parser->script->cost_ns[call]);
}

static bool parse_drained(struct parser *parser) {
    static const char *const names[] = {"0", "enomsg"};
    unsigned index;
    if (!expect_name(parser, names, 2, "enomsg or 0", "drained", &index)) return false;
    parser->script->drained_enomsg = index == 1;
    return true;
}

/* --- Rules ---------------------------------------------------------------------------------------- */

static bool is_name_character(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

static bool expect_identifier(struct parser *parser, const char *what, const char *after, char name[SCRIPT_NAME_SIZE]) {
    struct word word = next(parser);
    bool good = word.length > 0;
    for (size_t i = 0; i < word.length; i++) good = good && is_name_character(word.text[i]);
    if (!good) return refuse(parser, parser->line, "expected %s after '%s', letters, digits, '_', '.' and '-', found %s", what, after, quote(word).text);
    if (word.length >= SCRIPT_NAME_SIZE) {
        return refuse(parser, parser->line, "%s after '%s' is %zu bytes long; a name has at most %d", quote(word).text, after, word.length, SCRIPT_NAME_SIZE - 1);
    }
    memcpy(name, word.text, word.length);
    memset(name + word.length, 0, SCRIPT_NAME_SIZE - word.length);
    return true;
}

static bool expect_gate(struct parser *parser, const char *after, unsigned *gate) {
    char name[SCRIPT_NAME_SIZE];
    if (!expect_identifier(parser, "a gate's name", after, name)) return false;
    struct device_script *script = parser->script;
    for (*gate = 0; *gate < script->gate_count; ++*gate) {
        if (strcmp(script->gates[*gate], name) == 0) return true;
    }
    if (script->gate_count == SCRIPT_MAX_GATES) return refuse(parser, parser->line, "gate '%s' is one too many; a script has at most %d", name, SCRIPT_MAX_GATES);
    memcpy(script->gates[script->gate_count++], name, SCRIPT_NAME_SIZE);
    return true;
}

static bool parse_trigger(struct parser *parser, struct script_rule *rule) {
    unsigned index;
    if (!expect_name(parser, trigger_names, TRIGGERS, "a trigger", "on", &index)) return false;
    rule->trigger = (enum script_trigger)index;
    switch (rule->trigger) {
    case TRIGGER_QUERY:
    case TRIGGER_SESSION_QUERY: return expect_count(parser, trigger_names[index], &rule->threshold);
    case TRIGGER_READ:
    case TRIGGER_WRITTEN: return expect_positive_size(parser, trigger_names[index], &rule->threshold);
    case TRIGGER_STATE: return expect_state(parser, "state", &rule->state);
    case TRIGGER_CALL:
        if (!expect_name(parser, call_names, DEVICE_CALLS, "a call", "call", &index)) return false;
        rule->call = (enum device_call)index;
        return true;
    case TRIGGER_PEER: return expect_identifier(parser, "a device's name", "peer", rule->peer) && expect_state(parser, rule->peer, &rule->state);
    case TRIGGER_GATE: return expect_gate(parser, "gate", &rule->gate);
    case TRIGGER_GATE_QUERY: return expect_gate(parser, "gate-query", &rule->gate) && expect_count(parser, "gate-query", &rule->threshold);
    }
    return false;
}

/* FIRST[..[LAST]][+STEP], after "when=". */
static bool parse_when(struct parser *parser, struct word word, struct script_rule *rule) {
    struct word rest = {word.text + 5, word.length - 5};
    enum reading reading = digits(&rest, &rule->first);
    rule->last = rule->first;
    if (reading == A_NUMBER && rest.length >= 2 && memcmp(rest.text, "..", 2) == 0) {
        rest.text += 2, rest.length -= 2;
        rule->last = UINT64_MAX;
        if (rest.length > 0 && *rest.text != '+') reading = digits(&rest, &rule->last);
    } else if (rest.length > 0) {
        rule->last = UINT64_MAX;
    }
    if (reading == A_NUMBER && rest.length > 0 && *rest.text == '+') {
        rest.text++, rest.length--;
        reading = digits(&rest, &rule->step);
    }
    if (rest.length > 0) reading = NOT_A_NUMBER;
    if (reading == NOT_A_NUMBER) {
        return refuse(parser, parser->line, "expected when=FIRST, when=FIRST.., when=FIRST..LAST, each with +STEP or without, found %s", quote(word).text);
    }
    if (reading == TOO_LARGE) return refuse(parser, parser->line, "a number in %s is more than 64 bits hold", quote(word).text);
    if (rule->first == 0) return refuse(parser, parser->line, "expected a first occurrence of 1 and more, found %s: occurrences count from 1", quote(word).text);
    if (rule->last < rule->first) return refuse(parser, parser->line, "expected a last occurrence not before the first, found %s", quote(word).text);
    return rule->step > 0 || refuse(parser, parser->line, "expected a step of 1 and more, found %s", quote(word).text);
}

static bool parse_error(struct parser *parser, int *error) {
    struct word word = next(parser);
    struct list names = {""};
    for (size_t i = 0; i < ERRORS; i++) {
        if (is(word, errors[i].name)) return *error = errors[i].number, true;
        append(&names, errors[i].name);
    }
    return refuse(parser, parser->line, "expected an errno name after 'fail', found %s; one of %s", quote(word).text, names.text);
}

static bool parse_action(struct parser *parser, struct script_rule *rule) {
    unsigned index;
    if (!expect_name(parser, action_names, ACTIONS, "an action", "do", &index)) return false;
    rule->action = (enum script_action)index;
    switch (rule->action) {
    case ACTION_REINIT:
    case ACTION_DIRTY: return expect_data_size(parser, action_names[index], true, &rule->bytes);
    case ACTION_ESTIMATE: return expect_estimate(parser, &rule->quantity, &rule->estimate);
    case ACTION_FAIL: return parse_error(parser, &rule->error);
    case ACTION_SHORT: return expect_positive_size(parser, "short", &rule->bytes);
    case ACTION_HOLD: return expect_gate(parser, "hold", &rule->hold);
    case ACTION_ERROR:
    case ACTION_RESET: return true;
    }
    return false;
}

/* Whether the action can do anything at this trigger. */
static bool check_pairing(struct parser *parser, const struct script_rule *rule) {
    bool fails = rule->action == ACTION_FAIL, shortens = rule->action == ACTION_SHORT;
    bool needs_call = fails || shortens || rule->action == ACTION_HOLD;
    const char *action = action_names[rule->action], *trigger = trigger_names[rule->trigger];
    if (needs_call && (rule->trigger == TRIGGER_PEER || rule->trigger == TRIGGER_GATE)) {
        return refuse(parser, parser->line, "'%s' needs a call in progress, and a %s trigger has none", action, trigger);
    }
    if (fails && rule->trigger == TRIGGER_STATE && rule->state == VFIO_DEVICE_STATE_ERROR) {
        return refuse(parser, parser->line, "'fail' with 'state ERROR': no call asks for ERROR, so none can be refused it");
    }
    bool moves = rule->trigger == TRIGGER_READ || rule->trigger == TRIGGER_WRITTEN
        || (rule->trigger == TRIGGER_CALL && (rule->call == CALL_READ || rule->call == CALL_WRITE));
    if (shortens && !moves) {
        return refuse(parser, parser->line, "'short' shortens a read or write: expected 'call read', 'call write', 'read' or 'written', found '%s%s%s'", trigger,
                      rule->trigger == TRIGGER_CALL ? " " : "", rule->trigger == TRIGGER_CALL ? call_names[rule->call] : "");
    }
    return true;
}

static bool parse_rule(struct parser *parser) {
    struct device_script *script = parser->script;
    if (script->rule_count == SCRIPT_MAX_RULES) return refuse(parser, parser->line, "this rule is one too many; a script has at most %d", SCRIPT_MAX_RULES);
    struct script_rule *rule = &script->rules[script->rule_count];
    *rule = (struct script_rule){.line = parser->line, .first = 1, .last = UINT64_MAX, .step = 1};
    if (!parse_trigger(parser, rule)) return false;
    struct word word = next(parser);
    if (word.length >= 5 && memcmp(word.text, "when=", 5) == 0) {
        if (!parse_when(parser, word, rule)) return false;
        word = next(parser);
    }
    if (!is(word, "do")) return refuse(parser, parser->line, "expected 'when=...' or 'do' after the trigger, found %s", quote(word).text);
    if (!parse_action(parser, rule) || !check_pairing(parser, rule)) return false;
    script->rule_count++;
    return true;
}

/* --- Lines, and the script as a whole ----------------------------------------------------------------- */

static bool parse_line(struct parser *parser, struct word word) {
    struct device_script *script = parser->script;
    bool (*rest)(struct parser *) = is(word, "on") ? parse_rule : is(word, "estimate") ? parse_estimate : is(word, "rate") ? parse_rate : is(word, "cost") ? parse_cost : NULL;
    if (rest != NULL) return rest(parser);
    if (is(word, "has")) return set_once(parser, SET_HAS, "has") && parse_has(parser);
    if (is(word, "info-v2")) return set_once(parser, SET_INFO_V2, "info-v2") && expect_yes_no(parser, "info-v2", &script->info_v2);
    if (is(word, "dirty-tracking")) return set_once(parser, SET_DIRTY_TRACKING, "dirty-tracking") && expect_yes_no(parser, "dirty-tracking", &script->dirty_tracking);
    if (is(word, "initial")) return set_once(parser, SET_INITIAL, "initial") && expect_data_size(parser, "initial", true, &script->initial);
    if (is(word, "stop-copy")) return set_once(parser, SET_STOP_COPY, "stop-copy") && expect_data_size(parser, "stop-copy", false, &script->stop_copy);
    if (is(word, "drained")) return set_once(parser, SET_DRAINED, "drained") && parse_drained(parser);
    if (is(word, "ackmatrix-device")) return refuse(parser, parser->line, "'ackmatrix-device' stands once, in the first line");
    return refuse(parser, parser->line, "expected a setting or a rule, found %s; "
                  "one of has, info-v2, dirty-tracking, initial, stop-copy, drained, estimate, rate, cost, on", quote(word).text);
}

static bool parse_header(struct parser *parser, struct word word) {
    if (!is(word, "ackmatrix-device")) return refuse(parser, parser->line, "expected 'ackmatrix-device 1' as the first line, found %s", quote(word).text);
    struct word version = next(parser);
    return is(version, "1") || refuse(parser, parser->line, "expected version 1 after 'ackmatrix-device', found %s", quote(version).text);
}

/* Sets the parser on the next line, without its comment. False when a byte has no place in a script. */
static bool begin_line(struct parser *parser, const char *start, const char *stop) {
    parser->line++;
    parser->at = start;
    parser->line_end = NULL;
    for (const char *c = start; c < stop; c++) {
        unsigned char byte = (unsigned char)*c;
        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            return refuse(parser, parser->line, "expected text, found byte 0x%02x in column %zu%s", byte, (size_t)(c - start) + 1,
                          byte == '\r' ? ": lines end in LF alone" : "");
        }
        if (byte == '#' && parser->line_end == NULL) parser->line_end = c;
    }
    if (parser->line_end == NULL) parser->line_end = stop;
    return true;
}

/* Settings that only a device with precopy has a use for. */
static bool check_settings(struct parser *parser) {
    static const struct { unsigned setting; const char *name; } precopy[] = {
        {SET_INFO_V2, "info-v2"}, {SET_INITIAL, "initial"}, {SET_DRAINED, "drained"},
        {SET_ESTIMATE + QUANTITY_INITIAL, "estimate initial"}, {SET_ESTIMATE + QUANTITY_DIRTY, "estimate dirty"},
        {SET_COST + CALL_PRECOPY_INFO, "cost precopy-info"}, {SET_COST + CALL_PRECOPY_INFO_V2, "cost precopy-info-v2"},
    };
    for (size_t i = 0; i < sizeof precopy / sizeof *precopy && !parser->script->precopy; i++) {
        unsigned line = parser->set[precopy[i].setting];
        if (line != 0) return refuse(parser, line, "'%s' needs 'has precopy', and line %u has not", precopy[i].name, parser->set[SET_HAS]);
    }
    return true;
}

static bool check_rule(struct parser *parser, const struct script_rule *rule) {
    const struct device_script *script = parser->script;
    bool on_state = rule->trigger == TRIGGER_STATE, on_call = rule->trigger == TRIGGER_CALL;
    bool precopy_state = on_state && (rule->state == VFIO_DEVICE_STATE_PRE_COPY || rule->state == VFIO_DEVICE_STATE_PRE_COPY_P2P);
    bool p2p_state = on_state && (rule->state == VFIO_DEVICE_STATE_RUNNING_P2P || rule->state == VFIO_DEVICE_STATE_PRE_COPY_P2P);
    bool precopy_trigger = rule->trigger == TRIGGER_QUERY || rule->trigger == TRIGGER_SESSION_QUERY || rule->trigger == TRIGGER_GATE_QUERY || precopy_state
        || (on_call && (rule->call == CALL_PRECOPY_INFO || rule->call == CALL_PRECOPY_INFO_V2));
    bool precopy_action = rule->action == ACTION_REINIT || rule->action == ACTION_DIRTY
        || (rule->action == ACTION_ESTIMATE && rule->quantity != QUANTITY_STOP_COPY);
    const char *trigger = trigger_names[rule->trigger], *object = on_state ? state_names[rule->state] : on_call ? call_names[rule->call] : "";
    if (!script->precopy && precopy_trigger) {
        return refuse(parser, rule->line, "trigger '%s%s%s' needs 'has precopy'; without it this never happens", trigger, *object ? " " : "", object);
    }
    if (!script->precopy && precopy_action) return refuse(parser, rule->line, "action '%s' needs 'has precopy'", action_names[rule->action]);
    if (!script->p2p && p2p_state) return refuse(parser, rule->line, "trigger 'state %s' needs 'has p2p'; without it there is no such state", object);
    if (!script->reinit && rule->action == ACTION_REINIT) return refuse(parser, rule->line, "action 'reinit' needs 'has reinit'");
    return true;
}

static bool check_rules(struct parser *parser) {
    for (unsigned i = 0; i < parser->script->rule_count; i++) {
        if (!check_rule(parser, &parser->script->rules[i])) return false;
    }
    return true;
}

static bool parse(struct parser *parser) {
    bool header = false;
    for (const char *start = parser->at; start < parser->end;) {
        const char *feed = memchr(start, '\n', (size_t)(parser->end - start));
        const char *stop = feed != NULL ? feed : parser->end;
        if (!begin_line(parser, start, stop)) return false;
        start = feed != NULL ? feed + 1 : parser->end;
        struct word word = next(parser);
        if (word.length == 0) continue;
        if (!(header ? parse_line : parse_header)(parser, word) || !expect_end(parser)) return false;
        header = true;
    }
    if (!header) return refuse(parser, 0, "expected 'ackmatrix-device 1' as the first line, found no line but blank ones and comments");
    return check_settings(parser) && check_rules(parser);
}

bool device_script_parse(const char *text, size_t length, struct device_script *script, struct script_refusal *refusal) {
    *script = (struct device_script){
        .precopy = true, .p2p = true, .reinit = true, .info_v2 = true, .dirty_tracking = true,
        .initial = 64 * 1024, .stop_copy = 256 * 1024, .drained_enomsg = true,
    };
    *refusal = (struct script_refusal){0};
    if (length == 0) text = "";
    struct parser parser = {.at = text, .end = text + length, .script = script, .refusal = refusal};
    if (length > SCRIPT_MAX_TEXT) return refuse(&parser, 0, "the script is %zu bytes long; expected at most %d", length, SCRIPT_MAX_TEXT);
    if (!parse(&parser)) return false;
    if (!script->precopy) script->info_v2 = false, script->initial = 0;
    return true;
}
