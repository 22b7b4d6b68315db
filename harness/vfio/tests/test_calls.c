/* Each call of the device: its refusals, its effects, its log lines and its cost. */
#include "fixture.h"

#define RUNNING VFIO_DEVICE_STATE_RUNNING
#define PRE_COPY VFIO_DEVICE_STATE_PRE_COPY
#define PRE_COPY_P2P VFIO_DEVICE_STATE_PRE_COPY_P2P
#define STOP_COPY VFIO_DEVICE_STATE_STOP_COPY
#define STOP VFIO_DEVICE_STATE_STOP
#define RESUMING VFIO_DEVICE_STATE_RESUMING

enum { GET = VFIO_DEVICE_FEATURE_GET, SET = VFIO_DEVICE_FEATURE_SET, PROBE = VFIO_DEVICE_FEATURE_PROBE };

#define assert_log(bench, text) assert_string_equal(take_log(bench), text)

/* --- Set-up calls --------------------------------------------------------------------------------- */

/* As the kernel has it (7.2): nothing but BIND before BIND. */
static void nothing_before_bind(void **state) {
    (void)state;
    struct bench *bench = bench_unbound("");
    assert_log(bench, "device_open  (dev) mig_flags 0x7, reinit 1\n");
    uint8_t buffer[64] = {64};
    static const uint64_t requests[] = {VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_SET_IRQS, VFIO_DEVICE_RESET,
                                        VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, VFIO_DEVICE_FEATURE, VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_DETACH_IOMMUFD_PT};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) assert_int_equal(device_ioctl(bench, requests[i], buffer), -EINVAL);
    uint64_t flags = 0;
    assert_int_equal(feature(bench, GET | VFIO_DEVICE_FEATURE_MIGRATION, &flags, 8), -EINVAL);
    assert_int_equal(came_to(bench, mock_device_pread(bench->device, (uintptr_t)buffer, 4, (uint64_t)7 << 40)), -EINVAL);
    assert_int_equal(came_to(bench, mock_device_pwrite(bench->device, (uintptr_t)buffer, 4, (uint64_t)7 << 40)), -EINVAL);
    take_log(bench);
    assert_int_equal(bind_device(bench), 0);
    assert_log(bench, "device_call  (dev) bind ret 0\n");
    assert_int_equal(bind_device(bench), -EINVAL);
    assert_log(bench, "device_call  (dev) bind ret -22\n");
    bench_free(bench);
}

static void bind_and_attach(void **state) {
    (void)state;
    struct bench *bench = bench_unbound("");
    struct vfio_device_bind_iommufd bind = {.argsz = 15, .iommufd = 5};
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_BIND_IOMMUFD, &bind), -EINVAL);
    bind = (struct vfio_device_bind_iommufd){.argsz = 16, .flags = 2, .iommufd = 5};
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_BIND_IOMMUFD, &bind), -EINVAL);
    bind = (struct vfio_device_bind_iommufd){.argsz = 16, .iommufd = -1};
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_BIND_IOMMUFD, &bind), -EINVAL);
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_BIND_IOMMUFD, NULL), -EFAULT);
    bind = (struct vfio_device_bind_iommufd){.argsz = 24, .iommufd = 5}; /* a newer caller */
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_BIND_IOMMUFD, &bind), 0);
    assert_int_not_equal(bind.out_devid, 0);

    struct vfio_device_attach_iommufd_pt attach = {.argsz = 11, .pt_id = 3};
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), -EINVAL);
    attach = (struct vfio_device_attach_iommufd_pt){.argsz = 12, .flags = 1, .pt_id = 3};
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), -EINVAL);
    attach = (struct vfio_device_attach_iommufd_pt){.argsz = 12};
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), -ENOENT);
    attach = (struct vfio_device_attach_iommufd_pt){.argsz = 16, .pt_id = 3};
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), 0);
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_ATTACH_IOMMUFD_PT, NULL), -EFAULT);
    struct vfio_device_detach_iommufd_pt detach = {.argsz = 7};
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach), -EINVAL);
    detach = (struct vfio_device_detach_iommufd_pt){.argsz = 8, .flags = 1};
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach), -EINVAL);
    detach.flags = 0;
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach), 0);
    bench_free(bench);
}

static void information(void **state) {
    (void)state;
    struct bench *bench = bench_of("");
    struct vfio_device_info info = {.argsz = 15};
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_GET_INFO, &info), -EINVAL);
    info = (struct vfio_device_info){.argsz = 16, .cap_offset = 77, .pad = 78};
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_GET_INFO, &info), 0);
    assert_int_equal(info.flags, VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI);
    assert_int_equal(info.num_regions, 9);
    assert_int_equal(info.num_irqs, 5);
    assert_true(info.cap_offset == 77 && info.pad == 78); /* beyond argsz: not ours */
    info.argsz = 24;
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_GET_INFO, &info), 0);
    assert_int_equal(info.cap_offset, 0);
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_GET_INFO, NULL), -EFAULT);

    for (uint32_t index = 0; index < 10; index++) {
        struct vfio_region_info region = {.argsz = sizeof region, .index = index, .flags = 99, .size = 99};
        assert_int_equal(device_ioctl(bench, VFIO_DEVICE_GET_REGION_INFO, &region), index < 9 ? 0 : -EINVAL);
        if (index == 9) continue;
        assert_int_equal(region.size, index == 7 ? 4096 : 0);
        assert_int_equal(region.flags, index == 7 ? 3 : 0);
        assert_int_equal(region.offset, (uint64_t)index << 40);
        region.argsz = 31;
        assert_int_equal(device_ioctl(bench, VFIO_DEVICE_GET_REGION_INFO, &region), -EINVAL);
    }
    for (uint32_t index = 0; index < 6; index++) {
        struct vfio_irq_info irq = {.argsz = sizeof irq, .index = index, .count = 99};
        assert_int_equal(device_ioctl(bench, VFIO_DEVICE_GET_IRQ_INFO, &irq), index < 5 ? 0 : -EINVAL);
        if (index < 5) assert_int_equal(irq.count, 0);
        irq.argsz = 15;
        assert_int_equal(device_ioctl(bench, VFIO_DEVICE_GET_IRQ_INFO, &irq), -EINVAL);
    }
    static const struct { uint32_t set[5]; /* struct vfio_irq_set */ int64_t result; } sets[] = {
        {{20, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 1, 0, 0}, 0},
        {{19, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 1, 0, 0}, -EINVAL},
        {{20, VFIO_IRQ_SET_DATA_NONE, 1, 0, 0}, -EINVAL},
        {{20, VFIO_IRQ_SET_ACTION_MASK, 1, 0, 0}, -EINVAL},
        {{20, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_MASK, 1, 0, 0}, -EINVAL},
        {{20, 64 | VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK, 1, 0, 0}, -EINVAL},
        {{20, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 5, 0, 0}, -EINVAL},
        {{20, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 2, 0, 1}, -EINVAL},
        {{24, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, 2, UINT32_MAX, UINT32_MAX}, -EINVAL},
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) assert_int_equal(device_ioctl(bench, VFIO_DEVICE_SET_IRQS, sets[i].set), sets[i].result);
    struct vfio_pci_hot_reset_info hot = {.argsz = 11};
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &hot), -EINVAL);
    hot.argsz = 12;
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &hot), -ENODEV);
    bench_free(bench);
}

