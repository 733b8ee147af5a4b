/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What a traced pod asks of others, as its sends show it: the client span begins with a request's head. The same for sockets in the
 * sockhash (inject.c), whose requests get fields, and for those that are only observed (observe.c).
 */
#ifndef CLEW_ASKING_H
#define CLEW_ASKING_H

/* The identity of the request that is being sent: the running unit's trace, the application's own, or a new one. */
INLINE u64 identify_request(struct context *context, struct work *work, u64 now)
{
	volatile struct http_head *head = &work->head;
	struct context *parent;
	u64 key = 0;
	u32 i;

	parent = find_context(&key, 1);
	if (head->valid) {
		/* The application sends a traceparent: its span is the parent, unless it only forwards what it got. */
		for (i = 0; i < 2; i++)
			((u64 *)context->trace_id)[i] = ((u64 *)work->head.trace_id)[i];
		*(u64 *)context->parent_id = *(u64 *)work->head.parent_id;
		if (parent && *(u64 *)parent->parent_id == *(u64 *)work->head.parent_id &&
		    *(u64 *)parent->trace_id == *(u64 *)work->head.trace_id &&
		    *(u64 *)(parent->trace_id + 8) == *(u64 *)(work->head.trace_id + 8))
			*(u64 *)context->parent_id = *(u64 *)parent->span_id;
		context->adopted = 1;
		context->trace_flags = head->trace_flags & TRACE_RANDOM;
		decide_sampling(context, 1, head->trace_flags, now);
		return 0;
	}
	if (parent) {
		for (i = 0; i < 2; i++)
			((u64 *)context->trace_id)[i] = ((u64 *)parent->trace_id)[i];
		*(u64 *)context->parent_id = *(u64 *)parent->span_id;
		context->sampled = parent->sampled;
		context->trace_flags = parent->trace_flags;
		return key;
	}
	new_trace_id(context->trace_id, context, now);
	decide_sampling(context, 0, 0, now);
	return 0;
}

/* A request's head is being sent: the client span begins. `position` is its blank line's place in the message. `inserts`, here and
 * below: the message is an sk_msg, which fields may be put into. */
INLINE void begin_client_request(struct connection *connection, struct sk_msg_md *message, struct work *work, s64 position,
				 const int inserts)
{
	u64 now = bpf_ktime_get_ns(), parent;
	struct context *context = describe_request(connection, work, ROLE_CLIENT, now);
	struct policy *policy = policy_of(context->policy);
	u32 length;

	count(COUNTER_CLIENT_REQUESTS);
	parent = identify_request(context, work, now);
	new_span_id(context->span_id, context);
	if (!open_request(connection, work))
		return;
	if (work->head.traceparents) {
		count(COUNTER_ADOPTED);
		return;
	}
	if (!inserts || !policy || !policy->inject) {
		count(COUNTER_NOT_INJECTED_POLICY);
		return;
	}
	if (position < 0 || work->head.flags & HEAD_BARE_LF) {
		count(COUNTER_NOT_INJECTED_FORM);
		return;
	}
	/* An application that sends a tracestate without a traceparent keeps it; there is never a second one. */
	length = write_fields(context, work->head.seen[FIELD_TRACESTATE] ? 0 : parent, work);
	if (!has_room(connection, position, length) || insert_fields(connection, message, position, length, work)) {
		count(COUNTER_NOT_INJECTED_SPACE);
		return;
	}
	count(COUNTER_INJECTED);
	connection->send_last = connection->send_seen + connection->send_added + position + length;
	work->offset += length;
	work->length += length;
	work->inserted += length;
}

/* Notes where in this send a body of known length began, for a send that the kernel cuts short (settle_send). */
INLINE void note_body(struct connection *connection, struct work *work)
{
	connection->body_known = connection->out.state == STREAM_BODY;
	connection->body_from = connection->send_seen + work->offset - work->inserted;
	connection->body_left = connection->out.left;
}

/* Follows requests. Returns 1 if another round is needed. */
INLINE int send_requests(struct connection *connection, struct source *source, struct work *work, const int inserts)
{
	struct stream *stream = &connection->out;
	u32 verdict, start;

	if (stream->state == STREAM_UNSYNCED) {
		work->offset = work->length;
		return 0;
	}
	work->ended = 0;
	if (in_body(stream)) {
		skip_body(stream, source, work);
		return work->offset < work->length;
	}
	start = work->offset;
	verdict = read_head(connection, stream, source, work, 1, 0);
	if (verdict == HEAD_COMPLETE) {
		if (is_agent(bpf_get_current_pid_tgid() >> 32)) {
			connection->in.state = stream->state = STREAM_GIVEN_UP;
			return 0;
		}
		begin_client_request(connection, source->message, work, (s64)start + work->head.insert_at - work->kept, inserts);
		if (asks_for_protocol(work))
			stream->state = STREAM_WAITING;
		else
			begin_body(stream, work, 0, 0);
		note_body(connection, work);
	} else if (verdict == HEAD_INCOMPLETE) {
		connection->body_known = 0;
	} else {
		if (connection->begun)
			count(COUNTER_FRAMING_LOST);
		if (connection->begun == connection->ended)
			connection->in.state = STREAM_GIVEN_UP;
		stream->state = STREAM_GIVEN_UP;
		return 0;
	}
	return work->offset < work->length;
}

/* The first look at a send, before its bytes are judged. */
INLINE void begin_send(struct connection *connection, struct work *work)
{
	connection->send_from = write_position(connection);
	connection->send_added = connection->send_last = 0;
	note_body(connection, work);
}

/* The send is over: how much of it did the kernel take? What it did not take, the application sends again.
 *
 * What the application is told is right where all that was added has gone, or nothing at all (tcp_bpf_send_verdict takes from it
 * what is left, ours counted too). has_room sees to that, but no program can foresee that the whole system runs out of memory for
 * TCP. Then the application would send some bytes twice: its next send fails instead. */
INLINE void settle_send(struct connection *connection, int sent)
{
	u32 seen, went, taken = sent > 0 ? sent : 0;

	seen = connection->send_seen;
	connection->send_seen = 0;
	if (seen <= taken)
		return;
	went = write_position(connection) - connection->send_from;
	if (went && went < connection->send_last) {
		connection->torn = 1;
		count(COUNTER_SEND_TORN);
	}
	if (connection->out.state == STREAM_GIVEN_UP)
		return;
	count(COUNTER_SEND_CUT);
	if (connection->body_known && taken >= connection->body_from &&
	    connection->body_left >= taken - connection->body_from) {
		connection->out.left = connection->body_left - (taken - connection->body_from);
		connection->out.state = connection->out.left ? STREAM_BODY : STREAM_HEAD;
		return;
	}
	give_up(&connection->out, COUNTER_FRAMING_LOST);
}

#endif
