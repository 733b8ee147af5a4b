/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * traceparent and tracestate as bytes, and how they come into a message that is being sent (sk_msg).
 *
 * The fields go in front of the blank line: only there is the whole head known, so that a traceparent of the application's own is
 * found wherever it stands, and adopted. Whatever fails leaves the message as it was.
 */
#ifndef CLEW_INSERTION_H
#define CLEW_INSERTION_H

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

#endif
