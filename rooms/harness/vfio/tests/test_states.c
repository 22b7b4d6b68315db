/*
 * State changes against an independent oracle: the graph of single arcs as the uAPI tells it, searched
 * breadth first, for every pair of states and every set of features. The model walks a table of next
 * steps; nothing of it is used here.
 */
#include "fixture.h"

enum { STATES = VFIO_DEVICE_STATE_NR, MAX_PATH = 8 };

#define ERROR_ VFIO_DEVICE_STATE_ERROR
#define STOP_ VFIO_DEVICE_STATE_STOP
#define RUNNING_ VFIO_DEVICE_STATE_RUNNING
#define STOP_COPY_ VFIO_DEVICE_STATE_STOP_COPY
#define RESUMING_ VFIO_DEVICE_STATE_RESUMING
#define RUNNING_P2P_ VFIO_DEVICE_STATE_RUNNING_P2P
#define PRE_COPY_ VFIO_DEVICE_STATE_PRE_COPY
#define PRE_COPY_P2P_ VFIO_DEVICE_STATE_PRE_COPY_P2P

static const struct features {
    const char *script;
    bool precopy, p2p;
} feature_sets[] = {
    {"has stop-copy\n", false, false},
    {"has p2p\n", false, true},
    {"has precopy\n", true, false},
    {"has precopy p2p\n", true, true},
};
enum { FEATURE_SETS = sizeof feature_sets / sizeof *feature_sets };

static bool oracle_exists(const struct features *features, unsigned state) {
    if (state == PRE_COPY_) return features->precopy;
    if (state == RUNNING_P2P_) return features->p2p;
    if (state == PRE_COPY_P2P_) return features->precopy && features->p2p;
    return state != ERROR_ && state < STATES;
}

static bool is_saving(unsigned state) { return state == PRE_COPY_ || state == PRE_COPY_P2P_ || state == STOP_COPY_; }

/* One step a driver with these features knows. With P2P a device comes to rest, and starts, by way of P2P. */
static bool is_arc(const struct features *features, unsigned from, unsigned to) {
    if (!oracle_exists(features, from) || !oracle_exists(features, to)) return false;
    unsigned quiet = features->p2p ? RUNNING_P2P_ : RUNNING_;
    unsigned quiet_saving = features->p2p ? PRE_COPY_P2P_ : PRE_COPY_;
    const unsigned both_ways[][2] = {
        {RUNNING_, RUNNING_P2P_}, {quiet, STOP_}, {STOP_, STOP_COPY_}, {STOP_, RESUMING_},
        {RUNNING_, PRE_COPY_}, {RUNNING_P2P_, PRE_COPY_P2P_}, {PRE_COPY_, PRE_COPY_P2P_},
    };
    if (from == quiet_saving && to == STOP_COPY_) return true;
    for (size_t i = 0; i < sizeof both_ways / sizeof *both_ways; i++) {
        if ((from == both_ways[i][0] && to == both_ways[i][1]) || (from == both_ways[i][1] && to == both_ways[i][0])) return true;
    }
    return false;
}

struct path {
    unsigned length; /* arcs */
    unsigned states[MAX_PATH];
};

/* A transfer session is not begun or resumed in passing: a path that leaves the saving group, or comes
 * from outside it, has no saving state inside, and none has RESUMING inside. */
static bool may_pass(const struct path *path, unsigned to) {
    unsigned inside = path->states[path->length];
    if (path->length == 0) return true;
    if (inside == RESUMING_) return false;
    return !is_saving(inside) || (is_saving(path->states[0]) && is_saving(to));
}

/* All shortest paths, breadth first; how many there are, one of them in *found. */
static unsigned shortest_paths(const struct features *features, unsigned from, unsigned to, struct path *found) {
    static struct path queue[4096];
    unsigned head = 0, tail = 0, count = 0;
    *found = (struct path){0};
    if (!oracle_exists(features, from) || !oracle_exists(features, to)) return 0;
    if (from == STOP_COPY_ && (to == PRE_COPY_ || to == PRE_COPY_P2P_)) return 0; /* the uAPI forbids the way back */
    queue[tail++] = (struct path){.states = {from}};
    while (head < tail) {
        const struct path path = queue[head++];
        if (count > 0 && path.length > found->length) break;
        unsigned here = path.states[path.length];
        if (here == to) {
            *found = path;
            count++;
            continue;
        }
        if (!may_pass(&path, to)) continue;
        for (unsigned next = 0; next < STATES; next++) {
            bool seen = false;
            for (unsigned i = 0; i <= path.length; i++) seen |= path.states[i] == next;
            if (seen || !is_arc(features, here, next) || path.length + 2 > MAX_PATH) continue;
            assert_true(tail < sizeof queue / sizeof *queue);
            queue[tail] = path;
            queue[tail].states[++queue[tail].length] = next;
            tail++;
        }
    }
    return count;
}

