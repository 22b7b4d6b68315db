/* The script parser: what good scripts come to, and that each bad one is refused at its line with a reason that helps. */
#include "fixture.h"

#define HEAD "ackmatrix-device 1\n"

static const struct bad {
    const char *text;
    unsigned line;
    const char *reason; /* a part of it */
} bad_scripts[] = {
    /* the header */
    {"", 0, "found no line but blank ones and comments"},
    {"\n \t\n# only this\n", 0, "expected 'ackmatrix-device 1'"},
    {"has precopy\n", 1, "expected 'ackmatrix-device 1' as the first line, found 'has'"},
    {"# note\n\nackmatrix 1\n", 3, "found 'ackmatrix'"},
    {"ackmatrix-device\n", 1, "expected version 1 after 'ackmatrix-device', found the end of the line"},
    {"ackmatrix-device 2\n", 1, "found '2'"},
    {"ackmatrix-device 1 2\n", 1, "expected the end of the line, found '2'"},
    {HEAD "ackmatrix-device 1\n", 2, "stands once"},
    /* settings */
    {HEAD "speed 5\n", 2, "expected a setting or a rule, found 'speed'; one of has, info-v2"},
    {HEAD "has\n", 2, "expected an ability after 'has', found the end of the line"},
    {HEAD "has precopy vfio\n", 2, "found 'vfio'; one of precopy, p2p, reinit, stop-copy"},
    {HEAD "has p2p p2p\n", 2, "'p2p' stands twice"},
    {HEAD "has p2p\n\nhas precopy\n", 4, "'has' is set already in line 2"},
    {HEAD "has p2p reinit\n", 2, "'has reinit' needs precopy"},
    {HEAD "info-v2 maybe\n", 2, "expected yes or no after 'info-v2', found 'maybe'"},
    {HEAD "info-v2 yes\ninfo-v2 yes\n", 3, "'info-v2' is set already in line 2"},
    {HEAD "dirty-tracking\n", 2, "expected yes or no after 'dirty-tracking', found the end of the line"},
    {HEAD "initial lots\n", 2, "expected a size such as 4096, 64K, 1M or 2G after 'initial', found 'lots'"},
    {HEAD "initial 64k\n", 2, "found '64k'"},
    {HEAD "initial -1\n", 2, "found '-1'"},
    {HEAD "initial 1.5M\n", 2, "found '1.5M'"},
    {HEAD "initial 0x10\n", 2, "found '0x10'"},
    {HEAD "initial 4 K\n", 2, "header of 16 bytes"},
    {HEAD "initial 1\n", 2, "expected 0, or 16 and more, after 'initial', found 1"},
    {HEAD "initial 15\n", 2, "found 15"},
    {HEAD "initial 262145G\n", 2, "expected at most 262144G"},
    {HEAD "initial 18446744073709551616\n", 2, "more than 64 bits hold"},
    {HEAD "initial 99999999999999999999K\n", 2, "more than 64 bits hold"},
    {HEAD "initial 17179869184G\n", 2, "'17179869184G' after 'initial' is more than 64 bits hold"},
    {HEAD "initial 64K 64K\n", 2, "expected the end of the line, found '64K'"},
    {HEAD "initial 64K\ninitial 64K\n", 3, "a setting may stand once"},
    {HEAD "stop-copy 0\n", 2, "expected 16 and more after 'stop-copy', found 0"},
    {HEAD "stop-copy 8\n", 2, "found 8"},
    {HEAD "drained eof\n", 2, "expected enomsg or 0 after 'drained', found 'eof'"},
    {HEAD "drained ENOMSG\n", 2, "found 'ENOMSG'"},
    {HEAD "estimate final 4K\n", 2, "expected a quantity after 'estimate', found 'final'; one of initial, dirty, stop-copy"},
    {HEAD "estimate dirty some\n", 2, "expected a size or 'exact' after 'dirty', found 'some'"},
    {HEAD "estimate dirty 1\nestimate initial 1\nestimate dirty exact\n", 4, "'estimate dirty' is set already in line 2"},
    {HEAD "rate both 1M/s\n", 2, "expected read or write after 'rate', found 'both'"},
    {HEAD "rate read 1M\n", 2, "expected a rate such as 100M/s after 'read', found '1M'"},
    {HEAD "rate read /s\n", 2, "found '/s'"},
    {HEAD "rate write 0/s\n", 2, "leave it out for unlimited"},
    {HEAD "rate read 1M/s\nrate write 1M/s\nrate read 1M/s\n", 4, "'rate read' is set already in line 2"},
    {HEAD "cost seek 1ms\n", 2, "expected a call after 'cost', found 'seek'; one of bind, attach"},
    {HEAD "cost read 5\n", 2, "expected a time such as 500ns, 20us, 5ms or 1s after 'read', found '5'"},
    {HEAD "cost read ms\n", 2, "found 'ms'"},
    {HEAD "cost read 2m\n", 2, "found '2m'"},
    {HEAD "cost read 3601s\n", 2, "expected at most 3600s after 'read', found '3601s'"},
    {HEAD "cost read 99999999999999999s\n", 2, "more than 64 bits hold"},
    {HEAD "cost read 1ms\ncost read 1ms\n", 3, "'cost read' is set already in line 2"},
    /* what a device without precopy has no use for */
    {HEAD "info-v2 no\nhas p2p\n", 2, "'info-v2' needs 'has precopy', and line 3 has not"},
    {HEAD "has stop-copy\ninitial 64K\n", 3, "'initial' needs 'has precopy'"},
    {HEAD "has stop-copy\ndrained 0\n", 3, "'drained' needs 'has precopy'"},
    {HEAD "has stop-copy\nestimate initial 0\n", 3, "'estimate initial' needs 'has precopy'"},
    {HEAD "has stop-copy\nestimate dirty 0\n", 3, "'estimate dirty' needs 'has precopy'"},
    {HEAD "has stop-copy\ncost precopy-info 1ms\n", 3, "'cost precopy-info' needs 'has precopy'"},
    {HEAD "has stop-copy\non query 1 do fail EIO\n", 3, "trigger 'query' needs 'has precopy'"},
    {HEAD "on session-query 1 do fail EIO\nhas p2p\n", 2, "trigger 'session-query' needs 'has precopy'"},
    {HEAD "has p2p\non state PRE_COPY do error\n", 3, "trigger 'state PRE_COPY' needs 'has precopy'"},
    {HEAD "has p2p\non call precopy-info do error\n", 3, "trigger 'call precopy-info' needs 'has precopy'"},
    {HEAD "has p2p\non read 1 do dirty 16\n", 3, "action 'dirty' needs 'has precopy'"},
    {HEAD "has p2p\non read 1 do estimate initial 16\n", 3, "action 'estimate' needs 'has precopy'"},
    {HEAD "has precopy p2p\non query 1 do reinit 4K\n", 3, "action 'reinit' needs 'has reinit'"},
    {HEAD "has precopy\non state PRE_COPY_P2P do error\n", 3, "trigger 'state PRE_COPY_P2P' needs 'has p2p'"},
    {HEAD "has precopy\non state RUNNING_P2P do error\n", 3, "trigger 'state RUNNING_P2P' needs 'has p2p'"},
    /* triggers */
    {HEAD "on\n", 2, "expected a trigger after 'on', found the end of the line; one of query, session-query"},
    {HEAD "on time 5s do error\n", 2, "found 'time'"},
    {HEAD "on query do error\n", 2, "expected a number after 'query', found 'do'"},
    {HEAD "on query 0 do error\n", 2, "queries count from 1"},
    {HEAD "on query 1K do error\n", 2, "expected a number after 'query', found '1K'"},
    {HEAD "on session-query 18446744073709551616 do error\n", 2, "more than 64 bits hold"},
    {HEAD "on read 0 do error\n", 2, "expected a size of 1 and more after 'read', found 0"},
    {HEAD "on written x do error\n", 2, "expected a size such as 4096, 64K, 1M or 2G after 'written', found 'x'"},
    {HEAD "on state RUNING do error\n", 2, "expected a state name after 'state', found 'RUNING'; states are ERROR, STOP, RUNNING, STOP_COPY, RESUMING, "
                                           "RUNNING_P2P, PRE_COPY, PRE_COPY_P2P"},
    {HEAD "on state stop do error\n", 2, "found 'stop'"},
    {HEAD "on call ioctl do error\n", 2, "expected a call after 'call', found 'ioctl'"},
    {HEAD "on peer\n", 2, "expected a device's name after 'peer'"},
    {HEAD "on peer v/0 STOP do error\n", 2, "letters, digits, '_', '.' and '-', found 'v/0'"},
    {HEAD "on peer v0 HALT do error\n", 2, "expected a state name after 'v0', found 'HALT'"},
    {HEAD "on gate g! do error\n", 2, "expected a gate's name after 'gate'"},
    {HEAD "on gate aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeee do error\n", 2, "'aaaaaaaaaabbbbbbbbbbcccc'... after 'gate' is 48 bytes long; a name has at most 47"},
    /* when */
    {HEAD "on query 1 2 do error\n", 2, "expected 'when=...' or 'do' after the trigger, found '2'"},
    {HEAD "on query 1\n", 2, "found the end of the line"},
    {HEAD "on query 1 when= do error\n", 2, "expected when=FIRST"},
    {HEAD "on query 1 when=x do error\n", 2, "found 'when=x'"},
    {HEAD "on query 1 when=0 do error\n", 2, "occurrences count from 1"},
    {HEAD "on query 1 when=3..2 do error\n", 2, "expected a last occurrence not before the first, found 'when=3..2'"},
    {HEAD "on query 1 when=1+0 do error\n", 2, "expected a step of 1 and more"},
    {HEAD "on query 1 when=1+ do error\n", 2, "found 'when=1+'"},
    {HEAD "on query 1 when=1.2 do error\n", 2, "found 'when=1.2'"},
    {HEAD "on query 1 when=1...2 do error\n", 2, "found 'when=1...2'"},
    {HEAD "on query 1 when=1..2x do error\n", 2, "found 'when=1..2x'"},
    {HEAD "on query 1 when=1..99999999999999999999 do error\n", 2, "more than 64 bits hold"},
    /* actions */
    {HEAD "on query 1 do\n", 2, "expected an action after 'do', found the end of the line; one of reinit, dirty, estimate, fail, short, hold, error"},
    {HEAD "on query 1 do sleep 5s\n", 2, "found 'sleep'"},
    {HEAD "on query 1 do reinit\n", 2, "expected a size such as 4096, 64K, 1M or 2G after 'reinit', found the end of the line"},
    {HEAD "on query 1 do reinit 8\n", 2, "expected 0, or 16 and more, after 'reinit', found 8"},
    {HEAD "on query 1 do dirty 1\n", 2, "after 'dirty', found 1"},
    {HEAD "on query 1 do fail\n", 2, "expected an errno name after 'fail', found the end of the line; one of EPERM"},
    {HEAD "on query 1 do fail 5\n", 2, "found '5'"},
    {HEAD "on query 1 do fail EFOO\n", 2, "found 'EFOO'"},
    {HEAD "on query 1 do short 16\n", 2, "'short' shortens a read or write: expected 'call read', 'call write', 'read' or 'written', found 'query'"},
    {HEAD "on call set-state do short 16\n", 2, "found 'call set-state'"},
    {HEAD "on call read do short 0\n", 2, "expected a size of 1 and more after 'short'"},
    {HEAD "on peer v0 STOP do short 1\n", 2, "'short' needs a call in progress, and a peer trigger has none"},
    {HEAD "on peer v0 STOP do fail EIO\n", 2, "'fail' needs a call in progress, and a peer trigger has none"},
    {HEAD "on gate a do hold b\n", 2, "'hold' needs a call in progress, and a gate trigger has none"},
    {HEAD "on state ERROR do fail EIO\n", 2, "no call asks for ERROR"},
    {HEAD "on query 1 do hold\n", 2, "expected a gate's name after 'hold'"},
    {HEAD "on query 1 do error EIO\n", 2, "expected the end of the line, found 'EIO'"},
    /* bytes */
    {HEAD "has precopy\r\n", 2, "found byte 0x0d in column 12: lines end in LF alone"},
    {HEAD "# bell \a\n", 2, "found byte 0x07 in column 8"},
    {HEAD "has pr\xc3\xa9" "copy\n", 2, "found 'pr??copy'"},
};

