/* What the shim's own tests need of it; nothing here is exported from the library. */
#ifndef ACKMATRIX_SHIM_H
#define ACKMATRIX_SHIM_H

#include <stddef.h>

enum { SHIM_REASON_SIZE = 256 };

/*
 * Takes the side folder into use: its `devices` file, scripts and gate board; makes the placeholder
 * descriptors and opens its `device.log`. Returns 0, or -1 with the reason in `reason`.
 */
int shim_start(const char *folder, char *reason, size_t size);
/* Gives every descriptor and mapping back, so that another folder can be started. */
void shim_stop(void);

#endif
