/*
 * Every system call of the C layer, in one place.
 *
 * The shim replaces libc's read, write, ioctl, ... for the whole process, so nothing here may go
 * through those names: each function is a raw system call. Results are as the kernel gives them, a
 * negative errno on failure.
 */
#ifndef ACKMATRIX_SYSTEM_CALLS_H
#define ACKMATRIX_SYSTEM_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int sys_open(const char *path, int flags, unsigned mode);
int sys_close(int fd);
int64_t sys_read(int fd, void *buffer, size_t length);
int64_t sys_write(int fd, const void *buffer, size_t length);
int64_t sys_pread(int fd, void *buffer, size_t length, int64_t offset);
int64_t sys_pwrite(int fd, const void *buffer, size_t length, int64_t offset);
int sys_ioctl(int fd, unsigned long request, void *argument);
int sys_connect(int fd, const void *address, unsigned length);
int sys_truncate(int fd, uint64_t length);
/* Makes the file have these bytes, so that writing to their mapping never finds the disk full. */
int sys_allocate(int fd, uint64_t offset, uint64_t length);
int64_t sys_file_size(int fd);
int64_t sys_seek(int fd, int64_t offset, int whence);
/* The events (poll's bits) that are there now, of those asked for; never waits. */
int sys_poll(int fd, int events);

/* A fresh descriptor that stands for a mocked one; on exec it is closed. */
int sys_placeholder(const char *name);
/* Moves `fd` to the number `target`, which must be free (EBUSY). */
int sys_move(int fd, int target);

/* Shared, readable and writable; NULL on failure with *error set. */
void *sys_map_shared(int fd, size_t length, int *error);
/* The part of the file that begins at `offset`, a multiple of the page size. */
void *sys_map_at(int fd, size_t length, uint64_t offset, int *error);
void sys_unmap(void *address, size_t length);

int sys_thread_id(void);
/* Asks for SIGKILL when the thread that started this process ends. */
int sys_die_with_parent(void);
int sys_parent(void);
_Noreturn void sys_exit(int status);

uint64_t sys_monotonic_ns(void);
uint64_t sys_realtime_ns(void);
void sys_sleep_ns(uint64_t duration);

/* Sleeps while *word == expected, at most timeout_ns (0 = forever). Wakes for no reason too. */
void sys_futex_wait(uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void sys_futex_wake_all(uint32_t *word);

/* Where a symbolic link leads, not terminated: the length, at most `size`. */
int64_t sys_read_link(const char *path, char *target, size_t size);
int sys_process_id(void);
/* Copies memory of this process; false where a call of the kernel would answer EFAULT. */
bool sys_copy(void *to, uint64_t from, size_t length);

/* Whether this process may read (and, if asked, write) all of [address, address + length). */
bool sys_accessible(uint64_t address, size_t length, bool writable);

#endif
