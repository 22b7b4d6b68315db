/* The preload shim in a process of its own: every libc name it answers, plain and fortified, on mocked and on other descriptors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate_board.h"
#include "mock_device.h"
#include "shim.h"

enum { IOMMUFD_FD = 99, FIRST = 100, SECOND = 101 };

ssize_t __read_chk(int fd, void *buffer, size_t length, size_t room);
ssize_t __pread_chk(int fd, void *buffer, size_t length, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *buffer, size_t length, off64_t offset, size_t room);

static const char *self;
static char folder[64];
static struct gate_board *board;

static void write_file(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void read_log(char *text, size_t size) {
    char path[128];
    snprintf(path, sizeof path, "%s/device.log", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, size - 1, file);
    text[length] = 0;
    fclose(file);
}

static int make_folder(void **state) {
    (void)state;
    char path[128];
    strcpy(folder, "/tmp/ackmatrix-shim-test.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/board", folder);
    board = gate_board_create(path);
    return board ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    shim_stop();
    gate_board_unmap(board);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

#define ABILITIES "ackmatrix-device 1\nhas precopy p2p reinit\ninitial 4K\nstop-copy 4K\n"

static void start_with(const char *first, const char *second) {
    char reason[SHIM_REASON_SIZE] = "";
    write_file("devices", second ? "ackmatrix-side 1\niommufd 99\ndevice 100 v0 v0.script\ndevice 101 v1 v1.script\n"
                                 : "ackmatrix-side 1\niommufd 99\ndevice 100 v0 v0.script\n");
    write_file("v0.script", first);
    if (second)
        write_file("v1.script", second);
    if (shim_start(folder, reason, sizeof reason) != 0)
        fail_msg("shim_start: %s", reason);
}

static void bind_device(int fd) {
    struct vfio_device_bind_iommufd bind = { .argsz = sizeof bind, .iommufd = IOMMUFD_FD };
    assert_int_equal(ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind), 0);
}

static int set_state(int fd, unsigned state, int *data) {
    struct {
        struct vfio_device_feature header;
        struct vfio_device_feature_mig_state value;
    } feature = { .header = { .argsz = sizeof feature, .flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE },
        .value = { .device_state = state, .data_fd = -1 } };
    int result = ioctl(fd, VFIO_DEVICE_FEATURE, &feature);
    if (data)
        *data = feature.value.data_fd;
    return result;
}

static void answers_every_name_on_a_mocked_descriptor(void **state) {
    (void)state;
    start_with(ABILITIES, NULL);
    bind_device(FIRST);
    struct vfio_region_info region = { .argsz = sizeof region, .index = VFIO_PCI_CONFIG_REGION_INDEX };
    assert_int_equal(ioctl(FIRST, VFIO_DEVICE_GET_REGION_INFO, &region), 0);

    uint32_t plain = 0, wide = 0, plain_checked = 0, wide_checked = 0;
    off_t config = (off_t)region.offset;
    assert_int_equal(pread(FIRST, &plain, 4, config), 4);
    assert_int_equal(pread64(FIRST, &wide, 4, config), 4);
    assert_int_equal(__pread_chk(FIRST, &plain_checked, 4, config, sizeof plain_checked), 4);
    assert_int_equal(__pread64_chk(FIRST, &wide_checked, 4, config, sizeof wide_checked), 4);
    assert_int_not_equal(plain, 0);
    assert_int_equal(plain, wide);
    assert_int_equal(plain, plain_checked);
    assert_int_equal(plain, wide_checked);
    uint16_t command = 4, back = 0;
    assert_int_equal(pwrite(FIRST, &command, 2, config + 4), 2);
    assert_int_equal(pread(FIRST, &back, 2, config + 4), 2);
    assert_int_equal(back & 4, 4);
    command = 0;
    assert_int_equal(pwrite64(FIRST, &command, 2, config + 4), 2);
    assert_int_equal(pread(FIRST, &back, 2, config + 4), 2);
    assert_int_equal(back & 4, 0);

    int saving = -1;
    assert_int_equal(set_state(FIRST, VFIO_DEVICE_STATE_PRE_COPY, &saving), 0);
    assert_true(saving >= 0);
    struct vfio_precopy_info info = { .argsz = sizeof info };
    assert_int_equal(ioctl(saving, VFIO_MIG_GET_PRECOPY_INFO, &info), 0);
    assert_int_equal(info.initial_bytes, 4096);
    unsigned char bytes[4096];
    assert_int_equal(read(saving, bytes, 1000), 1000);
    assert_int_equal(__read_chk(saving, bytes + 1000, 3096, sizeof bytes - 1000), 3096);
    assert_int_equal(read(saving, bytes, sizeof bytes), -1);
    assert_int_equal(errno, ENOMSG);
    assert_int_equal(close(saving), 0);
    assert_int_equal(close(saving), -1);
    assert_int_equal(errno, EBADF);

    int loading = -1;
    assert_int_equal(set_state(FIRST, VFIO_DEVICE_STATE_RUNNING, NULL), 0);
    assert_int_equal(set_state(FIRST, VFIO_DEVICE_STATE_RESUMING, &loading), 0);
    assert_true(loading >= 0);
    /* 1000 bytes of the segment were overwritten above by nothing: the segment is whole. */
    assert_int_equal(write(loading, bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(close(loading), 0);
    assert_int_equal(close(FIRST), 0);
}

static void refuses_what_a_descriptor_cannot_do(void **state) {
    (void)state;
    start_with(ABILITIES, NULL);
    char byte = 0;
    assert_int_equal(read(FIRST, &byte, 1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(write(FIRST, &byte, 1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(pread(IOMMUFD_FD, &byte, 1, 0), -1);
    assert_int_equal(errno, ESPIPE);
    assert_int_equal(pwrite(IOMMUFD_FD, &byte, 1, 0), -1);
    assert_int_equal(errno, ESPIPE);
    assert_int_equal(ioctl(FIRST, 0x3bff, NULL), -1);
    assert_int_equal(errno, ENOTTY);
    assert_int_equal(ioctl(IOMMUFD_FD, 0x3bff, NULL), -1);
    assert_int_equal(errno, ENOTTY);
    char log[16384];
    read_log(log, sizeof log);
    assert_non_null(strstr(log, "device_unknown_ioctl  (v0) request 0x3bff\n"));
}

static void answers_bad_pointers_with_efault(void **state) {
    (void)state;
    start_with(ABILITIES, NULL);
    uint64_t bad[] = { 0, 1, 4096, UINT64_MAX - 8, UINT64_C(0xffff800000000000) };
    bind_device(FIRST);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ioctl(FIRST, VFIO_DEVICE_GET_INFO, (void *)(uintptr_t)bad[i]), -1);
        assert_int_equal(errno, EFAULT);
    }
    int saving = -1;
    assert_int_equal(set_state(FIRST, VFIO_DEVICE_STATE_PRE_COPY, &saving), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        /* Through a variable, so that the compiler does not judge the call before the kernel can. */
        void *volatile address = (void *)(uintptr_t)bad[i];
        assert_int_equal(read(saving, address, 64), -1);
        assert_int_equal(errno, EFAULT);
        assert_int_equal(ioctl(saving, VFIO_MIG_GET_PRECOPY_INFO, address), -1);
        assert_int_equal(errno, EFAULT);
    }
    assert_int_equal(close(saving), 0);
}

static void passes_other_descriptors_through(void **state) {
    (void)state;
    start_with(ABILITIES, NULL);
    char path[128], bytes[8] = "";
    snprintf(path, sizeof path, "%s/other", folder);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "abcdef", 6), 6);
    assert_int_equal(pwrite(fd, "X", 1, 1), 1);
    assert_int_equal(pwrite64(fd, "Y", 1, 2), 1);
    assert_int_equal(pread(fd, bytes, 2, 1), 2);
    assert_memory_equal(bytes, "XY", 2);
    assert_int_equal(pread64(fd, bytes, 2, 2), 2);
    assert_memory_equal(bytes, "Yd", 2);
    assert_int_equal(__pread_chk(fd, bytes, 2, 0, sizeof bytes), 2);
    assert_memory_equal(bytes, "aX", 2);
    assert_int_equal(__pread64_chk(fd, bytes, 2, 4, sizeof bytes), 2);
    assert_memory_equal(bytes, "ef", 2);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(read(fd, bytes, 3), 3);
    assert_memory_equal(bytes, "aXY", 3);
    assert_int_equal(__read_chk(fd, bytes, 3, sizeof bytes), 3);
    assert_memory_equal(bytes, "def", 3);
    int pipes[2], waiting = -1;
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], "12345", 5), 5);
    assert_int_equal(ioctl(pipes[0], FIONREAD, &waiting), 0);
    assert_int_equal(waiting, 5);
    assert_int_equal(close(pipes[0]) | close(pipes[1]) | close(fd), 0);
    assert_int_equal(close(fd), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(read(-1, bytes, 1), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(read(1 << 30, bytes, 1), -1);
    assert_int_equal(errno, EBADF);
}

static int status_of(void (*body)(void)) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void overflow_read(void) {
    char bytes[4];
    signal(SIGABRT, SIG_DFL);
    __read_chk(0, bytes, 8, sizeof bytes);
}

static void overflow_pread(void) {
    char bytes[4];
    signal(SIGABRT, SIG_DFL);
    __pread_chk(0, bytes, 8, 0, sizeof bytes);
}

static void overflow_pread64(void) {
    char bytes[4];
    signal(SIGABRT, SIG_DFL);
    __pread64_chk(0, bytes, 8, 0, sizeof bytes);
}

static void fortified_names_stop_an_overflow(void **state) {
    (void)state;
    void (*calls[])(void) = { overflow_read, overflow_pread, overflow_pread64 };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int status = status_of(calls[i]);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
}

static void *write_held(void *argument) {
    int *fds = argument;
    unsigned char bytes[4096];
    ssize_t got = read(fds[0], bytes, sizeof bytes);
    return (void *)(intptr_t)(got > 0 ? write(fds[1], bytes, (size_t)got) : got);
}

static struct board_progress progress_of(int device) {
    struct board_progress progress;
    assert_int_equal(gate_board_progress(board, device, &progress), 0);
    return progress;
}

static void holds_a_call_until_its_gate_opens(void **state) {
    (void)state;
    start_with(ABILITIES, ABILITIES "on written 4K do hold load\n");
    bind_device(FIRST);
    bind_device(SECOND);
    int fds[2];
    assert_int_equal(set_state(FIRST, VFIO_DEVICE_STATE_PRE_COPY, &fds[0]), 0);
    assert_int_equal(set_state(SECOND, VFIO_DEVICE_STATE_RESUMING, &fds[1]), 0);
    int device = gate_board_device(board, "v1");
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_held, fds), 0);
    uint32_t seen = gate_board_changes(board);
    while (progress_of(device).held == 0)
        seen = gate_board_wait_change(board, seen, 100000000);
    /* Held with its effect done; other calls on the device go on. */
    assert_int_equal(progress_of(device).bytes_written, 4096);
    struct vfio_device_info info = { .argsz = sizeof info };
    assert_int_equal(ioctl(SECOND, VFIO_DEVICE_GET_INFO, &info), 0);
    assert_int_equal(progress_of(device).held, 1);
    gate_board_open(board, gate_board_gate(board, "load"));
    void *written = NULL;
    assert_int_equal(pthread_join(writer, &written), 0);
    assert_int_equal((intptr_t)written, 4096);
    assert_int_equal(progress_of(device).held, 0);
    assert_int_equal(progress_of(device).holds, 1);
    char log[32768];
    read_log(log, sizeof log);
    const char *begin = strstr(log, "device_hold_begin  (v1) gate load\n"), *end = strstr(log, "device_hold_end  (v1) gate load\n");
    assert_non_null(begin);
    assert_non_null(end);
    assert_true(begin < end);
    close(fds[0]);
    close(fds[1]);
}

