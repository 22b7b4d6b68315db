/* The iommufd calls a QEMU makes, and their refusals. */
#include "fixture.h"

struct iommufd_bench {
    struct bench bench;
    struct mock_iommufd *iommufd;
};

static int set_up(void **state) {
    struct iommufd_bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL) return -1;
    struct mock_world world = bench_world(&bench->bench);
    bench->iommufd = mock_iommufd_create("iommufd0", &world);
    *state = bench;
    return 0;
}

static int tear_down(void **state) {
    struct iommufd_bench *bench = *state;
    mock_iommufd_destroy(bench->iommufd);
    free(bench->bench.log);
    free(bench);
    return 0;
}

static int64_t request(void **state, uint64_t number, void *argument) {
    struct iommufd_bench *bench = *state;
    return came_to(&bench->bench, mock_iommufd_ioctl(bench->iommufd, number, (uintptr_t)argument));
}

static uint32_t new_ioas(void **state) {
    struct iommu_ioas_alloc alloc = {.size = sizeof alloc};
    assert_int_equal(request(state, IOMMU_IOAS_ALLOC, &alloc), 0);
    return alloc.out_ioas_id;
}

/* The identifier a device model gives at BIND. */
static uint32_t new_device(const char *name) {
    struct bench bench = {0};
    struct mock_world world = bench_world(&bench);
    struct device_script script = script_of("ackmatrix-device 1\n");
    bench.device = mock_device_create(name, &script, &world);
    assert_non_null(bench.device);
    struct vfio_device_bind_iommufd bind = {.argsz = sizeof bind};
    assert_int_equal(device_ioctl(&bench, VFIO_DEVICE_BIND_IOMMUFD, &bind), 0);
    mock_device_destroy(bench.device);
    free(bench.log);
    return bind.out_devid;
}

static int64_t destroy(void **state, uint32_t id) {
    struct iommu_destroy destroy = {.size = sizeof destroy, .id = id};
    return request(state, IOMMU_DESTROY, &destroy);
}

/* The size at the front: too small, larger with a zero tail, larger with another, absurd. */
static void structures_may_grow(void **state) {
    struct { struct iommu_ioas_alloc alloc; uint32_t tail[4]; } grown = {.alloc = {.size = 11}};
    assert_int_equal(request(state, IOMMU_IOAS_ALLOC, &grown), -EINVAL);
    grown.alloc.size = sizeof grown;
    assert_int_equal(request(state, IOMMU_IOAS_ALLOC, &grown), 0);
    assert_int_equal(grown.alloc.out_ioas_id, 1);
    grown.tail[3] = 1;
    assert_int_equal(request(state, IOMMU_IOAS_ALLOC, &grown), -E2BIG);
    grown.alloc.size = UINT32_MAX;
    assert_int_equal(request(state, IOMMU_IOAS_ALLOC, &grown), -E2BIG);
    assert_int_equal(request(state, IOMMU_IOAS_ALLOC, NULL), -EFAULT);
    assert_int_equal(new_ioas(state), 2);
    /* A HWPT_ALLOC of the first version ends after 24 bytes; nothing is written behind them. */
    struct iommu_hwpt_alloc alloc = {.size = 24, .dev_id = new_device("dev"), .pt_id = 1, .data_type = 7, .fault_id = 8};
    assert_int_equal(request(state, IOMMU_HWPT_ALLOC, &alloc), 0);
    assert_true(alloc.out_hwpt_id == 3 && alloc.data_type == 7 && alloc.fault_id == 8);
    alloc.size = 23;
    assert_int_equal(request(state, IOMMU_HWPT_ALLOC, &alloc), -EINVAL);
}