static void bad_scripts_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_scripts / sizeof *bad_scripts; i++) {
        const struct bad *bad = &bad_scripts[i];
        struct device_script script;
        struct script_refusal refusal;
        if (device_script_parse(bad->text, strlen(bad->text), &script, &refusal)) fail_msg("taken as good:\n%s", bad->text);
        if (refusal.line != bad->line || strstr(refusal.reason, bad->reason) == NULL) {
            fail_msg("expected line %u: ...%s...\nfound line %u: %s\n%s", bad->line, bad->reason, refusal.line, refusal.reason, bad->text);
        }
        /* Reasons fit, whatever they quote and list. */
        assert_true(strlen(refusal.reason) + 1 < sizeof refusal.reason);
    }
}

static void nul_and_size_are_bounded(void **state) {
    (void)state;
    struct device_script script;
    struct script_refusal refusal;
    static const char nul[] = HEAD "has pre\0copy\n";
    assert_false(device_script_parse(nul, sizeof nul - 1, &script, &refusal));
    assert_int_equal(refusal.line, 2);
    assert_string_equal(refusal.reason, "expected text, found byte 0x00 in column 8");

    char *large = malloc(SCRIPT_MAX_TEXT + 1);
    assert_non_null(large);
    memset(large, '#', SCRIPT_MAX_TEXT + 1);
    memcpy(large, HEAD, strlen(HEAD));
    assert_true(device_script_parse(large, SCRIPT_MAX_TEXT, &script, &refusal));
    assert_false(device_script_parse(large, SCRIPT_MAX_TEXT + 1, &script, &refusal));
    assert_int_equal(refusal.line, 0);
    assert_string_equal(refusal.reason, "the script is 65537 bytes long; expected at most 65536");
    free(large);
    assert_false(device_script_parse(NULL, 0, &script, &refusal));
}

