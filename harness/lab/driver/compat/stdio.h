/* The mock's <stdio.h>, inside the kernel. */
#include <linux/kernel.h>