static void objects_come_and_go(void **state) {
    uint32_t ioas = new_ioas(state), device = new_device("v0");
    assert_int_not_equal(device, new_device("v1"));
    struct iommu_hwpt_alloc alloc = {.size = sizeof alloc, .flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING, .dev_id = device, .pt_id = ioas};
    assert_int_equal(request(state, IOMMU_HWPT_ALLOC, &alloc), 0);
    assert_int_not_equal(alloc.out_hwpt_id, ioas);
    assert_int_equal(destroy(state, ioas), -EBUSY);
    assert_int_equal(destroy(state, 99), -ENOENT);
    assert_int_equal(destroy(state, alloc.out_hwpt_id), 0);
    assert_int_equal(destroy(state, alloc.out_hwpt_id), -ENOENT);
    assert_int_equal(destroy(state, ioas), 0);
    alloc.pt_id = ioas;
    assert_int_equal(request(state, IOMMU_HWPT_ALLOC, &alloc), -ENOENT);
    alloc.pt_id = new_ioas(state);
    alloc.dev_id = 5;
    assert_int_equal(request(state, IOMMU_HWPT_ALLOC, &alloc), -ENOENT);
    alloc.dev_id = device, alloc.flags = 64;
    assert_int_equal(request(state, IOMMU_HWPT_ALLOC, &alloc), -EOPNOTSUPP);
    alloc.flags = 0, alloc.data_type = 1;
    assert_int_equal(request(state, IOMMU_HWPT_ALLOC, &alloc), -EOPNOTSUPP);
    struct iommu_ioas_alloc flagged = {.size = sizeof flagged, .flags = 1};
    assert_int_equal(request(state, IOMMU_IOAS_ALLOC, &flagged), -EOPNOTSUPP);
    /* The table is bounded. */
    int64_t result = 0;
    unsigned count = 0;
    for (; result == 0 && count < 10000; count++) {
        struct iommu_ioas_alloc one = {.size = sizeof one};
        result = request(state, IOMMU_IOAS_ALLOC, &one);
    }
    assert_int_equal(result, -ENOMEM);
    assert_in_range(count, 200, 300);
}

/* QEMU asks with room for none first, and again with the count it was told. */
static void iova_ranges(void **state) {
    struct iommu_ioas_iova_ranges ranges = {.size = sizeof ranges, .ioas_id = new_ioas(state)};
    assert_int_equal(request(state, IOMMU_IOAS_IOVA_RANGES, &ranges), -EMSGSIZE);
    assert_int_equal(ranges.num_iovas, 2);
    struct iommu_iova_range out[3] = {{7, 7}, {7, 7}, {7, 7}};
    ranges.allowed_iovas = (uintptr_t)out;
    assert_int_equal(request(state, IOMMU_IOAS_IOVA_RANGES, &ranges), 0);
    assert_true(out[0].start == 0 && out[0].last == 0xfedfffff && out[1].start == 0xfef00000 && out[1].last == ((uint64_t)1 << 48) - 1);
    assert_true(out[2].start == 7 && ranges.num_iovas == 2 && ranges.out_iova_alignment == 4096);
    ranges.num_iovas = 1;
    assert_int_equal(request(state, IOMMU_IOAS_IOVA_RANGES, &ranges), -EMSGSIZE);
    ranges.allowed_iovas = 0;
    assert_int_equal(request(state, IOMMU_IOAS_IOVA_RANGES, &ranges), -EFAULT);
    ranges.ioas_id = 9;
    assert_int_equal(request(state, IOMMU_IOAS_IOVA_RANGES, &ranges), -ENOENT);
    ranges.__reserved = 1;
    assert_int_equal(request(state, IOMMU_IOAS_IOVA_RANGES, &ranges), -EOPNOTSUPP);
}

