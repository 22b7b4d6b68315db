/* The shim's functions for its tests; the library exports none of them. */
#ifndef ACKMATRIX_SHIM_H
#define ACKMATRIX_SHIM_H

#include <stddef.h>

enum { SHIM_REASON_SIZE = 256 };

/*
 * A source that waits queries its devices some 8,000 times a second, and logs 20 MB in that second. Mock calls take no time, so nothing would
 * slow the source down while its peer, or the process that opens the gates, gets no processor for seconds. So after BRISK_QUERIES of a
 * session, several times the number that a migration needs to end, or the proof that it does not, each further query in PRE_COPY takes at
 * least QUERY_PACE_NS.
 */
enum { BRISK_QUERIES = 2000, QUERY_PACE_NS = 1000000 };

/*
 * Starts to use the side folder: its `devices` file, scripts and gate board; makes the placeholder
 * descriptors and opens its `device.log`. Returns 0, or -1 with the reason in `reason`.
 */
int shim_start(const char *folder, char *reason, size_t size);
/* Gives every descriptor and mapping back, so that another folder can be started. */
void shim_stop(void);

#endif