static void configuration_space(void **state) {
    (void)state;
    struct bench *bench = bench_of("");
    uint8_t config[5000];
    const uint64_t base = (uint64_t)7 << 40;
    memset(config, 0xee, sizeof config);
    assert_int_equal(came_to(bench, mock_device_pread(bench->device, (uintptr_t)config, sizeof config, base)), 4096);
    assert_int_equal(config[4096], 0xee);
    assert_int_equal(config[0] | config[1] << 8, 0x1b36);
    assert_int_equal(config[0x06] & 0x10, 0x10);
    assert_int_equal(config[0x0b] << 8 | config[0x0a], 0x0200);
    assert_int_equal(config[0x0e], 0); /* type 0 */
    assert_int_equal(config[0x3d], 0); /* no interrupt pin */
    unsigned capability = config[0x34];
    assert_true(capability >= 0x40 && capability + 0x3c <= 256);
    assert_int_equal(config[capability], 0x10);
    assert_int_equal(config[capability + 1], 0); /* the last */
    assert_int_equal(config[capability + 2], 0x02);
    for (int i = 256; i < 4096; i++) assert_int_equal(config[i], 0);

    uint8_t ones[4096];
    memset(ones, 0xff, sizeof ones);
    assert_int_equal(came_to(bench, mock_device_pwrite(bench->device, (uintptr_t)ones, 4096, base)), 4096);
    uint8_t after[4096];
    assert_int_equal(came_to(bench, mock_device_pread(bench->device, (uintptr_t)after, 4096, base)), 4096);
    assert_int_equal(after[4] | after[5] << 8, 0x0547);
    assert_memory_equal(after, config, 4);
    assert_memory_equal(after + 6, config + 6, 6);
    for (int bar = 0x10; bar < 0x28; bar++) assert_int_equal(after[bar], 0);
    uint8_t zero[2] = {0, 0};
    assert_int_equal(came_to(bench, mock_device_pwrite(bench->device, (uintptr_t)zero, 2, base + 4)), 2);
    assert_int_equal(came_to(bench, mock_device_pread(bench->device, (uintptr_t)after, 2, base + 4)), 2);
    assert_int_equal(after[0] | after[1], 0);

    take_log(bench);
    assert_int_equal(came_to(bench, mock_device_pread(bench->device, (uintptr_t)config, 8, base + 4092)), 4);
    assert_int_equal(came_to(bench, mock_device_pread(bench->device, (uintptr_t)config, 0, base)), 0);
    assert_int_equal(came_to(bench, mock_device_pread(bench->device, (uintptr_t)config, 4, base + 4096)), -EINVAL);
    assert_int_equal(came_to(bench, mock_device_pread(bench->device, (uintptr_t)config, 4, 0)), -EINVAL);
    assert_int_equal(came_to(bench, mock_device_pread(bench->device, (uintptr_t)config, 4, UINT64_MAX)), -EINVAL);
    assert_int_equal(came_to(bench, mock_device_pread(bench->device, 0, 4, base)), -EFAULT);
    assert_int_equal(came_to(bench, mock_device_pwrite(bench->device, 0, 4, base)), -EFAULT);
    assert_int_equal(came_to(bench, mock_device_pwrite(bench->device, (uintptr_t)config, 4, (uint64_t)6 << 40)), -EINVAL);
    assert_log(bench, "device_call  (dev) config-read ret 4\ndevice_call  (dev) config-read ret 0\ndevice_call  (dev) config-read ret -22\n"
                      "device_call  (dev) config-read ret -22\ndevice_call  (dev) config-read ret -22\ndevice_call  (dev) config-read ret -14\n"
                      "device_call  (dev) config-write ret -14\ndevice_call  (dev) config-write ret -22\n");
    bench_free(bench);
}

static void unknown_requests_are_loud(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "");
    assert_int_equal(device_ioctl(bench, 0x3b99, NULL), -ENOTTY);
    assert_int_equal(device_ioctl(bench, VFIO_MIG_GET_PRECOPY_INFO, NULL), -ENOTTY);
    assert_int_equal(came_to(bench, mock_data_ioctl(bench->device, bench->session, 0x5401, 0)), -ENOTTY);
    assert_log(bench, "device_unknown_ioctl  (dev) request 0x3b99\ndevice_unknown_ioctl  (dev) request 0x3b79\ndevice_unknown_ioctl  (dev) request 0x5401\n");
    bench_free(bench);
}

/* --- Features ----------------------------------------------------------------------------------------- */

static void feature_checks(void **state) {
    (void)state;
    static const struct { const char *script; uint32_t argsz, flags; int64_t result; } table[] = {
        {"", 7, GET | 1, -EINVAL},
        {"", 0, GET | 1, -EINVAL},
        {"", 16, 1u << 19 | GET | 1, -EINVAL},
        {"", 16, 1u << 31 | GET | 1, -EINVAL},
        {"", 16, GET | SET | 1, -EINVAL},
        {"", 16, GET | SET | 2, -EINVAL},
        {"", 16, 1, -EINVAL},
        {"", 16, 2, -EINVAL},
        {"", 16, SET | 1, -EINVAL},
        {"", 15, GET | 1, -EINVAL},
        {"", 16, GET | 1, 0},
        {"", 64, GET | 1, 0},
        {"", 8, PROBE | GET | 1, 0},
        {"", 8, PROBE | SET | 1, -EINVAL},
        {"", 8, PROBE | GET | SET | 2, 0},
        {"", 8, PROBE | GET | SET | 1, -EINVAL},
        {"", 8, PROBE | 1, 0},
        {"", 15, SET | 2, -EINVAL},
        {"", 15, GET | 9, -EINVAL},
        {"", 16, SET | 9, -EINVAL},
        {"", 8, GET | 0, -ENOTTY},
        {"", 8, GET | 3, -ENOTTY},
        {"", 8, PROBE | GET | 13, -ENOTTY},
        {"", 8, GET | 0xffff, -ENOTTY},
        {"", 8, SET | 12, 0},
        {"", 8, PROBE | SET | 12, 0},
        {"", 8, GET | 12, -EINVAL},
        {"", 8, PROBE | GET | 12, -EINVAL},
        {"", 8, 12, -EINVAL},
        {"info-v2 no\n", 8, SET | 12, -ENOTTY},
        {"info-v2 no\n", 8, PROBE | SET | 12, -ENOTTY},
        {"has p2p\n", 8, SET | 12, -EINVAL},
        {"", 8, PROBE | SET | 6, 0},
        {"dirty-tracking no\n", 8, PROBE | SET | 6, -ENOTTY},
        {"dirty-tracking no\n", 32, SET | 6, -ENOTTY},
        {"dirty-tracking no\n", 8, SET | 7, -ENOTTY},
        {"dirty-tracking no\n", 40, GET | 8, -ENOTTY},
        {"", 8, SET | 7, 0},
        {"", 31, SET | 6, -EINVAL},
        {"", 39, GET | 8, -EINVAL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct bench *bench = bench_of(table[i].script);
        struct { uint32_t argsz, flags; uint8_t data[64]; } argument = {table[i].argsz, table[i].flags, {0}};
        int64_t result = device_ioctl(bench, VFIO_DEVICE_FEATURE, &argument);
        if (result != table[i].result) fail_msg("%sargsz %u flags 0x%x: expected %lld, found %lld", table[i].script, table[i].argsz, table[i].flags, (long long)table[i].result, (long long)result);
        assert_int_equal(get_state(bench), RUNNING);
        bench_free(bench);
    }
    struct bench *bench = bench_of("");
    take_log(bench);
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_FEATURE, NULL), -EFAULT);
    assert_int_equal(feature(bench, GET | 77, NULL, 0), -ENOTTY);
    assert_int_equal(feature(bench, PROBE | GET | 77, NULL, 0), -ENOTTY);
    assert_int_equal(feature(bench, GET | VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, NULL, 0), -EINVAL);
    assert_log(bench, "device_call  (dev) feature ret -14\ndevice_call  (dev) feature ret -25\ndevice_call  (dev) feature-probe ret -25\n"
                      "device_call  (dev) precopy-info-v2 ret -22\n");
    bench_free(bench);
}

static void abilities_are_reported(void **state) {
    (void)state;
    static const struct { const char *script; uint64_t flags; } table[] = {
        {"has stop-copy\n", 1}, {"has p2p\n", 3}, {"has precopy\n", 5}, {"has precopy p2p\n", 7}, {"has precopy p2p reinit\n", 7},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct bench *bench = bench_of(table[i].script);
        uint64_t flags = 0;
        assert_int_equal(feature(bench, GET | VFIO_DEVICE_FEATURE_MIGRATION, &flags, 8), 0);
        assert_int_equal(flags, table[i].flags);
        bench_free(bench);
    }
}

