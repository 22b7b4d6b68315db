/* The mock's <stdarg.h>, inside the kernel. */
#include <linux/stdarg.h>
