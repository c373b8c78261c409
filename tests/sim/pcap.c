#include "tests/sim/pcap.h"

#include "dataplane/base/clock.h"

#include <stdio.h>

#define MAGIC_NS 0xa1b23c4du
#define ETHERNET 1u
#define SNAP     65535u

static void put(FILE *file, uint32_t value)
{
    (void)fwrite(&value, sizeof(value), 1, file);
}

void *pcap_open(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        return NULL;
    put(file, MAGIC_NS);
    put(file, 2u | 4u << 16); /* version 2.4 */
    put(file, 0);
    put(file, 0);
    put(file, SNAP);
    put(file, ETHERNET);
    return file;
}

void pcap_write(void *file, const uint8_t *frame, uint16_t length, uint64_t now)
{
    put(file, (uint32_t)(now / CLOCK_S));
    put(file, (uint32_t)(now % CLOCK_S));
    put(file, length);
    put(file, length);
    (void)fwrite(frame, length, 1, file);
}

void pcap_close(void *file)
{
    (void)fclose(file);
}
