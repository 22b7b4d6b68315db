/* The recorder in a process of its own: every libc name that it passes on, over a mock device, with what it writes down. */
#include "fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recorder.h"
#include "system_calls.h"
#include "xxh3.h"

enum { DEVICE_FD = 100, OTHER_FD = 200, MOST_LINES = 256 };

ssize_t __read_chk(int fd, void *buffer, size_t length, size_t room);
ssize_t __pread_chk(int fd, void *buffer, size_t length, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *buffer, size_t length, off64_t offset, size_t room);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);

/* ---- the calls below: the mock device on its number, nothing else ---- */

static struct bench *bench;
static int opens_as; /* the number that the next open gets, or -errno */

static int64_t below_result(int64_t result) {
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

static bool is_data(int fd) { return fd > FIRST_DESCRIPTOR && fd < FIRST_DESCRIPTOR + 100; }

static int below_ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    uint64_t argument = (uint64_t)va_arg(arguments, uintptr_t);
    va_end(arguments);
    if (fd == DEVICE_FD)
        return (int)below_result(came_to(bench, mock_device_ioctl(bench->device, request, argument)));
    if (is_data(fd))
        return (int)below_result(came_to(bench, mock_data_ioctl(bench->device, (uint32_t)(fd - FIRST_DESCRIPTOR), request, argument)));
    return (int)below_result(-ENOTTY);
}

static ssize_t below_read(int fd, void *buffer, size_t length) {
    if (is_data(fd))
        return (ssize_t)below_result(came_to(bench, mock_data_read(bench->device, (uint32_t)(fd - FIRST_DESCRIPTOR), (uintptr_t)buffer, length)));
    return (ssize_t)below_result(sys_read(fd, buffer, length));
}

static ssize_t below_write(int fd, const void *buffer, size_t length) {
    if (is_data(fd))
        return (ssize_t)below_result(came_to(bench, mock_data_write(bench->device, (uint32_t)(fd - FIRST_DESCRIPTOR), (uintptr_t)buffer, length)));
    return (ssize_t)below_result(sys_write(fd, buffer, length));
}

static ssize_t below_pread(int fd, void *buffer, size_t length, int64_t offset) {
    return (ssize_t)below_result(fd == DEVICE_FD ? came_to(bench, mock_device_pread(bench->device, (uintptr_t)buffer, length, (uint64_t)offset))
                                                 : sys_pread(fd, buffer, length, offset));
}

static ssize_t below_pwrite(int fd, const void *buffer, size_t length, int64_t offset) {
    return (ssize_t)below_result(fd == DEVICE_FD ? came_to(bench, mock_device_pwrite(bench->device, (uintptr_t)buffer, length, (uint64_t)offset))
                                                 : sys_pwrite(fd, buffer, length, offset));
}

static int below_close(int fd) {
    return is_data(fd) || fd == DEVICE_FD ? 0 : (int)below_result(sys_close(fd));
}

static int below_open(const char *path, int flags, ...) {
    return strncmp(path, "/dev/", 5) == 0 ? (int)below_result(opens_as) : (int)below_result(sys_open(path, flags, 0600));
}

static int below_openat(int folder, const char *path, int flags, ...) {
    (void)folder;
    return below_open(path, flags);
}

static const struct recorded_calls below_calls = {
    .open = below_open, .openat = below_openat, .close = below_close, .ioctl = below_ioctl,
    .read = below_read, .write = below_write, .pread = below_pread, .pwrite = below_pwrite,
};

/* ---- what was recorded ---- */

static char folder[64];
static char text[4 << 20];

/* The lines of the recording of a process, without their stamps and durations, as one text; checks that their numbers have no gap. Behind
 * the last line may be a part of one, and NULs: `*cut` tells. */
static const char *recorded(int process, bool *cut) {
    static char lines[4 << 20];
    char path[128];
    snprintf(path, sizeof path, "%s/%d.calls", folder, process);
    int fd = sys_open(path, O_RDONLY, 0);
    size_t length = 0;
    lines[0] = 0;
    for (int64_t got; fd >= 0 && (got = sys_read(fd, text + length, sizeof text - 1 - length)) > 0;) length += (size_t)got;
    if (fd >= 0) sys_close(fd);
    text[length] = 0;
    *cut = length > 0 && text[length - 1] != '\n';
    size_t used = 0;
    unsigned long long number = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        unsigned thread, seconds[2], nanoseconds[2];
        unsigned long long found;
        int event = -1;
        assert_int_equal(sscanf(line, "%u#%llu@%u.%9u+%u.%9u:%n", &thread, &found, seconds, nanoseconds, seconds + 1, nanoseconds + 1, &event), 6);
        assert_true(event > 0);
        assert_int_equal(found, ++number);
        for (char *at = line + event; *at; at++) {
            lines[used++] = *at;
            if (strncmp(at, "took ", 5) == 0) {
                memcpy(lines + used, "ook T", 5);
                used += 5;
                at += 5 + strspn(at + 5, "0123456789") - 1;
            }
        }
        lines[used++] = '\n';
    }
    lines[used] = 0;
    return lines;
}

