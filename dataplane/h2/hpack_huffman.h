/*
 * hpack_huffman: the string code of RFC 7541 5.2 and Appendix B. Any thread; constant tables only.
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/writer.h"

/*
 * Decode TEXT to its end, appending to OUT. False: it is not valid (EOS inside, padding longer than
 * 7 bits or not all ones). When OUT is too small, out->failed is set, what is at out->at is not
 * defined, and TEXT is still validated to its end.
 * time O(TEXT), some 2 symbols a step
 */
bool hpack_huffman_decode(struct bytes text, struct writer *out);

/* The bytes that TEXT takes when encoded, padding included. */
size_t hpack_huffman_length(struct bytes text);

/* Encode TEXT into exactly hpack_huffman_length(TEXT) bytes at OUT. */
void hpack_huffman_encode(struct bytes text, uint8_t *out);

/* What hpack_huffman_encode_wide() may write for LENGTH bytes: the longest codes, and some more. */
#define HPACK_HUFFMAN_WIDE(length) ((length)*4 + 8)

/* The same, several symbols at a time, where there are so many bytes. Returns how many count. */
size_t hpack_huffman_encode_wide(struct bytes text, uint8_t *out);