static _Atomic uint64_t slept_ns;
static _Atomic bool sleeps = true;
void __real_sys_sleep_ns(uint64_t length);
void __wrap_sys_sleep_ns(uint64_t length);

void __wrap_sys_sleep_ns(uint64_t length) {
    slept_ns += length;
    if (sleeps)
        __real_sys_sleep_ns(length);
}

static uint64_t slept_by_query(int data, int expected) {
    struct vfio_precopy_info info = { .argsz = sizeof info };
    uint64_t before = slept_ns;
    assert_int_equal(ioctl(data, VFIO_MIG_GET_PRECOPY_INFO, &info), expected);
    return slept_ns - before;
}

/* Costs and failures of its own make no difference to the pace, but that what takes longer anyway takes no longer for it. */
static void slows_a_source_that_asks_without_end(void **state) {
    (void)state;
    static const struct {
        const char *script;
        int result;
        uint64_t brisk, slow;
    } cases[] = {
        { ABILITIES, 0, 0, QUERY_PACE_NS },
        { ABILITIES "cost precopy-info 7ns\n", 0, 7, QUERY_PACE_NS },
        { ABILITIES "on call precopy-info do fail EIO\n", -1, 0, QUERY_PACE_NS },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start_with(cases[i].script, NULL);
        bind_device(FIRST);
        for (int session = 0; session < 2; session++) {
            int data = -1;
            assert_int_equal(set_state(FIRST, VFIO_DEVICE_STATE_PRE_COPY, &data), 0);
            struct vfio_device_info other = { .argsz = sizeof other };
            for (uint64_t query = 1; query <= BRISK_QUERIES + 3; query++) {
                assert_int_equal(slept_by_query(data, cases[i].result), query > BRISK_QUERIES ? cases[i].slow : cases[i].brisk);
                /* No other call takes longer for it. */
                uint64_t slept = slept_ns;
                assert_int_equal(ioctl(FIRST, VFIO_DEVICE_GET_INFO, &other), 0);
                assert_int_equal(slept_ns, slept);
            }
            /* Nor does the last check, with the guest stopped. */
            assert_int_equal(set_state(FIRST, VFIO_DEVICE_STATE_PRE_COPY_P2P, NULL), 0);
            assert_int_equal(slept_by_query(data, cases[i].result), cases[i].brisk);
            assert_int_equal(set_state(FIRST, VFIO_DEVICE_STATE_RUNNING, NULL), 0);
            close(data);
        }
        shim_stop();
    }
    start_with(ABILITIES "cost precopy-info 2ms\n", NULL);
    bind_device(FIRST);
    int data = -1;
    assert_int_equal(set_state(FIRST, VFIO_DEVICE_STATE_PRE_COPY, &data), 0);
    sleeps = false;
    for (uint64_t query = 1; query <= BRISK_QUERIES + 1; query++)
        assert_int_equal(slept_by_query(data, 0), 2 * QUERY_PACE_NS);
    sleeps = true;
    close(data);
}

