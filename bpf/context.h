/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Contexts (open requests) and who works for them.
 *
 * A context lives from a request's head to its response's end, under a key of its own; everything else refers to it by that
 * key, so that what outlives a request finds nothing: a context ends with its request, and is never inherited after.
 *
 * The unit is the thread. It has a context because it read the request itself (OWN), or because it was made by a unit that
 * had one (INHERITED, through alloc_pid). No parent beats a wrong parent, so a unit's context is not used when
 *   - its process was seen to multiplex: a thread read a second request while its first was open, or a response was sent by a
 *     thread that did not get its request by one of the two ways (event loops, schedulers);
 *   - its thread reads requests and hands them on to threads that it makes: then only those have contexts;
 *   - it is inherited, and the process that made it has not yet shown that such helpers end with their request, or was seen to
 *     keep them (pools). A helper earns the trust by its end: having answered its request, or having sent one for it, while that is open
 *     or within a second; the requests before are separate traces. The end of a thread that did neither tells nothing of those that
 *     do: they may be a pool's, which takes work of any request, and grows whenever one comes (the first work of a new thread was
 *     seen to be another request's). The end of a whole process tells at least whose kernel functions its like call.
 */
#ifndef CLEW_CONTEXT_H
#define CLEW_CONTEXT_H

#define OPEN_REQUESTS_MAX 32768
#define UNITS_MAX 65536
#define PROCESSES_MAX 16384
#define HELPER_ENDS_NS 1000000000ULL /* no pool lets go of a thread as soon as that after its work */
#define DEBUG_TAG 0xc1 /* marks the structured layout of trace IDs; `clew decode` knows it */

#define TRACE_SAMPLED 1
#define TRACE_RANDOM 2

enum method { METHOD_OTHER = 0, METHOD_HEAD = 1, METHOD_CONNECT = 2 };

struct context {
	u64 start_ns;
	u8 trace_id[16];
	u8 span_id[8];
	u8 parent_id[8];    /* zeros: the trace begins here */
	u32 pod;
	u32 pid;
	u32 tid;            /* the unit that read or sent the request */
	u32 function_spans; /* recorded so far, for limits.spansPerRequest */
	u32 cgroup;         /* the unit's, as in records.h: it tells the container */
	u16 local_low;      /* the two low bytes of the connection's addresses, for span IDs; network byte order */
	u16 remote_low;
	u16 status;
	u16 target_length;
	u8 role;            /* enum role */
	u8 policy;
	u8 sampled;
	u8 trace_flags;     /* what goes on: TRACE_SAMPLED, TRACE_RANDOM */
	u8 method;          /* enum method: the ones that change how a response is read */
	u8 method_length;
	u8 minor;
	u8 adopted;
	u8 upgrade;         /* the request asks for another protocol */
	u8 has_tracestate;  /* there is an element in `tracestates` */
	u8 reserved[2];
	u8 comm[16];
	u8 target[TARGET_MAX];
};
/* Not preallocated: 32,768 contexts would be 14 MB, and few are open at once. */
BPF_F_TABLE("hash", u64, struct context, contexts, OPEN_REQUESTS_MAX, BPF_F_NO_PREALLOC);

/* The tracestate that came with a request, if one did; same key. */
struct tracestate {
	u32 length;
	u8 text[TRACESTATE_MAX];
};
BPF_F_TABLE("hash", u64, struct tracestate, tracestates, OPEN_REQUESTS_MAX, BPF_F_NO_PREALLOC);

enum unit_kind { UNIT_OWN = 1, UNIT_INHERITED = 2 };

struct unit {
	u64 context;   /* key; the request may have ended since */
	u32 creator;   /* INHERITED: the process that made the thread */
	u8 kind;
	u8 handed_off; /* it made a thread while its context was open */
	u8 ambiguous;  /* it read another request after handing one off: its own sends belong to none for certain */
	u8 answered;   /* INHERITED: it sent the answer of the request that it inherited */
	u64 sent_ns;   /* INHERITED: when it last sent a request while that one was open; kept only until helpers are trusted */
};
BPF_TABLE("lru_hash", u32, struct unit, units, UNITS_MAX);

/* What was seen of a process; bytes, since processors mark at once. */
struct process {
	u8 multiplexes;
	u8 pools;
	u8 trusted;        /* a helper ended with its request, for which it had sent or answered */
	u8 children_end;   /* a process that it made ended while its request was open */
};
BPF_TABLE("lru_hash", u32, struct process, processes, PROCESSES_MAX);

enum mark { MARK_MULTIPLEXES, MARK_POOLS, MARK_TRUSTED, MARK_CHILDREN_END };

INLINE void mark_process(u32 pid, const enum mark mark)
{
	struct process *known = processes.lookup(&pid), fresh = {};

	if (!known) {
		processes.update(&pid, &fresh);
		known = processes.lookup(&pid);
		if (!known)
			return;
	}
	if (mark == MARK_MULTIPLEXES && !known->multiplexes) {
		known->multiplexes = 1;
		count(COUNTER_MULTIPLEXING);
	}
	if (mark == MARK_POOLS && !known->pools) {
		known->pools = 1;
		count(COUNTER_POOLS);
	}
	if (mark == MARK_TRUSTED)
		known->trusted = 1;
	if (mark == MARK_CHILDREN_END)
		known->children_end = 1;
}

/* Does a helper that `process` made work for its request, as far as is known? `calls`, a constant: it calls a kernel function. */
INLINE int trusts_helper(struct process *process, int is_process, const int calls)
{
	if (!process || process->pools)
		return 0;
	return process->trusted || (calls && is_process && process->children_end);
}

