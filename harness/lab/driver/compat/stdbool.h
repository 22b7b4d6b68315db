/* The mock's <stdbool.h>, inside the kernel. */
#include <linux/types.h>