static void *connect_to(void *address) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    intptr_t result = connect(fd, (const struct sockaddr *)address, sizeof(struct sockaddr_in));
    close(fd);
    return (void *)result;
}

/* An IP socket waits for the gate, and connects then; a local one does not wait. */
static void holds_connects_until_their_gate_opens(void **state) {
    (void)state;
    char reason[SHIM_REASON_SIZE] = "";
    write_file("devices", "ackmatrix-side 1\nconnect network\n");
    if (shim_start(folder, reason, sizeof reason) != 0)
        fail_msg("shim_start: %s", reason);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);

    struct sockaddr_un nobody = { .sun_family = AF_UNIX, .sun_path = "/nowhere/socket" };
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(local, (struct sockaddr *)&nobody, sizeof nobody), -1);
    assert_int_equal(errno, ENOENT);
    close(local);

    pthread_t caller;
    assert_int_equal(pthread_create(&caller, NULL, connect_to, &address), 0);
    usleep(20000);
    assert_int_equal(accept(listener, NULL, NULL), -1);
    gate_board_open(board, gate_board_gate(board, "network"));
    void *connected = (void *)-1;
    assert_int_equal(pthread_join(caller, &connected), 0);
    assert_null(connected);
    int accepted = accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
    close(accepted);
    close(listener);
}

