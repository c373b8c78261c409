/*
 * steer_lab: a private network namespace in which the XDP program can be loaded, attached to the
 * loopback interface and run on packets, without DPDK. Needs the privileges of root. One per
 * process; asserts by cmocka once it is open.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/xdp/steer_maps.h"

#define STEER_LAB_INTERFACE "lo"

/* A map entry of ours as bytes, for comparing. */
struct steer_lab_entry {
    uint8_t key[24];
    uint32_t value;
};

/* Enters a new namespace and loads the program. False with WHY: not permitted here. */
bool steer_lab_open(const char **why);
void steer_lab_close(void);

/* Attaches the program to the interface, as the driver does. */
void steer_lab_attach(void);
/* Attaches a program of another name, in place of what is there. */
void steer_lab_attach_foreign(void);
/* Whatever is attached. */
void steer_lab_detach(void);
/* The name of the attached program, "" for none; static storage. */
const char *steer_lab_attached(void);
/* Forgets the loaded program and loads it again, with empty maps. */
void steer_lab_reload(void);

/* Binds an AF_XDP socket to receive queue 0 and enters it in xsks_map. False: kernel without. */
bool steer_lab_open_socket(void);
void steer_lab_close_socket(void);
/* Asks the kernel to poll the socket on receive. False: refused. */
bool steer_lab_poll_socket(void);

/* What the program answers to a frame that arrives at receive queue 0: an XDP_ action. */
uint32_t steer_lab_run(const uint8_t *frame, size_t length);

/* The entries of a map of ours, at most LIMIT; returns how many there are. */
size_t steer_lab_entries(const char *map, struct steer_lab_entry *entries, size_t limit);
