/* The replayed device: a recording answers call by call, and names the first call that differs. */
#include "fixture.h"

#include "replay_device.h"

#define HEAD(polls) "ackmatrix-replay 1\npolls " polls "\n"
/* What a saving device was asked: a REINIT at the third query, 100 bytes in STOP_COPY. */
#define SAVING \
    "3 feature 65537 0 0700000000000000\n" \
    "4 feature 131084 0 -\n" \
    "5 data-size 0 100\n" \
    "6 state PRE_COPY 0 opens\n" \
    "7 precopy-info 0 64 0 0\n" \
    "8 read 4096 64\n" \
    "9 precopy-info 0 0 0 0\n" \
    "10 read 4096 -42\n" \
    "11 precopy-info 0 32 0 1\n" \
    "12 read 4096 32\n" \
    "13 precopy-info 0 0 0 0\n" \
    "14 state PRE_COPY_P2P 0 -\n" \
    "15 state STOP_COPY 0 -\n" \
    "16 read 4096 100\n" \
    "17 read 4096 0\n" \
    "18 close 0\n" \
    "19 state STOP 0 -\n"

struct player {
    struct bench bench; /* log and world; its device is not used */
    struct replay_device *device;
};

static struct player *player(const char *text) {
    struct player *player = calloc(1, sizeof *player);
    assert_non_null(player);
    struct mock_world world = bench_world(&player->bench);
    struct script_refusal refusal;
    world.event = bench_event;
    player->device = replay_device_create("dev", text, strlen(text), &world, &refusal);
    if (player->device == NULL) fail_msg("line %u: %s", refusal.line, refusal.reason);
    /* The mock that answers the rest counts its own events. */
    player->bench.last_sequence = 0;
    player->bench.length = 0;
    return player;
}

static void player_free(struct player *player) {
    replay_device_destroy(player->device);
    free(player->bench.log);
    free(player);
}

static int64_t replayed_feature(struct player *player, uint32_t flags, uint64_t *data) {
    struct {
        uint32_t argsz, flags;
        uint64_t data;
    } argument = {.argsz = sizeof argument, .flags = flags, .data = *data};
    int64_t result = came_to(&player->bench, replay_device_ioctl(player->device, VFIO_DEVICE_FEATURE, (uint64_t)(uintptr_t)&argument));
    *data = argument.data;
    return result;
}

static int64_t replayed_state(struct player *player, uint32_t state) {
    uint64_t data = state | (uint64_t)UINT32_MAX << 32;
    return replayed_feature(player, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &data);
}

static int64_t replayed_query(struct player *player, struct vfio_precopy_info *info) {
    *info = (struct vfio_precopy_info){.argsz = sizeof *info};
    return came_to(&player->bench, replay_data_ioctl(player->device, player->bench.session, VFIO_MIG_GET_PRECOPY_INFO, (uint64_t)(uintptr_t)info));
}

static int64_t replayed_read(struct player *player, size_t size) {
    static uint8_t buffer[8192];
    return came_to(&player->bench, replay_data_read(player->device, player->bench.session, (uint64_t)(uintptr_t)buffer, size));
}

/* Opt in, enter PRE_COPY, and take the initial bytes. */
static void begin(struct player *player) {
    uint64_t data = 0;
    struct vfio_precopy_info info;
    assert_int_equal(replayed_feature(player, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION, &data), 0);
    assert_int_equal(data, 7);
    assert_int_equal(replayed_feature(player, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, &data), 0);
    assert_int_equal(replayed_feature(player, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &data), 0);
    assert_int_equal(data, 100);
    assert_int_equal(replayed_state(player, VFIO_DEVICE_STATE_PRE_COPY), 0);
    assert_int_equal(replayed_query(player, &info), 0);
    assert_int_equal(info.initial_bytes, 64);
    assert_int_equal(replayed_read(player, 4096), 64);
}

/* From the REINIT to the end. */
static void finish(struct player *player) {
    struct vfio_precopy_info info;
    assert_int_equal(replayed_read(player, 4096), 32);
    assert_int_equal(replayed_query(player, &info), 0);
    assert_int_equal(replayed_state(player, VFIO_DEVICE_STATE_PRE_COPY_P2P), 0);
    assert_int_equal(replayed_state(player, VFIO_DEVICE_STATE_STOP_COPY), 0);
    assert_int_equal(replayed_read(player, 4096), 100);
    assert_int_equal(replayed_read(player, 4096), 0);
    replay_data_close(player->device, player->bench.session);
    assert_int_equal(replayed_state(player, VFIO_DEVICE_STATE_STOP), 0);
}

