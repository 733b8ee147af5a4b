/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Calls of kernel functions inside sampled requests: paired here, so that user space gets one record a finished call. The
 * programs themselves, one at the entry and one at the exit of each function, are generated (functions/codegen.py), and define
 * FUNCTION_ARGUMENTS (bytes of arguments that a call can have), THREAD_STACK (THREAD_SIZE of this kernel) and RETURN_TRAMPOLINE
 * (address of the code by which kretprobes see returns; 0: not known) before this file.
 *
 * The list of functions may change while requests are open. The programs of each function come and go by themselves, over the same
 * maps: those that stay are not touched, and whose calls a policy wants is a map's value. Programs that nobody wants any more begin no
 * calls, and are detached when none of theirs is open (clew_agent/function_hooks.py).
 *
 * Every thread has a stack of its open calls, in its task storage: it goes with the thread. A call is known by its place, an
 * address on the thread's kernel stack that entry and exit agree on and no other call that is open can have:
 *   - fentry and fexit: their context, which the trampoline keeps in its own frame for the whole call;
 *   - kprobe and kretprobe: the stack pointer behind the return address.
 * So an exit whose entry was not recorded (no context then, a limit, probes attached in between) finds no call of its place,
 * recursion is told apart, and, since the stack grows down, a call below whatever runs now has ended. A call whose exit was
 * missed must not become a parent: a kprobe's is not begun where the kretprobe has not put its trampoline in place (it has only
 * so many at a time), and before a call becomes a parent, a word of its frame is compared with what it was at its entry. What is
 * found ended is dropped and counted. A place outside the thread's own stack is an interrupt's or softirq's: its
 * work is not the request's, whatever the interrupted thread was doing.
 *
 * A call below its policy's minimumDuration is dropped, unless a call inside it was recorded: no span lacks its parent.
 */
#ifndef CLEW_FUNCTIONS_H
#define CLEW_FUNCTIONS_H

#include "clew.h"
#include "head.h"
#include "context.h"

#define FUNCTION_DEPTH 16 /* open calls of a thread; a power of two */

struct function_frame {
	u64 place;
	u64 witness_at; /* address of a word on the kernel stack that stays while the call is open; 0: there is none */
	u64 witness;
	u16 group;    /* number of the kernel function; record.function is that of the policies' request for it */
	u8 policy;
	u8 has_child; /* a call inside this one was recorded */
	u32 reserved;
	struct function_record record;
	u8 arguments[FUNCTION_ARGUMENTS];
};

struct function_stack {
	u64 base;     /* lowest address of the thread's kernel stack */
	u64 depth;
	struct function_frame frames[FUNCTION_DEPTH];
};
BPF_TASK_STORAGE(function_stacks, struct function_stack);

BPF_ARRAY(function_settings, struct function_setting, FUNCTIONS_MAX);

/* How many calls are open, by record.function: the sum over the CPUs, of which single ones may be negative. */
BPF_PERCPU_ARRAY(function_calls, s64, FUNCTIONS_MAX);

INLINE struct function_setting *setting_of(u32 function)
{
	return function_settings.lookup(&function);
}

INLINE void count_open(u32 function, const s64 change)
{
	s64 *value = function_calls.lookup(&function);

	if (value)
		__sync_fetch_and_add(value, change);
}

#define SAME_ID(a, b) (*(u64 *)(a) == *(u64 *)(b))
#define COPY_ID(to, from) (*(u64 *)(to) = *(u64 *)(from))

/* The place of a call seen by fentry and fexit. The verifier does not let a context be reckoned with, hence the detour. */
INLINE u64 place_of_trampoline(void *ctx)
{
	void *copy = ctx;
	u64 place = 0;

	bpf_probe_read_kernel(&place, sizeof(place), &copy);
	return place;
}

INLINE u64 word_at(u64 address)
{
	u64 word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), (void *)address);
	return word;
}

