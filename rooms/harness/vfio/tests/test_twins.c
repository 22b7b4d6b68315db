/*
 * Two models side by side: the same script and the same random calls give the same results, the same
 * data and byte-identical logs; and whatever is called, the books balance.
 */
#include "fixture.h"

static const char *const scripts[] = {
    "",
    "has stop-copy\nstop-copy 100\n",
    "has p2p\nrate read 3K/s\non read 50 do fail EIO\non state STOP when=2+2 do fail EBUSY\n",
    "has precopy\ninitial 0\nstop-copy 16\ndrained 0\ninfo-v2 no\n",
    "has precopy p2p reinit\ninitial 777\non query 1 when=1+2 do reinit 99\non query 3 do dirty 1000\non session-query 9 do error\n"
    "on call read when=3+5 do short 7\non call read do hold g\non read 400 do reinit 64\non peer other PRE_COPY do dirty 55\non gate g do estimate dirty 1\n",
    "cost read 5us\ncost set-state 1ms\non state RESUMING do hold b\non written 100 do short 3\non written 200 do fail ENOSPC\n"
    "on state ERROR do dirty 16\non gate b do error\non call precopy-info when=4+4 do fail EIO\non peer x STOP do error\n",
};
enum { SCRIPTS = sizeof scripts / sizeof *scripts, CALLS = 400 };

struct twin {
    struct bench *bench;
    uint8_t memory[1024];
    uint8_t stream[4096]; /* a whole load */
    size_t stream_length, written;
};

static void make_twin(struct twin *twin, const char *script) {
    memset(twin, 0, sizeof *twin);
    twin->bench = bench_unbound(script);
    struct bench *source = bench_in(VFIO_DEVICE_STATE_PRE_COPY, "initial 300\nstop-copy 500\n");
    assert_int_equal(set_state(source, VFIO_DEVICE_STATE_STOP_COPY, NULL), 0);
    int64_t length = read_data(source, twin->stream, sizeof twin->stream);
    assert_int_equal(length, 800);
    twin->stream_length = (size_t)length;
    bench_free(source);
}

/* One call, chosen by `choice`; its result is compared by the caller. */
static struct mock_outcome make_call(struct twin *twin, uint64_t choice) {
    struct mock_device *device = twin->bench->device;
    uint64_t memory = (uintptr_t)twin->memory, pick = choice >> 8, kind = choice % 24;
    /* Sometimes a session long over or not begun yet. */
    uint32_t session = twin->bench->session + (pick % 16 == 0 ? (uint32_t)(pick / 16 % 3) - 1 : 0);
    size_t length = (size_t)(pick / 64 % (sizeof twin->memory + 1));
    struct vfio_device_feature header = {.argsz = (uint32_t)(pick % 32 == 0 ? pick / 32 % 24 : 72)};
    if (kind < 16) {
        uint32_t data = (uint32_t)(pick / 4 % 9);
        header.flags = kind < 8 ? VFIO_DEVICE_FEATURE_SET | 2 : 1u << (16 + pick / 2 % 3) | (uint32_t)(pick / 8 % 14);
        if (kind == 15) header.flags = VFIO_DEVICE_FEATURE_SET | 12;
        memset(twin->memory, 0, 80);
        memcpy(twin->memory, &header, sizeof header);
        memcpy(twin->memory + 8, &data, sizeof data);
    }
    switch (kind) {
    case 16:
    case 17:
    case 18: return mock_data_read(device, session, memory, length);
    case 19:
    case 20: {
        enum vfio_device_mig_state state = mock_device_progress(device).state;
        uint64_t already = mock_device_progress(device).bytes_written;
        if (state != VFIO_DEVICE_STATE_RESUMING || already >= twin->stream_length || pick % 20 == 0) return mock_data_write(device, session, memory, length);
        if (length > twin->stream_length - already) length = (size_t)(twin->stream_length - already);
        return mock_data_write(device, session, (uintptr_t)(twin->stream + already), length);
    }
    case 21: {
        struct vfio_precopy_info info = {.argsz = pick % 32 == 0 ? 8 : sizeof info, .flags = (uint32_t)pick};
        memcpy(twin->memory, &info, sizeof info);
        return mock_data_ioctl(device, session, VFIO_MIG_GET_PRECOPY_INFO, memory);
    }
    case 22: {
        static const uint64_t requests[] = {VFIO_DEVICE_RESET, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_BIND_IOMMUFD,
                                            VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_SET_IRQS, 0x3bff};
        memset(twin->memory, 0, 64);
        twin->memory[0] = 64;
        return mock_device_ioctl(device, requests[pick % 8], memory);
    }
    case 23:
        switch (pick % 8) {
        case 0: mock_device_peer_entered(device, pick / 8 % 2 ? "other" : "x", (enum vfio_device_mig_state)(pick / 16 % 8)); break;
        case 1: mock_device_gate_opened(device, (unsigned)(pick / 8 % 3)); break;
        case 2: mock_device_hold(device, (unsigned)(pick / 8 % 3), pick / 32 % 2); break;
        case 3: mock_data_close(device, session); break;
        case 4: if (pick / 8 % 4 == 0) mock_device_close(device); break;
        case 5: return mock_device_pwrite(device, memory, length, ((uint64_t)7 << 40) + pick / 8 % 5000);
        default: return mock_device_pread(device, memory, length, ((uint64_t)7 << 40) + pick / 8 % 5000);
        }
        return (struct mock_outcome){0};
    default: return mock_device_ioctl(device, VFIO_DEVICE_FEATURE, memory);
    }
}