static void opens_gates_and_passes_peer_states_to_the_model(void **state) {
    (void)state;
    start_with(ABILITIES "on gate go do reinit 8K\n", ABILITIES "on peer v0 PRE_COPY_P2P do dirty 4K\n");
    bind_device(FIRST);
    bind_device(SECOND);
    int first = -1, second = -1;
    assert_int_equal(set_state(SECOND, VFIO_DEVICE_STATE_PRE_COPY, &second), 0);
    assert_int_equal(set_state(FIRST, VFIO_DEVICE_STATE_PRE_COPY, &first), 0);
    struct vfio_precopy_info info = { .argsz = sizeof info };
    assert_int_equal(ioctl(first, VFIO_MIG_GET_PRECOPY_INFO, &info), 0);
    assert_int_equal(info.initial_bytes, 4096);
    gate_board_open(board, gate_board_gate(board, "go"));
    assert_int_equal(ioctl(first, VFIO_MIG_GET_PRECOPY_INFO, &info), 0);
    assert_int_equal(info.initial_bytes, 4096 + 8192);
    assert_int_equal(ioctl(second, VFIO_MIG_GET_PRECOPY_INFO, &info), 0);
    assert_int_equal(info.dirty_bytes, 0);
    assert_int_equal(set_state(FIRST, VFIO_DEVICE_STATE_PRE_COPY_P2P, NULL), 0);
    assert_int_equal(ioctl(second, VFIO_MIG_GET_PRECOPY_INFO, &info), 0);
    assert_int_equal(info.dirty_bytes, 4096);
    close(first);
    close(second);
}

