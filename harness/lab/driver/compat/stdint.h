/* The mock's <stdint.h>, inside the kernel. */
#ifndef ACKMATRIX_COMPAT_STDINT_H
#define ACKMATRIX_COMPAT_STDINT_H
#include <linux/types.h>
#include <linux/limits.h>
#ifndef UINT64_MAX
#define UINT64_MAX U64_MAX
#endif
#ifndef UINT32_MAX
#define UINT32_MAX U32_MAX
#endif
#endif