static void mapping(void **state) {
    uint32_t ioas = new_ioas(state), other = new_ioas(state);
    enum { FIXED = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE };
    const struct { uint32_t ioas, flags; uint64_t va, length, iova; int64_t result; } maps[] = {
        {ioas, FIXED, 1 << 20, 8192, 0, 0},
        {ioas, FIXED, 1 << 20, 4096, 4096, -EEXIST},
        {other, FIXED, 1 << 20, 4096, 4096, 0},
        {ioas, FIXED, 1 << 20, 4096, 8192, 0},
        {ioas, FIXED, 1 << 20, 0, 1 << 20, -EINVAL},
        {ioas, FIXED, 1 << 20, 4095, 1 << 20, -EINVAL},
        {ioas, FIXED, 1, 4096, 1 << 20, -EINVAL},
        {ioas, FIXED, 1 << 20, 4096, 5, -EINVAL},
        {ioas, FIXED, 1 << 20, 4096, 0xfee00000, -EINVAL},
        {ioas, FIXED, 1 << 20, 8192, 0xfedff000, -EINVAL},
        {ioas, FIXED, 1 << 20, 4096, 0xfedff000, 0},
        {ioas, FIXED, 1 << 20, 4096, (uint64_t)1 << 48, -EINVAL},
        {ioas, FIXED, 1 << 20, UINT64_MAX - 4095, 8192, -EOVERFLOW},
        {ioas, IOMMU_IOAS_MAP_READABLE, 1 << 20, 4096, 1 << 20, -EOPNOTSUPP},
        {ioas, FIXED | 8, 1 << 20, 4096, 1 << 20, -EOPNOTSUPP},
        {77, FIXED, 1 << 20, 4096, 1 << 20, -ENOENT},
    };
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        struct iommu_ioas_map map = {.size = sizeof map, .flags = maps[i].flags, .ioas_id = maps[i].ioas, .user_va = maps[i].va, .length = maps[i].length, .iova = maps[i].iova};
        int64_t result = request(state, IOMMU_IOAS_MAP, &map);
        if (result != maps[i].result) fail_msg("map %zu: expected %lld, found %lld", i, (long long)maps[i].result, (long long)result);
    }
    struct iommu_ioas_map_file file = {.size = sizeof file, .flags = FIXED, .ioas_id = ioas, .fd = 5, .start = 0, .length = 4096, .iova = 1 << 30};
    assert_int_equal(request(state, IOMMU_IOAS_MAP_FILE, &file), 0);
    file.fd = -1;
    assert_int_equal(request(state, IOMMU_IOAS_MAP_FILE, &file), -EBADF);

    const struct { uint32_t ioas; uint64_t iova, length; int64_t result; uint64_t unmapped; } unmaps[] = {
        {ioas, 0, 4096, -ENOENT, 0},             /* cuts a mapping */
        {ioas, 4096, 8192, -ENOENT, 0},
        {ioas, 0, 8192, 0, 8192},
        {ioas, 0, 8192, -ENOENT, 0},             /* nothing there any more */
        {ioas, 1 << 30, 4096, 0, 4096},
        {ioas, 0, UINT64_MAX, 0, 8192},
        {ioas, 0, UINT64_MAX, 0, 0},
        {other, 0, (uint64_t)1 << 63, 0, 4096},
        {ioas, 4096, 0, -EINVAL, 0},
        {ioas, 4096, UINT64_MAX, -EOVERFLOW, 0},
        {77, 0, 4096, -ENOENT, 0},
    };
    for (size_t i = 0; i < sizeof unmaps / sizeof *unmaps; i++) {
        struct iommu_ioas_unmap unmap = {.size = sizeof unmap, .ioas_id = unmaps[i].ioas, .iova = unmaps[i].iova, .length = unmaps[i].length};
        int64_t result = request(state, IOMMU_IOAS_UNMAP, &unmap);
        if (result != unmaps[i].result) fail_msg("unmap %zu: expected %lld, found %lld", i, (long long)unmaps[i].result, (long long)result);
        if (result == 0) assert_int_equal(unmap.length, unmaps[i].unmapped);
    }
}

