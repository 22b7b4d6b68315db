/* The mock's <errno.h>, inside the kernel. */
#include <linux/errno.h>
