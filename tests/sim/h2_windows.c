#include "tests/sim/h2_windows.h"

#include "dataplane/h2/h2_conn.h"

#define TIMES_MAX   40 /* within the budget for SETTINGS */
#define UNACKED_MAX 4

static bool can_announce(const struct h2_conn *conn)
{
    const struct transport *transport = &conn->transport;
    bool is_open = conn->state == H2_CONN_OPEN || conn->state == H2_CONN_ANNOUNCED ||
                   conn->state == H2_CONN_DRAINING;
    return is_open && !conn->settings_due && h2_out_is_whole(conn) &&
           conn->settings_unacked < UNACKED_MAX &&
           transport->ops->room(transport->stream) >= H2_FRAME_HEADER_BYTES + H2_SETTING_BYTES;
}

/* False: not now. */
static bool announce(struct h2_conn *conn, uint32_t bytes)
{
    uint8_t frame[H2_FRAME_HEADER_BYTES + H2_SETTING_BYTES];
    struct writer out =
        writer_over(frame + H2_FRAME_HEADER_BYTES, sizeof(frame) - H2_FRAME_HEADER_BYTES);
    if (!can_announce(conn))
        return false;
    h2_frame_write(frame, (struct h2_frame){.length = H2_SETTING_BYTES, .type = H2_FRAME_SETTINGS});
    writer_u16(&out, H2_SETTING_INITIAL_WINDOW_SIZE);
    writer_u32(&out, bytes);
    if (!conn->transport.ops->send_copy(conn->transport.stream, bytes_of(frame, sizeof(frame))))
        return false;
    conn->settings_unacked++;
    return true;
}

void h2_windows_maybe_lower(struct h2_windows *windows, struct h2_conn *conn, struct sim *sim,
                            uint32_t ppm)
{
    if (conn == NULL || windows->times == TIMES_MAX || sim_draw(sim, 1, 1000000) > ppm)
        return;
    uint32_t most = conn->h2->config.stream_window_bytes;
    uint32_t bytes = sim_one_in(sim, 4) ? 0 : sim_draw_log(sim, 1, most);
    if (!announce(conn, bytes))
        return;
    windows->times++;
    windows->is_lowered = true;
}

void h2_windows_restore(struct h2_windows *windows, struct h2_conn *conn)
{
    if (windows->is_lowered && conn != NULL)
        windows->is_lowered = !announce(conn, conn->h2->config.stream_window_bytes);
}
