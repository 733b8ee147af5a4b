/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What a traced pod that serves reads: requests. Where it reads responses to what it asks of others, answer.c goes on.
 *
 * sock_recvmsg is passed by every read of a socket into the application's memory (recv, recvmsg, read, readv, io_uring) on all
 * supported kernels. Its return is the moment at which the application has the bytes, and the reader is the unit.
 */
#include "clew.h"
#include "http1.h"
#include "context.h"
#include "stream.h"
#include "requests.h"

BPF_PROG_ARRAY(receive_again, 1);

/* A request's head was read: the server span begins. */
INLINE void begin_server_request(struct connection *connection, struct work *work)
{
	u64 now = bpf_ktime_get_ns(), key;
	struct context *context = describe_request(connection, work, ROLE_SERVER, now);
	struct policy *policy = policy_of(context->policy);
	volatile struct http_head *head = &work->head;
	u32 i, parent = head->valid && policy && policy->extract;

	count(COUNTER_SERVER_REQUESTS);
	if (parent) {
		for (i = 0; i < 2; i++)
			((u64 *)context->trace_id)[i] = ((u64 *)work->head.trace_id)[i];
		*(u64 *)context->parent_id = *(u64 *)work->head.parent_id;
		context->trace_flags = head->trace_flags & TRACE_RANDOM;
		context->has_tracestate = head->tracestate_length ? 1 : 0;
	} else {
		new_trace_id(context->trace_id, context, now);
	}
	new_span_id(context->span_id, context);
	decide_sampling(context, parent, head->trace_flags, now);
	key = open_request(connection, work);
	if (key && context->has_tracestate) {
		/* The text lies in the parser's notes, behind its length, as in `struct tracestate`. */
		if (tracestates.update(&key, (struct tracestate *)&work->head.tracestate_length))
			count(COUNTER_CONTEXT_FULL);
	}
	/* A request that was read before the one ahead of it is answered waits: see respond.c. */
	if (key && connection->begun - connection->ended == 1)
		begin_unit(key);
	if (asks_for_protocol(work))
		connection->in.state = STREAM_WAITING;
	else
		begin_body(&connection->in, work, 0, 0);
}

/* What is read is not certain any more. A request that is being served still ends with its response. */
INLINE void lose_requests(struct connection *connection)
{
	connection->in.state = STREAM_GIVEN_UP;
	if (connection->begun == connection->ended)
		connection->out.state = STREAM_GIVEN_UP;
}

/* Follows requests. Returns 1 if another round is needed. */
INLINE int read_requests(struct connection *connection, struct source *source, struct work *work)
{
	struct stream *stream = &connection->in;
	volatile struct work *notes = work;
	u32 verdict;

	notes->ended = 0;
	if (in_body(stream)) {
		skip_body(stream, source, work);
	} else {
		/* In memory: in a register it would make the verifier walk through the parser twice. */
		notes->unsynced = stream->state == STREAM_UNSYNCED;
		verdict = read_head(connection, stream, source, work, 0, 0);
		if (verdict == HEAD_COMPLETE && is_agent(bpf_get_current_pid_tgid() >> 32)) {
			stream->state = STREAM_GIVEN_UP;
		} else if (verdict == HEAD_COMPLETE) {
			begin_server_request(connection, work);
		} else if (notes->unsynced && !(verdict == HEAD_INCOMPLETE && notes->offset < notes->length)) {
			/* Not a request's beginning: the next read may be one. */
			stream->state = STREAM_UNSYNCED;
			stream->partial = 0;
			return 0;
		} else if (verdict != HEAD_INCOMPLETE) {
			if (verdict == HEAD_NOT_HTTP && connection->begun)
				count(COUNTER_FRAMING_LOST);
			stream->state = STREAM_GIVEN_UP;
		}
	}
	if (*(volatile u8 *)&stream->state == STREAM_GIVEN_UP) {
		lose_requests(connection);
		return 0;
	}
	return notes->offset < notes->length;
}

KRETFUNC_PROBE(sock_recvmsg, struct socket *sock, struct msghdr *message, int flags, int received)
{
	struct sock *sk = sock->sk;
	struct connection *connection;
	struct source source = {};
	struct work *work;
	u32 slot = WORK_RECEIVE;
	int again;

	if (!sk)
		return 0;
	connection = connections.sk_storage_get(sk, 0, 0);
	if (!connection)
		return 0;
	if (connection->about.role != ROLE_SERVER) {
		read_answer.call(ctx, 0);
		/* The kernel did not: these bytes are not seen. */
		give_up(&connection->in, COUNTER_FRAMING_LOST);
		connection->out.state = STREAM_GIVEN_UP;
		return 0;
	}
	if (connection->in.state == STREAM_GIVEN_UP || received <= 0 || flags & MSG_NOT_READ)
		return 0;
	if (connection->about.unsynced)
		take_up(connection, sk);
	work = works.lookup(&slot);
	if (!work)
		return 0;
	if (flags & MSG_TRUNC) {
		/* The application drops bytes unread: what they were is not known. */
		count(COUNTER_FRAMING_LOST);
		lose_requests(connection);
		return 0;
	}
	if (!work->rounds) {
		work->offset = 0;
		work->length = received;
		work->look = FIRST_LOOK;
	}
	source.iter = &message->msg_iter;
	again = read_requests(connection, &source, work);
	if (again && work->rounds < ROUNDS_MAX) {
		work->rounds++;
		receive_again.call(ctx, 0);
	}
	if (again) {
		count(COUNTER_FRAMING_LOST);
		lose_requests(connection);
	}
	work->rounds = 0;
	return 0;
}
