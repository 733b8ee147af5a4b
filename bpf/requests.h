/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * A request's life, the same for a pod that serves it and one that sends it: it begins with its head, and ends in a record.
 * A connection's requests are answered in the order in which they came, so `begun` and `ended` are all the queue there is.
 */
#ifndef CLEW_REQUESTS_H
#define CLEW_REQUESTS_H

/* Which policies each pod has now, by the pod's slot. Connections keep the pod alone, so a change reaches those that are open, too. */
BPF_TABLE("hash", u32, u32, pod_policies, PODS_MAX);

/* The policies' slot of a connection's pod. A pod that is traced no longer has that of the policy that does nothing. */
INLINE u32 policy_slot(struct connection *connection)
{
	u32 pod = connection->about.pod, *slot = pod_policies.lookup(&pod);

	return slot ? *slot : NO_POLICY;
}

INLINE u64 request_key(struct connection *connection, u32 number)
{
	return connection->about.id << 16 | (number & 0xffff);
}

INLINE int is_agent(u32 pid)
{
	u32 zero = 0;
	struct settings *known = settings.lookup(&zero);

	return known && known->agent == pid;
}

/* Fills work->context with what the head and the connection tell; identifiers and sampling are left to the caller. */
INLINE struct context *describe_request(struct connection *connection, struct work *work, const u8 role, u64 now)
{
	struct context *context = &work->context;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u64 id = bpf_get_current_pid_tgid(), method;
	u32 length = work->head.target_end;

	context->start_ns = now;
	*(u64 *)context->parent_id = 0;
	context->pod = connection->about.pod;
	context->pid = id >> 32;
	context->tid = id;
	context->function_spans = 0;
	context->cgroup = bpf_get_current_cgroup_id();
	context->local_low = *(u16 *)(connection->about.local_address + 14);
	context->remote_low = *(u16 *)(connection->about.remote_address + 14);
	context->status = 0;
	context->role = role;
	context->policy = policy_slot(connection);
	context->sampled = 0;
	context->trace_flags = 0;
	context->method_length = work->head.method_length;
	context->minor = work->head.minor;
	context->adopted = 0;
	context->upgrade = work->head.flags & HEAD_UPGRADE ? 1 : 0;
	context->has_tracestate = 0;
	method = *(u64 *)work->bytes;
	context->method = METHOD_OTHER;
	if ((method & 0xffffffffffULL) == 0x2044414548ULL) /* "HEAD " */
		context->method = METHOD_HEAD;
	if (method == 0x205443454e4e4f43ULL) /* "CONNECT " */
		context->method = METHOD_CONNECT;
	if (length > TARGET_MAX)
		length = TARGET_MAX;
	context->target_length = length;
	COPY(context->target, length, work->bytes);
	bpf_probe_read_kernel(context->comm, sizeof(context->comm), &task->comm);
	return context;
}

/* Puts work->context among the open requests, as the connection's last. Returns its key, 0 if there is no room. No connection
 * has more open than its close can end (tcp_close, connections.c): what nobody ends would take the room for good. */
INLINE u64 open_request(struct connection *connection, struct work *work)
{
	u64 key = request_key(connection, connection->begun);

	connection->begun++;
	if (connection->begun - connection->ended > ROUNDS_MAX || contexts.update(&key, &work->context)) {
		count(COUNTER_CONTEXT_FULL);
		return 0;
	}
	return key;
}

/* Behind a request for another protocol nothing is certain until the answer comes, unless it has a body of its own first. */
INLINE int asks_for_protocol(struct work *work)
{
	u32 body = work->head.flags & (HEAD_CHUNKED | HEAD_BAD_LENGTH | HEAD_BAD_ENCODING);

	if (work->context.method == METHOD_CONNECT)
		return 1;
	return work->context.upgrade && !body && !(work->head.flags & HEAD_LENGTH && work->head.content_length);
}

/* The agent reads the ring on its own clock: waking it for each record would cost the application (BPF_RB_NO_WAKEUP). */
INLINE void emit_request(struct connection *connection, struct context *context, struct work *work, u8 outcome)
{
	struct request_record *record = &work->record;
	u32 length = context->target_length, i;

	record->kind = RECORD_REQUEST;
	record->role = context->role;
	record->outcome = outcome;
	record->pod = context->pod;
	record->start_ns = context->start_ns;
	record->end_ns = bpf_ktime_get_ns();
	for (i = 0; i < 2; i++)
		((u64 *)record->trace_id)[i] = ((u64 *)context->trace_id)[i];
	*(u64 *)record->span_id = *(u64 *)context->span_id;
	*(u64 *)record->parent_id = *(u64 *)context->parent_id;
	record->pid = context->pid;
	record->tid = context->tid;
	for (i = 0; i < 2; i++) {
		((u64 *)record->local_address)[i] = ((u64 *)connection->about.local_address)[i];
		((u64 *)record->remote_address)[i] = ((u64 *)connection->about.remote_address)[i];
		((u64 *)record->comm)[i] = ((u64 *)context->comm)[i];
	}
	record->local_port = connection->about.local_port;
	record->remote_port = connection->about.remote_port;
	record->status = context->status;
	record->trace_flags = context->trace_flags;
	record->http_minor = context->minor;
	record->adopted = context->adopted;
	record->method_length = context->method_length;
	if (length > TARGET_MAX)
		length = TARGET_MAX;
	record->target_length = length;
	record->cgroup = context->cgroup;
	COPY(record->target, length, context->target);
	if (records.ringbuf_output(record, __builtin_offsetof(struct request_record, target) + length, BPF_RB_NO_WAKEUP))
		count(COUNTER_RING_FULL);
}

/* The connection's first open request is over. */
INLINE void finish_request(struct connection *connection, struct work *work, u8 outcome)
{
	u64 key = request_key(connection, connection->ended);
	struct context *context = contexts.lookup(&key);

	if (connection->ended == connection->begun)
		return;
	connection->ended++;
	if (!context)
		return;
	if (context->sampled)
		emit_request(connection, context, work, outcome);
	if (context->has_tracestate)
		tracestates.delete(&key);
	contexts.delete(&key);
}

/* The response's head is in work->head. Returns 1 if the connection is HTTP/1 no longer. */
INLINE int note_response(struct connection *connection, struct work *work, struct stream *responses, struct stream *requests)
{
	u64 key = request_key(connection, connection->ended);
	struct context *context = contexts.lookup(&key);
	u32 status = work->head.status;
	int head_method = 0, tunnel = status == 101;

	if (!context && connection->begun != connection->ended) {
		/* The request is not among the open ones (there was no room): how its response is read is not certain. */
		count(COUNTER_FRAMING_LOST);
		connection->ended++;
		responses->state = requests->state = STREAM_GIVEN_UP;
		return 1;
	}
	if (context) {
		context->status = status;
		head_method = context->method == METHOD_HEAD;
		tunnel |= context->method == METHOD_CONNECT && status / 100 == 2;
	}
	if (tunnel) {
		finish_request(connection, work, OUTCOME_TUNNEL);
		responses->state = requests->state = STREAM_GIVEN_UP;
		return 1;
	}
	if (status / 100 == 1) {
		/* An interim response: the final one follows. */
		begin_body(responses, work, 1, 1);
		work->ended = 0;
		return 0;
	}
	if (requests->state == STREAM_WAITING && connection->begun - connection->ended == 1)
		requests->state = STREAM_HEAD;
	begin_body(responses, work, 1, head_method || status == 204 || status == 304);
	return 0;
}

#endif
