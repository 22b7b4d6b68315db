/* The hash of contents, compared with what xxHash 0.8.1 gives for the same bytes. */
#include "fixture.h"

#include "xxh3.h"

static const struct { size_t length; uint64_t hash; } known[] = {
    {0, 0x2d06800538d394c2u}, {1, 0xe12ef9d2eb86ceebu}, {3, 0x5c83885a0fb5d516u}, {4, 0x244f36de481e7522u}, {8, 0x96cc97a6768fd7a9u},
    {9, 0x4781d83b8e99d495u}, {16, 0x913bd4a8038027a7u}, {17, 0x2bf6f66973a6179du}, {64, 0x13886553e7dc3fa3u}, {128, 0xc4399c7829d0628fu},
    {129, 0x8433489056750b32u}, {240, 0x3c0bb96864e543a1u}, {241, 0xbff7215089202d8fu}, {1024, 0xac8e32e4ea3ba062u},
    {1025, 0xc856c953bbdbc807u}, {65536, 0xcafa8d1474483c22u}, {1048576, 0x1ae5238097bd8589u},
};

static void is_that_of_xxhash_for_every_kind_of_length(void **state) {
    (void)state;
    uint8_t *bytes = malloc((1 << 20) + 1);
    assert_non_null(bytes);
    for (size_t aligned = 0; aligned < 2; aligned++) {
        for (size_t i = 0; i < 1 << 20; i++) bytes[aligned + i] = (uint8_t)(i * 7 + 1);
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) assert_int_equal(xxh3_64(bytes + aligned, known[i].length), known[i].hash);
    }
    free(bytes);
}

static void every_bit_counts(void **state) {
    (void)state;
    uint8_t bytes[700] = {0};
    for (size_t length = 1; length <= sizeof bytes; length += 23) {
        uint64_t before = xxh3_64(bytes, length);
        for (size_t bit = 0; bit < 8 * length; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_not_equal(xxh3_64(bytes, length), before);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_int_equal(xxh3_64(bytes, length), before);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_that_of_xxhash_for_every_kind_of_length),
        cmocka_unit_test(every_bit_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