static void numbers_and_stamps_every_line(void **state) {
    (void)state;
    start_with(ABILITIES, ABILITIES);
    bind_device(FIRST);
    bind_device(SECOND);
    static char log[65536];
    read_log(log, sizeof log);
    unsigned long long expected = 0, last_monotonic = 0;
    for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
        unsigned long long sequence, seconds, nanos, up, up_nanos;
        int thread, end = 0;
        assert_int_equal(sscanf(line, "%d#%llu@%llu.%9llu+%llu.%9llu:%n", &thread, &sequence, &seconds, &nanos, &up, &up_nanos, &end), 6);
        assert_true(strncmp(line + end, "device_", 7) == 0);
        assert_int_equal(thread, getpid());
        assert_int_equal(sequence, ++expected);
        assert_true(up * 1000000000 + up_nanos >= last_monotonic);
        last_monotonic = up * 1000000000 + up_nanos;
        assert_true(seconds > 1700000000);
    }
    assert_true(expected >= 4);
}

static void refuses_a_wrong_side_folder_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *devices, *script, *reason;
    } cases[] = {
        { "", ABILITIES, "devices:1: expected 'ackmatrix-side 1', found ''" },
        { "ackmatrix-side 2\n", ABILITIES, "devices:1: expected 'ackmatrix-side 1', found 'ackmatrix-side 2'" },
        { "ackmatrix-side 1\ndevice x v0 v0.script\n", ABILITIES, "devices:2: expected 'iommufd FD', 'device FD NAME SCRIPT-FILE' or 'connect GATE'" },
        { "ackmatrix-side 1\ndevice 100 v0 v0.script more\n", ABILITIES, "devices:2: expected 'iommufd FD', 'device" },
        { "ackmatrix-side 1\nconnect\n", ABILITIES, "devices:2: expected 'iommufd FD', 'device" },
        { "ackmatrix-side 1\ndevice 2 v0 v0.script\n", ABILITIES, "devices:2: expected a descriptor number from 3 to" },
        { "ackmatrix-side 1\ndevice 99999 v0 v0.script\n", ABILITIES, "devices:2: expected a descriptor number from 3 to" },
        { "ackmatrix-side 1\niommufd 99\niommufd 98\n", ABILITIES, "devices:3: expected one iommufd line" },
        { "ackmatrix-side 1\ndevice 100 v0 v0.script\ndevice 101 v0 v0.script\n", ABILITIES, "devices:3: expected each device once, found 'v0' a second time" },
        { "ackmatrix-side 1\niommufd 99\ndevice 99 v0 v0.script\n", ABILITIES, "devices:3: descriptor 99 cannot be taken" },
        { "ackmatrix-side 1\n\n\ndevice 100 v0 none.script\n", ABILITIES, "none.script: cannot be opened" },
        { "ackmatrix-side 1\ndevice 100 v0 v0.script\n", "ackmatrix-device 1\nhas wings\n", "v0.script:2: " },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char reason[SHIM_REASON_SIZE] = "";
        write_file("devices", cases[i].devices);
        write_file("v0.script", cases[i].script);
        assert_int_equal(shim_start(folder, reason, sizeof reason), -1);
        if (!strstr(reason, cases[i].reason))
            fail_msg("case %zu: expected '%s' in '%s'", i, cases[i].reason, reason);
        shim_stop();
    }
}

