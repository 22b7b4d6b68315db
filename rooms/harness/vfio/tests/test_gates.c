/* The gate board: latches and progress between processes and threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate_board.h"

static char path[64];
static struct gate_board *board;

static int make_board(void **state) {
    (void)state;
    strcpy(path, "/tmp/ackmatrix-gate-test.XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0 || close(fd) != 0 || unlink(path) != 0)
        return -1;
    board = gate_board_create(path);
    return board ? 0 : -1;
}

static int remove_board(void **state) {
    (void)state;
    gate_board_unmap(board);
    return unlink(path);
}

static void names_keep_their_slot_across_mappings(void **state) {
    (void)state;
    struct gate_board *other = gate_board_map(path);
    assert_non_null(other);
    int load = gate_board_gate(board, "load"), decide = gate_board_gate(other, "decide");
    assert_int_not_equal(load, decide);
    assert_int_equal(gate_board_gate(other, "load"), load);
    assert_int_equal(gate_board_gate(board, "decide"), decide);
    gate_board_open(board, load);
    assert_int_equal(gate_board_is_open(other, load), 1);
    assert_int_equal(gate_board_is_open(other, decide), 0);
    gate_board_unmap(other);
}

static void refuses_bad_names_full_boards_and_foreign_files(void **state) {
    (void)state;
    char name[BOARD_NAME_SIZE + 8];
    memset(name, 'x', sizeof name);
    name[BOARD_NAME_SIZE] = 0;
    assert_int_equal(gate_board_gate(board, name), -1);
    assert_int_equal(gate_board_device(board, name), -1);
    assert_int_equal(gate_board_gate(board, ""), -1);
    name[BOARD_NAME_SIZE - 1] = 0;
    assert_int_equal(gate_board_gate(board, name), 0);
    for (int i = 1; i < BOARD_MAX_GATES; i++) {
        snprintf(name, sizeof name, "g%d", i);
        assert_int_equal(gate_board_gate(board, name), i);
    }
    assert_int_equal(gate_board_gate(board, "one-more"), -1);
    assert_null(gate_board_create(path));
    assert_int_equal(errno, EEXIST);
    assert_null(gate_board_map("/nowhere/board"));
    assert_int_equal(errno, ENOENT);
    assert_null(gate_board_map("/etc/passwd"));
    assert_int_equal(errno, EINVAL);
}

static void a_waiting_process_goes_on_when_the_gate_opens(void **state) {
    (void)state;
    int gate = gate_board_gate(board, "load"), ready[2];
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct gate_board *mine = gate_board_map(path);
        if (!mine || write(ready[1], "r", 1) != 1)
            _exit(1);
        gate_board_wait(mine, gate);
        _exit(gate_board_is_open(mine, gate) ? 42 : 2);
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    gate_board_open(board, gate);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    close(ready[0]);
    close(ready[1]);
}

/* As a shell does it: nothing wakes the thread that waits. */
static void a_gate_opened_by_writing_the_file_is_seen(void **state) {
    (void)state;
    int gates[] = { gate_board_gate(board, "load"), gate_board_gate(board, "send") };
    size_t places[] = { gate_board_place_of_gate(gates[0]), gate_board_place_of_all() };
    uint32_t one = 1;
    int fd = open(path, O_WRONLY);
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0) {
            usleep(30000);
            _exit(pwrite(fd, &one, sizeof one, (off_t)places[i]) == sizeof one ? 0 : 1);
        }
        gate_board_wait(board, gates[i]);
        assert_int_equal(gate_board_is_open(board, gates[1]), i);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    close(fd);
}

static void progress_is_in_the_file_where_it_is_said_to_be(void **state) {
    (void)state;
    int device = gate_board_device(board, "v1");
    struct board_progress progress = { .queries = 42, .held = 2 }, seen = { 0 };
    gate_board_publish(board, device, &progress);
    int fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, &seen, sizeof seen, (off_t)gate_board_place_of_progress(device)), sizeof seen);
    close(fd);
    assert_int_equal(seen.queries, 42);
    assert_int_equal(seen.held, 2);
}

static void tear_down_opens_gates_not_yet_named(void **state) {
    (void)state;
    gate_board_open_all(board);
    int gate = gate_board_gate(board, "later");
    assert_int_equal(gate_board_is_open(board, gate), 1);
    gate_board_wait(board, gate);
}

enum { ROUNDS = 20000 };

static void *publish_rounds(void *argument) {
    int device = *(int *)argument;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        struct board_progress progress = { .queries = round, .bytes_read = round * 3, .calls = round * 7 };
        gate_board_publish(board, device, &progress);
    }
    return NULL;
}

static void progress_is_never_a_mixture_of_two_states(void **state) {
    (void)state;
    int device = gate_board_device(board, "v0");
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, publish_rounds, &device), 0);
    uint64_t last = 0;
    uint32_t seen = gate_board_changes(board);
    while (last < ROUNDS) {
        struct board_progress progress;
        assert_int_equal(gate_board_progress(board, device, &progress), 0);
        assert_true(progress.queries >= last);
        assert_int_equal(progress.bytes_read, progress.queries * 3);
        assert_int_equal(progress.calls, progress.queries * 7);
        last = progress.queries;
        if (last < ROUNDS)
            seen = gate_board_wait_change(board, seen, 1000000000);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
}

/* Publishes without a pause until it is killed, so that the kill often falls into the middle. */
static void publish_for_ever(int device) {
    for (uint64_t round = 1;; round++) {
        struct board_progress progress = { .queries = round, .bytes_read = round * 3 };
        gate_board_publish(board, device, &progress);
    }
}

static void a_publisher_killed_half_way_hangs_nobody(void **state) {
    (void)state;
    int device = gate_board_device(board, "v0"), torn = 0;
    for (int round = 0; round < 2000 && torn == 0; round++) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
            publish_for_ever(device);
        uint32_t seen = gate_board_changes(board);
        gate_board_wait_change(board, seen, 1000000000);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        struct board_progress progress;
        if (gate_board_progress(board, device, &progress) != 0)
            torn++;
        else
            assert_int_equal(progress.bytes_read, progress.queries * 3);
    }
    assert_true(torn > 0);
}

static void waiting_for_a_change_ends_with_its_time(void **state) {
    (void)state;
    uint32_t seen = gate_board_changes(board);
    assert_int_equal(gate_board_wait_change(board, seen, 1000000), seen);
    assert_int_equal(gate_board_wait_change(board, seen, 0), seen);
}

int main(void) {
#define ON_A_BOARD(test) cmocka_unit_test_setup_teardown(test, make_board, remove_board)
    const struct CMUnitTest tests[] = {
        ON_A_BOARD(names_keep_their_slot_across_mappings),
        ON_A_BOARD(refuses_bad_names_full_boards_and_foreign_files),
        ON_A_BOARD(a_waiting_process_goes_on_when_the_gate_opens),
        ON_A_BOARD(a_gate_opened_by_writing_the_file_is_seen), ON_A_BOARD(progress_is_in_the_file_where_it_is_said_to_be),
        ON_A_BOARD(tear_down_opens_gates_not_yet_named),
        ON_A_BOARD(progress_is_never_a_mixture_of_two_states),
        ON_A_BOARD(a_publisher_killed_half_way_hangs_nobody),
        ON_A_BOARD(waiting_for_a_change_ends_with_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
