/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What a traced pod that asks gets back: the response is followed to its last byte, where the client span ends.
 *
 * A program of its own, which receive.c calls where a client reads, not a branch there: one program with both parsers is more than the
 * verifier walks. So a socket that nobody traces costs one look at its storage, whatever it reads.
 */
#include "clew.h"
#include "http1.h"
#include "context.h"
#include "stream.h"
#include "requests.h"

BPF_PROG_ARRAY(read_answer, 1);

/* What is read is not certain any more: nothing on this connection is. */
INLINE void lose_answers(struct connection *connection, struct work *work)
{
	finish_request(connection, work, OUTCOME_LOST);
	connection->in.state = connection->out.state = STREAM_GIVEN_UP;
}

/* The response to the connection's first open request was read to its end. On a connection older than the agent, that shows where the
 * next request begins. */
INLINE void end_answer(struct connection *connection, struct work *work)
{
	finish_request(connection, work, OUTCOME_COMPLETE);
	if (connection->out.state == STREAM_UNSYNCED)
		connection->out.state = STREAM_HEAD;
}

/* Follows responses. Returns 1 if another round is needed. */
INLINE int read_answers(struct connection *connection, struct source *source, struct work *work)
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
		verdict = read_head(connection, stream, source, work, 0, 1);
		if (verdict == HEAD_COMPLETE) {
			if (note_response(connection, work, stream, &connection->out))
				return 0;
		} else if (notes->unsynced && !(verdict == HEAD_INCOMPLETE && notes->offset < notes->length)) {
			/* Not a response's beginning: the next read may be one. */
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
		lose_answers(connection, work);
		return 0;
	}
	if (notes->ended)
		end_answer(connection, work);
	return notes->offset < notes->length;
}

BPF_PROG(clew_answer, struct socket *sock, struct msghdr *message, int flags, int received)
{
	struct sock *sk = sock->sk;
	struct connection *connection;
	struct source source = {};
	struct work *work;
	u32 slot = WORK_ANSWER;
	int again;

	if (!sk)
		return 0;
	connection = connections.sk_storage_get(sk, 0, 0);
	if (!connection)
		return 0;
	if (connection->in.state == STREAM_GIVEN_UP || flags & MSG_NOT_READ)
		return 0;
	if (connection->about.unsynced)
		take_up(connection, sk);
	work = works.lookup(&slot);
	if (!work)
		return 0;
	if (received <= 0) {
		if (!received && connection->in.state == STREAM_UNTIL_CLOSE)
			finish_request(connection, work, OUTCOME_COMPLETE);
		return 0;
	}
	if (flags & MSG_TRUNC) {
		/* The application drops bytes unread: what they were is not known. */
		count(COUNTER_FRAMING_LOST);
		lose_answers(connection, work);
		return 0;
	}
	if (!work->rounds) {
		work->offset = 0;
		work->length = received;
		work->look = FIRST_LOOK;
	}
	source.iter = &message->msg_iter;
	again = read_answers(connection, &source, work);
	if (again && work->rounds < ROUNDS_MAX) {
		work->rounds++;
		read_answer.call(ctx, 0);
	}
	if (again) {
		count(COUNTER_FRAMING_LOST);
		lose_answers(connection, work);
	}
	work->rounds = 0;
	return 0;
}
