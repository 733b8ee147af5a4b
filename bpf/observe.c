/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What a traced pod asks of others over sockets that stay out of the sockhash, because its policy (propagation.inject) or the node lets
 * nothing be inserted: the kernel treats them as ever, and their client spans are made all the same.
 *
 * A send is read before it goes: afterwards, its answer may have been read by another thread already. How much of it the kernel took
 * is known when it returns (respond.c, which is where tcp_sendmsg's return is hooked).
 */
#include "clew.h"
#include "http1.h"
#include "context.h"
#include "stream.h"
#include "requests.h"
#include "insertion.h"
#include "asking.h"

BPF_PROG_ARRAY(observe_again, 1);

KFUNC_PROBE(tcp_sendmsg, struct sock *sk, struct msghdr *message, size_t size)
{
	struct connection *connection = connections.sk_storage_get(sk, 0, 0);
	struct source source = {.ahead = 1};
	struct work *work;
	u32 slot = WORK_OBSERVE;
	int again;

	if (!connection || !connection->about.observed || !size)
		return 0;
	if (connection->out.state == STREAM_GIVEN_UP || connection->about.unsynced)
		return 0;
	work = works.lookup(&slot);
	if (!work)
		return 0;
	if (!work->rounds) {
		work->offset = 0;
		work->length = size;
		work->look = FIRST_LOOK;
		work->inserted = 0;
		begin_send(connection, work);
	}
	source.iter = &message->msg_iter;
	again = send_requests(connection, &source, work, 0);
	if (connection->out.state == STREAM_GIVEN_UP)
		again = 0;
	if (again && work->rounds < ROUNDS_MAX) {
		work->rounds++;
		observe_again.call(ctx, 0);
	}
	if (again)
		give_up(&connection->out, COUNTER_FRAMING_LOST);
	connection->send_seen = work->length;
	work->rounds = 0;
	return 0;
}
