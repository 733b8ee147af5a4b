/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What a traced pod asks of others: requests are recognised in sk_msg, and traceparent and tracestate put into their heads.
 *
 * The fields go in front of the blank line: only there is the whole head known, so that a traceparent of the application's own is
 * found wherever it stands, and adopted. The bytes of a send are touched only there, and only when every byte of the connection
 * so far was understood; whatever fails leaves the message as it was.
 */
#include "clew.h"
#include "http1.h"
#include "context.h"
#include "stream.h"
#include "requests.h"

BPF_PROG_ARRAY(inject_again, 1);

#define TRACEPARENT_FIELD 70 /* "traceparent: " 00-trace-span-flags CRLF */
#define TRACESTATE_FIELD 12  /* "tracestate: " */
#define FIELDS_MAX (TRACEPARENT_FIELD + TRACESTATE_FIELD + TRACESTATE_MAX + 2)
#define SKB_OVERHEAD 2048    /* what a segment's sk_buff takes of the send buffer besides its bytes; some 1,300 on the kernels of the lab */
#define SKBS_BESIDE 2        /* of them, besides one for each full segment */

INLINE u8 to_hex(u64 nibble)
{
	u64 letter = (nibble + 6) >> 4;

	BARRIER(letter);
	return '0' + nibble + letter * 39;
}

/* The fields for a context in work->text; returns their length. `parent` is where its tracestate is kept. */
INLINE u32 write_fields(struct context *context, u64 parent, struct work *work)
{
	struct tracestate *state = 0;
	u8 *text = work->text;
	u32 i, length;

	*(u64 *)text = 0x7261706563617274ULL;       /* tracepar */
	*(u64 *)(text + 8) = 0x2d3030203a746e65ULL; /* ent: 00- */
	for (i = 0; i < 16; i++) {
		text[16 + 2 * i] = to_hex(context->trace_id[i] >> 4);
		text[17 + 2 * i] = to_hex(context->trace_id[i] & 15);
	}
	text[48] = '-';
	for (i = 0; i < 8; i++) {
		text[49 + 2 * i] = to_hex(context->span_id[i] >> 4);
		text[50 + 2 * i] = to_hex(context->span_id[i] & 15);
	}
	text[65] = '-';
	text[66] = '0';
	text[67] = '0' + context->trace_flags;
	text[68] = '\r';
	text[69] = '\n';
	if (parent)
		state = tracestates.lookup(&parent);
	if (!state)
		return TRACEPARENT_FIELD;
	length = state->length;
	if (!length || length > TRACESTATE_MAX)
		return TRACEPARENT_FIELD;
	BARRIER(length);
	length &= TRACESTATE_MAX * 2 - 1; /* a bound that the verifier sees */
	*(u64 *)(text + 70) = 0x6174736563617274ULL; /* tracesta */
	*(u32 *)(text + 78) = 0x203a6574;            /* te:  */
	COPY(text + TRACEPARENT_FIELD + TRACESTATE_FIELD, length, state->text);
	text[TRACEPARENT_FIELD + TRACESTATE_FIELD + length] = '\r';
	text[TRACEPARENT_FIELD + TRACESTATE_FIELD + length + 1] = '\n';
	return TRACEPARENT_FIELD + TRACESTATE_FIELD + length + 2;
}

INLINE u32 write_position(struct connection *connection)
{
	struct tcp_sock *tcp = (struct tcp_sock *)connection->about.socket;
	u32 at = 0;

	bpf_probe_read_kernel(&at, sizeof(at), &tcp->write_seq);
	return at;
}

/* Is there room in the send buffer, so that the kernel takes the head whole? Else it may stop between the application's bytes and
 * ours, and tell the application a wrong number. TCP asks before each sk_buff whether sk_sndbuf is reached, and whether
 * TCP_NOTSENT_LOWAT is (sk_stream_memory_free); a small window makes for small segments, and so for many of them. */
INLINE int has_room(struct connection *connection, u32 position, u32 length)
{
	struct sock *sk = (struct sock *)connection->about.socket;
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	struct net *net = 0;
	int queued = 0, limit = 0;
	u32 segment = 0, sent = 0, low = 0;
	u64 end = (u64)position + length;

	if (bpf_probe_read_kernel(&queued, sizeof(queued), &sk->sk_wmem_queued) ||
	    bpf_probe_read_kernel(&limit, sizeof(limit), &sk->sk_sndbuf) ||
	    bpf_probe_read_kernel(&segment, sizeof(segment), &tcp->mss_cache) ||
	    bpf_probe_read_kernel(&sent, sizeof(sent), &tcp->snd_nxt) ||
	    bpf_probe_read_kernel(&low, sizeof(low), &tcp->notsent_lowat) || !segment)
		return 0;
	if (!low && (bpf_probe_read_kernel(&net, sizeof(net), &sk->__sk_common.skc_net.net) ||
		     bpf_probe_read_kernel(&low, sizeof(low), &net->ipv4.sysctl_tcp_notsent_lowat)))
		return 0;
	if ((u64)(u32)(write_position(connection) - sent) + end >= low)
		return 0;
	return (u32)queued + end + (end / segment + SKBS_BESIDE) * SKB_OVERHEAD < (u64)(u32)limit;
}

