/* The mock's <stdlib.h>, inside the kernel: it allocates once, when a device is made. */
#ifndef ACKMATRIX_COMPAT_STDLIB_H
#define ACKMATRIX_COMPAT_STDLIB_H
#include <linux/slab.h>
#define calloc(count, size) kvcalloc(count, size, GFP_KERNEL)
#define free(memory) kvfree(memory)
#endif
