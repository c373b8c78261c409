/* The worker's own layout. Private to dataplane/worker. */
#pragma once

#include "dataplane/base/loop_clock.h"
#include "dataplane/worker/worker.h"

#include <stdatomic.h>

#define WORKER_BURSTS_A_TURN  4   /* of NET_BURST packets, from each queue and each other worker */
#define WORKER_MAILS_A_TURN   256 /* from each other worker */
#define WORKER_ORDERS_A_TURN  16
#define WORKER_TIMERS_A_TURN  1024
#define WORKER_PUT_OFF_TURNS  64   /* in a row, in which timers wait for packets */
#define WORKER_EVENTS_A_TURN  1024 /* connections dispatched */
#define WORKER_DRAINS_A_TURN  256  /* client connections told to go */
#define WORKER_MAIL_RING      4096
#define WORKER_HAND_OVER_RING 2048
#define WORKER_ORDER_RING     1024
#define WORKER_FACT_RING      4096

/* From one worker to another. Owner of the memory: the sender's shared state, for ever. */
struct worker_lane {
    struct ring_spsc mails;      /* struct mail */
    struct ring_spsc hand_overs; /* struct rte_mbuf * */
};

struct worker {
    uint16_t index;
    uint16_t workers;
    uint8_t queue_count;
    bool stopping;
    uint64_t drained_generation; /* the last snapshot whose drain has come to its end */
    enum worker_idle idle;
    uint32_t empty_turns;
    struct worker_shared *shared;
    struct port_queue *queues[NET_INTERFACES_MAX];
    struct postman postman;
    struct random random;
    struct timer_wheel wheel;
    struct loop_clock clock;
    uint64_t missed_told_ns; /* of clock.missed_ns: what counters and TCP know of */
    uint32_t put_off_row;    /* turns in a row in which timers waited */
    uint64_t full_since_ns;  /* process's time at the first of them */
    bool more_packets;       /* some queue gave all it may in this turn: there may be more */
    bool was_busy;           /* the turn before */
    /*
     * Process's time by which everything that had arrived has been taken and handed on. Release
     * here, acquire in worker_all_look(): the packets handed over before it are in their rings.
     */
    _Atomic uint64_t looked_at_ns;

    const struct snapshot *snapshot; /* of this step */
    uint64_t snapshot_generation;    /* last applied */

    struct net *net;
    struct tcp *tcp;
    struct tls *tls; /* NULL: no memory was taken for it */
    struct h2 *h2;
    struct h1 *h1;
    struct upstream *upstream;
    struct prober *prober;
    struct coalesce *coalesce;
    struct request_engine *requests;
    struct backend_loads *loads;
    uint64_t loads_due_at_ns; /* the next look at those of others */

    struct worker_lane *lanes_out[NET_WORKERS_MAX]; /* to worker i; NULL for itself */
    struct worker_lane *lanes_in[NET_WORKERS_MAX];  /* from worker i */
    struct ring_spsc orders;                        /* struct order, from control */
    struct ring_spsc facts;                         /* struct fact, to control */

    /* What is listened to now, to compare a new snapshot with. */
    uint32_t listener_count;
    struct worker_listener {
        struct ip_address address;
        uint16_t port;
    } listeners[SNAPSHOT_LISTENERS_MAX];

    struct worker_counters counters;
    struct tls_counters no_tls; /* all zero, when there is no TLS */
};

/* listeners.c: make TCP listen to what the snapshot says (nothing while draining). */
void worker_listeners_apply(struct worker *worker, const struct snapshot *snapshot, uint64_t now);

/* worker.c: whether every worker has had a turn lately, by this one's last look at the clock. */
bool worker_all_look(const void *worker);

/* orders.c: take orders of the control thread, answer with facts. */
bool worker_take_orders(struct worker *worker, uint64_t now);
void worker_tell(struct worker *worker, const struct fact *fact);
void worker_probed(void *context, const struct probe_result *result);
