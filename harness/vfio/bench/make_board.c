/* make_board FILE: the gate board that a side folder needs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gate_board.h"

int main(int count, char **words) {
    if (count == 2 && gate_board_create(words[1]) != NULL) return 0;
    fprintf(stderr, "make_board FILE: %s\n", count == 2 ? strerror(errno) : "expected one file");
    return 2;
}