static void rules_and_gates_are_bounded(void **state) {
    (void)state;
    char text[8192] = HEAD;
    struct device_script script;
    struct script_refusal refusal;
    for (int i = 0; i < SCRIPT_MAX_RULES; i++) strcat(text, "on query 1 do error\n");
    assert_true(device_script_parse(text, strlen(text), &script, &refusal));
    assert_int_equal(script.rule_count, SCRIPT_MAX_RULES);
    strcat(text, "on query 1 do error\n");
    assert_false(device_script_parse(text, strlen(text), &script, &refusal));
    assert_int_equal(refusal.line, SCRIPT_MAX_RULES + 2);
    assert_string_equal(refusal.reason, "this rule is one too many; a script has at most 64");

    strcpy(text, HEAD);
    for (int i = 0; i <= SCRIPT_MAX_GATES; i++) {
        assert_int_equal(device_script_parse(text, strlen(text), &script, &refusal), i <= SCRIPT_MAX_GATES);
        assert_int_equal(script.gate_count, i);
        snprintf(text + strlen(text), 64, "on call read do hold gate-%d\n", i);
    }
    assert_false(device_script_parse(text, strlen(text), &script, &refusal));
    assert_string_equal(refusal.reason, "gate 'gate-32' is one too many; a script has at most 32");
}