/* The place of a call seen by kprobe and kretprobe: x86 pops the return address, which is the witness, before the latter. */
#ifdef bpf_target_x86
#define PLACE_OF_ENTRY(ctx) (PT_REGS_SP(ctx) + 8)
#define WITNESS_OF_ENTRY(place) ((place) - 8)
#define RETURN_ADDRESS(ctx) word_at(PT_REGS_SP(ctx))
#else
#define PLACE_OF_ENTRY(ctx) PT_REGS_SP(ctx)
#define WITNESS_OF_ENTRY(place) 0
#define RETURN_ADDRESS(ctx) PT_REGS_RET(ctx)
#endif
#define PLACE_OF_RETURN(ctx) PT_REGS_SP(ctx)

/* Whether the kretprobe will see the return of the call that a kprobe sees begin. */
INLINE int return_is_seen(u64 return_address)
{
	if (!RETURN_TRAMPOLINE || return_address == RETURN_TRAMPOLINE)
		return 1;
	count(COUNTER_FUNCTION_UNWOUND);
	return 0;
}

/* The running unit's request if its function calls are recorded: the first thing that an entry asks. */
INLINE struct context *function_context(void)
{
	struct context *context = current_context();

	return context && context->sampled ? context : 0;
}

/* Do the request's policies want calls recorded in this way? */
INLINE int is_wanted(u32 function, struct context *context)
{
	struct function_setting *setting = setting_of(function);

	return setting && setting->policies >> (context->policy & 63) & 1;
}

/* The thread's open calls, if there are any: the first thing that an exit asks. */
INLINE struct function_stack *open_calls(void)
{
	struct function_stack *stack = function_stacks.task_storage_get(bpf_get_current_task_btf(), 0, 0);

	return stack && stack->depth ? stack : 0;
}

INLINE struct function_frame *frame_at(struct function_stack *stack, u64 index)
{
	return &stack->frames[index & (FUNCTION_DEPTH - 1)];
}

/* Drops the calls on top that have ended: those below `place`, and, if `witnesses`, those whose frame is not there any more. */
INLINE void unwind(struct function_stack *stack, u64 place, const int witnesses)
{
	u64 depth = stack->depth;
	struct function_frame *frame;
	int i;

	/* Left a loop: written out sixteen times in every program it would be most of the code, and of the time to compile it. */
#pragma clang loop unroll(disable)
	for (i = 0; i < FUNCTION_DEPTH; i++) {
		if (!depth)
			break;
		frame = frame_at(stack, depth - 1);
		if (frame->place >= place && !(witnesses && frame->witness_at && word_at(frame->witness_at) != frame->witness))
			break;
		depth--;
		count_open(frame->record.function, -1);
		count(COUNTER_FUNCTION_UNWOUND);
	}
	stack->depth = depth;
}

/* Takes one from the request's and the policy's allowance; 0 if there is none left. */
INLINE int take_allowance(struct context *context)
{
	struct policy *policy = policy_of(context->policy);
	struct allowance *used = allowance_of(context->policy);
	u64 second;

	if (!policy || !used)
		return 0;
	if (policy->spans_per_request && context->function_spans >= policy->spans_per_request) {
		count(COUNTER_FUNCTION_LIMIT);
		return 0;
	}
	if (policy->events_per_second) {
		second = bpf_ktime_get_ns() / 1000000000ULL;
		if (used->event_second != second) {
			used->event_second = second;
			used->events = 0;
		}
		if (used->events >= policy->events_per_second) {
			count(COUNTER_FUNCTION_RATE);
			return 0;
		}
		__sync_fetch_and_add(&used->events, 1);
	}
	__sync_fetch_and_add(&context->function_spans, 1);
	return 1;
}

/* Gives it back, for a call that is not recorded after all. */
INLINE void return_allowance(struct function_frame *frame)
{
	struct context *context = current_context();
	struct allowance *used = allowance_of(frame->policy);

	if (context && SAME_ID(context->span_id, frame->record.request_id))
		__sync_fetch_and_add(&context->function_spans, -1);
	if (used && used->events)
		__sync_fetch_and_add(&used->events, -1);
}