static const char *whole_recording(void) {
    bool cut;
    const char *lines = recorded(getpid(), &cut);
    assert_false(cut);
    return lines;
}

static void start(bool contents, const char *script) {
    bench = bench_unbound(script);
    recorder_start(folder, contents, &below_calls);
}

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/ackmatrix-recorder-test.XXXXXX");
    int placeholder = sys_placeholder("ackmatrix-device");
    opens_as = -ENOENT;
    return mkdtemp(folder) && sys_move(placeholder, DEVICE_FD) >= 0 ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    recorder_stop();
    bench_free(bench);
    sys_close(DEVICE_FD);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* ---- calls on the device, by libc's names ---- */

static int libc_feature(uint32_t flags, uint64_t *data, size_t size) {
    struct {
        uint32_t argsz, flags;
        uint64_t data;
    } argument = {.argsz = (uint32_t)(8 + size), .flags = flags, .data = *data};
    int result = ioctl(DEVICE_FD, VFIO_DEVICE_FEATURE, &argument);
    *data = argument.data;
    return result;
}

static int libc_set_state(uint32_t state) {
    struct vfio_device_feature_mig_state value = {.device_state = state, .data_fd = -1};
    uint64_t data;
    memcpy(&data, &value, sizeof data);
    int result = libc_feature(VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &data, sizeof data);
    memcpy(&value, &data, sizeof data);
    return result < 0 ? -errno : value.data_fd;
}

static void libc_bind(void) {
    struct vfio_device_bind_iommufd bind = {.argsz = sizeof bind, .iommufd = 99};
    assert_int_equal(ioctl(DEVICE_FD, VFIO_DEVICE_BIND_IOMMUFD, &bind), 0);
}

static void writes_down_every_call_of_a_save(void **state) {
    (void)state;
    start(false, "initial 4K\nstop-copy 100\n");
    libc_bind();
    uint64_t size = 0;
    assert_int_equal(libc_feature(VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &size, sizeof size), 0);
    int data = libc_set_state(VFIO_DEVICE_STATE_PRE_COPY);
    assert_true(is_data(data));
    struct vfio_precopy_info info = {.argsz = sizeof info};
    assert_int_equal(ioctl(data, VFIO_MIG_GET_PRECOPY_INFO, &info), 0);
    unsigned char bytes[8192];
    assert_int_equal(read(data, bytes, sizeof bytes), 4096);
    uint64_t hash = xxh3_64(bytes, 4096);
    errno = 0;
    assert_int_equal(__read_chk(data, bytes, 64, sizeof bytes), -1);
    assert_int_equal(errno, ENOMSG);
    assert_int_equal(write(data, bytes, 64), -1);
    assert_int_equal(libc_set_state(99), -EINVAL);
    assert_int_equal(close(data), 0);
    assert_int_equal(ioctl(DEVICE_FD, VFIO_DEVICE_RESET, 0), 0);
    assert_int_equal(close(DEVICE_FD), 0);
    recorder_stop();

    char expected[2048];
    snprintf(expected, sizeof expected,
        "recorded_begin process %d, contents 0\n"
        "recorded_open  (fd100) device ret 100, found 1, took T ns, path /memfd:ackmatrix-device (deleted)\n"
        "recorded_ioctl  (fd100) VFIO_DEVICE_BIND_IOMMUFD 0x3b76 ret 0, took T ns, in 10000000000000006300000000000000, out "
        "10000000000000006300000001000040\n"
        "recorded_data_size  (fd100) stop-copy 100, ret 0, took T ns\n"
        "recorded_state  (fd100) set PRE_COPY ret 0, data fd %d, took T ns\n"
        "recorded_precopy_info  (fd100) init 4096, dirty 0, flags 0x0, ret 0, took T ns\n"
        "recorded_read  (fd100) size 8192, ret 4096, hash 0x%llx, took T ns\n"
        "recorded_read  (fd100) size 64, ret -42, hash 0x0, took T ns\n"
        "recorded_write  (fd100) size 64, ret -9, hash 0x0, took T ns\n"
        "recorded_state  (fd100) set UNKNOWN STATE ret -22, data fd -1, took T ns\n"
        "recorded_close  (fd100) data fd %d, ret 0, took T ns\n"
        "recorded_ioctl  (fd100) VFIO_DEVICE_RESET 0x3b6f ret 0, took T ns, in -, out =\n"
        "recorded_close  (fd100) device fd 100, ret 0, took T ns\n"
        "recorded_end calls 12\n",
        getpid(), data, (unsigned long long)hash, data);
    const char *found = whole_recording();
    /* Where the model puts the device's number is its own matter. */
    const char *bind = strstr(found, "out 1000000000000000630000");
    assert_non_null(bind);
    memcpy(strstr(expected, "out 1000000000000000630000") + 4, bind + 4, 32);
    assert_string_equal(found, expected);
}

