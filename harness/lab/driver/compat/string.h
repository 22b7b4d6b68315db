/* The mock's <string.h>, inside the kernel. */
#include <linux/string.h>
