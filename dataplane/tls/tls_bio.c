/*
 * tls_bio: OpenSSL reads a session's bytes where TCP has them, and writes into TCP's send queue
 * (BIO_meth_new(3)). What cannot be had or taken now is "retry"; nothing waits here.
 */
#include "dataplane/tls/tls_private.h"

#include <openssl/bio.h>
#include <string.h>

static int bio_read(BIO *bio, char *into, int size)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    int done = 0;
    if (session->messages > TLS_MESSAGES_MAX) { /* it ends: nothing more is read of it */
        BIO_set_retry_read(bio);
        return -1;
    }
    while (done < size) {
        struct bytes view = tcp_read(session->tcp);
        if (view.length == 0)
            break;
        size_t part = view.length < (size_t)(size - done) ? view.length : (size_t)(size - done);
        memcpy(into + done, view.data, part);
        tcp_read_done(session->tcp, (uint32_t)part);
        done += (int)part;
    }
    if (done == 0 && !session->tcp_ended) {
        BIO_set_retry_read(bio);
        return -1;
    }
    return done;
}

static int bio_write(BIO *bio, const char *from, int size)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    uint32_t room = tcp_send_room(session->tcp);
    uint32_t part = (uint32_t)size < room ? (uint32_t)size : room;
    if (part > 0 && tcp_send_copy(session->tcp, bytes_of(from, part)))
        return (int)part;
    BIO_set_retry_write(bio);
    return -1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    const struct tls_session *session = BIO_get_data(bio);
    if (command == BIO_CTRL_EOF)
        return session->tcp_ended;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

/* Made once, by the first worker that is created; main thread. */
static BIO_METHOD *method(void)
{
    static BIO_METHOD *made;
    if (made != NULL)
        return made;
    made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir tcp");
    if (made == NULL || BIO_meth_set_read(made, bio_read) != 1 ||
        BIO_meth_set_write(made, bio_write) != 1 || BIO_meth_set_ctrl(made, bio_control) != 1 ||
        BIO_meth_set_create(made, bio_create) != 1)
        return NULL;
    return made;
}

bool tls_bio_init(void)
{
    return method() != NULL;
}

BIO *tls_bio_new(struct tls_session *session)
{
    BIO *bio = BIO_new(method());
    if (bio != NULL)
        BIO_set_data(bio, session);
    return bio;
}