/* Mappings of files may change their owner, those of the process's memory may not. */
static void a_process_takes_over_mappings_of_files(void **state) {
    struct iommu_ioas_change_process change = {.size = sizeof change};
    assert_int_equal(request(state, IOMMU_IOAS_CHANGE_PROCESS, &change), 0);
    uint32_t ioas = new_ioas(state);
    struct iommu_ioas_map_file file = {.size = sizeof file, .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE, .ioas_id = ioas, .fd = 5, .start = 0, .length = 4096, .iova = 1 << 30};
    assert_int_equal(request(state, IOMMU_IOAS_MAP_FILE, &file), 0);
    assert_int_equal(request(state, IOMMU_IOAS_CHANGE_PROCESS, &change), 0);
    struct iommu_ioas_map map = {.size = sizeof map, .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE, .ioas_id = ioas, .user_va = 1 << 20, .length = 4096, .iova = 1 << 20};
    assert_int_equal(request(state, IOMMU_IOAS_MAP, &map), 0);
    assert_int_equal(request(state, IOMMU_IOAS_CHANGE_PROCESS, &change), -EINVAL);
    struct iommu_ioas_unmap unmap = {.size = sizeof unmap, .ioas_id = ioas, .iova = 1 << 20, .length = 4096};
    assert_int_equal(request(state, IOMMU_IOAS_UNMAP, &unmap), 0);
    assert_int_equal(request(state, IOMMU_IOAS_CHANGE_PROCESS, &change), 0);
    change.__reserved = 1;
    assert_int_equal(request(state, IOMMU_IOAS_CHANGE_PROCESS, &change), -EOPNOTSUPP);
    change = (struct iommu_ioas_change_process){.size = 4};
    assert_int_equal(request(state, IOMMU_IOAS_CHANGE_PROCESS, &change), -EINVAL);
}

static void hardware_and_dirty_tracking(void **state) {
    uint32_t device = new_device("v0");
    uint8_t data[16];
    memset(data, 0xee, sizeof data);
    struct iommu_hw_info info = {.size = sizeof info, .dev_id = device, .data_len = 12, .data_uptr = (uintptr_t)data, .out_data_type = 9};
    assert_int_equal(request(state, IOMMU_GET_HW_INFO, &info), 0);
    assert_int_equal(info.out_capabilities, IOMMU_HW_CAP_DIRTY_TRACKING);
    assert_true(info.out_data_type == 0 && info.data_len == 0 && data[11] == 0 && data[12] == 0xee);
    info = (struct iommu_hw_info){.size = 32, .dev_id = device, .out_capabilities = 9}; /* the first version */
    assert_int_equal(request(state, IOMMU_GET_HW_INFO, &info), 0);
    assert_int_equal(info.out_capabilities, 9);
    info = (struct iommu_hw_info){.size = sizeof info, .dev_id = 1};
    assert_int_equal(request(state, IOMMU_GET_HW_INFO, &info), -ENOENT);
    info = (struct iommu_hw_info){.size = sizeof info, .dev_id = device, .flags = 1};
    assert_int_equal(request(state, IOMMU_GET_HW_INFO, &info), -EOPNOTSUPP);
    info = (struct iommu_hw_info){.size = sizeof info, .dev_id = device, .data_len = 12};
    assert_int_equal(request(state, IOMMU_GET_HW_INFO, &info), -EFAULT);
    info = (struct iommu_hw_info){.size = sizeof info, .dev_id = device, .data_len = UINT32_MAX, .data_uptr = (uintptr_t)data};
    assert_int_equal(request(state, IOMMU_GET_HW_INFO, &info), -E2BIG);

    uint32_t ioas = new_ioas(state);
    struct iommu_hwpt_alloc tracked = {.size = sizeof tracked, .flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING, .dev_id = device, .pt_id = ioas}, plain = tracked;
    plain.flags = 0;
    assert_int_equal(request(state, IOMMU_HWPT_ALLOC, &tracked), 0);
    assert_int_equal(request(state, IOMMU_HWPT_ALLOC, &plain), 0);
    uint64_t bitmap[2] = {5, 6};
    const struct iommu_hwpt_get_dirty_bitmap good = {.size = sizeof good, .hwpt_id = tracked.out_hwpt_id, .length = 1 << 19, .page_size = 4096, .data = (uintptr_t)bitmap};
    struct iommu_hwpt_get_dirty_bitmap get = good;
    assert_int_equal(request(state, IOMMU_HWPT_GET_DIRTY_BITMAP, &get), -EINVAL); /* not enabled */
    struct iommu_hwpt_set_dirty_tracking set = {.size = sizeof set, .flags = 1, .hwpt_id = plain.out_hwpt_id};
    assert_int_equal(request(state, IOMMU_HWPT_SET_DIRTY_TRACKING, &set), -EOPNOTSUPP);
    set.hwpt_id = ioas;
    assert_int_equal(request(state, IOMMU_HWPT_SET_DIRTY_TRACKING, &set), -ENOENT);
    set.hwpt_id = tracked.out_hwpt_id, set.flags = 2;
    assert_int_equal(request(state, IOMMU_HWPT_SET_DIRTY_TRACKING, &set), -EOPNOTSUPP);
    set.flags = 1;
    assert_int_equal(request(state, IOMMU_HWPT_SET_DIRTY_TRACKING, &set), 0);
    assert_int_equal(request(state, IOMMU_HWPT_GET_DIRTY_BITMAP, &get), 0);
    get.flags = IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR;
    assert_int_equal(request(state, IOMMU_HWPT_GET_DIRTY_BITMAP, &get), 0);
    assert_true(bitmap[0] == 5 && bitmap[1] == 6); /* nothing is dirty */
    get = good, get.flags = 4;
    assert_int_equal(request(state, IOMMU_HWPT_GET_DIRTY_BITMAP, &get), -EOPNOTSUPP);
    get = good, get.page_size = 4097;
    assert_int_equal(request(state, IOMMU_HWPT_GET_DIRTY_BITMAP, &get), -EINVAL);
    get = good, get.length = 0;
    assert_int_equal(request(state, IOMMU_HWPT_GET_DIRTY_BITMAP, &get), -EINVAL);
    get = good, get.iova = UINT64_MAX - 4095, get.length = 8192;
    assert_int_equal(request(state, IOMMU_HWPT_GET_DIRTY_BITMAP, &get), -EOVERFLOW);
    get = good, get.data = 0;
    assert_int_equal(request(state, IOMMU_HWPT_GET_DIRTY_BITMAP, &get), -EFAULT);
    get = good, get.hwpt_id = ioas;
    assert_int_equal(request(state, IOMMU_HWPT_GET_DIRTY_BITMAP, &get), -ENOENT);
}

