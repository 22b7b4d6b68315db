/* The mock's <inttypes.h>, inside the kernel, where uint64_t is a long long. */
#include <linux/types.h>
#define PRIu64 "llu"
#define PRId64 "lld"
#define PRIx64 "llx"
