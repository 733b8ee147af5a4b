/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The kernel's request path as a program for the tests (tests/truth/path_host.py drives it): the files of bpf/ as they are, on a
 * kernel of their own (path_kernel.h, path_message.h). Standard input brings commands: `struct command`, the lengths of its
 * pieces, their bytes. Standard output takes the answers: `struct answer`, bytes, insertions, records.
 */
#include "path_kernel.h"
#include "path_message.h"

#define HAVE_TCP_SENDPAGE
#include "answer.c"
#include "receive.c"
#include "respond.c"
#include "inject.c"
#include "observe.c"
#include "connections.c"
#include "threads.c"
#include "splice.c"

#define CONNECTIONS_MAX 64
#define COMMAND_PIECES_MAX 64

enum command_kind {
	COMMAND_RESET, COMMAND_OPEN, COMMAND_READ, COMMAND_WRITE, COMMAND_PAGE, COMMAND_MESSAGE, COMMAND_SENT, COMMAND_CLOSE,
	COMMAND_CLONE, COMMAND_EXIT, COMMAND_CONTEXT, COMMAND_FAULT, COMMAND_ROOM, COMMAND_FORGET_HEADS, COMMAND_TAKEN_OVER, COMMAND_LOOK,
	COMMAND_INTERRUPT, COMMAND_WAIT, COMMAND_SPLICE,
};

struct command {
	u32 kind, connection, pid, tid;
	s64 first, second; /* what they mean is said where they are used */
	u32 pieces, reserved;
};

struct answer {
	s64 result;
	u32 bytes, insertions, records; /* how much of each follows, in bytes */
	u8 in, out;                     /* the connection's streams, enum stream_state */
	u8 in_partial, out_partial;     /* 1: a part of a head is kept */
	u64 in_left, out_left;
	u32 begun, ended;
	u64 open;                       /* requests in the table, of all connections */
	u64 counters[COUNTERS];
};

static struct sock *socks[CONNECTIONS_MAX];
static struct net net = {{~0u}};
static u32 lengths[COMMAND_PIECES_MAX];
static u8 *pieces[COMMAND_PIECES_MAX];
static u8 *reply;
static struct message message;

static void forget_reply(void)
{
	free(reply);
	reply = NULL;
	while (message.used)
		remove_piece(&message, 0);
	memset(&message, 0, sizeof(message));
	free(ring);
	ring = NULL;
	ring_used = 0;
}

/* Everything as it is when the programs have just been loaded, but for what they work with: that holds what was left there.
 * Pieces: the settings, the policy of slot 0. */
static s64 reset(struct command *command)
{
	u32 i, zero = 0, pods[] = {0, 7}; /* of a connection that user space told of, and of the others */

	for (i = 0; i < CONNECTIONS_MAX; i++) {
		if (socks[i])
			free(socks[i]->storage);
		free(socks[i]);
		socks[i] = NULL;
	}
	map_clear(&contexts_map);
	map_clear(&tracestates_map);
	map_clear(&units_map);
	map_clear(&processes_map);
	map_clear(&heads_map);
	map_clear(&pod_policies_map);
	CLEAR_ARRAY(settings);
	CLEAR_ARRAY(policies);
	CLEAR_ARRAY(allowances);
	CLEAR_ARRAY(counters);
	CLEAR_ARRAY(sequences);
	memset(faults, 0, sizeof(faults));
	clock_ns = 0;
	dice = 0;
	if (command->pieces != 2 || lengths[0] != sizeof(struct settings) || lengths[1] != sizeof(struct policy))
		return -1;
	memcpy(settings.lookup(&zero), pieces[0], lengths[0]);
	memcpy(policies.lookup(&zero), pieces[1], lengths[1]);
	for (i = 0; i < 2; i++)
		map_update(&pod_policies_map, &pods[i], &zero);
	pod_scopes.leaf = (struct pod_scope){.pod = 7, .known = 1};
	return 0;
}

/* Sequence numbers begin just before their end. */
static struct sock *make_sock(void)
{
	struct tcp_sock *tcp = allocate(sizeof(*tcp));

	tcp->sock.sk_sndbuf = 1 << 20;
	tcp->sock.__sk_common.skc_net.net = &net;
	tcp->mss_cache = 1460;
	tcp->write_seq = tcp->snd_nxt = -100;
	return &tcp->sock;
}

/* A connection comes to be. first: its role; second: local port << 16 | remote port; pieces: both addresses, of 4 or 16 bytes. */
static s64 open_connection(struct command *command)
{
	struct bpf_sock_ops ops = {.family = lengths[0] == 4 ? AF_INET : 10};
	struct sock *sk = make_sock();

	ops.op = command->first == ROLE_CLIENT ? BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB : BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB;
	ops.sk = sk;
	ops.local_port = command->second >> 16;
	ops.remote_port = bpf_htonl(command->second & 0xffff);
	memcpy(lengths[0] == 4 ? &ops.local_ip4 : ops.local_ip6, pieces[0], lengths[0]);
	memcpy(lengths[1] == 4 ? &ops.remote_ip4 : ops.remote_ip6, pieces[1], lengths[1]);
	socks[command->connection] = sk;
	return clew_connection(&ops);
}

