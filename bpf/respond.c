/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What a traced pod that serves sends back: the response is followed to its last byte, where the server span ends.
 *
 * tcp_sendmsg is passed by every send on a server's socket, IPv4 and IPv6, and on a client's that is only observed (sockets in the
 * sockhash send by tcp_bpf_sendmsg instead). Before 6.5, sendfile goes by tcp_sendpage, whose bytes need only be counted.
 */
#include "clew.h"
#include "http1.h"
#include "context.h"
#include "stream.h"
#include "requests.h"
#include "insertion.h"
#include "asking.h"

BPF_PROG_ARRAY(respond_again, 1);

/* The response to the connection's first open request is over. */
INLINE void end_server_request(struct connection *connection, struct work *work)
{
	u64 key = request_key(connection, connection->ended);
	struct context *context = contexts.lookup(&key);

	if (context)
		check_answering_unit(key, context);
	finish_request(connection, work, OUTCOME_COMPLETE);
	/* A request that was read together with this one is served now, by the same unit. */
	if (connection->begun != connection->ended)
		begin_unit(request_key(connection, connection->ended));
}

INLINE void lose_server_request(struct connection *connection, struct work *work)
{
	finish_request(connection, work, OUTCOME_LOST);
	connection->in.state = connection->out.state = STREAM_GIVEN_UP;
}

/* Follows responses. Returns 1 if another round is needed. */
INLINE int send_responses(struct connection *connection, struct source *source, struct work *work)
{
	struct stream *stream = &connection->out;
	volatile struct work *notes = work;
	u32 verdict;

	notes->ended = 0;
	if (in_body(stream)) {
		skip_body(stream, source, work);
	} else {
		verdict = read_head(connection, stream, source, work, 1, 1);
		if (verdict == HEAD_COMPLETE) {
			if (note_response(connection, work, stream, &connection->in))
				return 0;
		} else if (verdict != HEAD_INCOMPLETE) {
			stream->state = STREAM_GIVEN_UP;
		}
	}
	if (*(volatile u8 *)&stream->state == STREAM_GIVEN_UP) {
		lose_server_request(connection, work);
		return 0;
	}
	if (notes->ended)
		end_server_request(connection, work);
	return notes->offset < notes->length;
}

INLINE int is_answering(struct connection *connection)
{
	return connection && connection->about.role == ROLE_SERVER && connection->begun != connection->ended &&
	       connection->out.state != STREAM_GIVEN_UP;
}

KRETFUNC_PROBE(tcp_sendmsg, struct sock *sk, struct msghdr *message, size_t size, int sent)
{
	struct connection *connection = connections.sk_storage_get(sk, 0, 0);
	struct source source = {};
	struct work *work;
	u32 slot = WORK_RESPOND;
	int again;

	if (connection && connection->about.observed) {
		settle_send(connection, sent);
		return 0;
	}
	if (sent <= 0 || !is_answering(connection))
		return 0;
	work = works.lookup(&slot);
	if (!work)
		return 0;
	if (!work->rounds) {
		work->offset = 0;
		work->length = sent;
		work->look = FIRST_LOOK;
	}
	source.iter = &message->msg_iter;
	again = send_responses(connection, &source, work);
	if (again && work->rounds < ROUNDS_MAX && connection->begun != connection->ended) {
		work->rounds++;
		respond_again.call(ctx, 0);
	}
	if (again && connection->begun != connection->ended) {
		count(COUNTER_FRAMING_LOST);
		lose_server_request(connection, work);
	}
	work->rounds = 0;
	return 0;
}

#ifdef HAVE_TCP_SENDPAGE
KRETFUNC_PROBE(tcp_sendpage, struct sock *sk, struct page *page, int from, size_t size, int flags, int sent)
{
	struct connection *connection = connections.sk_storage_get(sk, 0, 0);
	struct work *work;
	u32 slot = WORK_RESPOND;
	int passed;

	if (sent <= 0)
		return 0;
	if (connection && connection->about.observed) {
		if (connection->out.state != STREAM_GIVEN_UP && connection->out.state != STREAM_UNSYNCED &&
		    !connection->about.unsynced && pass_unread(&connection->out, sent) == PASSED_LOST)
			give_up(&connection->out, COUNTER_FRAMING_LOST);
		return 0;
	}
	if (!is_answering(connection))
		return 0;
	work = works.lookup(&slot);
	if (!work)
		return 0;
	passed = pass_unread(&connection->out, sent);
	if (passed == PASSED_LOST)
		lose_server_request(connection, work);
	else if (passed == PASSED_END)
		end_server_request(connection, work);
	return 0;
}
#endif