/* A cut anywhere is refused or is a script; it never reads past its end (under the sanitizers). */
static void every_cut_is_survived(void **state) {
    (void)state;
    static const char text[] = HEAD "has precopy p2p reinit # all\nestimate dirty 4K\nrate read 1M/s\ncost read 5ms\n"
                               "on peer v0 PRE_COPY when=2..4+2 do reinit 4K\non call read do hold gate\non written 1M do fail EIO";
    for (size_t length = 0; length < sizeof text; length++) {
        char *copy = malloc(length > 0 ? length : 1);
        assert_non_null(copy);
        memcpy(copy, text, length);
        struct device_script script;
        struct script_refusal refusal;
        if (!device_script_parse(copy, length, &script, &refusal)) assert_true(strlen(refusal.reason) > 0);
        free(copy);
    }
}

static void random_bytes_are_survived(void **state) {
    (void)state;
    static const char *const words[] = {"on", "do", "query", "read", "state", "when=", "1", "2..3", "+1", "4K", "has", "precopy", "\n", " ", "#", "hold",
                                        "estimate", "initial", "exact", "fail", "EIO", "cost", "rate", "1M/s", "5ms", "peer", "\xff", "PRE_COPY", "gate", "short"};
    uint64_t seed = test_seed("random_bytes_are_survived");
    for (int run = 0; run < 20000; run++) {
        char text[512] = HEAD;
        size_t length = strlen(text);
        for (uint64_t i = random_below(&seed, 24); i > 0; i--) {
            const char *word = words[random_below(&seed, sizeof words / sizeof *words)];
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", word, random_below(&seed, 4) > 0 ? " " : "");
        }
        struct device_script script;
        struct script_refusal refusal;
        bool good = device_script_parse(text, length, &script, &refusal);
        if (good) assert_int_equal(refusal.reason[0], 0);
        else assert_true(refusal.reason[0] != 0 && refusal.line <= 30);
    }
}

