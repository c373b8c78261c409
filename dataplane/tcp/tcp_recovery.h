/*
 * tcp_recovery: finding out what is lost and when to send it again. One worker.
 *
 *     tcp_sack       what the peer's SACK blocks cover (RFC 2018, RFC 2883)
 *     tcp_rack       what is lost, by time (RFC 8985 6), with SACK
 *     tcp_newreno    what is lost, by duplicate ACKs (RFC 6582), without SACK
 *     tcp_tlp        a probe when the end of a burst stays unanswered (RFC 8985 7)
 *     tcp_recovery   the states below, and the order of the steps for each ACK
 *     tcp_prr        cwnd in fast recovery (RFC 6937)
 *     tcp_undo       reductions that were for nothing (RFC 3522, RFC 3708, RFC 4015, RFC 5682)
 *
 * How cwnd and ssthresh answer to a loss is congestion control's (tcp_cc.h).
 */
#pragma once

#include "dataplane/tcp/tcp_seq.h"

struct tcp_conn;
struct tcp_segment;
struct tcp_sent;

enum tcp_recovery {
    TCP_RECOVERY_OPEN, /* nothing is thought lost */
    TCP_RECOVERY_FAST, /* until snd_una passes `recover` (RFC 6582, RFC 6675) */
    TCP_RECOVERY_RTO,  /* after a retransmission timeout, the same */
};

/* What an acknowledgement tells, gathered while it is worked through. */
struct tcp_ack {
    const struct tcp_segment *seg;
    uint64_t now;
    uint32_t acked;     /* new bytes in sequence */
    uint32_t in_flight; /* bytes, before it came */
    uint32_t delivered; /* bytes that left the network: RFC 6937 DeliveredData */
    uint32_t rtt_us;    /* of what was sent last of the newly delivered; 0: nothing says */
    uint16_t sacked;    /* records newly SACKed */
    bool duplicate;     /* RFC 5681 2 */
    bool limited;       /* cwnd was what held us back */
    bool original;      /* something that was sent once, before `recover`, arrived */
    bool has_dsack;
    struct tcp_range dsack;
};

/* tcp_sack.c */

/* Mark what the blocks newly cover, note a D-SACK. O(records newly covered + holes before them). */
void tcp_sack_in(struct tcp_conn *conn, struct tcp_ack *ack);

/* tcp_rack.c */

/* Our SYN was acknowledged: the first segment that arrived. */
void tcp_rack_open(struct tcp_conn *conn, uint64_t now);
/* A record is newly acknowledged or SACKed; by sequence number within an ACK. O(1). */
void tcp_rack_delivered(struct tcp_conn *conn, const struct tcp_sent *sent, struct tcp_ack *ack);
/* The D-SACK of an ACK tells that something was sent again for nothing. */
void tcp_rack_duplicate(struct tcp_conn *conn);
/* An ACK: whether the round trip is over in which nothing more is learned from D-SACKs. */
void tcp_rack_round(struct tcp_conn *conn);
/* The first segment after a silence: times before it mean nothing, and will wrap (71 minutes). */
void tcp_rack_restart(struct tcp_conn *conn, uint64_t now);
/* A recovery ended. */
void tcp_rack_recovered(struct tcp_conn *conn);
/* Mark what is lost by now, arm the timer for the next. True: some. O(records marked + 1). */
bool tcp_rack_detect(struct tcp_conn *conn, uint64_t now);
/* The same after a retransmission timeout: the first is lost in any case (6.3). */
void tcp_rack_timeout(struct tcp_conn *conn, uint64_t now);

/* tcp_newreno.c */

/* Count duplicates and partial acknowledgements. True: something was marked lost. */
bool tcp_newreno_ack_in(struct tcp_conn *conn, const struct tcp_ack *ack);
/* Recovery is over. */
void tcp_newreno_recovered(struct tcp_conn *conn);
void tcp_newreno_timeout(struct tcp_conn *conn);

/* tcp_tlp.c */

/* New data was sent or acknowledged: arm the probe timer if a probe may follow. */
void tcp_tlp_schedule(struct tcp_conn *conn, uint64_t now);
/* The probe timer ran out: a probe is due. */
void tcp_tlp_expired(struct tcp_conn *conn, uint64_t now);
/* The probe was sent, with old data (AGAIN) or new. */
void tcp_tlp_sent(struct tcp_conn *conn, bool again, uint64_t now);
void tcp_tlp_cancel(struct tcp_conn *conn);
/* Whether the probe's sequence number is answered, and whether it repaired a loss. */
void tcp_tlp_ack_in(struct tcp_conn *conn, const struct tcp_ack *ack);
/* Whether a D-SACK is about the probe. */
bool tcp_tlp_matches(const struct tcp_conn *conn, const struct tcp_range *dsack);

/* tcp_recovery.c */

/* What an ACK tells about losses; after tcp_sack_in(). */
void tcp_recovery_ack_in(struct tcp_conn *conn, struct tcp_ack *ack);
/* The reordering timer ran out (RFC 8985 6.3). */
void tcp_recovery_reordering_expired(struct tcp_conn *conn, uint64_t now);
/* A retransmission timeout. */
void tcp_recovery_timeout(struct tcp_conn *conn, uint64_t now);
/* A reduction outside of fast recovery: cwnd falls to ssthresh at once. */
void tcp_recovery_reduce(struct tcp_conn *conn, uint32_t in_flight, uint64_t now);
/* A record was sent again. */
void tcp_recovery_resent(struct tcp_conn *conn, struct tcp_sent *sent, uint64_t now);
/* It was all for nothing: what is thought lost is on its way. */
void tcp_recovery_undone(struct tcp_conn *conn);
/* Records larger than the new segment size cannot have arrived. */
void tcp_recovery_too_large(struct tcp_conn *conn);

/* tcp_prr.c */

void tcp_prr_begin(struct tcp_conn *conn, uint32_t in_flight);
/* An ACK in fast recovery: set cwnd. ANOTHER_LOST: it told of a new loss. */
void tcp_prr_ack_in(struct tcp_conn *conn, const struct tcp_ack *ack, bool another_lost);
/* LENGTH bytes were sent, old or new, in fast recovery. */
void tcp_prr_sent(struct tcp_conn *conn, uint32_t length);

/* tcp_undo.c */

/* cwnd and ssthresh are about to be reduced: remember them. */
void tcp_undo_begin(struct tcp_conn *conn);
/* A record was sent again. */
void tcp_undo_resent(struct tcp_conn *conn, uint64_t now);
/* A D-SACK; true: it is about something that this recovery sent again. */
bool tcp_undo_dsack(struct tcp_conn *conn, const struct tcp_range *dsack);
/* Restore what was reduced if the ACK proves that nothing was lost. */
void tcp_undo_ack_in(struct tcp_conn *conn, const struct tcp_ack *ack);