static void options(void **state) {
    struct iommu_option option = {.size = sizeof option, .option_id = IOMMU_OPTION_RLIMIT_MODE, .op = IOMMU_OPTION_OP_SET, .val64 = 1};
    assert_int_equal(request(state, IOMMU_OPTION, &option), 0);
    option.val64 = 2;
    assert_int_equal(request(state, IOMMU_OPTION, &option), -EINVAL);
    option = (struct iommu_option){.size = sizeof option, .option_id = IOMMU_OPTION_HUGE_PAGES, .op = IOMMU_OPTION_OP_GET};
    assert_int_equal(request(state, IOMMU_OPTION, &option), -ENOENT);
    option.object_id = new_ioas(state);
    assert_int_equal(request(state, IOMMU_OPTION, &option), 0);
    assert_int_equal(option.val64, 1);
    option.op = 2;
    assert_int_equal(request(state, IOMMU_OPTION, &option), -EOPNOTSUPP);
    option.option_id = 9;
    assert_int_equal(request(state, IOMMU_OPTION, &option), -EOPNOTSUPP);
}

static void other_requests_are_loud(void **state) {
    struct iommufd_bench *bench = *state;
    static const uint64_t unknown[] = {IOMMU_IOAS_ALLOW_IOVAS, IOMMU_IOAS_COPY, IOMMU_VFIO_IOAS, IOMMU_HWPT_INVALIDATE, IOMMU_FAULT_QUEUE_ALLOC, IOMMU_VIOMMU_ALLOC, 0x5401};
    char expected[1024] = "";
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_int_equal(request(state, unknown[i], NULL), -ENOTTY);
        snprintf(expected + strlen(expected), 128, "device_unknown_ioctl  (iommufd0) request 0x%llx\n", (unsigned long long)unknown[i]);
    }
    new_ioas(state);
    strcat(expected, "device_call  (iommufd0) ioas-alloc ret 0\n");
    assert_string_equal(bench->bench.log, expected);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(structures_may_grow), TEST(objects_come_and_go), TEST(iova_ranges), TEST(mapping), TEST(a_process_takes_over_mappings_of_files),
        TEST(hardware_and_dirty_tracking), TEST(options), TEST(other_requests_are_loud),
    };
    return cmocka_run_group_tests_name("iommufd", tests, NULL, NULL);
}
