#include "tests/load/crowd/crowd.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct crowd_member *member_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

static ssize_t on_send(nghttp2_session *session, const uint8_t *bytes, size_t length, int flags,
                       void *context)
{
    const struct crowd_connection *connection = context;
    ssize_t sent = send(connection->fd, bytes, length, MSG_NOSIGNAL);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN ? NGHTTP2_ERR_WOULDBLOCK : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct crowd_member *member = member_of(session, frame->hd.stream_id);
    bool asks = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (member == NULL || !asks || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    member_asked(member);
    if (member->leaves && member->crowd->options.leave_bytes == 0)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_CANCEL);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t length, uint8_t flags,
                     void *context)
{
    struct crowd_member *member = member_of(session, frame->hd.stream_id);
    if (member == NULL || name_length != 7 || memcmp(name, ":status", 7) != 0 || value[0] == '1')
        return 0;
    member_begun(member, (uint16_t)atoi((const char *)value));
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes,
                   size_t length, void *context)
{
    struct crowd_member *member = member_of(session, stream_id);
    nghttp2_session_consume_connection(session, length);
    if (member == NULL)
        return 0;
    if (!member->slow)
        nghttp2_session_consume_stream(session, stream_id, length);
    if (member_received(member, bytes, length))
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_CANCEL);
    return 0;
}

/* Only END_STREAM is a complete answer; whoever sees a reset has not got one, whatever the code. */
static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct crowd_member *member = member_of(session, frame->hd.stream_id);
    if (member == NULL)
        return 0;
    bool carries_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (carries_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        member_ended(member, CROWD_COMPLETE);
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        member->reset_code = frame->rst_stream.error_code;
        member_ended(member, CROWD_RESET);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *context)
{
    struct crowd_member *member = member_of(session, stream_id);
    if (member != NULL)
        member_ended(member, member->leaves ? CROWD_LEFT : CROWD_LOST);
    return 0;
}

static nghttp2_session_callbacks *callbacks_make(void)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        abort();
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    return callbacks;
}

static int connect_to(const struct crowd_options *options)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int on = 1;
    if (getaddrinfo(options->address, options->port, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    bool fine = fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
                fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
    freeaddrinfo(found);
    if (fine)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

bool connection_open(struct crowd_connection *connection, struct crowd *crowd)
{
    nghttp2_option *option;
    nghttp2_session_callbacks *callbacks = callbacks_make();
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)crowd->options.window},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    *connection = (struct crowd_connection){.crowd = crowd, .fd = connect_to(&crowd->options)};
    if (connection->fd < 0 || nghttp2_option_new(&option) != 0) {
        fprintf(stderr, "crowd: %s: %s\n", crowd->options.address, strerror(errno));
        return false;
    }
    nghttp2_option_set_no_auto_window_update(option, 1);
    if (nghttp2_session_client_new2(&connection->session, callbacks, connection, option) != 0)
        abort();
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0, 1 << 20);
    return true;
}

static ssize_t question_read(nghttp2_session *session, int32_t stream_id, uint8_t *room,
                             size_t length, uint32_t *flags, nghttp2_data_source *source,
                             void *context)
{
    struct crowd_member *member = source->ptr;
    uint64_t left = member->crowd->options.question_bytes - member->sent;
    size_t count = left < length ? left : length;
    for (size_t i = 0; i < count; i++)
        room[i] = crowd_question_byte(member->question, member->sent++);
    if (count == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)count;
}

static nghttp2_nv pair(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

void connection_ask(struct crowd_connection *connection, struct crowd_member *member)
{
    const struct crowd_options *options = &connection->crowd->options;
    bool post = options->questions > 0;
    nghttp2_data_provider question = {.source.ptr = member, .read_callback = question_read};
    nghttp2_nv fields[] = {
        pair(":method", post ? "POST" : "GET"),
        pair(":scheme", "http"),
        pair(":authority", "crowd.test"),
        pair(":path", options->path),
    };
    if (nghttp2_submit_request(connection->session, NULL, fields, 4, post ? &question : NULL,
                               member) < 0)
        member_ended(member, CROWD_LOST);
}

static bool receive_some(struct crowd_connection *connection)
{
    static uint8_t room[256 << 10];
    ssize_t length = recv(connection->fd, room, sizeof(room), 0);
    if (length < 0 && errno == EAGAIN)
        return true;
    return length > 0 &&
           nghttp2_session_mem_recv(connection->session, room, (size_t)length) == length;
}

void connection_turn(struct crowd_connection *connection, bool readable)
{
    if (connection->fd < 0)
        return;
    if ((!readable || receive_some(connection)) && nghttp2_session_send(connection->session) == 0)
        return;
    close(connection->fd);
    connection->fd = -1;
    for (uint64_t i = 0; i < connection->crowd->options.members; i++) {
        struct crowd_member *member = &connection->crowd->members[i];
        uint64_t number = i % connection->crowd->options.connections;
        if (&connection->crowd->connections[number] == connection)
            member_ended(member, CROWD_LOST);
    }
}

void connection_close(struct crowd_connection *connection)
{
    nghttp2_session_del(connection->session);
    if (connection->fd >= 0)
        close(connection->fd);
}