/* What holds after any call. */
static void check_books(struct twin *twin, struct mock_outcome outcome) {
    struct mock_progress progress = mock_device_progress(twin->bench->device);
    const struct device_script *script = mock_device_script(twin->bench->device);
    assert_true(outcome.error == 0 ? outcome.result >= 0 : outcome.result == -1 && outcome.error > 0 && outcome.error < 200);
    assert_true(progress.drained_queries <= progress.queries);
    assert_true(script->gate_count == 32 || outcome.gates >> script->gate_count == 0);
    bool precopy = progress.state == VFIO_DEVICE_STATE_PRE_COPY || progress.state == VFIO_DEVICE_STATE_PRE_COPY_P2P;
    if (!precopy && progress.state != VFIO_DEVICE_STATE_STOP_COPY) assert_int_equal(progress.initial_bytes + progress.dirty_bytes, 0);
    if (precopy && progress.initial_bytes == 0) assert_true(progress.drains > 0);
    if (progress.initial_bytes > 0) assert_int_equal(progress.drained_queries, 0);
}

static void twins_are_identical(void **state) {
    (void)state;
    uint64_t seed = test_seed("twins_are_identical");
    uint64_t reached[VFIO_DEVICE_STATE_NR] = {0};
    for (int run = 0; run < 600; run++) {
        static struct twin one, other;
        const char *script = scripts[run % SCRIPTS];
        make_twin(&one, script);
        make_twin(&other, script);
        assert_int_equal(bind_device(one.bench), 0);
        assert_int_equal(bind_device(other.bench), 0);
        for (int call = 0; call < CALLS; call++) {
            uint64_t choice = random_bits(&seed);
            struct mock_outcome a = make_call(&one, choice), b = make_call(&other, choice);
            assert_true(a.result == b.result && a.error == b.error && a.cost_ns == b.cost_ns && a.gates == b.gates);
            check_books(&one, a);
            reached[mock_device_progress(one.bench->device).state]++;
        }
        assert_memory_equal(one.memory, other.memory, sizeof one.memory);
        assert_int_equal(one.bench->length, other.bench->length);
        assert_memory_equal(one.bench->log, other.bench->log, one.bench->length);
        bench_free(one.bench);
        bench_free(other.bench);
    }
    /* The random walk is worth something only if it got everywhere. */
    for (int i = 0; i < VFIO_DEVICE_STATE_NR; i++) assert_true(reached[i] > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(twins_are_identical)};
    return cmocka_run_group_tests_name("twins", tests, NULL, NULL);
}