static void the_same_calls_get_the_same_answers(void **state) {
    (void)state;
    struct player *player_ = player(HEAD("counted") SAVING);
    struct vfio_precopy_info info;
    begin(player_);
    assert_int_equal(replayed_query(player_, &info), 0);
    assert_int_equal(replayed_read(player_, 4096), -ENOMSG);
    assert_int_equal(replay_device_left(player_->device), 9);
    assert_int_equal(replayed_query(player_, &info), 0);
    assert_int_equal(info.flags, VFIO_PRECOPY_INFO_REINIT);
    assert_int_equal(info.initial_bytes, 32);
    finish(player_);
    assert_int_equal(replay_device_left(player_->device), 0);
    const char *log = take_log(&player_->bench);
    assert_null(strstr(log, "device_departed"));
    assert_non_null(strstr(log, "device_state  (dev) from RUNNING to PRE_COPY\ndevice_session_begin  (dev) saving session 1\n"));
    assert_non_null(strstr(log, "device_state  (dev) from STOP_COPY to STOP\ndevice_session_end  (dev) session 1\n"));
    player_free(player_);
}

static void the_first_departure_names_both_calls_and_the_place(void **state) {
    (void)state;
    struct player *player_ = player(HEAD("counted") SAVING);
    begin(player_);
    assert_int_equal(replayed_state(player_, VFIO_DEVICE_STATE_STOP), -EPROTO); /* a query is due */
    assert_int_equal(replayed_read(player_, 4096), -EPROTO);                      /* it ends there */
    const char *log = take_log(&player_->bench);
    const char *departed = strstr(log, "device_departed  (dev) at 9, expected precopy-info (ret 0); found set STOP\n");
    assert_non_null(departed);
    assert_null(strstr(departed + 1, "device_departed"));
    player_free(player_);
}

/* Each call of the recording is altered in turn: the departure is at that call, whatever it is. */
static void an_altered_call_is_named(void **state) {
    (void)state;
    static const struct { const char *from, *to, *departure; } rows[] = {
        {"4 feature 131084", "4 feature 131085", "at 4, expected feature 0x2000d (ret 0); found feature 0x2000c\n"},
        {"6 state PRE_COPY 0 opens", "6 state STOP_COPY 0 opens", "at 6, expected set STOP_COPY (ret 0); found set PRE_COPY\n"},
        {"8 read 4096 64", "8 read 4095 64", "at 8, expected read size 4095 (ret 64); found read size 4096\n"},
        {"8 read 4096 64\n", "", "at 9, expected precopy-info (ret 0); found read size 4096\n"},
        {"14 state PRE_COPY_P2P 0 -\n", "", "at 15, expected set STOP_COPY (ret 0); found set PRE_COPY_P2P\n"},
        {"18 close 0\n", "", "at 19, expected set STOP (ret 0); found close of the data descriptor\n"},
        {"19 state STOP 0 -\n", "", "at 0, expected no further call; found set STOP\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[2048] = HEAD("counted") SAVING, altered[2048];
        char *at = strstr(text, rows[i].from);
        assert_non_null(at);
        snprintf(altered, sizeof altered, "%.*s%s%s", (int)(at - text), text, rows[i].to, at + strlen(rows[i].from));
        struct player *player_ = player(altered);
        struct vfio_precopy_info info;
        uint64_t data = 0;
        replayed_feature(player_, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION, &data);
        replayed_feature(player_, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, &data);
        replayed_feature(player_, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &data);
        replayed_state(player_, VFIO_DEVICE_STATE_PRE_COPY);
        replayed_query(player_, &info), replayed_read(player_, 4096);
        replayed_query(player_, &info), replayed_read(player_, 4096), replayed_query(player_, &info), replayed_read(player_, 4096);
        replayed_query(player_, &info);
        replayed_state(player_, VFIO_DEVICE_STATE_PRE_COPY_P2P), replayed_state(player_, VFIO_DEVICE_STATE_STOP_COPY);
        replayed_read(player_, 4096), replayed_read(player_, 4096);
        replay_data_close(player_->device, player_->bench.session);
        replayed_state(player_, VFIO_DEVICE_STATE_STOP);
        const char *departed = strstr(take_log(&player_->bench), "device_departed  (dev) ");
        if (departed == NULL) fail_msg("row %zu: no departure", i);
        assert_memory_equal(departed + strlen("device_departed  (dev) "), rows[i].departure, strlen(rows[i].departure));
        player_free(player_);
    }
}

static void free_polls_may_come_more_or_less_often(void **state) {
    (void)state;
    struct player *player_ = player(HEAD("free") SAVING);
    struct vfio_precopy_info info;
    uint64_t data = 0;
    begin(player_);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(replayed_feature(player_, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &data), 0);
        assert_int_equal(data, 100);
    }
    assert_int_equal(replayed_query(player_, &info), 0);
    assert_int_equal(info.initial_bytes, 0);
    for (int i = 0; i < 3; i++) assert_int_equal(replayed_query(player_, &info), 0);
    assert_int_equal(info.initial_bytes, 32); /* the second of these reported the REINIT, the others repeat it */
    assert_int_equal(info.flags, 0);          /* a flag is told once */
    assert_int_equal(replayed_read(player_, 4096), -ENOMSG);
    assert_int_equal(replayed_read(player_, 4096), 32);
    assert_int_equal(replayed_state(player_, VFIO_DEVICE_STATE_PRE_COPY_P2P), 0); /* a poll fewer than recorded */
    assert_int_equal(replayed_state(player_, VFIO_DEVICE_STATE_STOP_COPY), 0);
    assert_null(strstr(take_log(&player_->bench), "device_departed"));
    player_free(player_);

    player_ = player(HEAD("free") SAVING);
    begin(player_);
    assert_int_equal(replayed_state(player_, VFIO_DEVICE_STATE_PRE_COPY_P2P), -EPROTO); /* the REINIT was never seen */
    assert_non_null(strstr(take_log(&player_->bench), "device_departed  (dev) at 11, expected precopy-info (ret 0); found set PRE_COPY_P2P\n"));
    player_free(player_);
}