static void defaults(void **state) {
    (void)state;
    struct device_script script = script_of("ackmatrix-device 1");
    assert_true(script.precopy && script.p2p && script.reinit && script.info_v2 && script.dirty_tracking && script.drained_enomsg);
    assert_int_equal(script.initial, 65536);
    assert_int_equal(script.stop_copy, 262144);
    assert_int_equal(script.read_rate + script.write_rate, 0);
    assert_int_equal(script.gate_count + script.rule_count, 0);
    for (int i = 0; i < SCRIPT_QUANTITIES; i++) assert_false(script.estimates[i].fixed);
    for (int i = 0; i < DEVICE_CALLS; i++) assert_int_equal(script.cost_ns[i], 0);
    script = script_of("ackmatrix-device 1\nhas stop-copy\n");
    assert_false(script.precopy || script.p2p || script.reinit || script.info_v2);
    script = script_of("ackmatrix-device 1\nhas precopy\n");
    assert_true(script.precopy && !script.p2p && !script.reinit && script.info_v2);
}

static void settings(void **state) {
    (void)state;
    struct device_script script = script_of("# a device\n\n  ackmatrix-device\t1 # version\nhas p2p precopy\ninfo-v2 no#x\ndirty-tracking no\n"
                                            "initial 0\nstop-copy 2G\ndrained 0\nestimate initial 18446744073709551615\nestimate dirty exact\n"
                                            "estimate stop-copy 0\nrate read 3M/s\nrate write 7/s\ncost read 5us\ncost write 3600s\ncost bind 0ns\ncost config-write 7ms");
    assert_true(script.precopy && script.p2p && !script.reinit && !script.info_v2 && !script.dirty_tracking && !script.drained_enomsg);
    assert_int_equal(script.initial, 0);
    assert_int_equal(script.stop_copy, (uint64_t)2 << 30);
    assert_true(script.estimates[QUANTITY_INITIAL].fixed && script.estimates[QUANTITY_INITIAL].bytes == UINT64_MAX);
    assert_false(script.estimates[QUANTITY_DIRTY].fixed);
    assert_true(script.estimates[QUANTITY_STOP_COPY].fixed && script.estimates[QUANTITY_STOP_COPY].bytes == 0);
    assert_int_equal(script.read_rate, 3 << 20);
    assert_int_equal(script.write_rate, 7);
    assert_int_equal(script.cost_ns[CALL_READ], 5000);
    assert_int_equal(script.cost_ns[CALL_WRITE], 3600000000000);
    assert_int_equal(script.cost_ns[CALL_CONFIG_WRITE], 7000000);
}

