import Foundation
import Plan
import QEMUPeer
import TestSupport

/// A program that plays QEMU as far as a monitor goes, and misbehaves as the variable FAKE says. It is compiled once for all tests.
enum FakeQEMU {
    /// The folder of the program and of the caches of its environments, which is removed when the tests end.
    private static let folder: String = {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-fake-\(ProcessInfo.processInfo.processIdentifier)"
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        atexit { try? FileManager.default.removeItem(atPath: FakeQEMU.folder) }
        return folder
    }()

    static let path: String? = {
        try? source.write(toFile: folder + "/fake.c", atomically: true, encoding: .utf8)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gcc", "-Wall", "-O1", "-o", folder + "/fake-qemu", folder + "/fake.c"]
        guard (try? process.run()) != nil else { return nil }
        process.waitUntilExit()
        return process.terminationStatus == 0 ? folder + "/fake-qemu" : nil
    }()

    /// The environment in which the fake misbehaves so, with no binary but the fake, in a cache of its own.
    static func environment(_ behaviour: String, without events: Set<String> = []) -> [String: String] {
        let names = allowedTraceEvents.filter { $0 != "qemu_savevm_query_pending" && !events.contains($0) }
        return [
            "FAKE": behaviour, "FAKE_EVENTS": names.map { "{\"name\": \"\($0)\", \"state\": \"enabled\"}" }.joined(separator: ","),
            "ACKMATRIX_CACHE": emptyCache(),
        ]
    }

    /// A cache without binaries and without features of an earlier probe.
    static func emptyCache() -> String { folder + "/cache-\(UUID().uuidString)" }

    /// It has switchover-ack in legacy mode alone and one machine type, q35.
    private static let source = #"""
        #include <fcntl.h>
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/socket.h>
        #include <sys/un.h>
        #include <unistd.h>

        static const char *fake;
        static int has_devices;
        static int is(const char *name) { return strcmp(fake, name) == 0; }

        static int has(int count, char **arguments, const char *text) {
            for (int i = 1; i < count; i++)
                if (strstr(arguments[i], text)) return 1;
            return 0;
        }

        static void answer(int monitor, const char *command, const char *id) {
            static char text[64 << 10];
            const char *value = "{}";
            if (!strcmp(command, "query-version")) value = "{\"qemu\": {\"major\": 10, \"minor\": 0, \"micro\": 0}, \"package\": \"\"}";
            if (!strcmp(command, "query-migrate-capabilities"))
                value = "[{\"capability\": \"switchover-ack\", \"state\": true}, {\"capability\": \"return-path\", \"state\": true},"
                        "{\"capability\": \"events\", \"state\": true}]";
            if (!strcmp(command, "qom-list-properties") || !strcmp(command, "query-qmp-schema")) value = "[]";
            if (!strcmp(command, "query-machines")) value = "[{\"name\": \"pc-q35-10.0\", \"alias\": \"q35\"}]";
            if (!strcmp(command, "query-status")) value = "{\"status\": \"running\"}";
            if (!strcmp(command, "query-migrate")) value = "{\"socket-address\": [{\"port\": \"9\"}]}";
            if (!strcmp(command, "trace-event-get-state")) {
                snprintf(text, sizeof text, "{\"return\": [%s], \"id\": %s}\r\n", getenv("FAKE_EVENTS"), id);
            } else {
                snprintf(text, sizeof text, "{\"return\": %s, \"id\": %s}\r\n", value, id);
            }
            if (write(monitor, text, strlen(text)) < 0) exit(1);
        }

        static void tell(int monitor, const char *status) {
            dprintf(monitor, "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"%s\"}, "
                    "\"timestamp\": {\"seconds\": 1, \"microseconds\": 0}}\r\n", status);
        }

        /* A migration without devices is over at once. */
        static void migrate(int monitor, int is_source) {
            tell(monitor, "setup");
            tell(monitor, "active");
            if (is("cannot-load")) {
                if (!is_source) { fputs("fake: Unknown savevm section or instance 'timer' 0\n", stderr); exit(1); }
                tell(monitor, "failed");
            } else {
                tell(monitor, "completed");
            }
        }

        static void obey(int monitor, char *line) {
            char *name = strstr(line, "\"execute\":\""), *id = strstr(line, "\"id\":");
            if (!name || !id) return;
            name += strlen("\"execute\":\"");
            char command[64] = "", number[24] = "";
            sscanf(name, "%63[^\"]", command);
            sscanf(id + strlen("\"id\":"), "%23[0-9]", number);
            if (!strcmp(command, "migrate") && has_devices) {
                if (is("crash-in-migration")) { fputs("fake: guest memory is gone\n", stderr); signal(SIGSEGV, SIG_DFL); raise(SIGSEGV); }
                if (is("exit-in-migration")) { fputs("fake: no more\n", stderr); exit(7); }
                if (is("stop-in-migration")) raise(SIGSTOP);
            }
            answer(monitor, command, number);
            if (!has_devices && !strncmp(command, "migrate", 7) && (!command[7] || !strcmp(command, "migrate-incoming")))
                migrate(monitor, !command[7]);
            if (!strcmp(command, "quit")) exit(0);
        }

        int main(int count, char **arguments) {
            fake = getenv("FAKE") ? getenv("FAKE") : "";
            has_devices = has(count, arguments, "vfio-pci");
            if (is("exit")) { fputs("fake: boom\n", stderr); return 3; }
            if (is("silent-exit")) return 0;
            if (is("crash")) raise(SIGSEGV);
            if (is("controls")) { fputs("fake: \033[31mred\007 \342\200\256dexet\n", stderr); return 1; }
            if (is("flood")) {
                static char line[1 << 20];
                memset(line, 'x', sizeof line);
                for (int i = 0; i < 200; i++) if (write(2, line, sizeof line) < 0) return 1;
                pause();
            }
            if (is("stop")) raise(SIGSTOP);
            if (is("no-vfio") && has_devices) {
                fputs("qemu: -device vfio-pci,id=v0: 'vfio-pci' is not a valid device model name\n", stderr);
                return 1;
            }
            if (is("no-firmware") && has_devices) {
                fputs("qemu: could not load PC BIOS 'halt.bin'\n", stderr);
                return 1;
            }
            if (is("no-memory") && has_devices) {
                fputs("qemu: cannot set up guest memory 'pc.ram': Cannot allocate memory\n", stderr);
                return 1;
            }
            if (has(count, arguments, "iommufd") && fcntl(99, F_GETFD) < 0) {
                fputs("qemu: -object iommufd,id=iommufd0,fd=99: Bad file descriptor\n", stderr);
                return 1;
            }
            struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "qmp" };
            int monitor = socket(AF_UNIX, SOCK_STREAM, 0);
            if (connect(monitor, (struct sockaddr *)&address, sizeof address) < 0) { perror("fake: qmp"); return 1; }
            const char *greeting = is("nonsense") ? "hello\n" : "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n";
            if (write(monitor, greeting, strlen(greeting)) < 0) return 1;
            close(open("qemu.log", O_WRONLY | O_CREAT, 0600));
            FILE *commands = fdopen(dup(monitor), "r");
            static char line[64 << 10];
            while (fgets(line, sizeof line, commands)) obey(monitor, line);
            return 0;
        }
        """#
}
