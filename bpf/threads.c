/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * How a context reaches the threads and processes that a unit makes, and what their ends tell about them (context.h).
 */
#include "clew.h"
#include "http1.h"
#include "context.h"

/* Every new thread and process passes here, on behalf of the one that makes it (copy_process). A thread ID that is used again
 * loses what its last owner left. */
KRETFUNC_PROBE(alloc_pid, struct pid_namespace *ns, pid_t *set_tid, size_t set_tid_size, struct pid *made)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, child;
	struct unit *unit, inherited = {.kind = UNIT_INHERITED, .creator = id >> 32};

	if ((u64)made >= (u64)-4095)
		return 0;
	child = made->numbers[0].nr;
	unit = units.lookup(&tid);
	if (!unit || !contexts.lookup(&unit->context)) {
		units.delete(&child);
		return 0;
	}
	inherited.context = unit->context;
	if (unit->kind == UNIT_INHERITED)
		inherited.creator = unit->creator;
	else
		unit->handed_off = 1;
	units.update(&child, &inherited);
	return 0;
}

/* What does the end of this helper show? That of one which sent often comes a moment after the request's own. */
INLINE void learn_from_end(struct unit *unit, u32 pid)
{
	int open = contexts.lookup(&unit->context) != 0;

	if (unit->answered || (unit->sent_ns && (open || bpf_ktime_get_ns() - unit->sent_ns < HELPER_ENDS_NS)))
		mark_process(unit->creator, MARK_TRUSTED);
	else if (open && pid != unit->creator)
		mark_process(unit->creator, MARK_CHILDREN_END);
}

/* A thread ends (do_exit). */
RAW_TRACEPOINT_PROBE(sched_process_exit)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, pid = id >> 32;
	struct unit *unit = units.lookup(&tid);

	if (unit) {
		if (unit->kind == UNIT_INHERITED)
			learn_from_end(unit, pid);
		units.delete(&tid);
	}
	if (tid == pid)
		processes.delete(&pid);
	return 0;
}