static void dma_logging(void **state) {
    (void)state;
    struct bench *bench = bench_of("");
    struct vfio_device_feature_dma_logging_range ranges[] = {{0, 1 << 20}, {1 << 21, 4096}};
    const struct vfio_device_feature_dma_logging_control good = {.page_size = 4096, .num_ranges = 2, .ranges = (uintptr_t)ranges};
    uint64_t bitmap[4] = {1, 2, 3, 4};
    const struct vfio_device_feature_dma_logging_report all = {.iova = 0, .length = 1 << 20, .page_size = 4096, .bitmap = (uintptr_t)bitmap};
    struct vfio_device_feature_dma_logging_control control;
    struct vfio_device_feature_dma_logging_report report = all;
#define START(result) assert_int_equal(feature(bench, SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START, &control, sizeof control), result)
#define REPORT(result) assert_int_equal(feature(bench, GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, &report, sizeof report), result)
    REPORT(-EINVAL); /* not started */
    control = good, control.page_size = 1000; START(-EINVAL);
    control = good, control.page_size = 0; START(-EINVAL);
    control = good, control.num_ranges = 0; START(-EINVAL);
    control = good, control.__reserved = 1; START(-EINVAL);
    control = good, control.num_ranges = UINT32_MAX; START(-E2BIG);
    control = good, control.ranges = 8; START(-EFAULT);
    ranges[1].iova = 5; control = good; START(-EINVAL);
    ranges[1] = (struct vfio_device_feature_dma_logging_range){UINT64_MAX - 4095, 8192}; control = good; START(-EOVERFLOW);
    ranges[1] = (struct vfio_device_feature_dma_logging_range){1 << 21, 4096}; control = good; START(0);
    control = good; START(-EINVAL); /* twice */
    report = all; REPORT(0);
    const uint64_t untouched[4] = {1, 2, 3, 4};
    assert_memory_equal(bitmap, untouched, sizeof bitmap);
    report = all, report.bitmap = 0; REPORT(-EFAULT);
    report = all, report.page_size = 3; REPORT(-EINVAL);
    report = all, report.length = 0; REPORT(-EINVAL);
    report = all, report.iova = UINT64_MAX - 5; REPORT(-EOVERFLOW);
    assert_int_equal(feature(bench, SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, NULL, 0), 0);
    report = all; REPORT(-EINVAL);
#undef START
#undef REPORT
    bench_free(bench);
}

/* Memory that faults where the answer should go: the call must not have taken effect. */
static void faults_have_no_effect(void **state) {
    (void)state;
    struct bench *bench = bench_of("");
    struct { uint32_t argsz, flags; struct vfio_device_feature_mig_state data; } set = {16, SET | 2, {PRE_COPY, 0}};
    bench->fault = (uintptr_t)&set.data;
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_FEATURE, &set), -EFAULT);
    bench->fault = 0;
    assert_int_equal(get_state(bench), RUNNING);
    assert_int_equal(bench->session, 0);
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_FEATURE, &set), 0);
    assert_int_equal(set.data.data_fd, FIRST_DESCRIPTOR + 1);

    struct vfio_precopy_info info;
    bench->fault = (uintptr_t)&info;
    assert_int_equal(query(bench, 0, &info), -EFAULT);
    uint8_t byte;
    bench->fault = (uintptr_t)&byte;
    assert_int_equal(read_data(bench, &byte, 1), -EFAULT);
    struct mock_progress progress = mock_device_progress(bench->device);
    assert_true(progress.queries == 0 && progress.bytes_read == 0 && progress.initial_bytes == 65536);
    bench_free(bench);
}

/* --- PRE_COPY ------------------------------------------------------------------------------------------ */

static void query_checks(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "");
    struct vfio_precopy_info info = {.argsz = 23};
    uint64_t address = (uintptr_t)&info;
    assert_int_equal(came_to(bench, mock_data_ioctl(bench->device, 1, VFIO_MIG_GET_PRECOPY_INFO, address)), -EINVAL);
    assert_int_equal(came_to(bench, mock_data_ioctl(bench->device, 1, VFIO_MIG_GET_PRECOPY_INFO, 0)), -EFAULT);
    assert_int_equal(came_to(bench, mock_data_ioctl(bench->device, 2, VFIO_MIG_GET_PRECOPY_INFO, address)), -ENODEV);
    assert_int_equal(came_to(bench, mock_data_ioctl(bench->device, 0, VFIO_MIG_GET_PRECOPY_INFO, address)), -ENODEV);
    assert_int_equal(query(bench, 0, &info), 0);
    assert_log(bench, "device_precopy_info  (dev) init 0, dirty 0, reinit 0, ret -22\n"
                      "device_precopy_info  (dev) init 0, dirty 0, reinit 0, ret -14\n"
                      "device_precopy_info  (dev) init 0, dirty 0, reinit 0, ret -19\n"
                      "device_precopy_info  (dev) init 0, dirty 0, reinit 0, ret -19\n"
                      "device_precopy_info  (dev) init 65536, dirty 0, reinit 0, ret 0\n");
    assert_int_equal(set_state(bench, PRE_COPY_P2P, NULL), 0);
    assert_int_equal(query(bench, 0, &info), 0);
    assert_int_equal(set_state(bench, STOP_COPY, NULL), 0);
    assert_int_equal(query(bench, 0, &info), -EINVAL);
    assert_int_equal(set_state(bench, STOP, NULL), 0);
    assert_int_equal(query(bench, 0, &info), -ENODEV);
    assert_int_equal(set_state(bench, RESUMING, NULL), 0);
    assert_int_equal(query(bench, 0, &info), -ENOTTY);
    bench_free(bench);
}

/* Linux 7.2: before the opt-in flags are an echo, after it the driver's own. */
static void flags_are_an_echo_until_the_opt_in(void **state) {
    (void)state;
    struct bench *bench = bench_of("on session-query 2 do reinit 4K\non session-query 4 do reinit 4K\n");
    struct vfio_precopy_info info;
    assert_int_equal(set_state(bench, PRE_COPY, NULL), 0);
    take_log(bench);
    assert_int_equal(query(bench, 0xcafe, &info), 0);
    assert_int_equal(info.flags, 0xcafe);
    assert_int_equal(query(bench, 0xcafe, &info), 0);
    assert_int_equal(info.flags, 0xcafe);
    assert_int_equal(opt_in(bench), 0);
    assert_int_equal(query(bench, 0xcafe, &info), 0);
    assert_int_equal(info.flags, VFIO_PRECOPY_INFO_REINIT); /* not consumed by the echo */
    assert_int_equal(query(bench, 0xcafe, &info), 0);
    assert_int_equal(info.flags, VFIO_PRECOPY_INFO_REINIT);
    assert_int_equal(query(bench, 0xcafe, &info), 0);
    assert_int_equal(info.flags, 0);
    assert_log(bench, "device_precopy_info  (dev) init 65536, dirty 0, reinit 0, ret 0\n"
                      "device_injected  (dev) line 2, action reinit, value 4096\n"
                      "device_precopy_info  (dev) init 69632, dirty 0, reinit 0, ret 0\n"
                      "device_call  (dev) precopy-info-v2 ret 0\n"
                      "device_precopy_info  (dev) init 69632, dirty 0, reinit 1, ret 0\n"
                      "device_injected  (dev) line 3, action reinit, value 4096\n"
                      "device_precopy_info  (dev) init 73728, dirty 0, reinit 1, ret 0\n"
                      "device_precopy_info  (dev) init 73728, dirty 0, reinit 0, ret 0\n");
    mock_device_close(bench->device); /* forgets the opt-in, not the state */
    assert_int_equal(bind_device(bench), 0);
    assert_int_equal(get_state(bench), PRE_COPY);
    assert_int_equal(query(bench, 0xcafe, &info), 0);
    assert_int_equal(info.flags, 0xcafe);
    bench_free(bench);
}

static void several_reinits_are_one_flag(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "on gate g when=1 do reinit 4K\non gate g do reinit 0\n");
    struct vfio_precopy_info info;
    mock_device_gate_opened(bench->device, 0);
    assert_int_equal(query(bench, 0, &info), 0);
    assert_int_equal(info.flags, VFIO_PRECOPY_INFO_REINIT);
    assert_int_equal(info.initial_bytes, 65536 + 4096);
    assert_int_equal(query(bench, 0, &info), 0);
    assert_int_equal(info.flags, 0);
    /* The flag of a session that has ended is not that of the next. */
    mock_device_gate_opened(bench->device, 0);
    assert_int_equal(set_state(bench, RUNNING, NULL), 0);
    assert_int_equal(set_state(bench, PRE_COPY, NULL), 0);
    assert_int_equal(query(bench, 0, &info), 0);
    assert_int_equal(info.flags, 0);
    assert_int_equal(info.initial_bytes, 65536);
    bench_free(bench);
}

