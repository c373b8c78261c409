/* config_check: what one key alone cannot say. Private to config_*.c. */
#pragma once

#include "control/config_reader.h"

/* Cross checks over the whole configuration; resolves routes' services; sorts routes. */
void config_check(struct config_reader *reader);

/* config_check_network.c: ports, listeners, backends. */
void config_check_network(struct config_reader *reader);

/* config_slots.c: give every backend its slot and generation; PREVIOUS may be NULL. */
void config_assign_slots(struct config *config, const struct config *previous);
