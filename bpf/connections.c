/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Which connections are followed: those that traced pods make or take. clew_connection is attached to the pods' cgroups and to no
 * other, so every other socket of the node stays as it is. Connections older than the agent are added from user space
 * (node_agent/clew_agent/sockets.py).
 */
#include "clew.h"
#include "http1.h"
#include "context.h"
#include "stream.h"
#include "requests.h"

/* BCC's macro for this kind of map takes the key's type from the kernel headers, where ours has its padding spelled out; the
 * kernel wants a struct of just these two members (cgroup_storage_check_btf). */
struct pod_scope_key {
	u64 cgroup_inode_id;
	u32 attach_type;
};
struct pod_scopes_table_t {
	struct pod_scope_key key;
	struct pod_scope leaf;
	int (*get_local_storage)(u64);
};
__attribute__((section("maps/cgroup_storage"))) struct pod_scopes_table_t pod_scopes = {0};
BPF_ANNOTATE_KV_PAIR(pod_scopes, struct pod_scope_key, struct pod_scope);

/* Client sockets of traced pods whose policy lets fields be inserted, by socket cookie; membership is what makes sk_msg see their
 * sends (inject.c). It also changes how the kernel treats a socket (docs/safety.md), so no other is in it. */
BPF_SOCKHASH(sockets, u64, 65536);

#define AF_INET 2

/* ::ffff:a.b.c.d */
INLINE void map_address(u8 *to, u32 address)
{
	*(u64 *)to = 0;
	*(u32 *)(to + 8) = bpf_htonl(0xffff);
	*(u32 *)(to + 12) = address;
}

int clew_connection(struct bpf_sock_ops *ops)
{
	/* Through volatile: clang would read two neighbouring fields as one, which the verifier refuses. */
	volatile struct bpf_sock_ops *from = ops;
	struct pod_scope *scope = pod_scopes.get_local_storage(0);
	struct connection *connection;
	struct policy *policy;
	u32 operation = from->op, local, remote;
	u64 cookie;
	long failed;
	void *sk;

	if (operation != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && operation != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	sk = (void *)ops->sk;
	if (!scope || !scope->known || !sk)
		return 1;
	connection = connections.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!connection) {
		count(COUNTER_SOCKET_FULL);
		return 1;
	}
	connection->about.id = next_number(SEQUENCE_CONNECTION);
	connection->about.socket = (u64)sk;
	connection->about.pod = scope->pod;
	connection->about.role = operation == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ? ROLE_CLIENT : ROLE_SERVER;
	connection->about.local_port = from->local_port;
	connection->about.remote_port = bpf_ntohl(from->remote_port);
	/* Every field is read, whatever the family: clang would make one read of two branches', at an offset that is not constant. */
	local = from->local_ip4;
	remote = from->remote_ip4;
	*(u32 *)(connection->about.local_address + 0) = from->local_ip6[0];
	*(u32 *)(connection->about.local_address + 4) = from->local_ip6[1];
	*(u32 *)(connection->about.local_address + 8) = from->local_ip6[2];
	*(u32 *)(connection->about.local_address + 12) = from->local_ip6[3];
	*(u32 *)(connection->about.remote_address + 0) = from->remote_ip6[0];
	*(u32 *)(connection->about.remote_address + 4) = from->remote_ip6[1];
	*(u32 *)(connection->about.remote_address + 8) = from->remote_ip6[2];
	*(u32 *)(connection->about.remote_address + 12) = from->remote_ip6[3];
	if (from->family == AF_INET) {
		map_address(connection->about.local_address, local);
		map_address(connection->about.remote_address, remote);
	}
	count(COUNTER_CONNECTIONS);
	if (connection->about.role == ROLE_CLIENT) {
		policy = policy_of(policy_slot(connection));
		if (!policy || !policy->inject) {
			connection->about.observed = 1;
			return 1;
		}
		cookie = bpf_get_socket_cookie(ops);
		/* BCC puts a semicolon behind this call: it can't stand in a condition. */
		failed = sockets.sock_hash_update(ops, &cookie, BPF_ANY);
		if (failed) {
			connection->about.observed = 1;
			count(COUNTER_SOCKET_FULL);
		}
	}
	return 1;
}

/* The application closes its socket (or ends): requests that are still open end here. */
KFUNC_PROBE(tcp_close, struct sock *sk, long timeout)
{
	struct connection *connection = connections.sk_storage_get(sk, 0, 0);
	struct work *work;
	u32 slot = WORK_CLOSE, i;
	u8 outcome = OUTCOME_CLOSED;

	if (!connection || connection->begun == connection->ended)
		return 0;
	work = works.lookup(&slot);
	if (!work)
		return 0;
	if (connection->about.role == ROLE_SERVER ? connection->out.state == STREAM_UNTIL_CLOSE
					    : connection->in.state == STREAM_UNTIL_CLOSE)
		outcome = OUTCOME_COMPLETE;
	for (i = 0; i < ROUNDS_MAX; i++) {
		if (connection->begun == connection->ended)
			break;
		finish_request(connection, work, outcome);
		outcome = OUTCOME_CLOSED;
	}
	return 0;
}