/* Inserts work->text at `position`. Returns 0, or -1 with the message as it was; if that can't be had either, the connection is torn.
 *
 * A push leaves the message in three pieces, and TCP sends each piece as a segment of its own (tcp_bpf_push): the receiver would be
 * woken three times, and without TCP_NODELAY the second would wait for the first one's acknowledgement, up to 40 ms. So what is
 * around the fields is drawn into one piece with them. */
INLINE int insert_fields(struct connection *connection, struct sk_msg_md *message, u32 position, u32 length, struct work *work)
{
	u8 *data, *end;
	u32 before = less(0, position), i;

	if (bpf_msg_push_data(message, position, length, 0))
		return -1;
	if (bpf_msg_pull_data(message, position - before, position + length + 1, 0)) {
		/* No memory for all of it. */
		before = 0;
		if (bpf_msg_pull_data(message, position, position + length, 0))
			goto undo;
	}
	data = (u8 *)(long)message->data;
	end = (u8 *)(long)message->data_end;
	data += before & 1;
	/* Byte by byte, each with its own check: BARRIER keeps clang from drawing checks together, which the verifier can't follow. */
#pragma clang loop unroll(disable)
	for (i = 0; i < FIELDS_MAX; i++) {
		BARRIER(data);
		if (i >= length || data + 1 > end)
			break;
		*(volatile u8 *)data = *(volatile u8 *)(work->text + i);
		data++;
	}
	if (i < length)
		goto undo;
	return 0;
undo:
	if (bpf_msg_pop_data(message, position, length, 0)) {
		connection->torn = 1;
		count(COUNTER_SEND_TORN);
	}
	return -1;
}

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

/* A request's head is being sent: the client span begins. `position` is its blank line's place in the message. */
INLINE void begin_client_request(struct connection *connection, struct sk_msg_md *message, struct work *work, s64 position)
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
	if (!policy || !policy->inject) {
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

/* Notes where in this send a body of known length began, for a send that the kernel cuts short (tcp_bpf_sendmsg, below). */
INLINE void note_body(struct connection *connection, struct work *work)
{
	connection->body_known = connection->out.state == STREAM_BODY;
	connection->body_from = connection->send_seen + work->offset - work->inserted;
	connection->body_left = connection->out.left;
}

/* Follows requests. Returns 1 if another round is needed. */
INLINE int send_requests(struct connection *connection, struct source *source, struct work *work)
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
		begin_client_request(connection, source->message, work, (s64)start + work->head.insert_at - work->kept);
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

int clew_inject(struct sk_msg_md *message)
{
	struct sock *sk = (struct sock *)message->sk;
	struct connection *connection;
	struct source source = {.message = message};
	struct work *work;
	u32 slot = WORK_INJECT;
	int again;

	if (!sk)
		return SK_PASS;
	connection = connections.sk_storage_get((void *)message->sk, 0, 0);
	if (connection && connection->torn)
		return SK_DROP;
	if (!connection || connection->out.state == STREAM_GIVEN_UP || connection->about.unsynced)
		return SK_PASS;
	work = works.lookup(&slot);
	if (!work)
		return SK_PASS;
	if (!connection->about.socket)
		connection->about.socket = (u64)message->sk;
	if (!work->rounds) {
		if (__sync_fetch_and_add(&work->busy, 1)) {
			__sync_fetch_and_add(&work->busy, -1);
			give_up(&connection->out, COUNTER_BUSY);
			return SK_PASS;
		}
		work->owner = connection->about.id;
		work->offset = 0;
		work->length = message->size;
		work->look = FIRST_LOOK;
		work->inserted = 0;
		if (!connection->send_seen) {
			connection->send_from = write_position(connection);
			connection->send_added = connection->send_last = 0;
			note_body(connection, work);
		}
	} else if (work->owner != connection->about.id) {
		/* Run in the middle of another connection's rounds. */
		give_up(&connection->out, COUNTER_BUSY);
		return SK_PASS;
	}
	again = send_requests(connection, &source, work);
	/* The next round would not get as far as here, where the buffer is released. */
	if (connection->out.state == STREAM_GIVEN_UP)
		again = 0;
	if (again && work->rounds < ROUNDS_MAX) {
		work->rounds++;
		inject_again.call(message, 0);
	}
	if (again)
		give_up(&connection->out, COUNTER_FRAMING_LOST);
	connection->send_seen += work->length - work->inserted;
	connection->send_added += work->inserted;
	work->rounds = 0;
	__sync_fetch_and_add(&work->busy, -1);
	return connection->torn ? SK_DROP : SK_PASS;
}

/* The send is over: how much of it did the kernel take? What it did not take, the application sends again.
 *
 * What the application is told is right where all that was added has gone, or nothing at all (tcp_bpf_send_verdict takes from it
 * what is left, ours counted too). has_room sees to that, but no program can foresee that the whole system runs out of memory for
 * TCP. Then the application would send some bytes twice: its next send fails instead. */
INLINE void settle_send(struct sock *sk, int sent)
{
	struct connection *connection = connections.sk_storage_get(sk, 0, 0);
	u32 seen, went, taken = sent > 0 ? sent : 0;

	if (!connection)
		return;
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

KRETFUNC_PROBE(tcp_bpf_sendmsg, struct sock *sk, struct msghdr *message, size_t size, int sent)
{
	settle_send(sk, sent);
	return 0;
}

#ifdef HAVE_TCP_SENDPAGE
KRETFUNC_PROBE(tcp_bpf_sendpage, struct sock *sk, struct page *page, int from, size_t size, int flags, int sent)
{
	settle_send(sk, sent);
	return 0;
}
#endif