/* A connection that is older than the programs: user space tells. first: its role, and 1 << 8 for one that is only observed; second:
 * an id. */
static s64 take_over(struct command *command)
{
	struct sock *sk = socks[command->connection] = make_sock();
	struct connection *connection = connections.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	connection->about.id = command->second;
	connection->about.role = command->first & 0xff;
	connection->about.observed = command->first >> 8 & 1;
	connection->about.unsynced = 1;
	return 0;
}

/* The iterator behind `passed` bytes of the pieces, as iov_iter_advance leaves it. */
static void pass_over(struct iov_iter *iter, struct iovec *segments, u32 count, size_t passed, int single)
{
	u32 i;

	for (i = 0; i < count; i++)
		segments[i] = (struct iovec){pieces[i], lengths[i]};
	iter->iter_type = single && count == 1 ? ITER_UBUF : ITER_IOVEC;
	iter->iov_offset = passed;
	iter->ubuf = pieces[0];
	iter->__iov = segments;
	if (iter->iter_type == ITER_UBUF)
		return;
	for (i = 0; i < count && iter->iov_offset >= segments[i].iov_len; i++)
		iter->iov_offset -= segments[i].iov_len;
	iter->__iov = segments + i;
}

/* The pieces are offered, and `sent` bytes of them taken. */
static void write_socket(struct sock *sk, struct msghdr *header, struct iovec *segments, struct command *command)
{
	size_t size = 0, sent = command->first > 0 ? command->first : 0;
	u32 i;

	for (i = 0; i < command->pieces; i++)
		size += lengths[i];
	pass_over(&header->msg_iter, segments, command->pieces, 0, command->second >> 32 & 1);
	RUN(entry_tcp_sendmsg(NULL, sk, header, size));
	pass_over(&header->msg_iter, segments, command->pieces, sent, command->second >> 32 & 1);
	((struct tcp_sock *)sk)->write_seq += sent;
	RUN(probe_tcp_sendmsg(NULL, sk, header, size, command->first));
}

/* read: first: its result; second: the flags, and 1 << 32 for a buffer that is no iovec. write: the same without flags. */
static s64 move_bytes(struct command *command, struct sock *sk)
{
	struct iovec *segments = allocate(sizeof(*segments) * (command->pieces + 1));
	struct socket socket = {sk};
	struct msghdr header = {};

	if (command->kind == COMMAND_READ) {
		pass_over(&header.msg_iter, segments, command->pieces, command->first > 0 ? command->first : 0, command->second >> 32 & 1);
		RUN(strcmp(called, "read_answer") ? probe_sock_recvmsg(NULL, &socket, &header, (int)command->second, command->first)
						  : clew_answer(NULL, &socket, &header, (int)command->second, command->first));
	} else {
		write_socket(sk, &header, segments, command);
	}
	free(segments);
	return 0;
}

/* The program runs over one message of a send. second: bit n is set where piece n is a shared page. */
static s64 send_message(struct command *command, struct sock *sk, struct answer *answer)
{
	volatile int verdict;
	u32 i;

	for (i = 0; i < command->pieces && i < PIECES_MAX; i++) {
		add_piece(&message, i, copy_of(pieces[i], lengths[i]), lengths[i], command->second >> i & 1);
		message.md.size += lengths[i];
	}
	message.md.sk = sk;
	point_at_start(&message);
	RUN(verdict = clew_inject(&message.md));
	reply = allocate(message.md.size + 1);
	for (i = 0; i < message.used; i++) {
		memcpy(reply + answer->bytes, message.pieces[i].bytes, message.pieces[i].length);
		answer->bytes += message.pieces[i].length;
	}
	answer->insertions = message.insertion_count * sizeof(struct insertion);
	return answer->bytes == message.md.size ? verdict : -1;
}

/* first: the new thread's id, or the error. */
static s64 clone_thread(struct command *command)
{
	struct pid made = {{{command->first}}};

	RUN(probe_alloc_pid(NULL, NULL, NULL, 0, command->first < 0 ? (struct pid *)command->first : &made));
	return 0;
}

/* The running unit's context: its span. */
static s64 tell_context(struct answer *answer)
{
	struct context *context = current_context();

	if (!context)
		return 0;
	reply = copy_of(context->span_id, sizeof(context->span_id));
	answer->bytes = sizeof(context->span_id);
	return 1;
}

static s64 close_connection(struct command *command, struct sock *sk)
{
	RUN(entry_tcp_close(NULL, sk, 0));
	free(sk->storage);
	free(sk);
	socks[command->connection] = NULL;
	return 0;
}

/* The next message finds the program of another connection under way on this CPU, in round `first`; -1: no longer. */
static s64 interrupt(struct command *command)
{
	u32 slot = WORK_INJECT;
	struct work *work = works.lookup(&slot);

	work->busy = command->first >= 0;
	work->rounds = command->first > 0 ? command->first : 0;
	work->owner = 1 << 20;
	work->offset = 0;
	work->length = 1 << 16;
	return 0;
}

