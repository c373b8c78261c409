/*
 * h2_script: HTTP/2 frames written as text, and read back.
 *
 *     "HEADERS/5/1 @get; DATA/1/1 'hello; WINDOW_UPDATE/0/0/5 00000001"
 *
 * A frame is TYPE/FLAGS/STREAM, all numbers hexadecimal, optionally /LENGTH in place of the true
 * one, then its payload: hexadecimal digits, 'text, zN for N zero bytes, @get (a GET request),
 * @post (a POST with content-length 5), @200 (a response). RAW stands for bytes without a header,
 * PREFACE for the client preface. A number may be the type. Frames are separated by `;`.
 */
#pragma once

#include "dataplane/base/reader.h"
#include "dataplane/base/writer.h"
#include "dataplane/h2/h2_frame.h"

/* Write the frames of TEXT up to its end or a `!`. Returns where it stopped. */
const char *h2_script_write(const char *text, struct writer *out);

/* The next frame at R, its payload as a view. False: none complete. */
bool h2_script_read(struct reader *r, struct h2_frame *frame, struct bytes *payload);

/* One word of a payload, LENGTH characters long. */
void h2_script_write_word(const char *word, size_t length, struct writer *out);

/* By its name. False: there is no such frame. */
bool h2_script_type(const char *name, size_t length, uint8_t *type);
