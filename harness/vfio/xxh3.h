/*
 * XXH3, 64 bits, with seed 0 and the default secret (xxHash 0.8, https://github.com/Cyan4973/xxHash): the hash that stands for
 * contents in a recording. `xxhsum -H3 FILE` prints the same number.
 */
#ifndef ACKMATRIX_XXH3_H
#define ACKMATRIX_XXH3_H

#include <stddef.h>
#include <stdint.h>

uint64_t xxh3_64(const void *bytes, size_t length);

#endif
