/* XXH3 as doc/xxhash_spec.md of xxHash describes it; see xxh3.h. */
#include "xxh3.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { STRIPE = 64, LANES = 8, SECRET = 192, STRIPES_PER_BLOCK = (SECRET - STRIPE) / 8, SHORT = 240 };

static const uint64_t P32_1 = 0x9e3779b1u, P32_2 = 0x85ebca77u, P32_3 = 0xc2b2ae3du;
static const uint64_t P64_1 = 0x9e3779b185ebca87u, P64_2 = 0xc2b2ae3d27d4eb4fu, P64_3 = 0x165667b19e3779f9u;
static const uint64_t P64_4 = 0x85ebca77c2b2ae63u, P64_5 = 0x27d4eb2f165667c5u;

static const uint8_t secret[SECRET] __attribute__((aligned(64))) = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb,
    0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb,
    0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31,
    0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc,
    0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

static inline uint64_t read64(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline uint64_t read32(const uint8_t *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline uint64_t rotated(uint64_t value, int bits) { return value << bits | value >> (64 - bits); }

static inline uint64_t folded_product(uint64_t a, uint64_t b) {
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t avalanche(uint64_t hash) {
    hash = (hash ^ hash >> 37) * 0x165667919e3779f9u;
    return hash ^ hash >> 32;
}

static uint64_t avalanche_64(uint64_t hash) {
    hash = (hash ^ hash >> 33) * P64_2;
    hash = (hash ^ hash >> 29) * P64_3;
    return hash ^ hash >> 32;
}

static inline uint64_t mix(const uint8_t *bytes, const uint8_t *key) {
    return folded_product(read64(bytes) ^ read64(key), read64(bytes + 8) ^ read64(key + 8));
}

static uint64_t up_to_16(const uint8_t *bytes, size_t length) {
    if (length > 8) {
        uint64_t low = read64(bytes) ^ read64(secret + 24) ^ read64(secret + 32);
        uint64_t high = read64(bytes + length - 8) ^ read64(secret + 40) ^ read64(secret + 48);
        return avalanche(length + __builtin_bswap64(low) + high + folded_product(low, high));
    }
    if (length >= 4) {
        uint64_t hash = (read32(bytes + length - 4) + (read32(bytes) << 32)) ^ read64(secret + 8) ^ read64(secret + 16);
        hash = (hash ^ rotated(hash, 49) ^ rotated(hash, 24)) * 0x9fb21c651e98df25u;
        hash = (hash ^ ((hash >> 35) + length)) * 0x9fb21c651e98df25u;
        return hash ^ hash >> 28;
    }
    if (length > 0) {
        uint64_t combined = (uint64_t)bytes[0] << 16 | (uint64_t)bytes[length >> 1] << 24 | bytes[length - 1] | (uint64_t)length << 8;
        return avalanche_64(combined ^ read32(secret) ^ read32(secret + 4));
    }
    return avalanche_64(read64(secret + 56) ^ read64(secret + 64));
}

static uint64_t up_to_240(const uint8_t *bytes, size_t length) {
    uint64_t sum = length * P64_1;
    if (length <= 128) {
        for (size_t i = (length - 1) / 32 + 1; i-- > 0;)
            sum += mix(bytes + 16 * i, secret + 32 * i) + mix(bytes + length - 16 * (i + 1), secret + 32 * i + 16);
        return avalanche(sum);
    }
    for (size_t i = 0; i < 8; i++) sum += mix(bytes + 16 * i, secret + 16 * i);
    sum = avalanche(sum);
    for (size_t i = 8; i < length / 16; i++) sum += mix(bytes + 16 * i, secret + 16 * (i - 8) + 3);
    return avalanche(sum + mix(bytes + length - 16, secret + 136 - 17));
}

static void accumulate(uint64_t *sums, const uint8_t *bytes, const uint8_t *key) {
    for (size_t i = 0; i < LANES; i++) {
        uint64_t value = read64(bytes + 8 * i), keyed = value ^ read64(key + 8 * i);
        sums[i ^ 1] += value;
        sums[i] += (keyed & 0xffffffffu) * (keyed >> 32);
    }
}

static void scramble(uint64_t *sums) {
    for (size_t i = 0; i < LANES; i++) sums[i] = (sums[i] ^ sums[i] >> 47 ^ read64(secret + SECRET - STRIPE + 8 * i)) * P32_1;
}

static void stripes(uint64_t *sums, const uint8_t *bytes, size_t count) {
    for (size_t n = 0; n < count; n++) accumulate(sums, bytes + STRIPE * n, secret + 8 * n);
}

#if defined(__x86_64__)
/* The same, four lanes at once: a device's data comes at several GB/s, and a recorder must not be what limits it. */
__attribute__((target("avx2"))) static void stripes_avx2(uint64_t *sums, const uint8_t *bytes, size_t count) {
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)sums), high = _mm256_loadu_si256((const __m256i *)(const void *)(sums + 4));
    for (size_t n = 0; n < count; n++) {
        const uint8_t *at = bytes + STRIPE * n, *key = secret + 8 * n;
        _mm_prefetch((const char *)at + 512, _MM_HINT_T0);
        __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)at), second = _mm256_loadu_si256((const __m256i *)(const void *)(at + 32));
        __m256i keyed_first = _mm256_xor_si256(first, _mm256_loadu_si256((const __m256i *)(const void *)key));
        __m256i keyed_second = _mm256_xor_si256(second, _mm256_loadu_si256((const __m256i *)(const void *)(key + 32)));
        low = _mm256_add_epi64(low, _mm256_mul_epu32(keyed_first, _mm256_srli_epi64(keyed_first, 32)));
        high = _mm256_add_epi64(high, _mm256_mul_epu32(keyed_second, _mm256_srli_epi64(keyed_second, 32)));
        low = _mm256_add_epi64(low, _mm256_shuffle_epi32(first, _MM_SHUFFLE(1, 0, 3, 2)));
        high = _mm256_add_epi64(high, _mm256_shuffle_epi32(second, _MM_SHUFFLE(1, 0, 3, 2)));
    }
    _mm256_storeu_si256((__m256i *)(void *)sums, low);
    _mm256_storeu_si256((__m256i *)(void *)(sums + 4), high);
}
#endif

static uint64_t beyond_240(const uint8_t *bytes, size_t length) {
    void (*take)(uint64_t *, const uint8_t *, size_t) = stripes;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) take = stripes_avx2;
#endif
    uint64_t sums[LANES] = {P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1};
    size_t block = STRIPE * STRIPES_PER_BLOCK, blocks = (length - 1) / block;
    for (size_t n = 0; n < blocks; n++) {
        take(sums, bytes + block * n, STRIPES_PER_BLOCK);
        scramble(sums);
    }
    take(sums, bytes + block * blocks, (length - 1 - block * blocks) / STRIPE);
    accumulate(sums, bytes + length - STRIPE, secret + SECRET - STRIPE - 7);
    uint64_t hash = length * P64_1;
    for (size_t i = 0; i < LANES; i += 2)
        hash += folded_product(sums[i] ^ read64(secret + 11 + 8 * i), sums[i + 1] ^ read64(secret + 11 + 8 * i + 8));
    return avalanche(hash);
}

uint64_t xxh3_64(const void *bytes, size_t length) {
    if (length <= 16) return up_to_16(bytes, length);
    return length <= SHORT ? up_to_240(bytes, length) : beyond_240(bytes, length);
}
