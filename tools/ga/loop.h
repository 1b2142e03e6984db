/* SPDX-License-Identifier: MIT */
#pragma once

#include "ga.h"

/* Waits for the next thing to happen, most_ms at most (-1: for ever), and calls who waits for it.
 * False: it cannot wait (errno). */
bool ga_loop_once(Ga *ga, int most_ms);
