// Integers of any width, as wide as the core's streams and its bypass map need them.
#ifndef HARDPOINT_INTEGERS_H
#define HARDPOINT_INTEGERS_H

#ifndef AP_INT_MAX_W
#define AP_INT_MAX_W 4096
#endif
#include <ap_int.h>

#endif
