/* CPython's line tables with anything in them. They belong to the watched program, and are read inside it: the reader
 * must stay within the table and come to an end.
 *
 * Input: the form (1 byte), the instruction's offset (3 bytes), the table. It is copied to memory of just that size, so
 * that one byte beyond is a fault. */
#include <stdlib.h>
#include <string.h>

#include "../../detector/model/python_lines.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 5)
        return 0;
    u64 at = data[1] | (u64)data[2] << 8 | (u64)data[3] << 16;
    size -= 4;
    u8 *table = malloc(size);
    memcpy(table, data + 4, size);
    python_line((enum python_lines)(data[0] % 3), table, size, 1, at);
    free(table);
    return 0;
}