static void every_name_of_an_open_and_of_an_access_is_passed_on(void **state) {
    (void)state;
    start(false, "");
    opens_as = OTHER_FD;
    char path[] = "/dev/vfio/devices/vfio7";
    assert_int_equal(open(path, O_RDWR), OTHER_FD);
    assert_int_equal(open64(path, O_RDWR), OTHER_FD);
    assert_int_equal(openat(AT_FDCWD, path, O_RDWR), OTHER_FD);
    assert_int_equal(openat64(AT_FDCWD, path, O_RDWR), OTHER_FD);
    assert_int_equal(__open_2(path, O_RDWR), OTHER_FD);
    assert_int_equal(__open64_2(path, O_RDWR), OTHER_FD);
    assert_int_equal(__openat_2(AT_FDCWD, path, O_RDWR), OTHER_FD);
    assert_int_equal(__openat64_2(AT_FDCWD, path, O_RDWR), OTHER_FD);
    opens_as = -EACCES;
    assert_int_equal(open("/dev/iommu", O_RDWR), -1);
    assert_int_equal(errno, EACCES);
    opens_as = 300;
    assert_int_equal(open("/dev/null", O_RDWR), 300); /* nothing of VFIO */

    libc_bind();
    uint32_t value = 0;
    off_t config = (off_t)VFIO_PCI_CONFIG_REGION_INDEX << VFIO_PCI_OFFSET_SHIFT;
    assert_int_equal(pread(DEVICE_FD, &value, 4, config), 4);
    assert_int_equal(pread64(DEVICE_FD, &value, 4, config), 4);
    assert_int_equal(__pread_chk(DEVICE_FD, &value, 4, config, sizeof value), 4);
    assert_int_equal(__pread64_chk(DEVICE_FD, &value, 4, config, sizeof value), 4);
    unsigned long long hash = (unsigned long long)xxh3_64(&value, 4);
    uint16_t command = 4;
    assert_int_equal(pwrite(DEVICE_FD, &command, 2, config + 4), 2);
    assert_int_equal(pwrite64(DEVICE_FD, &command, 2, config + 4), 2);
    recorder_stop();

    const char *lines = whole_recording();
    unsigned opens = 0;
    for (const char *at = lines; (at = strstr(at, "recorded_open  (vfio7) device ret 200, found 0, took T ns, path /dev/vfio/devices/vfio7\n")); at++) opens++;
    assert_int_equal(opens, 8);
    assert_non_null(strstr(lines, "recorded_open  (iommu) iommufd ret -13, found 0, took T ns, path /dev/iommu\n"));
    assert_null(strstr(lines, "/dev/null"));
    char access[160];
    snprintf(access, sizeof access, "recorded_access  (fd100) read offset 0x70000000000, size 4, ret 4, hash 0x%llx, took T ns\n", hash);
    unsigned reads = 0, writes = 0;
    for (const char *at = lines; (at = strstr(at, access)); at++) reads++;
    for (const char *at = lines; (at = strstr(at, "recorded_access  (fd100) write offset 0x70000000004, size 2, ret 2, hash ")); at++) writes++;
    assert_int_equal(reads, 4);
    assert_int_equal(writes, 2);
}

static void contents_are_kept_on_request(void **state) {
    (void)state;
    start(true, "initial 4K\n");
    libc_bind();
    int data = libc_set_state(VFIO_DEVICE_STATE_PRE_COPY);
    unsigned char bytes[8192], kept[4097];
    assert_int_equal(read(data, bytes, 1000), 1000);
    assert_int_equal(read(data, bytes + 1000, 4096), 3096);
    recorder_stop();
    char path[128];
    snprintf(path, sizeof path, "%s/%d.fd100.1.read", folder, getpid());
    int fd = sys_open(path, O_RDONLY, 0);
    assert_true(fd >= 0);
    assert_int_equal(sys_read(fd, kept, sizeof kept), 4096);
    sys_close(fd);
    assert_memory_equal(kept, bytes, 4096);
}