static void exec_with_dead_parent(void) {
    char *environment[] = { "ACKMATRIX_PARENT=1", NULL }, *arguments[] = { (char *)self, "--started", NULL };
    execve(self, arguments, environment);
}

static void exec_with_bad_folder(void) {
    char *environment[] = { "ACKMATRIX_SIDE=/nowhere", NULL }, *arguments[] = { (char *)self, "--started", NULL };
    execve(self, arguments, environment);
}

static void exec_alone(void) {
    char *environment[] = { NULL }, *arguments[] = { (char *)self, "--started", NULL };
    execve(self, arguments, environment);
}

static void constructor_refuses_a_gone_parent_and_a_bad_folder(void **state) {
    (void)state;
    static const struct {
        void (*body)(void);
        int status;
    } cases[] = { { exec_with_dead_parent, 2 }, { exec_with_bad_folder, 2 }, { exec_alone, 0 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = status_of(cases[i].body);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), cases[i].status);
    }
}

int main(int count, char **arguments) {
    if (count == 2 && strcmp(arguments[1], "--started") == 0)
        return 0;
    self = "/proc/self/exe";
#define ON_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        ON_A_FOLDER(answers_every_name_on_a_mocked_descriptor),
        ON_A_FOLDER(refuses_what_a_descriptor_cannot_do),
        ON_A_FOLDER(answers_bad_pointers_with_efault),
        ON_A_FOLDER(passes_other_descriptors_through),
        ON_A_FOLDER(holds_a_call_until_its_gate_opens),
        ON_A_FOLDER(slows_a_source_that_asks_without_end),
        ON_A_FOLDER(holds_connects_until_their_gate_opens),
        ON_A_FOLDER(opens_gates_and_passes_peer_states_to_the_model),
        ON_A_FOLDER(numbers_and_stamps_every_line),
        ON_A_FOLDER(refuses_a_wrong_side_folder_with_its_place),
        cmocka_unit_test(fortified_names_stop_an_overflow),
        cmocka_unit_test(constructor_refuses_a_gone_parent_and_a_bad_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