/* Unread data counts as initial after a re-initialisation, the dirty segment already begun included. */
static void reinit_accounting(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "initial 1000\non gate dirty do dirty 300\non gate reinit do reinit 50\n");
    struct mock_progress progress;
    mock_device_gate_opened(bench->device, 0);
    assert_int_equal(drop_data(bench, 400), 400);
    progress = mock_device_progress(bench->device);
    assert_true(progress.initial_bytes == 600 && progress.dirty_bytes == 300);
    mock_device_gate_opened(bench->device, 1);
    progress = mock_device_progress(bench->device);
    assert_true(progress.initial_bytes == 950 && progress.dirty_bytes == 0 && progress.drains == 0);
    assert_int_equal(drop_data(bench, 950), 950);
    assert_int_equal(mock_device_progress(bench->device).drains, 1);
    mock_device_gate_opened(bench->device, 0);
    assert_int_equal(drop_data(bench, 100), 100);
    progress = mock_device_progress(bench->device);
    assert_true(progress.initial_bytes == 0 && progress.dirty_bytes == 200 && progress.drains == 1);
    mock_device_gate_opened(bench->device, 1);
    progress = mock_device_progress(bench->device);
    assert_true(progress.initial_bytes == 250 && progress.dirty_bytes == 0);
    assert_int_equal(drop_data(bench, 10000), 250);
    assert_int_equal(mock_device_progress(bench->device).drains, 2);
    bench_free(bench);
}

static void drained_is_told_once_each_time(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "initial 100\non gate g when=1 do reinit 50\non gate g when=2 do reinit 0\n");
    uint8_t buffer[200];
    assert_int_equal(read_data(bench, buffer, 60), 60);
    assert_int_equal(read_data(bench, buffer, 60), 40);
    assert_int_equal(read_data(bench, buffer, 60), -ENOMSG);
    mock_device_gate_opened(bench->device, 0);
    assert_int_equal(read_data(bench, buffer, 60), 50);
    mock_device_gate_opened(bench->device, 0); /* nothing unread, nothing new: drained again at once */
    assert_log(bench, "device_read  (dev) size 60, ret 60\ndevice_read  (dev) size 60, ret 40\ndevice_drained  (dev) total 100\n"
                      "device_read  (dev) size 60, ret -42\ndevice_injected  (dev) line 3, action reinit, value 50\n"
                      "device_read  (dev) size 60, ret 50\ndevice_drained  (dev) total 150\n"
                      "device_injected  (dev) line 4, action reinit, value 0\ndevice_drained  (dev) total 150\n");
    bench_free(bench);

    bench = bench_of("initial 0\n");
    take_log(bench);
    assert_int_equal(set_state(bench, PRE_COPY, NULL), 0);
    assert_log(bench, "device_state  (dev) from RUNNING to PRE_COPY\ndevice_session_begin  (dev) saving session 1\n"
                      "device_drained  (dev) total 0\ndevice_call  (dev) set-state ret 0\n");
    bench_free(bench);
}

/* gate-query: the Nth query since the gate was opened, whatever came before, and once for each gate. */
static void gate_query_triggers(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "estimate stop-copy 1G\non gate-query go 1 do estimate stop-copy exact\non gate-query go 3 do reinit 32\n"
                                             "on gate-query other 1 do dirty 48\n");
    struct vfio_precopy_info info;
    for (int i = 0; i < 5; i++) assert_int_equal(query(bench, 0, &info), 0);
    mock_device_gate_opened(bench->device, 0);
    static const struct { uint64_t dirty; uint32_t flags; } steps[] = {{0, 0}, {0, 0}, {0, 1}, {48, 0}, {48, 0}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (i == 3) mock_device_gate_opened(bench->device, 1);
        assert_int_equal(query(bench, 0, &info), 0);
        assert_int_equal(info.flags, steps[i].flags);
        assert_int_equal(info.dirty_bytes, steps[i].dirty);
    }
    bench_free(bench);
}

/* query N: the Nth query since the last drain; the count stands still from a re-initialisation to the next drain. */
static void query_triggers(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "initial 64\non query 2 when=1..2 do reinit 32\non session-query 7 do dirty 48\n");
    static const struct { bool drain; uint64_t drained, initial, dirty; uint32_t flags; } steps[] = {
        {false, 0, 64, 0, 0}, {false, 0, 64, 0, 0},
        {true, 1, 0, 0, 0}, {false, 0, 32, 0, 1}, {false, 0, 32, 0, 0},
        {true, 1, 0, 0, 0}, {false, 0, 32, 48, 1}, /* queries 2 and, of the session, 7: rules in the order of their lines */
        {true, 1, 0, 0, 0}, {false, 2, 0, 0, 0}, {false, 3, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (steps[i].drain) drop_data(bench, UINT64_MAX);
        struct vfio_precopy_info info;
        assert_int_equal(query(bench, 0, &info), 0);
        struct mock_progress progress = mock_device_progress(bench->device);
        assert_int_equal(info.initial_bytes, steps[i].initial);
        assert_int_equal(info.dirty_bytes, steps[i].dirty);
        assert_int_equal(info.flags, steps[i].flags);
        assert_int_equal(progress.queries, i + 1);
        assert_int_equal(progress.drained_queries, steps[i].drained);
    }
    bench_free(bench);
}

/* A query that its own rule fails is counted, so the next one is another; one that a call rule fails never got there. */
static void failed_queries(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "initial 0\non query 2 do fail EIO\non call precopy-info when=4 do fail EBUSY\n");
    struct vfio_precopy_info info;
    assert_int_equal(query(bench, 0, &info), 0);
    assert_int_equal(query(bench, 7, &info), -EIO);
    assert_true(info.flags == 7 && info.initial_bytes == 0xdead && info.dirty_bytes == 0xbeef); /* untouched */
    assert_int_equal(query(bench, 0, &info), 0);
    assert_int_equal(query(bench, 0, &info), -EBUSY);
    assert_int_equal(query(bench, 0, &info), 0);
    assert_log(bench, "device_precopy_info  (dev) init 0, dirty 0, reinit 0, ret 0\n"
                      "device_injected  (dev) line 3, action fail, value 5\n"
                      "device_precopy_info  (dev) init 0, dirty 0, reinit 0, ret -5\n"
                      "device_precopy_info  (dev) init 0, dirty 0, reinit 0, ret 0\n"
                      "device_injected  (dev) line 4, action fail, value 16\n"
                      "device_precopy_info  (dev) init 0, dirty 0, reinit 0, ret -16\n"
                      "device_precopy_info  (dev) init 0, dirty 0, reinit 0, ret 0\n");
    assert_int_equal(mock_device_progress(bench->device).queries, 3);
    bench_free(bench);
}

/* The world fails a call before the device sees it: it costs nothing, changes nothing, and no rule counts it. */
static void injected_faults(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "initial 100\ncost precopy-info 7us\ncost read 3us\n"
                                             "on call precopy-info when=2 do fail EBUSY\non call set-state when=2 do hold g\n");
    struct vfio_precopy_info info;
    uint8_t bytes[100];
    bench->failing = CALL_PRECOPY_INFO, bench->injected = EIO;
    assert_int_equal(query(bench, 0, &info), -EIO);
    assert_int_equal(bench->last.cost_ns, 0);
    assert_int_equal(bench->asked_in, PRE_COPY);
    assert_true(info.initial_bytes == 0xdead);
    bench->failing = CALL_READ;
    assert_int_equal(read_data(bench, bytes, sizeof bytes), -EIO);
    bench->failing = CALL_SET_STATE;
    assert_int_equal(set_state(bench, STOP_COPY, NULL), -EIO);
    assert_int_equal(bench->last.gates, 0);
    assert_int_equal(get_state(bench), PRE_COPY);
    assert_log(bench, "device_injected  (dev) line 0, action fail, value 5\n"
                      "device_precopy_info  (dev) init 0, dirty 0, reinit 0, ret -5\n"
                      "device_injected  (dev) line 0, action fail, value 5\ndevice_read  (dev) size 100, ret -5\n"
                      "device_injected  (dev) line 0, action fail, value 5\ndevice_call  (dev) set-state ret -5\n"
                      "device_call  (dev) get-state ret 0\n");
    bench->injected = 0;
    assert_int_equal(query(bench, 0, &info), 0);
    assert_int_equal(bench->last.cost_ns, 7000);
    assert_int_equal(query(bench, 0, &info), -EBUSY);
    assert_int_equal(set_state(bench, STOP_COPY, NULL), 0);
    assert_int_equal(bench->last.gates, 1);
    assert_int_equal(read_data(bench, bytes, sizeof bytes), 100);
    bench_free(bench);
}

