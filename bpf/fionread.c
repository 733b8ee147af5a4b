/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * FIONREAD of sockets in a sockhash, on kernels that answer 0 (upstream commit 929e30f93125; node_agent/clew_agent/fionread.py
 * finds out). Loaded there alone: it writes into the application's memory, the number that the kernel should have written.
 */
#include "clew.h"
#include "http1.h"
#include "context.h"
#include "stream.h"

#define FIONREAD 0x541b

KRETFUNC_PROBE(inet_ioctl, struct socket *socket, unsigned int command, unsigned long answer, int result)
{
	struct sock *sk = socket->sk;
	struct connection *connection;
	struct tcp_sock *tcp;
	u32 received = 0, taken = 0, told = 0;
	int waiting;

	if (command != FIONREAD || result || !sk)
		return 0;
	connection = connections.sk_storage_get(sk, 0, 0);
	if (!connection || connection->about.role != ROLE_CLIENT || connection->about.observed)
		return 0;
	/* What tcp_inq computes: bytes received in order and not yet read. */
	tcp = (struct tcp_sock *)sk;
	bpf_probe_read_kernel(&received, sizeof(received), &tcp->rcv_nxt);
	bpf_probe_read_kernel(&taken, sizeof(taken), &tcp->copied_seq);
	waiting = received - taken;
	/* A FIN takes a sequence number and is no byte. */
	if (waiting > 0 && sk->__sk_common.skc_flags & 1UL << SOCK_DONE)
		waiting--;
	bpf_probe_read_user(&told, sizeof(told), (void *)answer);
	if (waiting <= 0 || told)
		return 0;
	if (!bpf_probe_write_user((void *)answer, &waiting, sizeof(waiting)))
		count(COUNTER_FIONREAD_CORRECTED);
	return 0;
}
