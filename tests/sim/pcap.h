/* pcap: a classic pcap file (nanoseconds, Ethernet) with virtual times. */
#pragma once

#include <stdint.h>

/* NULL: the file cannot be made. */
void *pcap_open(const char *path);
void pcap_write(void *file, const uint8_t *frame, uint16_t length, uint64_t now);
void pcap_close(void *file);