static void estimates_are_apart_from_the_truth(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "initial 100\nstop-copy 1000\nestimate initial 5\nestimate dirty 18446744073709551615\nestimate stop-copy 7\n"
                                             "on gate g do estimate initial exact\non gate g do estimate dirty exact\non gate g do estimate stop-copy exact\n"
                                             "on gate h do estimate dirty 3\n");
    struct vfio_precopy_info info;
    assert_int_equal(query(bench, 0, &info), 0);
    assert_true(info.initial_bytes == 5 && info.dirty_bytes == UINT64_MAX);
    assert_int_equal(data_size(bench), 7);
    take_log(bench);
    mock_device_gate_opened(bench->device, 0);
    mock_device_gate_opened(bench->device, 1);
    assert_log(bench, "device_injected  (dev) line 7, action exact-initial, value 0\ndevice_injected  (dev) line 8, action exact-dirty, value 0\n"
                      "device_injected  (dev) line 9, action exact-stop-copy, value 0\ndevice_injected  (dev) line 10, action estimate-dirty, value 3\n");
    assert_int_equal(query(bench, 0, &info), 0);
    assert_true(info.initial_bytes == 100 && info.dirty_bytes == 3);
    assert_int_equal(data_size(bench), 1100);
    bench_free(bench);
}

/* An exact stop-copy size is what would be delivered if the device stopped now: in every state. */
static void data_size_in_every_state(void **state) {
    (void)state;
    struct bench *bench = bench_in(RUNNING, "initial 100\nstop-copy 1000\non gate g do error\n");
    assert_int_equal(data_size(bench), 1000);
    set_state(bench, PRE_COPY, NULL);
    assert_int_equal(data_size(bench), 1100);
    assert_int_equal(drop_data(bench, 30), 30);
    assert_int_equal(data_size(bench), 1070);
    set_state(bench, STOP_COPY, NULL);
    assert_int_equal(data_size(bench), 1070);
    assert_int_equal(drop_data(bench, 500), 500);
    assert_int_equal(data_size(bench), 570);
    assert_int_equal(mock_device_progress(bench->device).dirty_bytes, 0);
    assert_int_equal(drop_data(bench, UINT64_MAX), 570);
    assert_int_equal(data_size(bench), 0);
    set_state(bench, STOP, NULL);
    assert_int_equal(data_size(bench), 1000);
    set_state(bench, RESUMING, NULL);
    assert_int_equal(data_size(bench), 1000);
    mock_device_gate_opened(bench->device, 0);
    assert_int_equal(data_size(bench), 1000);
    bench_free(bench);
}

/* --- Reading and writing ------------------------------------------------------------------------------- */

static void ends_of_the_stream(void **state) {
    (void)state;
    static const struct { const char *script; int64_t temporary; } forms[] = {{"drained enomsg\n", -ENOMSG}, {"drained 0\n", 0}};
    for (size_t i = 0; i < 2; i++) {
        char script[128];
        snprintf(script, sizeof script, "initial 32\nstop-copy 64\n%s", forms[i].script);
        struct bench *bench = bench_in(PRE_COPY, script);
        uint8_t buffer[256];
        assert_int_equal(read_data(bench, buffer, 256), 32);
        assert_int_equal(read_data(bench, buffer, 256), forms[i].temporary);
        assert_int_equal(read_data(bench, buffer, 0), 0);
        set_state(bench, PRE_COPY_P2P, NULL);
        assert_int_equal(read_data(bench, buffer, 256), forms[i].temporary);
        set_state(bench, STOP_COPY, NULL);
        assert_int_equal(read_data(bench, buffer, 256), 64);
        assert_int_equal(read_data(bench, buffer, 256), 0); /* never ENOMSG */
        assert_int_equal(read_data(bench, buffer, 256), 0);
        bench_free(bench);
    }
}

static void the_wrong_descriptor(void **state) {
    (void)state;
    struct bench *bench = bench_in(STOP_COPY, "");
    uint8_t buffer[64];
    assert_int_equal(write_data(bench, buffer, 64), -EBADF);
    assert_int_equal(read_data(bench, NULL, 64), -EFAULT);
    assert_int_equal(mock_device_progress(bench->device).bytes_read, 0);
    set_state(bench, RESUMING, NULL);
    assert_int_equal(read_data(bench, buffer, 64), -EBADF);
    assert_int_equal(write_data(bench, NULL, 64), -EFAULT);
    assert_int_equal(write_data(bench, buffer, 0), 0);
    bench->session = 1; /* the saving session, long over */
    assert_int_equal(read_data(bench, buffer, 64), -ENODEV);
    assert_int_equal(write_data(bench, buffer, 64), -ENODEV);
    bench->session = 2;
    mock_data_close(bench->device, 2);
    assert_int_equal(write_data(bench, buffer, 64), -ENODEV);
    bench_free(bench);
}

/* Source and destination with random chunks on both sides: everything arrives, in segments that are told whole. */
static void round_trip(void **state) {
    (void)state;
    uint64_t seed = test_seed("round_trip");
    for (int run = 0; run < 300; run++) {
        char script[512];
        uint64_t initial = random_below(&seed, 4) == 0 ? 0 : 16 + random_below(&seed, 3000), stop_copy = 16 + random_below(&seed, 3000);
        snprintf(script, sizeof script, "initial %llu\nstop-copy %llu\non gate dirty do dirty 1001\non gate reinit do reinit 33\n",
                 (unsigned long long)initial, (unsigned long long)stop_copy);
        struct bench *source = bench_in(PRE_COPY, script), *target = bench_in(RESUMING, "has precopy p2p\n");
        uint64_t total = 0, added = 0;
        uint8_t buffer[700];
        bool stopped = false, ended = false;
        while (!ended) {
            uint64_t choice = random_below(&seed, 40);
            if (choice == 0 && !stopped) mock_device_gate_opened(source->device, 0), added += 1001;
            if (choice == 1 && !stopped) mock_device_gate_opened(source->device, 1), added += 33;
            if (choice == 2 && !stopped) stopped = set_state(source, STOP_COPY, NULL) == 0;
            int64_t count = read_data(source, buffer, 1 + random_below(&seed, sizeof buffer));
            ended = count == 0;
            if (count < 0) assert_true(count == -ENOMSG && !stopped);
            for (int64_t at = 0, now; at < count; at += now) {
                now = 1 + (int64_t)random_below(&seed, (uint64_t)(count - at));
                assert_int_equal(write_data(target, buffer + at, (size_t)now), now);
                total += (uint64_t)now;
            }
            bool complete = stopped && total == initial + added + stop_copy;
            if (!complete && random_below(&seed, 8) == 0) assert_int_equal(set_state(target, RUNNING, NULL), -EINVAL);
        }
        assert_int_equal(total, initial + added + stop_copy);
        assert_int_equal(mock_device_progress(target->device).bytes_written, total);
        assert_int_equal(set_state(target, RUNNING, NULL), 0);
        char last[128];
        snprintf(last, sizeof last, "device_loaded  (dev) final size %llu, total %llu\n", (unsigned long long)stop_copy, (unsigned long long)total);
        assert_non_null(strstr(target->log, last));
        assert_int_equal(strstr(target->log, "initial size") != NULL, initial > 0 || strstr(source->log, "action reinit") != NULL);
        bench_free(source);
        bench_free(target);
    }
}

/* The data read, whatever the chunks, is one and the same. */
static void chunks_do_not_matter(void **state) {
    (void)state;
    uint64_t seed = test_seed("chunks_do_not_matter");
    enum { TOTAL = 5000 + 3001 };
    static uint8_t whole[TOTAL], parts[TOTAL];
    for (int run = 0; run < 200; run++) {
        struct bench *one = bench_in(PRE_COPY, "initial 5000\nstop-copy 3001\n"), *other = bench_in(PRE_COPY, "initial 5000\nstop-copy 3001\n");
        set_state(one, STOP_COPY, NULL);
        set_state(other, STOP_COPY, NULL);
        assert_int_equal(read_data(one, whole, TOTAL), TOTAL);
        for (size_t at = 0; at < TOTAL;) {
            int64_t count = read_data(other, parts + at, 1 + random_below(&seed, 1 + random_below(&seed, 600)));
            assert_true(count > 0);
            at += (size_t)count;
        }
        assert_memory_equal(whole, parts, TOTAL);
        bench_free(one);
        bench_free(other);
    }
}