/* What the log must say about a way: each arc, sessions that end or begin with it, and the call. */
static void expected_log(const struct path *path, int64_t result, unsigned *session, bool *opened, char *text, size_t size) {
    size_t length = 0;
    *opened = false;
    text[0] = '\0';
    for (unsigned i = 0; i < path->length; i++) {
        unsigned from = path->states[i], to = path->states[i + 1];
        length += (size_t)snprintf(text + length, size - length, "device_state  (dev) from %s to %s\n",
                                   device_state_name((enum vfio_device_mig_state)from), device_state_name((enum vfio_device_mig_state)to));
        bool ends = (is_saving(from) && !is_saving(to)) || from == RESUMING_;
        bool begins = (!is_saving(from) && is_saving(to)) || to == RESUMING_;
        if (ends) length += (size_t)snprintf(text + length, size - length, "device_session_end  (dev) session %u\n", *session);
        if (!begins) continue;
        length += (size_t)snprintf(text + length, size - length, "device_session_begin  (dev) %s session %u\n", is_saving(to) ? "saving" : "resuming", ++*session);
        *opened = true;
    }
    snprintf(text + length, size - length, "device_call  (dev) set-state ret %lld\n", (long long)result);
}

/* Everything a device with these features has to load, written to `target`. */
static void load_whole(const char *script, struct bench *target) {
    struct bench *source = bench_in(STOP_COPY_, script);
    uint8_t buffer[4096];
    for (int64_t count; (count = read_data(source, buffer, sizeof buffer)) > 0;) {
        assert_int_equal(write_data(target, buffer, (size_t)count), count);
    }
    bench_free(source);
}

static void check_pair(const struct features *features, unsigned from, unsigned to) {
    char script[256];
    snprintf(script, sizeof script, "%sstop-copy 10000\non gate broken do error\n", features->script);
    struct bench *bench = bench_in(from == ERROR_ ? RUNNING_ : (enum vfio_device_mig_state)from, script);
    if (from == ERROR_) mock_device_gate_opened(bench->device, 0);
    if (from == RESUMING_) load_whole(script, bench);
    assert_int_equal(get_state(bench), from);
    take_log(bench);

    struct path path;
    unsigned ways = shortest_paths(features, from, to, &path);
    if (ways > 1) fail_msg("the oracle is ambiguous: %u ways from %u to %u with %s", ways, from, to, features->script);
    int64_t expected = ways == 1 ? 0 : -EINVAL;
    unsigned session = bench->session, end = ways == 1 ? to : from;
    bool opened;
    char text[2048];
    expected_log(&path, expected, &session, &opened, text, sizeof text);

    int32_t data_fd;
    int64_t result = set_state(bench, to, &data_fd);
    assert_string_equal(take_log(bench), text);
    assert_int_equal(result, expected);
    assert_int_equal(data_fd, opened ? FIRST_DESCRIPTOR + (int)session : -1);
    assert_int_equal(bench->session, session);
    assert_int_equal(get_state(bench), end);
    bench_free(bench);
}

/* Every pair, the states outside the enumeration included. */
static void every_pair(void **state) {
    (void)state;
    unsigned pairs = 0;
    for (unsigned i = 0; i < FEATURE_SETS; i++) {
        for (unsigned from = 0; from < STATES; from++) {
            if (from != ERROR_ && !oracle_exists(&feature_sets[i], from)) continue;
            for (unsigned to = 0; to < STATES + 2; to++, pairs++) check_pair(&feature_sets[i], from, to);
        }
    }
    assert_int_equal(pairs, (5 + 6 + 6 + 8) * (STATES + 2));
}

/* The oracle itself, on ways the uAPI spells out. */
static void oracle_knows_the_documented_ways(void **state) {
    (void)state;
    static const struct { unsigned features, count, states[MAX_PATH]; } ways[] = {
        {3, 3, {PRE_COPY_, PRE_COPY_P2P_, STOP_COPY_}},
        {2, 2, {PRE_COPY_, STOP_COPY_}},
        {3, 4, {RUNNING_, RUNNING_P2P_, STOP_, STOP_COPY_}},
        {3, 4, {RESUMING_, STOP_, RUNNING_P2P_, RUNNING_}},
        {3, 4, {PRE_COPY_, RUNNING_, RUNNING_P2P_, STOP_}},
        {3, 5, {STOP_COPY_, STOP_, RUNNING_P2P_, RUNNING_}},
        {0, 2, {RUNNING_, STOP_}},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        unsigned last = 0;
        while (last + 1 < MAX_PATH && ways[i].states[last + 1] != 0) last++;
        struct path path;
        assert_int_equal(shortest_paths(&feature_sets[ways[i].features], ways[i].states[0], ways[i].states[last], &path), 1);
        assert_int_equal(path.length, last);
        assert_memory_equal(path.states, ways[i].states, (last + 1) * sizeof *path.states);
    }
}

