/*
 * h2_settings: SETTINGS of both sides (RFC 9113 6.5), after the table in h2_settings.def.
 */
#pragma once

#include "dataplane/base/writer.h"
#include "dataplane/h2/h2_violation.h"

#define H2_SETTING_BYTES        6
#define H2_DEFAULT_WINDOW_BYTES 65535
#define H2_WINDOW_MAX           0x7fffffff
#define H2_OUR_SETTINGS_MAX     5 /* entries we send */

enum h2_setting {
#define SETTING(name, id, min, max, bad) H2_SETTING_##name = id,
#include "dataplane/h2/h2_settings.def"
#undef SETTING
    H2_SETTINGS_END
};

/* What we obey. */
struct h2_peer_settings {
    uint32_t concurrent_streams;
    uint32_t initial_window_bytes;   /* in effect */
    uint32_t header_list_bytes;      /* advice; UINT32_MAX: none */
    uint32_t announced_window_bytes; /* takes effect with the end of the SETTINGS frame */
};

void h2_settings_defaults(struct h2_peer_settings *settings);

/* One parameter of the peer. Unknown ones are ignored. O(1). RFC 9113 6.5.2 */
enum h2_violation h2_settings_apply(struct h2_conn *conn, uint16_t id, uint32_t value);

/*
 * The frame is complete. However often it names INITIAL_WINDOW_SIZE, streams are walked once.
 * time O(streams)   spec RFC 9113 6.9.2
 */
enum h2_violation h2_settings_complete(struct h2_conn *conn);

/* Our first SETTINGS frame, whole. */
void h2_settings_write(const struct h2_conn *conn, struct writer *out);

/* A later one: extended CONNECT is taken now (RFC 8441 3). */
void h2_settings_write_connect(struct writer *out);