/* Data that is not what is due is refused, and so is leaving RESUMING before all of it has come. */
static void incomplete_and_wrong_loads(void **state) {
    (void)state;
    struct bench *source = bench_in(PRE_COPY, "initial 64\nstop-copy 100\n");
    set_state(source, STOP_COPY, NULL);
    uint8_t data[165];
    assert_int_equal(read_data(source, data, sizeof data), 164);

    struct bench *target = bench_in(RESUMING, "");
    assert_int_equal(set_state(target, STOP, NULL), -EINVAL); /* nothing came */
    for (size_t at = 0; at < 164; at++) {
        bool header = at < 16 || (at >= 64 && at < 80); /* is judged when it is whole, below */
        uint8_t wrong = data[at] ^ 0x10;
        if (!header) assert_int_equal(write_data(target, &wrong, 1), -EINVAL);
        assert_int_equal(write_data(target, &data[at], 1), 1);
        if (at < 163) assert_int_equal(set_state(target, RUNNING, NULL), -EINVAL);
    }
    bench_free(target);

    /* Each byte wrong in turn, everything in one write or in two. */
    for (size_t at = 0; at < 164; at++) {
        target = bench_in(RESUMING, "");
        data[at] ^= 0x80;
        if (at >= 64) assert_int_equal(write_data(target, data, 64), 64);
        size_t from = at >= 64 ? 64 : 0;
        int64_t result = write_data(target, data + from, 164 - from);
        bool too_long = at >= from + 8 && at < from + 16; /* only the end shows it: the data runs out, or the next header is not the pattern */
        assert_true(result == -EINVAL || (too_long && result == (int64_t)(164 - from)));
        assert_int_equal(set_state(target, RUNNING, NULL), -EINVAL);
        assert_int_equal(get_state(target), RESUMING);
        data[at] ^= 0x80;
        bench_free(target);
    }

    /* A whole load, told segment by segment after the write that completed them; nothing may follow it. */
    target = bench_in(RESUMING, "");
    assert_int_equal(write_data(target, data, 163), 163);
    assert_int_equal(write_data(target, data + 163, 1), 1);
    assert_log(target, "device_write  (dev) size 163, ret 163\ndevice_loaded  (dev) initial size 64, total 64\n"
                       "device_write  (dev) size 1, ret 1\ndevice_loaded  (dev) final size 100, total 164\n");
    for (size_t length = 1; length <= 164; length++) assert_int_equal(write_data(target, data, length), -EINVAL);
    assert_int_equal(set_state(target, RUNNING, NULL), 0);
    bench_free(target);

    /* A segment shorter than its header, and one longer than anything. */
    const uint64_t lengths[] = {0, 15, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        uint8_t header[16];
        memcpy(header, data, 8);
        memcpy(header + 8, &lengths[i], 8);
        target = bench_in(RESUMING, "");
        assert_int_equal(write_data(target, header, 16), i < 2 ? -EINVAL : 16);
        if (i == 2) assert_int_equal(write_data(target, data + 16, 1), 1);
        assert_int_equal(set_state(target, RUNNING, NULL), -EINVAL);
        bench_free(target);
    }

    /* The first segment twice: the second has the wrong number. */
    target = bench_in(RESUMING, "");
    assert_int_equal(write_data(target, data, 64), 64);
    assert_int_equal(write_data(target, data, 64), -EINVAL);
    assert_int_equal(write_data(target, data + 64, 100), 100);
    bench_free(target);
    bench_free(source);
}

/* --- Reset and close -------------------------------------------------------------------------------------- */

static void reset_from_everywhere(void **state) {
    (void)state;
    static const enum vfio_device_mig_state states[] = {STOP, RUNNING, STOP_COPY, RESUMING, VFIO_DEVICE_STATE_RUNNING_P2P, PRE_COPY, PRE_COPY_P2P};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        struct bench *bench = bench_in(states[i], "on state RUNNING do estimate stop-copy 3\n");
        uint32_t session = bench->session;
        take_log(bench);
        assert_int_equal(device_ioctl(bench, VFIO_DEVICE_RESET, NULL), 0);
        char expected[256];
        size_t length = (size_t)snprintf(expected, sizeof expected, "device_reset  (dev) from %s\n", device_state_name(states[i]));
        if (session > 0) length += (size_t)snprintf(expected + length, sizeof expected - length, "device_session_end  (dev) session 1\n");
        if (states[i] != RUNNING) snprintf(expected + length, sizeof expected - length, "device_injected  (dev) line 2, action estimate-stop-copy, value 3\n");
        assert_log(bench, expected);
        assert_int_equal(get_state(bench), RUNNING);
        uint8_t byte;
        assert_int_equal(read_data(bench, &byte, 1), -ENODEV);
        bench_free(bench);
    }
    struct bench *bench = bench_in(PRE_COPY, "on call reset when=1 do fail EBUSY\non state RUNNING when=1 do fail EIO\n");
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_RESET, NULL), -EBUSY);
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_RESET, NULL), -EIO);
    assert_int_equal(get_state(bench), PRE_COPY);
    assert_int_equal(device_ioctl(bench, VFIO_DEVICE_RESET, NULL), 0);
    assert_int_equal(get_state(bench), RUNNING);
    bench_free(bench);
}

/* As mtty does: RESUMING outlives the descriptor, and the next SET RESUMING gives no data descriptor. */
static void state_outlives_close(void **state) {
    (void)state;
    struct bench *bench = bench_in(RESUMING, "");
    mock_data_close(bench->device, bench->session);
    mock_device_close(bench->device);
    assert_log(bench, "device_call  (dev) data-close ret 0\ndevice_close  (dev) state RESUMING\n");
    assert_int_equal(set_state(bench, RESUMING, NULL), -EINVAL); /* not bound */
    assert_int_equal(bind_device(bench), 0);
    int32_t data_fd;
    assert_int_equal(set_state(bench, RESUMING, &data_fd), 0);
    assert_int_equal(data_fd, -1);
    bench_free(bench);
}

/* --- Rules ------------------------------------------------------------------------------------------------ */

static void read_and_write_rules(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "initial 1000\non read 100 do fail EIO\non read 300 do short 10\non read 500 do hold g\non read 1000 do reinit 16\n"
                                             "on call read when=6 do short 7\n");
    uint8_t buffer[1000];
    assert_int_equal(read_data(bench, buffer, 99), 99);
    assert_int_equal(read_data(bench, buffer, 1), -EIO);
    assert_int_equal(read_data(bench, buffer, 1), 1); /* once a session */
    assert_int_equal(read_data(bench, buffer, 250), 10);
    assert_int_equal(bench->last.gates, 0);
    assert_int_equal(read_data(bench, buffer, 400), 400);
    assert_int_equal(bench->last.gates, 1);
    assert_int_equal(read_data(bench, buffer, 400), 7);
    assert_int_equal(bench->last.gates, 0);
    take_log(bench);
    assert_int_equal(read_data(bench, buffer, 1000), 483);
    assert_log(bench, "device_read  (dev) size 1000, ret 483\ndevice_drained  (dev) total 1000\ndevice_injected  (dev) line 6, action reinit, value 16\n");
    /* Another session, the same thresholds. */
    set_state(bench, RUNNING, NULL);
    set_state(bench, PRE_COPY, NULL);
    assert_int_equal(read_data(bench, buffer, 200), -EIO);
    assert_int_equal(read_data(bench, buffer, 200), 200);
    bench_free(bench);

    struct bench *source = bench_in(STOP_COPY, "stop-copy 1000\n"), *target = bench_in(RESUMING, "on written 500 do fail ENOSPC\non written 700 do short 100\non written 1000 do error\n");
    assert_int_equal(read_data(source, buffer, 1000), 1000);
    assert_int_equal(write_data(target, buffer, 1000), -ENOSPC);
    assert_int_equal(write_data(target, buffer, 650), 650); /* 700 was reached in the call that failed */
    take_log(target);
    assert_int_equal(write_data(target, buffer + 650, 350), 350);
    assert_log(target, "device_write  (dev) size 350, ret 350\ndevice_loaded  (dev) final size 1000, total 1000\n"
                       "device_injected  (dev) line 4, action error, value 0\ndevice_state  (dev) from RESUMING to ERROR\ndevice_session_end  (dev) session 1\n");
    bench_free(source);
    bench_free(target);
}

