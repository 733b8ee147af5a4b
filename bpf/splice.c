/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Bytes that leave a socket for a pipe (splice: proxies pass bodies on by it). They never lie in the application's memory and do not
 * pass sock_recvmsg, so they are not read here: those of a body whose length is known are stepped over, others end recognition.
 */
#include "clew.h"
#include "http1.h"
#include "context.h"
#include "stream.h"
#include "requests.h"

KRETFUNC_PROBE(tcp_splice_read, struct socket *sock, loff_t *position, struct pipe_inode_info *pipe, size_t size, unsigned int flags, long moved)
{
	struct sock *sk = sock->sk;
	struct connection *connection;
	struct work *work;
	u32 slot = WORK_SPLICE;
	int passed;

	if (!sk || moved <= 0)
		return 0;
	connection = connections.sk_storage_get(sk, 0, 0);
	if (!connection || connection->about.unsynced || connection->in.state == STREAM_GIVEN_UP ||
	    connection->in.state == STREAM_UNSYNCED)
		return 0;
	work = works.lookup(&slot);
	if (!work)
		return 0;
	passed = pass_unread(&connection->in, moved);
	if (passed == PASSED_LOST) {
		count(COUNTER_FRAMING_LOST);
		if (connection->about.role == ROLE_SERVER)
			lose_requests(connection);
		else
			lose_answers(connection, work);
	} else if (passed == PASSED_END && connection->about.role == ROLE_CLIENT) {
		end_answer(connection, work);
	}
	return 0;
}
