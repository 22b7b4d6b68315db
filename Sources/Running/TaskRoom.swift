/// How many more processes and threads this user may start.
import Glibc

/// The number of processes and threads that can be started now, at most `most`.
///
/// The kernel counts both alike, and the limit of a user (`ulimit -u`), that of a container (`pids.max`) and that of the machine all end in
/// the same refusal. No number that can be read tells of all of them, so the threads are started, and ended again.
package func taskRoom(upTo most: Int) -> Int {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, 128 << 10)
    let end = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    sem_init(end, 0, 0)
    defer {
        sem_destroy(end)
        end.deallocate()
    }
    var threads: [pthread_t] = []
    while threads.count < most {
        var thread = pthread_t()
        let result = pthread_create(
            &thread, &attributes,
            { end in
                while sem_wait(end!.assumingMemoryBound(to: sem_t.self)) != 0 {}
                return nil
            }, end)
        guard result == 0 else { break }
        threads.append(thread)
    }
    for _ in threads { sem_post(end) }
    for thread in threads { pthread_join(thread, nil) }
    return threads.count
}