static void when_picks_occurrences(void **state) {
    (void)state;
    static const struct { const char *when, *fails; } table[] = {
        {"", "1111111111"}, {"when=2", "0100000000"}, {"when=2..4", "0111000000"}, {"when=3..", "0011111111"},
        {"when=1+2", "1010101010"}, {"when=2..8+3", "0100100100"}, {"when=4..+4", "0001000100"}, {"when=9..9", "0000000010"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char script[128], found[11] = "";
        snprintf(script, sizeof script, "on call data-size %s do fail EAGAIN\n", table[i].when);
        struct bench *bench = bench_of(script);
        for (int call = 0; call < 10; call++) {
            uint64_t size = 0;
            int64_t result = feature(bench, GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &size, 8);
            assert_true(result == 0 || result == -EAGAIN);
            found[call] = result == 0 ? '0' : '1';
        }
        assert_string_equal(found, table[i].fails);
        bench_free(bench);
    }
}

/* Every call that has a name can be failed, delayed and held by it. */
static void every_call_obeys_call_rules(void **state) {
    (void)state;
    for (int call = 0; call < DEVICE_CALLS; call++) {
        char script[256];
        const char *name = device_call_name((enum device_call)call);
        snprintf(script, sizeof script, "cost %s 7us\non call %s when=2.. do fail EPERM\non call %s when=2.. do hold g\n", name, name, name);
        struct bench *bench = bench_unbound(script);
        if (call != CALL_BIND) assert_int_equal(bind_device(bench), 0);
        for (int turn = 1; turn <= 2; turn++) {
            union { uint32_t argsz; uint8_t bytes[64]; } argument = {.argsz = 64};
            struct { uint32_t argsz, flags; uint64_t data[8]; } featured = {.argsz = sizeof featured};
            static const uint32_t flags[DEVICE_CALLS] = {
                [CALL_MIGRATION] = GET | 1, [CALL_GET_STATE] = GET | 2, [CALL_SET_STATE] = SET | 2, [CALL_DATA_SIZE] = GET | 9, [CALL_PRECOPY_INFO_V2] = SET | 12,
                [CALL_DMA_LOGGING_START] = SET | 6, [CALL_DMA_LOGGING_STOP] = SET | 7, [CALL_DMA_LOGGING_REPORT] = GET | 8, [CALL_FEATURE_PROBE] = PROBE | GET | 1,
            };
            static const uint32_t requests[DEVICE_CALLS] = {
                [CALL_BIND] = VFIO_DEVICE_BIND_IOMMUFD, [CALL_ATTACH] = VFIO_DEVICE_ATTACH_IOMMUFD_PT, [CALL_DETACH] = VFIO_DEVICE_DETACH_IOMMUFD_PT,
                [CALL_INFO] = VFIO_DEVICE_GET_INFO, [CALL_REGION_INFO] = VFIO_DEVICE_GET_REGION_INFO, [CALL_IRQ_INFO] = VFIO_DEVICE_GET_IRQ_INFO,
                [CALL_SET_IRQS] = VFIO_DEVICE_SET_IRQS, [CALL_RESET] = VFIO_DEVICE_RESET, [CALL_HOT_RESET_INFO] = VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
            };
            uint64_t address = (uintptr_t)&argument;
            struct mock_outcome outcome;
            featured.flags = flags[call];
            if (flags[call] != 0) outcome = mock_device_ioctl(bench->device, VFIO_DEVICE_FEATURE, (uintptr_t)&featured);
            else if (requests[call] != 0) outcome = mock_device_ioctl(bench->device, requests[call], address);
            else if (call == CALL_PRECOPY_INFO) outcome = mock_data_ioctl(bench->device, 1, VFIO_MIG_GET_PRECOPY_INFO, address);
            else if (call == CALL_READ) outcome = mock_data_read(bench->device, 1, address, 8);
            else if (call == CALL_WRITE) outcome = mock_data_write(bench->device, 1, address, 8);
            else if (call == CALL_CONFIG_READ) outcome = mock_device_pread(bench->device, address, 8, (uint64_t)7 << 40);
            else outcome = mock_device_pwrite(bench->device, address, 8, (uint64_t)7 << 40);
            assert_int_equal(outcome.cost_ns, 7000);
            assert_int_equal(outcome.gates, turn == 2 ? 1 : 0);
            if ((outcome.error == EPERM) != (turn == 2)) fail_msg("call %s, turn %d: error %d", name, turn, outcome.error);
        }
        bench_free(bench);
    }
}

static void transfer_costs(void **state) {
    (void)state;
    struct bench *source = bench_in(STOP_COPY, "stop-copy 1M\nrate read 1M/s\ncost read 3ns\n");
    static uint8_t buffer[1 << 20];
    assert_int_equal(read_data(source, buffer, 1 << 19), 1 << 19);
    assert_int_equal(source->last.cost_ns, 500000003);
    assert_int_equal(read_data(source, buffer + (1 << 19), 1 << 20), 1 << 19);
    assert_int_equal(read_data(source, buffer, 1), 0);
    assert_int_equal(source->last.cost_ns, 3);
    struct bench *target = bench_in(RESUMING, "rate write 1/s\n");
    assert_int_equal(write_data(target, buffer, 1 << 20), 1 << 20);
    assert_int_equal(target->last.cost_ns, (uint64_t)1000000000 << 20);
    bench_free(source);
    bench_free(target);
}

static void peers_and_gates(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "initial 0\non peer other PRE_COPY when=2 do reinit 32\non gate b do dirty 64\non call precopy-info do hold a\non gate a do error\n");
    mock_device_peer_entered(bench->device, "other", PRE_COPY);
    mock_device_peer_entered(bench->device, "another", PRE_COPY);
    mock_device_peer_entered(bench->device, "other", STOP);
    mock_device_peer_entered(bench->device, "other", PRE_COPY);
    mock_device_gate_opened(bench->device, 0);
    assert_log(bench, "device_injected  (dev) line 3, action reinit, value 32\ndevice_injected  (dev) line 4, action dirty, value 64\n");
    struct vfio_precopy_info info;
    assert_int_equal(query(bench, 0, &info), 0);
    assert_int_equal(bench->last.gates, 2);
    assert_true(info.initial_bytes == 32 && info.dirty_bytes == 64 && info.flags == 1);
    take_log(bench);
    mock_device_hold(bench->device, 1, true);
    mock_device_hold(bench->device, 1, false);
    mock_device_gate_opened(bench->device, 1);
    mock_device_gate_opened(bench->device, 1);
    assert_log(bench, "device_hold_begin  (dev) gate a\ndevice_hold_end  (dev) gate a\ndevice_injected  (dev) line 6, action error, value 0\n"
                      "device_state  (dev) from PRE_COPY to ERROR\ndevice_session_end  (dev) session 1\n"
                      "device_injected  (dev) line 6, action error-ignored, value 0\n");
    mock_device_gate_opened(bench->device, 0);
    assert_log(bench, "device_injected  (dev) line 4, action dirty-ignored, value 64\n");
    assert_int_equal(query(bench, 0, &info), -ENODEV);
    bench_free(bench);
}

/* A reset by rule is one that no call asked for: the session is gone, QEMU's descriptor is not. */
static void reset_by_rule(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "initial 0\non gate g do reset\non state RUNNING do error\non state ERROR do reset\n");
    mock_device_gate_opened(bench->device, 0);
    assert_log(bench, "device_injected  (dev) line 3, action reset, value 0\ndevice_reset  (dev) from PRE_COPY\n"
                      "device_session_end  (dev) session 1\n");
    struct vfio_precopy_info info;
    uint8_t byte;
    assert_int_equal(query(bench, 0, &info), -ENODEV);
    assert_int_equal(read_data(bench, &byte, 1), -ENODEV);
    assert_int_equal(get_state(bench), RUNNING);
    take_log(bench);
    mock_device_gate_opened(bench->device, 0);
    assert_log(bench, "device_injected  (dev) line 3, action reset-ignored, value 0\n");
    bench_free(bench);

    /* The call in progress reaches its state first, and succeeds. */
    bench = bench_in(PRE_COPY, "initial 0\non state PRE_COPY_P2P do reset\n");
    assert_int_equal(set_state(bench, PRE_COPY_P2P, NULL), 0);
    assert_int_equal(get_state(bench), RUNNING);
    int32_t descriptor = -1;
    assert_int_equal(set_state(bench, STOP_COPY, &descriptor), 0);
    assert_true(descriptor >= 0);
    bench_free(bench);
}

