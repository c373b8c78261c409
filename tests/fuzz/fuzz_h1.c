/*
 * fuzz_h1: answers of one hostile backend of HTTP/1.1.
 *
 * The first byte says how the rest is cut, and whether it answers HEAD. However it is cut, the same
 * is found in it; a body is never longer than what was there; what was refused stays refused.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/support/h1_story.h"

#define INPUT_MAX 4096u

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct h1_story whole, pieces;
    if (size < 2 || size > INPUT_MAX)
        return 0;
    bool to_head = (data[0] & 0x80) != 0;
    size_t piece = 1 + (data[0] & 0x0f);
    uint32_t max = 1 + (data[0] >> 4 & 0x07);
    struct bytes input = bytes_of(data + 1, size - 1);
    size_t taken = h1_story_tell(&whole, input, input.length, UINT32_MAX, to_head);
    check(taken <= input.length);
    check(h1_story_tell(&pieces, input, piece, max, to_head) >= taken ||
          strstr(whole.text, " bad:") != NULL);
    check(strcmp(whole.text, pieces.text) == 0);
    return 0;
}