static void what_was_read_since_is_taken_off(void **state) {
    (void)state;
    struct player *player_ = player(HEAD("free") "1 state PRE_COPY 0 opens\n2 precopy-info 0 64 100 0\n3 read 80 80\n4 state RUNNING 0 -\n");
    struct vfio_precopy_info info;
    assert_int_equal(replayed_state(player_, VFIO_DEVICE_STATE_PRE_COPY), 0);
    assert_int_equal(replayed_query(player_, &info), 0);
    assert_int_equal(replayed_read(player_, 80), 80);
    assert_int_equal(replayed_query(player_, &info), 0);
    assert_int_equal(info.initial_bytes, 0);
    assert_int_equal(info.dirty_bytes, 84);
    player_free(player_);
}

static void failures_are_replayed(void **state) {
    (void)state;
    struct player *player_ = player(HEAD("counted") "1 state PRE_COPY -5 -\n2 reset -16\n3 reset 0\n");
    assert_int_equal(replayed_state(player_, VFIO_DEVICE_STATE_PRE_COPY), -EIO);
    assert_int_equal(came_to(&player_->bench, replay_device_ioctl(player_->device, VFIO_DEVICE_RESET, 0)), -EBUSY);
    assert_int_equal(came_to(&player_->bench, replay_device_ioctl(player_->device, VFIO_DEVICE_RESET, 0)), 0);
    player_free(player_);
}

static void wrong_texts_are_refused_with_their_line(void **state) {
    (void)state;
    static const struct { const char *text; unsigned line; } rows[] = {
        {"", 1}, {"ackmatrix-device 1\n", 1}, {"ackmatrix-replay 1\n", 1}, {"ackmatrix-replay 1\npolls many\n", 2}, {HEAD("free"), 2},
        {HEAD("free") "x\n", 3}, {HEAD("free") "1 dance 0\n", 3}, {HEAD("free") "1 reset\n", 3}, {HEAD("free") "1 reset 0 more\n", 3},
        {HEAD("free") "1 state NOWHERE 0 -\n", 3}, {HEAD("free") "1 state STOP 0 shuts\n", 3}, {HEAD("free") "1 read 10 11\n", 3},
        {HEAD("free") "1 feature 1 0 0g\n", 3}, {HEAD("free") "1 feature 1 0 012\n", 3}, {HEAD("free") "1 reset 0\n\n", 4},
        {HEAD("free") "1 reset 4294967296\n", 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench bench = {0};
        struct mock_world world = bench_world(&bench);
        struct script_refusal refusal;
        if (replay_device_create("dev", rows[i].text, strlen(rows[i].text), &world, &refusal) != NULL) fail_msg("row %zu is accepted", i);
        assert_int_equal(refusal.line, rows[i].line);
        assert_true(strlen(refusal.reason) > 0);
        free(bench.log);
    }
    char flood[4096] = HEAD("free") "1 feature 1 0 ";
    memset(flood + strlen(flood), 'a', 3000);
    struct bench bench = {0};
    struct mock_world world = bench_world(&bench);
    struct script_refusal refusal;
    assert_null(replay_device_create("dev", flood, strlen(flood), &world, &refusal));
    assert_int_equal(refusal.line, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_calls_get_the_same_answers),
        cmocka_unit_test(the_first_departure_names_both_calls_and_the_place),
        cmocka_unit_test(an_altered_call_is_named),
        cmocka_unit_test(free_polls_may_come_more_or_less_often),
        cmocka_unit_test(what_was_read_since_is_taken_off),
        cmocka_unit_test(failures_are_replayed),
        cmocka_unit_test(wrong_texts_are_refused_with_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
