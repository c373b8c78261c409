/*
 * h2_case: how a case about one connection begins and how it may end; see h2_lab.h.
 */
#pragma once

#include "tests/support/cmocka.h"
#include "tests/support/h2_lab.h"

/* A counter since the beginning. */
#define COUNT(name) (h2_counters(lab.h2)->name)

static inline void open_with(enum h2_role role, const struct h2_config *config)
{
    lab_create(config);
    lab_open(role);
    lab_handshake();
}

static inline void open_server(void)
{
    struct h2_config config = lab_config();
    open_with(H2_SERVER, &config);
}

static inline void open_client(void)
{
    struct h2_config config = lab_config();
    open_with(H2_CLIENT, &config);
}

/* The connection ended with CODE. */
static inline void assert_goaway(enum h2_error code)
{
    struct lab_seen seen = lab_seen(H2_FRAME_GOAWAY, 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.numbers[1], code);
    assert_null(lab.owner.conn);
}