/* first: bytes in the send buffer; second: how many it takes; pieces: u32s, the size of a segment, bytes not sent, TCP_NOTSENT_LOWAT
 * of the connection and of the system. */
static s64 set_room(struct command *command, struct sock *sk)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	u32 *numbers = (u32 *)pieces[0];

	sk->sk_wmem_queued = command->first;
	sk->sk_sndbuf = command->second;
	tcp->mss_cache = numbers[0];
	tcp->snd_nxt = tcp->write_seq - numbers[1];
	tcp->notsent_lowat = numbers[2];
	net.ipv4.sysctl_tcp_notsent_lowat = numbers[3];
	return 0;
}

static s64 obey(struct command *command, struct answer *answer)
{
	struct sock *sk = socks[command->connection];

	running = (u64)command->pid << 32 | command->tid;
	switch (command->kind) {
	case COMMAND_RESET:
		return reset(command);
	case COMMAND_OPEN:
		return open_connection(command);
	case COMMAND_TAKEN_OVER:
		return take_over(command);
	case COMMAND_READ:
	case COMMAND_WRITE:
		return move_bytes(command, sk);
	case COMMAND_PAGE:
		RUN(probe_tcp_sendpage(NULL, sk, NULL, 0, command->first, 0, command->first));
		return 0;
	case COMMAND_SPLICE: {
		struct socket socket = {sk};

		RUN(probe_tcp_splice_read(NULL, &socket, NULL, NULL, 0, 0, command->first));
		return 0;
	}
	case COMMAND_MESSAGE:
		return send_message(command, sk, answer);
	case COMMAND_SENT: /* first: what is told; second: what went, in bytes */
		((struct tcp_sock *)sk)->write_seq += command->second;
		RUN(probe_tcp_bpf_sendmsg(NULL, sk, NULL, 0, command->first));
		return 0;
	case COMMAND_CLOSE:
		return close_connection(command, sk);
	case COMMAND_CLONE:
		return clone_thread(command);
	case COMMAND_EXIT:
		RUN(probe_sched_process_exit(NULL));
		return 0;
	case COMMAND_CONTEXT:
		return tell_context(answer);
	case COMMAND_FAULT: /* first: enum fault; second: 0 no longer, n from the n-th call on */
		faults[command->first % FAULTS] = command->second;
		return 0;
	case COMMAND_ROOM:
		return set_room(command, sk);
	case COMMAND_FORGET_HEADS:
		map_clear(&heads_map);
		return 0;
	case COMMAND_LOOK:
		return 0;
	case COMMAND_INTERRUPT:
		return interrupt(command);
	case COMMAND_WAIT: /* first: nanoseconds that pass */
		clock_ns += command->first;
		return 0;
	}
	return -1;
}

static void describe(u32 at, struct answer *answer)
{
	struct connection *connection = socks[at] ? socks[at]->storage : NULL;
	struct element *element;
	u32 i;

	for (element = contexts_map.first; element; element = element->next)
		answer->open++;
	for (i = 0; i < COUNTERS; i++)
		answer->counters[i] = *counters.lookup(&i);
	answer->records = ring_used;
	if (!connection)
		return;
	answer->in = connection->in.state;
	answer->out = connection->out.state;
	answer->in_partial = connection->in.state == STREAM_HEAD && connection->in.partial;
	answer->out_partial = connection->out.state == STREAM_HEAD && connection->out.partial;
	answer->in_left = connection->in.left;
	answer->out_left = connection->out.left;
	answer->begun = connection->begun;
	answer->ended = connection->ended;
}

static int take_pieces(u32 count)
{
	u32 i;

	if (count > COMMAND_PIECES_MAX || fread(lengths, sizeof(u32), count, stdin) != count)
		return 0;
	for (i = 0; i < count; i++) {
		pieces[i] = malloc(lengths[i]);
		if (fread(pieces[i], 1, lengths[i], stdin) != lengths[i])
			return 0;
	}
	return 1;
}

static void tell(const void *bytes, u32 size)
{
	if (size)
		fwrite(bytes, 1, size, stdout);
}

int main(void)
{
	struct command command;
	u32 i;

	while (fread(&command, sizeof(command), 1, stdin) == 1 && take_pieces(command.pieces) &&
	       command.connection < CONNECTIONS_MAX) {
		struct answer answer = {};

		answer.result = obey(&command, &answer);
		describe(command.connection, &answer);
		fwrite(&answer, sizeof(answer), 1, stdout);
		tell(reply, answer.bytes);
		tell(message.insertions, answer.insertions);
		tell(ring, answer.records);
		if (fflush(stdout))
			return 1;
		forget_reply();
		for (i = 0; i < command.pieces; i++)
			free(pieces[i]);
	}
	command = (struct command){.kind = COMMAND_RESET};
	reset(&command);
	CLEAR_ARRAY(settings);
	CLEAR_ARRAY(policies);
	CLEAR_ARRAY(works);
	return 0;
}
