/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What the agent tells the programs: values that it writes into maps. This is their only declaration, under the same rules as
 * records.h: node_agent/clew_agent/kernel_settings.py packs them by what it reads here.
 */
#ifndef CLEW_SETTINGS_H
#define CLEW_SETTINGS_H

#define NO_POLICY 62       /* a policies' slot that the agent never writes: nothing is sampled, read or inserted */
#define FUNCTIONS_MAX 4096 /* ways of recording a kernel function */

/* For all programs; one element, which may change at any time. */
struct settings {
	u64 unix_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC */
	u8 host[4];         /* the node's IPv4 address, or a hash of its IPv6 address */
	u32 agent;          /* the agent's process: it is never traced */
};

/* What the agent says of one way of recording a kernel function, by record.function; it may change while calls are open. */
struct function_setting {
	u64 policies;       /* a bit for each policy slot in whose requests calls that begin now are recorded */
	u64 minimum_ns;     /* minimumDuration */
};

/* What a policy says about requests, by the policy's slot. */
struct policy {
	u64 threshold;      /* sampling.ratio of 2^32: a trace that begins here is sampled if a random u32 is below */
	u32 max_per_second; /* sampling.maxPerSecond; 0: no limit */
	u32 spans_per_request; /* limits.spansPerRequest; 0: no limit */
	u32 events_per_second; /* limits.eventsPerSecond; 0: no limit */
	u8 parent_based;    /* sampling.parentBased */
	u8 inject;          /* propagation.inject */
	u8 extract;         /* propagation.extract */
	u8 random_ids;      /* identifiers.layout is Random; otherwise laid out as `clew decode` reads them */
};

/* What the cgroup that clew_connection is attached to stands for. */
struct pod_scope {
	u32 pod;            /* the pod's slot */
	u8 known;           /* 0: the agent has not said yet */
	u8 reserved[3];
};

/* What is known of a connection from its beginning. The agent gives it for connections that are older than the programs
 * (sockets.py); for all others clew_connection fills it in. */
struct connection_facts {
	u64 id;             /* unique on this node */
	u64 socket;         /* address of the struct sock; 0: not known yet */
	u32 pod;
	u16 local_port;
	u16 remote_port;
	u8 local_address[16];
	u8 remote_address[16];
	u8 role;            /* enum role */
	u8 unsynced;        /* 1: where a message begins is not known yet */
	u8 observed;        /* client: 1: not in the sockhash, so what it sends is read and never changed (observe.c) */
	u8 reserved[5];
};

#endif
