/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* foreign: an XDP program that is not ours and passes everything, for tests/net/steer.py. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int somebody(struct xdp_md *context)
{
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