static void rules(void **state) {
    (void)state;
    static const struct { const char *text; struct script_rule rule; } table[] = {
        {"on query 2 do reinit 4K", {.trigger = TRIGGER_QUERY, .threshold = 2, .action = ACTION_REINIT, .bytes = 4096}},
        {"on session-query 3 do dirty 0", {.trigger = TRIGGER_SESSION_QUERY, .threshold = 3, .action = ACTION_DIRTY}},
        {"on read 1M when=2 do short 100", {.trigger = TRIGGER_READ, .threshold = 1 << 20, .first = 2, .last = 2, .action = ACTION_SHORT, .bytes = 100}},
        {"on written 1 when=2..4 do fail ETIMEDOUT", {.trigger = TRIGGER_WRITTEN, .threshold = 1, .first = 2, .last = 4, .action = ACTION_FAIL, .error = ETIMEDOUT}},
        {"on state ERROR when=3.. do estimate dirty 7", {.trigger = TRIGGER_STATE, .state = VFIO_DEVICE_STATE_ERROR, .first = 3, .action = ACTION_ESTIMATE,
                                                         .quantity = QUANTITY_DIRTY, .estimate = {true, 7}}},
        {"on call set-state when=1+2 do hold g", {.trigger = TRIGGER_CALL, .call = CALL_SET_STATE, .step = 2, .action = ACTION_HOLD}},
        {"on peer a.b_c-1 RESUMING when=2..9+3 do error", {.trigger = TRIGGER_PEER, .peer = "a.b_c-1", .state = VFIO_DEVICE_STATE_RESUMING, .first = 2, .last = 9, .step = 3, .action = ACTION_ERROR}},
        {"on gate g when=5..+2 do estimate stop-copy exact", {.trigger = TRIGGER_GATE, .first = 5, .step = 2, .action = ACTION_ESTIMATE, .quantity = QUANTITY_STOP_COPY}},
        {"on gate-query g 2 do reinit 4K", {.trigger = TRIGGER_GATE_QUERY, .threshold = 2, .action = ACTION_REINIT, .bytes = 4096}},
        {"on state PRE_COPY_P2P do reset", {.trigger = TRIGGER_STATE, .state = VFIO_DEVICE_STATE_PRE_COPY_P2P, .action = ACTION_RESET}},
        {"on call write do short 1", {.trigger = TRIGGER_CALL, .call = CALL_WRITE, .action = ACTION_SHORT, .bytes = 1}},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[256];
        snprintf(text, sizeof text, "ackmatrix-device 1\n\n%s", table[i].text);
        struct device_script script = script_of(text);
        struct script_rule expected = table[i].rule, found = script.rules[0];
        if (expected.first == 0) expected.first = 1;
        if (expected.last == 0) expected.last = UINT64_MAX;
        if (expected.step == 0) expected.step = 1;
        assert_int_equal(script.rule_count, 1);
        assert_int_equal(found.line, 3);
        assert_int_equal(found.trigger, expected.trigger);
        assert_int_equal(found.threshold, expected.threshold);
        assert_int_equal(found.state, expected.state);
        assert_int_equal(found.call, expected.call);
        assert_string_equal(found.peer, expected.peer);
        assert_int_equal(found.first, expected.first);
        assert_int_equal(found.last, expected.last);
        assert_int_equal(found.step, expected.step);
        assert_int_equal(found.action, expected.action);
        assert_int_equal(found.quantity, expected.quantity);
        assert_int_equal(found.estimate.fixed, expected.estimate.fixed);
        assert_int_equal(found.estimate.bytes, expected.estimate.bytes);
        assert_int_equal(found.bytes, expected.bytes);
        assert_int_equal(found.error, expected.error);
    }
}

/* A gate is one gate, however often it is named. */
static void gates_are_interned(void **state) {
    (void)state;
    struct device_script script = script_of("ackmatrix-device 1\non call read do hold b\non gate a do dirty 4K\non gate b do dirty 4K\non call write do hold a\n");
    assert_int_equal(script.gate_count, 2);
    assert_string_equal(script.gates[0], "b");
    assert_string_equal(script.gates[1], "a");
    const unsigned expected[] = {0, 1, 0, 1};
    for (int i = 0; i < 4; i++) assert_int_equal(i == 1 || i == 2 ? script.rules[i].gate : script.rules[i].hold, expected[i]);
    script = script_of("ackmatrix-device 1\non gate-query go 3 do hold stop\n");
    assert_int_equal(script.rules[0].threshold, 3);
    assert_string_equal(script.gates[script.rules[0].gate], "go");
    assert_string_equal(script.gates[script.rules[0].hold], "stop");
}

/* Every call and state name is one a script takes. */
static void names_go_both_ways(void **state) {
    (void)state;
    for (int i = 0; i < DEVICE_CALLS; i++) {
        char text[128];
        snprintf(text, sizeof text, "ackmatrix-device 1\non call %s do error\n", device_call_name((enum device_call)i));
        assert_int_equal(script_of(text).rules[0].call, i);
    }
    for (int i = 0; i < VFIO_DEVICE_STATE_NR; i++) {
        char text[128];
        snprintf(text, sizeof text, "ackmatrix-device 1\non state %s do error\n", device_state_name((enum vfio_device_mig_state)i));
        assert_int_equal(script_of(text).rules[0].state, i);
    }
    assert_string_equal(device_state_name((enum vfio_device_mig_state)8), "UNKNOWN STATE");
    assert_string_equal(device_call_name(DEVICE_CALLS), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_scripts_are_refused), cmocka_unit_test(nul_and_size_are_bounded), cmocka_unit_test(rules_and_gates_are_bounded),
        cmocka_unit_test(every_cut_is_survived), cmocka_unit_test(random_bytes_are_survived), cmocka_unit_test(defaults),
        cmocka_unit_test(settings), cmocka_unit_test(rules), cmocka_unit_test(gates_are_interned), cmocka_unit_test(names_go_both_ways),
    };
    return cmocka_run_group_tests_name("script", tests, NULL, NULL);
}
