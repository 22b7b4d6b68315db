/* What the shim's own tests need of it; nothing here is exported from the library. */
#ifndef ACKMATRIX_SHIM_H
#define ACKMATRIX_SHIM_H

#include <stddef.h>

enum { SHIM_REASON_SIZE = 256 };

/*
 * A source that waits asks its devices some 8,000 times a second and logs 20 MB over it. Mock calls take no time, so that nothing would
 * hold it back while its peer, or the process that opens the gates, gets no processor for seconds: after BRISK_QUERIES of a session, several
 * times what a migration that ends takes, or the proof that one does not, each further query in PRE_COPY takes QUERY_PACE_NS at least.
 */
enum { BRISK_QUERIES = 2000, QUERY_PACE_NS = 1000000 };

/*
 * Takes the side folder into use: its `devices` file, scripts and gate board; makes the placeholder
 * descriptors and opens its `device.log`. Returns 0, or -1 with the reason in `reason`.
 */
int shim_start(const char *folder, char *reason, size_t size);
/* Gives every descriptor and mapping back, so that another folder can be started. */
void shim_stop(void);

#endif