static void a_bad_pointer_is_passed_on(void **state) {
    (void)state;
    void *volatile bad = (void *)8;
    start(false, "");
    libc_bind();
    assert_int_equal(ioctl(DEVICE_FD, VFIO_DEVICE_FEATURE, bad), -1);
    assert_int_equal(errno, EFAULT);
    int data = libc_set_state(VFIO_DEVICE_STATE_PRE_COPY);
    assert_int_equal(ioctl(data, VFIO_MIG_GET_PRECOPY_INFO, bad), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(read(data, bad, 64), -1);
    assert_int_equal(errno, EFAULT);
    recorder_stop();
    const char *lines = whole_recording();
    assert_non_null(strstr(lines, "recorded_ioctl  (fd100) VFIO_DEVICE_FEATURE 0x3b75 ret -14, took T ns, in -, out =\n"));
    assert_non_null(strstr(lines, "recorded_precopy_info  (fd100) init 0, dirty 0, flags 0x0, ret -14, took T ns\n"));
    assert_non_null(strstr(lines, "recorded_read  (fd100) size 64, ret -14, hash 0x0, took T ns\n"));
}

/* A recording that cannot be written must not end the process whose device it is. */
static void goes_on_where_nothing_can_be_written(void **state) {
    (void)state;
    bench = bench_unbound("initial 4K\n");
    recorder_start("/nonexistent/folder", false, &below_calls);
    libc_bind();
    int data = libc_set_state(VFIO_DEVICE_STATE_PRE_COPY);
    unsigned char bytes[64];
    assert_int_equal(read(data, bytes, 64), 64);
    recorder_stop();
}

/* The first part of the file has room, the second has not. */
static void a_full_disk_ends_the_recording_and_nothing_else(void **state) {
    (void)state;
    bench = bench_unbound("");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = (1 << 20) + 4096, .rlim_max = (1 << 20) + 4096};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(3);
        recorder_start(folder, false, &below_calls);
        libc_bind();
        int data = libc_set_state(VFIO_DEVICE_STATE_PRE_COPY);
        struct vfio_precopy_info info = {.argsz = sizeof info};
        for (int i = 0; i < 20000; i++) {
            bench->length = 0;
            if (ioctl(data, VFIO_MIG_GET_PRECOPY_INFO, &info) != 0) _exit(4);
        }
        recorder_stop();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    bool cut;
    const char *lines = recorded(child, &cut);
    assert_int_equal(strncmp(lines, "recorded_begin process ", 23), 0);
    assert_null(strstr(lines, "recorded_end"));
    assert_true(strlen(lines) > 300000);
}

/* ---- kill -9 ---- */

static _Noreturn void exercise(void) {
    start(false, "initial 4K\nstop-copy 4K\n");
    libc_bind();
    for (unsigned char bytes[512];;) {
        int data = libc_set_state(VFIO_DEVICE_STATE_PRE_COPY);
        struct vfio_precopy_info info = {.argsz = sizeof info};
        while (read(data, bytes, sizeof bytes) > 0) ioctl(data, VFIO_MIG_GET_PRECOPY_INFO, &info);
        close(data);
        libc_set_state(VFIO_DEVICE_STATE_RUNNING);
        bench->length = 0;
    }
}

static void a_killed_process_leaves_whole_lines(void **state) {
    (void)state;
    uint64_t seed = test_seed("a_killed_process_leaves_whole_lines");
    bench = bench_unbound("");
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) exercise();
        char path[128];
        snprintf(path, sizeof path, "%s/%d.calls", folder, child);
        int64_t wanted = 200 + (int64_t)random_below(&seed, 2000000); /* within the first windows of the file, and at their borders */
        int fd;
        while ((fd = sys_open(path, O_RDONLY, 0)) < 0) sys_sleep_ns(1000);
        for (char reached = 0; reached == 0 && sys_pread(fd, &reached, 1, wanted) >= 0;) sys_sleep_ns(1000);
        sys_close(fd);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        bool cut;
        const char *lines = recorded(child, &cut); /* checks numbers and stamps */
        assert_int_equal(strncmp(lines, "recorded_begin process ", 23), 0);
        assert_null(strstr(lines, "recorded_end"));
        unlink(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_down_every_call_of_a_save, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(every_name_of_an_open_and_of_an_access_is_passed_on, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(contents_are_kept_on_request, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_bad_pointer_is_passed_on, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(goes_on_where_nothing_can_be_written, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_full_disk_ends_the_recording_and_nothing_else, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_killed_process_leaves_whole_lines, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
