/*
 * mail: the rings between workers: mails of the layers, and packets on the way to their owner.
 *
 * Each ordered pair of workers has its own two rings, so every ring has one producer and one
 * consumer. A full ring refuses; nobody waits.
 */
#include "dataplane/worker/mail.h"

#include "dataplane/base/memory.h"

#include <rte_mbuf.h>

static bool post(struct postman *postman, uint16_t to, const struct mail *mail)
{
    struct worker *worker = container_of(postman, struct worker, postman);
    if (!ring_spsc_push(&worker->lanes_out[to]->mails, mail)) {
        counter_add(&worker->counters.loop.mails_refused, 1);
        return false;
    }
    counter_add(&worker->counters.loop.mails_sent, 1);
    return true;
}

void mail_init(struct worker *worker)
{
    worker->postman =
        (struct postman){.self = worker->index, .workers = worker->workers, .post = post};
}

static bool lane_open(struct worker *from, struct worker *to, int socket_id)
{
    struct worker_lane *lane = memory_take("worker lanes", sizeof(*lane), socket_id);
    if (lane == NULL ||
        !ring_spsc_init(&lane->mails, "worker mail", WORKER_MAIL_RING, sizeof(struct mail),
                        socket_id) ||
        !ring_spsc_init(&lane->hand_overs, "worker hand-over", WORKER_HAND_OVER_RING,
                        sizeof(struct rte_mbuf *), socket_id))
        return false;
    from->lanes_out[to->index] = lane;
    to->lanes_in[from->index] = lane;
    return true;
}

bool worker_connect(struct worker_shared *shared, int socket_id)
{
    for (uint16_t from = 0; from < shared->workers; from++)
        for (uint16_t to = 0; to < shared->workers; to++)
            if (from != to && !lane_open(shared->members[from], shared->members[to], socket_id))
                return false;
    return true;
}

static void deliver(struct worker *worker, const struct mail *mail, uint64_t now)
{
    switch ((enum mail_kind)mail->kind) {
    case MAIL_NEIGHBOUR:
        net_neighbour_mail(worker->net, mail, now);
        return;
    case MAIL_JOIN:
    case MAIL_JOINED:
    case MAIL_REFUSED:
    case MAIL_PROGRESS:
    case MAIL_RELEASED:
    case MAIL_LEFT:
        coalesce_mail(worker->coalesce, mail, now);
        return;
    case MAIL_NONE:
    case MAIL_KINDS:
        break;
    }
    check(!"a mail of a known kind");
}

static uint32_t take_mails(struct worker *worker, struct worker_lane *lane, uint64_t now)
{
    struct mail mail;
    uint32_t taken = 0;
    while (taken < WORKER_MAILS_A_TURN && ring_spsc_pop(&lane->mails, &mail)) {
        deliver(worker, &mail, now);
        taken++;
    }
    counter_add(&worker->counters.loop.mails_received, taken);
    return taken;
}

static uint16_t take_burst(struct worker *worker, struct worker_lane *lane, uint64_t now)
{
    struct rte_mbuf *packets[NET_BURST];
    uint16_t count = 0;
    while (count < NET_BURST && ring_spsc_pop(&lane->hand_overs, &packets[count]))
        count++;
    if (count > 0)
        tcp_in(worker->tcp, packets, count, now);
    return count;
}

/* As many as a queue of a card gives in a turn, or what others receive would not fit any more. */
static uint32_t take_packets(struct worker *worker, struct worker_lane *lane, uint64_t now)
{
    uint32_t taken = 0;
    uint16_t count = NET_BURST;
    for (uint32_t i = 0; i < WORKER_BURSTS_A_TURN && count == NET_BURST; i++) {
        count = take_burst(worker, lane, now);
        taken += count;
    }
    worker->more_packets |= count == NET_BURST;
    counter_add(&worker->counters.loop.taken_over_packets, taken);
    return taken;
}

bool mail_take(struct worker *worker, uint64_t now)
{
    uint32_t taken = 0;
    for (uint16_t from = 0; from < worker->workers; from++) {
        struct worker_lane *lane = worker->lanes_in[from];
        if (lane == NULL)
            continue;
        taken += take_mails(worker, lane, now);
        taken += take_packets(worker, lane, now);
    }
    return taken > 0;
}

void mail_hand_over(struct worker *worker, const struct net_arrivals *arrivals)
{
    for (uint16_t i = 0; i < arrivals->foreign_count; i++) {
        struct worker_lane *lane = worker->lanes_out[arrivals->foreign_owner[i]];
        if (ring_spsc_push(&lane->hand_overs, &arrivals->foreign[i])) {
            counter_add(&worker->counters.loop.handed_over_packets, 1);
            continue;
        }
        counter_add(&worker->counters.loop.drop_hand_over_full, 1);
        rte_pktmbuf_free(arrivals->foreign[i]);
    }
}
