/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What every program shares: words, settings, counters, the ring buffer. All files of a program are put together into one
 * text before BCC sees it (node_agent/clew_agent/loader/source.py), since BCC rewrites only the text that it is given.
 * BCC has no BPF-to-BPF calls: every function here is inlined.
 */
#ifndef CLEW_H
#define CLEW_H

#include "records.h"
#include "counters.h"
#include "settings.h"

#define INLINE static inline __attribute__((always_inline))
/* Hides a value's origin from clang, so that it can't turn arithmetic back into branches. */
#define BARRIER(x) asm volatile("" : "+r"(x))
#ifndef CHECKPOINT
/* The verifier goes on from here once, however many ways lead here with the same state. It does that by itself where it has
 * remembered the state, but it remembers one only after some jumps and instructions, and in a loop only after twenty jumps.
 * These are jumps to the next instruction: it takes them out before the program runs. */
#define JUMPS "goto +0\n goto +0\n goto +0\n goto +0\n goto +0\n"
#define CHECKPOINT() asm volatile(JUMPS JUMPS JUMPS JUMPS ::: "memory")
#endif
#define COPY(to, size, from) bpf_probe_read_kernel(to, size, from)

#define POLICIES_MAX 64
#define PODS_MAX 4096
#define RING_PAGES 1024 /* 4 MiB: about 10,000 request records */

BPF_ARRAY(settings, struct settings, 1);
BPF_ARRAY(policies, struct policy, POLICIES_MAX);

/* How much of a policy's allowance this second has taken, by slot. Counting races at a second's turn lose a few: harmless. */
struct allowance {
	u64 second;
	u64 traces;
	u64 event_second;
	u64 events;
};
BPF_ARRAY(allowances, struct allowance, POLICIES_MAX);

BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
BPF_RINGBUF_OUTPUT(records, RING_PAGES);

/* Numbers that are given out on this node: connections, traces, spans. */
enum { SEQUENCE_CONNECTION = 0, SEQUENCE_TRACE = 1, SEQUENCE_SPAN = 2, SEQUENCES = 3 };
BPF_ARRAY(sequences, u64, SEQUENCES);

INLINE void count(u32 counter)
{
	u64 *value = counters.lookup(&counter);

	if (value)
		*value += 1;
}

INLINE u64 next_number(u32 sequence)
{
	u64 *value = sequences.lookup(&sequence);

	return value ? __sync_fetch_and_add(value, 1) + 1 : 0;
}

INLINE struct policy *policy_of(u32 slot)
{
	u32 key = slot & (POLICIES_MAX - 1);

	return policies.lookup(&key);
}

INLINE struct allowance *allowance_of(u32 slot)
{
	u32 key = slot & (POLICIES_MAX - 1);

	return allowances.lookup(&key);
}

#endif