/* The running unit's open request and its key, or NULL where it has none for certain. `sending` is a constant: only for a
 * request that is about to be sent is it worth counting why there is none. */
INLINE struct context *find_context(u64 *key, const int sending)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, pid = id >> 32, creator;
	struct unit *unit = units.lookup(&tid);
	struct process *process;
	struct context *context;

	if (!unit)
		return 0;
	*key = unit->context;
	creator = unit->creator;
	context = contexts.lookup(key);
	if (!context) {
		if (sending && unit->kind == UNIT_INHERITED)
			mark_process(creator, MARK_POOLS);
		return 0;
	}
	if (unit->kind == UNIT_INHERITED) {
		process = processes.lookup(&creator);
		if (!trusts_helper(process, pid != creator, !sending)) {
			if (sending) {
				count(COUNTER_UNTRUSTED);
				unit->sent_ns = bpf_ktime_get_ns();
			}
			return 0;
		}
	}
	process = processes.lookup(&pid);
	if (unit->ambiguous || (process && process->multiplexes)) {
		if (sending)
			count(COUNTER_AMBIGUOUS);
		return 0;
	}
	return context;
}

/* What a kernel function asks first: the running unit's open request, or NULL. */
INLINE struct context *current_context(void)
{
	u64 key;

	return find_context(&key, 0);
}

/* The running unit has read the request `key`. */
INLINE void begin_unit(u64 key)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, pid = id >> 32;
	struct unit *before = units.lookup(&tid), unit = {.context = key, .kind = UNIT_OWN};

	if (before && before->kind == UNIT_OWN && before->context != key && contexts.lookup(&before->context)) {
		if (before->handed_off)
			unit.ambiguous = 1;
		else
			mark_process(pid, MARK_MULTIPLEXES);
	}
	/* In place where it can be: only its own thread writes to a unit that lives. */
	if (before)
		*before = unit;
	else
		units.update(&tid, &unit);
}

/* The running unit answers the request `key`: did it get it by a way that we know? */
INLINE void check_answering_unit(u64 key, struct context *context)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, pid = id >> 32;
	struct unit *unit;

	if (context->tid == tid)
		return;
	unit = units.lookup(&tid);
	if (unit && unit->kind == UNIT_INHERITED && unit->context == key)
		unit->answered = 1;
	else
		mark_process(pid, MARK_MULTIPLEXES);
}

/* Span ID: source and destination address (low two bytes each), sequence (four). */
INLINE void new_span_id(u8 *id, struct context *context)
{
	u32 number = next_number(SEQUENCE_SPAN);
	u16 from = context->role == ROLE_SERVER ? context->remote_low : context->local_low;
	u16 to = context->role == ROLE_SERVER ? context->local_low : context->remote_low;
	struct policy *policy = policy_of(context->policy);

	*(u16 *)id = from;
	*(u16 *)(id + 2) = to;
	*(u32 *)(id + 4) = bpf_htonl(number);
	if (policy && policy->random_ids) {
		*(u32 *)id = bpf_get_prandom_u32();
		*(u32 *)(id + 4) = bpf_get_prandom_u32() | 1;
	}
}

/* Trace ID: host (4) - unix seconds (4) - sequence (3) - debug tag (1) - process (4). */
INLINE void new_trace_id(u8 *id, struct context *context, u64 now)
{
	u32 zero = 0, number = next_number(SEQUENCE_TRACE);
	struct settings *known = settings.lookup(&zero);
	struct policy *policy = policy_of(context->policy);

	if (policy && policy->random_ids) {
		*(u32 *)id = bpf_get_prandom_u32();
		*(u32 *)(id + 4) = bpf_get_prandom_u32();
		*(u32 *)(id + 8) = bpf_get_prandom_u32();
		*(u32 *)(id + 12) = bpf_get_prandom_u32() | 1;
		context->trace_flags |= TRACE_RANDOM;
		return;
	}
	if (!known)
		return;
	*(u32 *)id = *(u32 *)known->host;
	*(u32 *)(id + 4) = bpf_htonl((now + known->unix_offset_ns) / 1000000000ULL);
	*(u32 *)(id + 8) = bpf_htonl(number << 8 | DEBUG_TAG);
	*(u32 *)(id + 12) = bpf_htonl(context->pid);
}

/* May one more trace begin in this second? */
INLINE int within_rate(struct policy *policy, u32 slot, u64 now)
{
	struct allowance *used = allowance_of(slot);
	u64 second = now / 1000000000ULL;

	if (!policy->max_per_second || !used)
		return 1;
	if (used->second != second) {
		used->second = second;
		used->traces = 0;
	}
	if (__sync_fetch_and_add(&used->traces, 1) < policy->max_per_second)
		return 1;
	count(COUNTER_RATE_LIMITED);
	return 0;
}

/* Decides whether a trace is sampled, once: by its parent's flag where the policy honours that, else by ratio and rate. */
INLINE void decide_sampling(struct context *context, int has_parent, u8 parent_flags, u64 now)
{
	struct policy *policy = policy_of(context->policy);
	int sampled;

	if (!policy)
		return;
	if (has_parent && policy->parent_based)
		sampled = parent_flags & TRACE_SAMPLED;
	else
		sampled = bpf_get_prandom_u32() < policy->threshold && within_rate(policy, context->policy, now);
	context->sampled = sampled ? 1 : 0;
	context->trace_flags |= sampled ? TRACE_SAMPLED : 0;
}

#endif
