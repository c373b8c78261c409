/*
 * tcp_checks: what has to hold inside of a TCP stack between two calls, whatever its peers sent. A
 * violation stops the test.
 */
#pragma once

struct tcp;

/*
 * Each connection: SND.UNA and SND.NXT, the records of what is in flight and their sums, the send
 * queue, what was received, timers; all connections: pools and counts. O(everything).
 */
void tcp_check_all(struct tcp *tcp);
