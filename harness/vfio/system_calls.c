/* Every system call of the C layer: see system_calls.h. */
#include "system_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PROBES = 256 };

static int64_t outcome(long result) {
    return result < 0 ? -(int64_t)errno : result;
}

int sys_open(const char *path, int flags, unsigned mode) {
    return (int)outcome(syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode));
}

int sys_close(int fd) {
    return (int)outcome(syscall(SYS_close, fd));
}

int64_t sys_read(int fd, void *buffer, size_t length) {
    return outcome(syscall(SYS_read, fd, buffer, length));
}

int64_t sys_write(int fd, const void *buffer, size_t length) {
    return outcome(syscall(SYS_write, fd, buffer, length));
}

int64_t sys_pread(int fd, void *buffer, size_t length, int64_t offset) {
    return outcome(syscall(SYS_pread64, fd, buffer, length, offset));
}

int64_t sys_pwrite(int fd, const void *buffer, size_t length, int64_t offset) {
    return outcome(syscall(SYS_pwrite64, fd, buffer, length, offset));
}

int sys_ioctl(int fd, unsigned long request, void *argument) {
    return (int)outcome(syscall(SYS_ioctl, fd, request, argument));
}

int sys_connect(int fd, const void *address, unsigned length) {
    return (int)outcome(syscall(SYS_connect, fd, address, length));
}

int sys_truncate(int fd, uint64_t length) {
    return (int)outcome(syscall(SYS_ftruncate, fd, (long)length));
}

int sys_allocate(int fd, uint64_t offset, uint64_t length) {
    return (int)outcome(syscall(SYS_fallocate, fd, 0, (long)offset, (long)length));
}

int64_t sys_file_size(int fd) {
    return outcome(syscall(SYS_lseek, fd, 0L, SEEK_END));
}

int64_t sys_seek(int fd, int64_t offset, int whence) {
    return outcome(syscall(SYS_lseek, fd, offset, whence));
}

int sys_poll(int fd, int events) {
    struct pollfd waited = { .fd = fd, .events = (short)events };
    int result = (int)outcome(syscall(SYS_poll, &waited, 1ul, 0));
    return result < 0 ? result : waited.revents;
}

int sys_placeholder(const char *name) {
    return (int)outcome(syscall(SYS_memfd_create, name, 1u /* MFD_CLOEXEC */));
}

int sys_move(int fd, int target) {
    if (syscall(SYS_fcntl, target, F_GETFD) >= 0)
        return -EBUSY;
    int result = (int)outcome(syscall(SYS_dup3, fd, target, O_CLOEXEC));
    if (result >= 0)
        sys_close(fd);
    return result;
}

void *sys_map_shared(int fd, size_t length, int *error) {
    return sys_map_at(fd, length, 0, error);
}

void *sys_map_at(int fd, size_t length, uint64_t offset, int *error) {
    void *address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
    if (address == MAP_FAILED) {
        *error = errno;
        return NULL;
    }
    return address;
}

void sys_unmap(void *address, size_t length) {
    munmap(address, length);
}

int sys_thread_id(void) {
    return (int)syscall(SYS_gettid);
}

int sys_die_with_parent(void) {
    return (int)outcome(syscall(SYS_prctl, PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0ul, 0ul, 0ul));
}

int sys_parent(void) {
    return (int)syscall(SYS_getppid);
}

void sys_exit(int status) {
    for (;;)
        syscall(SYS_exit_group, status);
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t sys_monotonic_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t sys_realtime_ns(void) {
    return clock_ns(CLOCK_REALTIME);
}

static struct timespec duration(uint64_t ns) {
    return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };
}

void sys_sleep_ns(uint64_t length) {
    struct timespec end = duration(sys_monotonic_ns() + length);
    while (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) < 0 && errno == EINTR)
        ;
}

void sys_futex_wait(uint32_t *word, uint32_t expected, uint64_t timeout_ns) {
    struct timespec limit = duration(timeout_ns);
    syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout_ns ? &limit : NULL, NULL, 0);
}

void sys_futex_wake_all(uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE, 0x7fffffff, NULL, NULL, 0);
}

int64_t sys_read_link(const char *path, char *target, size_t size) {
    return outcome(syscall(SYS_readlinkat, AT_FDCWD, path, target, size));
}

int sys_process_id(void) {
    return (int)syscall(SYS_getpid);
}

bool sys_copy(void *to, uint64_t from, size_t length) {
    struct iovec local = { .iov_base = to, .iov_len = length }, remote = { .iov_base = (void *)(uintptr_t)from, .iov_len = length };
    return from != 0 && syscall(SYS_process_vm_readv, syscall(SYS_getpid), &local, 1ul, &remote, 1ul, 0ul) == (long)length;
}

/*
 * The kernel answers EFAULT for a bad pointer; a model inside the process would crash instead. So one
 * byte of each page is read through the kernel first, and written back where the call would write.
 */
bool sys_accessible(uint64_t address, size_t length, bool writable) {
    uint64_t end = address + length;
    if (address == 0 || end < address)
        return false;
    unsigned char bytes[PROBES];
    struct iovec remote[PROBES];
    for (uint64_t page = address; page < end;) {
        size_t count = 0;
        for (; count < PROBES && page < end; count++) {
            remote[count] = (struct iovec){ .iov_base = (void *)(uintptr_t)page, .iov_len = 1 };
            page = (page | (PAGE - 1)) + 1;
        }
        struct iovec local = { .iov_base = bytes, .iov_len = count };
        long self = syscall(SYS_getpid);
        if (syscall(SYS_process_vm_readv, self, &local, 1ul, remote, count, 0ul) != (long)count)
            return false;
        if (writable && syscall(SYS_process_vm_writev, self, &local, 1ul, remote, count, 0ul) != (long)count)
            return false;
    }
    return true;
}
