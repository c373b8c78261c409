/*
 * tcp_sent: records of what is in flight, 32 bytes for each segment: the scoreboard of RFC 6675 and
 * RFC 8985. One worker.
 *
 * Every record is in exactly one of these conditions:
 *
 *     in the network      neither SACKED nor LOST: counted in the pipe, and in the list by time
 *     arrived             SACKED: in sacked_bytes and sacked_count, not in the pipe
 *     thought lost        LOST: in lost_bytes, not in the pipe until it is sent again (AGAIN)
 *
 * and always in the list by sequence number. The functions in tcp_sent.c are the only ones that
 * change a condition. The list by time holds what RACK may find lost, the longest on its way first:
 * a search looks at what it finds and at one more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tcp_conn;

/* Names a record: its place in the worker's pool plus one; 0 is none. */
typedef uint32_t tcp_sent_link;

enum tcp_sent_flag {
    TCP_SENT_SACKED = 1 << 0,    /* the peer has it, out of order */
    TCP_SENT_LOST = 1 << 1,      /* thought lost and not sent again yet */
    TCP_SENT_AGAIN = 1 << 2,     /* sent more than once: no RTT sample (Karn) */
    TCP_SENT_FIN = 1 << 3,       /* our FIN follows the bytes */
    TCP_SENT_MTU_PROBE = 1 << 4, /* larger than the path is known to take (RFC 4821), sent once */
};

struct tcp_sent {
    tcp_sent_link next; /* by sequence number */
    union {
        tcp_sent_link newer;    /* in the network: the next by time */
        tcp_sent_link run_last; /* SACKED: so are all from here to there */
    };
    tcp_sent_link older;
    uint32_t sent_at_us; /* last time */
    uint32_t first_sent_at_us;
    uint32_t seq;
    uint16_t length; /* bytes of data, without FIN */
    uint8_t flags;
    uint8_t pad[5];
};

_Static_assert(sizeof(struct tcp_sent) == 32, "two a cache line, as far apart as the pool's");

static inline uint32_t tcp_sent_end(const struct tcp_sent *sent)
{
    return sent->seq + sent->length + ((sent->flags & TCP_SENT_FIN) != 0);
}

static inline uint32_t tcp_sent_bytes(const struct tcp_sent *sent)
{
    return tcp_sent_end(sent) - sent->seq;
}

static inline bool tcp_sent_is_in_network(const struct tcp_sent *sent)
{
    return (sent->flags & (TCP_SENT_SACKED | TCP_SENT_LOST)) == 0;
}

/* RFC 8985 6.1: RACK_sent_after(). */
static inline bool tcp_sent_after(uint32_t at_us, uint32_t end, uint32_t than_us, uint32_t than_end)
{
    int32_t later = (int32_t)(at_us - than_us);
    return later > 0 || (later == 0 && (int32_t)(end - than_end) > 0);
}

/* A record for a new segment at snd_nxt; NULL: none is left, or this connection has its share. */
struct tcp_sent *tcp_sent_new(struct tcp_conn *conn, uint32_t length, bool fin, uint64_t now);
/* Whether this connection has its share of records. */
bool tcp_sent_is_full(const struct tcp_conn *conn);
/* It was not sent after all. */
void tcp_sent_discard(struct tcp_conn *conn, struct tcp_sent *sent);
/* It was sent: the last in both lists. O(1). */
void tcp_sent_append(struct tcp_conn *conn, struct tcp_sent *sent);

/*
 * Those before ACK at the front of both lists that were sent once: nearly always all there are to
 * remove. Returns how many, and copies of the first and the last of them. O(removed).
 */
uint32_t tcp_sent_remove_ordinary(struct tcp_conn *conn, uint32_t ack, struct tcp_sent *first,
                                  struct tcp_sent *last);
/* The first by sequence number is acknowledged. O(1). */
void tcp_sent_remove_first(struct tcp_conn *conn);
/* The bytes of the first before ACK are. O(1). */
void tcp_sent_cut_first(struct tcp_conn *conn, uint32_t ack);
/* Divide a record after LENGTH bytes; false: no record is left. O(1). */
bool tcp_sent_split(struct tcp_conn *conn, struct tcp_sent *sent, uint32_t length);
/* Give all back. */
void tcp_sent_clear(struct tcp_conn *conn);

/* The peer has it. Not for one that is SACKED. O(1). */
void tcp_sent_mark_sacked(struct tcp_conn *conn, struct tcp_sent *sent);
/* It is thought lost; nothing, if it is already, or SACKED. O(1). */
void tcp_sent_mark_lost(struct tcp_conn *conn, struct tcp_sent *sent);
/* It went out once more, now. O(1). */
void tcp_sent_mark_again(struct tcp_conn *conn, struct tcp_sent *sent, uint64_t now);
/* Nothing is lost after all: all of it is in the network still. O(records). */
void tcp_sent_unmark_lost(struct tcp_conn *conn);
/* The peer took back what it SACKed (RFC 2018 8): all of it is lost. O(records). */
void tcp_sent_unmark_sacked(struct tcp_conn *conn);

/* The next to send again, by sequence number, or NULL. */
struct tcp_sent *tcp_sent_next_lost(struct tcp_conn *conn);
