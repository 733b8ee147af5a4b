/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What a traced pod asks of others over sockets in the sockhash: requests are recognised in sk_msg, and traceparent and tracestate
 * put into their heads. The bytes of a send are touched only there, and only when every byte of the connection so far was understood.
 */
#include "clew.h"
#include "http1.h"
#include "context.h"
#include "stream.h"
#include "requests.h"
#include "insertion.h"
#include "asking.h"

BPF_PROG_ARRAY(inject_again, 1);

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
		if (!connection->send_seen)
			begin_send(connection, work);
	} else if (work->owner != connection->about.id) {
		/* Run in the middle of another connection's rounds. */
		give_up(&connection->out, COUNTER_BUSY);
		return SK_PASS;
	}
	again = send_requests(connection, &source, work, 1);
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

KRETFUNC_PROBE(tcp_bpf_sendmsg, struct sock *sk, struct msghdr *message, size_t size, int sent)
{
	struct connection *connection = connections.sk_storage_get(sk, 0, 0);

	if (connection)
		settle_send(connection, sent);
	return 0;
}

#ifdef HAVE_TCP_SENDPAGE
KRETFUNC_PROBE(tcp_bpf_sendpage, struct sock *sk, struct page *page, int from, size_t size, int flags, int sent)
{
	struct connection *connection = connections.sk_storage_get(sk, 0, 0);

	if (connection)
		settle_send(connection, sent);
	return 0;
}
#endif