/* Rules that add data forever saturate; nothing wraps. */
static void sums_saturate(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "on gate g do dirty 262144G\non gate h do reinit 262144G\n");
    for (int i = 0; i < 40000; i++) mock_device_gate_opened(bench->device, 0), mock_device_gate_opened(bench->device, 1);
    struct mock_progress progress = mock_device_progress(bench->device);
    assert_int_equal(progress.initial_bytes, (uint64_t)1 << 62);
    assert_true(data_size(bench) > (uint64_t)1 << 62);
    uint8_t buffer[64];
    assert_int_equal(read_data(bench, buffer, 64), 64);
    bench_free(bench);
}

static void progress_follows(void **state) {
    (void)state;
    struct bench *bench = bench_in(PRE_COPY, "initial 100\nstop-copy 50\n");
    drop_data(bench, 40);
    struct mock_progress progress = mock_device_progress(bench->device);
    assert_true(progress.state == PRE_COPY && progress.bytes_read == 40 && progress.initial_bytes == 60 && progress.drains == 0 && progress.bytes_written == 0);
    set_state(bench, STOP_COPY, NULL);
    drop_data(bench, UINT64_MAX);
    set_state(bench, STOP, NULL);
    progress = mock_device_progress(bench->device); /* the session is over, its figures stand */
    assert_true(progress.state == STOP && progress.bytes_read == 150 && progress.initial_bytes == 0 && progress.drains == 1);
    set_state(bench, RESUMING, NULL);
    progress = mock_device_progress(bench->device);
    assert_true(progress.state == RESUMING && progress.bytes_read == 0 && progress.drains == 0);
    bench_free(bench);
}

/* --- The text of events ----------------------------------------------------------------------------------- */

static void texts(void **state) {
    (void)state;
    static const struct { struct mock_event event; const char *text; } table[] = {
        {{.kind = MOCK_EVENT_OPEN, .a = 7, .b = 1}, "device_open  (v0) mig_flags 0x7, reinit 1"},
        {{.kind = MOCK_EVENT_CALL, .word = "bind", .ret = -22}, "device_call  (v0) bind ret -22"},
        {{.kind = MOCK_EVENT_STATE, .a = 2, .b = 6}, "device_state  (v0) from RUNNING to PRE_COPY"},
        {{.kind = MOCK_EVENT_SESSION_BEGIN, .word = "saving", .a = 3}, "device_session_begin  (v0) saving session 3"},
        {{.kind = MOCK_EVENT_SESSION_END, .a = 3}, "device_session_end  (v0) session 3"},
        {{.kind = MOCK_EVENT_PRECOPY_INFO, .a = UINT64_MAX, .b = 2, .c = 1, .ret = -5}, "device_precopy_info  (v0) init 18446744073709551615, dirty 2, reinit 1, ret -5"},
        {{.kind = MOCK_EVENT_READ, .a = 10, .ret = 9}, "device_read  (v0) size 10, ret 9"},
        {{.kind = MOCK_EVENT_WRITE, .a = 10, .ret = -42}, "device_write  (v0) size 10, ret -42"},
        {{.kind = MOCK_EVENT_DRAINED, .a = 64}, "device_drained  (v0) total 64"},
        {{.kind = MOCK_EVENT_LOADED, .word = "initial", .a = 64, .b = 65}, "device_loaded  (v0) initial size 64, total 65"},
        {{.kind = MOCK_EVENT_INJECTED, .word = "reinit", .a = 4, .b = 64}, "device_injected  (v0) line 4, action reinit, value 64"},
        {{.kind = MOCK_EVENT_HOLD_BEGIN, .word = "g"}, "device_hold_begin  (v0) gate g"},
        {{.kind = MOCK_EVENT_HOLD_END, .word = "g"}, "device_hold_end  (v0) gate g"},
        {{.kind = MOCK_EVENT_UNKNOWN, .a = 0x3b99}, "device_unknown_ioctl  (v0) request 0x3b99"},
        {{.kind = MOCK_EVENT_RESET, .a = 0}, "device_reset  (v0) from ERROR"},
        {{.kind = MOCK_EVENT_CLOSE, .a = 4}, "device_close  (v0) state RESUMING"},
        {{.kind = MOCK_EVENT_DEPARTED, .a = 7, .word = "set STOP", .found = "reset"}, "device_departed  (v0) at 7, expected set STOP; found reset"},
    };
    assert_int_equal(sizeof table / sizeof *table, MOCK_EVENT_KINDS);
    for (size_t i = 0; i < MOCK_EVENT_KINDS; i++) {
        char text[MOCK_EVENT_TEXT_SIZE];
        struct mock_event event = table[i].event;
        assert_int_equal(event.kind, i);
        event.device = "v0";
        assert_int_equal(mock_event_text(&event, text, sizeof text), strlen(table[i].text));
        assert_string_equal(text, table[i].text);
        /* The longest text of each kind is whole. */
        char name[MOCK_NAME_SIZE], word[SCRIPT_NAME_SIZE];
        memset(name, 'n', sizeof name), name[sizeof name - 1] = '\0';
        memset(word, 'w', sizeof word), word[sizeof word - 1] = '\0';
        event = (struct mock_event){.kind = (enum mock_event_kind)i, .device = name, .word = word, .a = UINT64_MAX, .b = UINT64_MAX, .c = UINT64_MAX, .ret = INT64_MIN};
        assert_true(mock_event_text(&event, text, sizeof text) < sizeof text - 1);
    }
}

/* A name longer than a device may have is cut. */
static void long_names_are_cut(void **state) {
    (void)state;
    struct bench bench = {0};
    struct mock_world world = bench_world(&bench);
    struct device_script script = script_of("ackmatrix-device 1\n");
    char name[200];
    memset(name, 'x', sizeof name), name[199] = '\0';
    bench.device = mock_device_create(name, &script, &world);
    name[MOCK_NAME_SIZE - 1] = '\0';
    char expected[256];
    snprintf(expected, sizeof expected, "device_open  (%s) mig_flags 0x7, reinit 1\n", name);
    assert_string_equal(bench.log, expected);
    mock_device_destroy(bench.device);
    free(bench.log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_before_bind), cmocka_unit_test(bind_and_attach), cmocka_unit_test(information), cmocka_unit_test(configuration_space),
        cmocka_unit_test(unknown_requests_are_loud), cmocka_unit_test(feature_checks), cmocka_unit_test(abilities_are_reported), cmocka_unit_test(dma_logging),
        cmocka_unit_test(faults_have_no_effect), cmocka_unit_test(query_checks), cmocka_unit_test(flags_are_an_echo_until_the_opt_in),
        cmocka_unit_test(several_reinits_are_one_flag), cmocka_unit_test(reinit_accounting), cmocka_unit_test(drained_is_told_once_each_time),
        cmocka_unit_test(query_triggers),
        cmocka_unit_test(gate_query_triggers), cmocka_unit_test(failed_queries), cmocka_unit_test(injected_faults), cmocka_unit_test(estimates_are_apart_from_the_truth),
        cmocka_unit_test(data_size_in_every_state), cmocka_unit_test(ends_of_the_stream), cmocka_unit_test(the_wrong_descriptor), cmocka_unit_test(round_trip),
        cmocka_unit_test(chunks_do_not_matter), cmocka_unit_test(incomplete_and_wrong_loads), cmocka_unit_test(reset_from_everywhere),
        cmocka_unit_test(reset_by_rule), cmocka_unit_test(state_outlives_close), cmocka_unit_test(read_and_write_rules), cmocka_unit_test(when_picks_occurrences),
        cmocka_unit_test(every_call_obeys_call_rules), cmocka_unit_test(transfer_costs), cmocka_unit_test(peers_and_gates), cmocka_unit_test(sums_saturate),
        cmocka_unit_test(progress_follows), cmocka_unit_test(texts), cmocka_unit_test(long_names_are_cut),
    };
    return cmocka_run_group_tests_name("calls", tests, NULL, NULL);
}