/* The same session lives through the whole saving group, and its descriptor is given once. */
static void one_session_in_the_saving_group(void **state) {
    (void)state;
    struct bench *bench = bench_in(RUNNING_, "has precopy p2p\n");
    const unsigned states[] = {PRE_COPY_, PRE_COPY_P2P_, PRE_COPY_, PRE_COPY_P2P_, STOP_COPY_, STOP_COPY_};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        int32_t data_fd;
        uint8_t byte;
        assert_int_equal(set_state(bench, states[i], &data_fd), 0);
        assert_int_equal(data_fd, i == 0 ? FIRST_DESCRIPTOR + 1 : -1);
        assert_int_equal(read_data(bench, &byte, 1), 1);
    }
    assert_int_equal(mock_device_progress(bench->device).bytes_read, 6);
    assert_int_equal(set_state(bench, STOP_, NULL), 0);
    uint8_t byte;
    assert_int_equal(read_data(bench, &byte, 1), -ENODEV);
    bench_free(bench);
}

/* A rule can refuse an arc, wherever on the way: the device stays in the state before it. */
static void a_refused_arc_leaves_the_state_before(void **state) {
    (void)state;
    static const struct { unsigned from, to, refused, stays; } cases[] = {
        {RUNNING_, STOP_, RUNNING_P2P_, RUNNING_},
        {RUNNING_, STOP_, STOP_, RUNNING_P2P_},
        {RUNNING_, STOP_COPY_, STOP_COPY_, STOP_},
        {RUNNING_, PRE_COPY_, PRE_COPY_, RUNNING_},
        {RUNNING_, RESUMING_, RESUMING_, STOP_},
        {PRE_COPY_, STOP_COPY_, STOP_COPY_, PRE_COPY_P2P_},
        {PRE_COPY_, STOP_, RUNNING_, PRE_COPY_},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char script[128];
        snprintf(script, sizeof script, "has precopy p2p\non state %s when=1 do fail ETIMEDOUT\n", device_state_name((enum vfio_device_mig_state)cases[i].refused));
        struct bench *bench = bench_in((enum vfio_device_mig_state)cases[i].from, script);
        int32_t data_fd;
        uint32_t session = bench->session;
        assert_int_equal(set_state(bench, cases[i].to, &data_fd), -ETIMEDOUT);
        assert_int_equal(data_fd, -1);
        assert_int_equal(bench->session, session);
        assert_int_equal(get_state(bench), cases[i].stays);
        assert_int_equal(set_state(bench, cases[i].to, &data_fd), 0); /* when=1: only once */
        bench_free(bench);
    }
}

static void a_session_that_cannot_open_fails_the_set(void **state) {
    (void)state;
    struct bench *bench = bench_in(RUNNING_, "has precopy p2p\n");
    bench->open_error = EMFILE;
    assert_int_equal(set_state(bench, PRE_COPY_, NULL), -EMFILE);
    assert_string_equal(take_log(bench), "device_call  (dev) set-state ret -24\n");
    assert_int_equal(get_state(bench), RUNNING_);
    assert_int_equal(set_state(bench, RESUMING_, NULL), -EMFILE);
    assert_int_equal(get_state(bench), STOP_);
    bench->open_error = 0;
    assert_int_equal(set_state(bench, RESUMING_, NULL), 0);
    bench_free(bench);
}

/* ERROR on the way ends it; at its end the call has succeeded, and its descriptor is of a session that is over. */
static void error_on_the_way(void **state) {
    (void)state;
    struct bench *bench = bench_in(RUNNING_, "has precopy p2p\non state RUNNING_P2P do error\n");
    assert_int_equal(set_state(bench, STOP_, NULL), -EIO);
    assert_string_equal(take_log(bench), "device_state  (dev) from RUNNING to RUNNING_P2P\n"
                                         "device_injected  (dev) line 3, action error, value 0\n"
                                         "device_state  (dev) from RUNNING_P2P to ERROR\n"
                                         "device_call  (dev) set-state ret -5\n");
    bench_free(bench);

    bench = bench_in(RUNNING_, "has precopy p2p\non state PRE_COPY do error\n");
    int32_t data_fd;
    uint8_t byte;
    assert_int_equal(set_state(bench, PRE_COPY_, &data_fd), 0);
    assert_int_equal(data_fd, FIRST_DESCRIPTOR + 1);
    assert_int_equal(get_state(bench), ERROR_);
    assert_int_equal(read_data(bench, &byte, 1), -ENODEV);
    for (unsigned to = 0; to < STATES; to++) assert_int_equal(set_state(bench, to, NULL), -EINVAL);
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_RESET, NULL), 0);
    assert_int_equal(get_state(bench), RUNNING_);
    bench_free(bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oracle_knows_the_documented_ways),
        cmocka_unit_test(every_pair),
        cmocka_unit_test(one_session_in_the_saving_group),
        cmocka_unit_test(a_refused_arc_leaves_the_state_before),
        cmocka_unit_test(a_session_that_cannot_open_fails_the_set),
        cmocka_unit_test(error_on_the_way),
    };
    return cmocka_run_group_tests_name("states", tests, NULL, NULL);
}
