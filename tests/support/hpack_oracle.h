/*
 * hpack_oracle: nghttp2's HPACK, in the terms of ours, as the second opinion in tests.
 */
#pragma once

#include "tests/support/hpack_fixture.h"

#include <nghttp2/nghttp2.h>

#define ORACLE_FIELDS 4096

/* Inflate one whole block, appending to OUT. False: nghttp2 finds an error in it. */
static inline bool oracle_inflate(nghttp2_hd_inflater *inflater, struct bytes block,
                                  struct fields *out)
{
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t taken = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, block.data, block.length, 1);
        if (taken < 0)
            return false;
        block = bytes_after(block, (size_t)taken);
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            struct field field = {
                .name = bytes_of(nv.name, nv.namelen),
                .value = bytes_of(nv.value, nv.valuelen),
                .never_index = (nv.flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0,
            };
            field.token = field_token_of(field.name);
            fields_add(out, field);
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && block.length == 0)
            return false;
    }
    nghttp2_hd_inflate_end_headers(inflater);
    return block.length == 0;
}

/* Deflate FIELDS, at most ORACLE_FIELDS of them. */
static inline struct bytes oracle_deflate(nghttp2_hd_deflater *deflater,
                                          const struct fields *fields, uint8_t *into,
                                          size_t capacity)
{
    static nghttp2_nv list[ORACLE_FIELDS];
    struct field field;
    size_t count = 0;
    for (uint32_t at = 0; fields_next(fields, &at, &field); count++) {
        check(count < ORACLE_FIELDS);
        list[count] = (nghttp2_nv){
            .name = (uint8_t *)(uintptr_t)field.name.data,
            .namelen = field.name.length,
            .value = (uint8_t *)(uintptr_t)field.value.data,
            .valuelen = field.value.length,
            .flags = field.never_index ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE,
        };
    }
    ssize_t length = nghttp2_hd_deflate_hd(deflater, into, capacity, list, count);
    check(length >= 0);
    return bytes_of(into, (size_t)length);
}

/* The dynamic table of nghttp2's inflater has the entries of ours (NULL: none). */
static inline bool oracle_table_equal(nghttp2_hd_inflater *inflater,
                                      const struct hpack_table *table)
{
    static uint8_t text[HPACK_TABLE_BYTES];
    uint32_t count = table == NULL ? 0 : table->count;
    if (nghttp2_hd_inflate_get_num_table_entries(inflater) != 61 + count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct field ours = fixture_entry(table, i, text);
        const nghttp2_nv *theirs = nghttp2_hd_inflate_get_table_entry(inflater, 62 + i);
        if (!bytes_equal(ours.name, bytes_of(theirs->name, theirs->namelen)) ||
            !bytes_equal(ours.value, bytes_of(theirs->value, theirs->valuelen)))
            return false;
    }
    size_t used = table == NULL ? 0 : table->used_bytes;
    return nghttp2_hd_inflate_get_dynamic_table_size(inflater) == used;
}
