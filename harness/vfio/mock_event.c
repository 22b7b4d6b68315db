/* The text of events, in the form of QEMU's trace lines: one reader serves both. */
#include <inttypes.h>
#include <stdio.h>

#include "mock_device.h"

size_t mock_event_text(const struct mock_event *event, char *text, size_t size) {
    const char *word = event->word != NULL ? event->word : "";
    uint64_t a = event->a, b = event->b;
    int length = -1;
#define TEXT(name, format, ...) \
    length = snprintf(text, size, "device_" name "  (%s) " format, event->device, __VA_ARGS__); \
    break
    switch (event->kind) {
    case MOCK_EVENT_OPEN: TEXT("open", "mig_flags 0x%" PRIx64 ", reinit %" PRIu64, a, b);
    case MOCK_EVENT_CALL: TEXT("call", "%s ret %" PRId64, word, event->ret);
    case MOCK_EVENT_STATE:
        TEXT("state", "from %s to %s", device_state_name((enum vfio_device_mig_state)a), device_state_name((enum vfio_device_mig_state)b));
    case MOCK_EVENT_SESSION_BEGIN: TEXT("session_begin", "%s session %" PRIu64, word, a);
    case MOCK_EVENT_SESSION_END: TEXT("session_end", "session %" PRIu64, a);
    case MOCK_EVENT_PRECOPY_INFO:
        TEXT("precopy_info", "init %" PRIu64 ", dirty %" PRIu64 ", reinit %" PRIu64 ", ret %" PRId64, a, b, event->c, event->ret);
    case MOCK_EVENT_READ: TEXT("read", "size %" PRIu64 ", ret %" PRId64, a, event->ret);
    case MOCK_EVENT_WRITE: TEXT("write", "size %" PRIu64 ", ret %" PRId64, a, event->ret);
    case MOCK_EVENT_DRAINED: TEXT("drained", "total %" PRIu64, a);
    case MOCK_EVENT_LOADED: TEXT("loaded", "%s size %" PRIu64 ", total %" PRIu64, word, a, b);
    case MOCK_EVENT_INJECTED: TEXT("injected", "line %" PRIu64 ", action %s, value %" PRIu64, a, word, b);
    case MOCK_EVENT_HOLD_BEGIN: TEXT("hold_begin", "gate %s", word);
    case MOCK_EVENT_HOLD_END: TEXT("hold_end", "gate %s", word);
    case MOCK_EVENT_UNKNOWN: TEXT("unknown_ioctl", "request 0x%" PRIx64, a);
    case MOCK_EVENT_RESET: TEXT("reset", "from %s", device_state_name((enum vfio_device_mig_state)a));
    case MOCK_EVENT_CLOSE: TEXT("close", "state %s", device_state_name((enum vfio_device_mig_state)a));
    case MOCK_EVENT_DEPARTED: TEXT("departed", "at %" PRIu64 ", expected %s; found %s", a, word, event->found);
    case MOCK_EVENT_KINDS: break;
    }
#undef TEXT
    if (length < 0) length = 0;
    if ((size_t)length >= size) length = (int)(size - 1);
    text[length] = '\0';
    return (size_t)length;
}