/* A call begins: its frame, for the arguments and at last start_ns, or NULL where it is not recorded. */
INLINE struct function_frame *function_enter(struct context *context, u64 place, u64 witness_at, u16 group, u16 function)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 id = bpf_get_current_pid_tgid();
	struct function_stack *stack;
	struct function_frame *frame, *outer;

	stack = function_stacks.task_storage_get(task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!stack) {
		count(COUNTER_FUNCTION_DEPTH);
		return 0;
	}
	if (!stack->base)
		bpf_probe_read_kernel(&stack->base, sizeof(stack->base), &task->stack);
	if (place - stack->base >= THREAD_STACK)
		return 0;
	unwind(stack, place, 1);
	if (stack->depth) {
		/* The same function at the same place: its exit was missed, and it was called again from there. */
		outer = frame_at(stack, stack->depth - 1);
		if (outer->place == place && outer->group == group) {
			stack->depth -= 1;
			count_open(outer->record.function, -1);
			count(COUNTER_FUNCTION_UNWOUND);
		}
	}
	if (stack->depth >= FUNCTION_DEPTH) {
		count(COUNTER_FUNCTION_DEPTH);
		return 0;
	}
	if (!take_allowance(context))
		return 0;
	frame = frame_at(stack, stack->depth);
	frame->place = place;
	frame->witness_at = witness_at;
	frame->witness = witness_at ? word_at(witness_at) : 0;
	frame->group = group;
	frame->policy = context->policy;
	frame->has_child = 0;
	frame->record.kind = RECORD_FUNCTION;
	frame->record.function = function;
	frame->record.pod = context->pod;
	COPY_ID(frame->record.trace_id, context->trace_id);
	COPY_ID(frame->record.trace_id + 8, context->trace_id + 8);
	new_span_id(frame->record.span_id, context);
	COPY_ID(frame->record.request_id, context->span_id);
	COPY_ID(frame->record.parent_id, context->span_id);
	frame->record.depth = 0;
	frame->record.pid = id >> 32;
	frame->record.tid = id;
	frame->record.cgroup = context->cgroup;
	if (stack->depth) {
		outer = frame_at(stack, stack->depth - 1);
		if (SAME_ID(outer->record.request_id, context->span_id)) {
			COPY_ID(frame->record.parent_id, outer->record.span_id);
			frame->record.depth = outer->record.depth + 1;
		}
	}
	stack->depth += 1;
	count_open(function, 1);
	return frame;
}

/* A call ends: its frame, taken off the stack, or NULL where its entry was not recorded. */
INLINE struct function_frame *function_leave(struct function_stack *stack, u64 place, u16 group)
{
	struct function_frame *frame;

	if (place - stack->base >= THREAD_STACK)
		return 0;
	unwind(stack, place, 0);
	if (!stack->depth)
		return 0;
	frame = frame_at(stack, stack->depth - 1);
	if (frame->place != place || frame->group != group)
		return 0;
	stack->depth -= 1;
	count_open(frame->record.function, -1);
	return frame;
}

/* Sends the call to user space. `arguments_length` is a constant of the function. */
INLINE void function_emit(struct function_stack *stack, struct function_frame *frame, s64 returned, u64 end_ns,
			  const u16 arguments_length)
{
	struct function_setting *setting = setting_of(frame->record.function);
	u64 minimum_ns = setting ? setting->minimum_ns : 0;
	struct function_frame *outer;

	if (minimum_ns && !frame->has_child && end_ns - frame->record.start_ns < minimum_ns) {
		return_allowance(frame);
		return;
	}
	if (stack->depth) {
		outer = frame_at(stack, stack->depth - 1);
		if (SAME_ID(outer->record.span_id, frame->record.parent_id))
			outer->has_child = 1;
	}
	frame->record.end_ns = end_ns;
	frame->record.returned = returned;
	frame->record.arguments_length = arguments_length;
	if (records.ringbuf_output(&frame->record, sizeof(frame->record) + arguments_length, 0))
		count(COUNTER_RING_FULL);
}

#endif
