/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The kernel and BCC, as far as the request path's programs meet them, for path_host.c: types, maps, helpers. Everything that
 * a program may be refused has a fault that a test can set. Memory is handed out in pieces of exactly the right size, and what
 * is deleted is freed, so that the address sanitizer sees what the verifier can't: stale values, reads behind a buffer.
 */
#ifndef PATH_KERNEL_H
#define PATH_KERNEL_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef int64_t s64;
typedef uint64_t u64;

#define CHECKPOINT() /* for the verifier only */

/* What can be made to fail. The names of the last ones are those of the maps whose updates fail. */
enum fault {
	FAULT_PULL, FAULT_COPY, FAULT_PUSH, FAULT_POP, FAULT_USER_READ, FAULT_RING, FAULT_TAIL_CALL, FAULT_STORAGE, FAULT_SOCKHASH,
	FAULT_contexts, FAULT_tracestates, FAULT_units, FAULT_processes, FAULT_heads, FAULTS,
	FAULT_pod_policies = FAULTS - 1 /* user space alone writes it */
};
static u8 faults[FAULTS]; /* 0: never; n: from the n-th call on */
static u64 clock_ns;
static u64 running;          /* what bpf_get_current_pid_tgid returns */
static u32 dice;             /* what bpf_get_prandom_u32 returns */

static int refused(enum fault fault)
{
	if (faults[fault] > 1)
		return !faults[fault]--;
	return faults[fault];
}

static void *allocate(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		abort();
	return memory;
}

/* Types: the members that the programs name. */
struct net {
	struct {
		u32 sysctl_tcp_notsent_lowat;
	} ipv4;
};
struct sock {
	struct {
		unsigned long skc_flags;
		struct {
			struct net *net;
		} skc_net;
	} __sk_common;
	int sk_wmem_queued;
	int sk_sndbuf;
	void *storage;
};
struct tcp_sock {
	struct sock sock;
	u32 mss_cache, write_seq, snd_nxt, notsent_lowat;
};
struct socket {
	struct sock *sk;
};
struct iovec {
	void *iov_base;
	size_t iov_len;
};
enum iter_type { ITER_UBUF = 0, ITER_IOVEC = 1, ITER_BVEC = 2 };
struct iov_iter {
	u8 iter_type;
	size_t iov_offset;
	const struct iovec *__iov;
	void *ubuf;
};
struct msghdr {
	struct iov_iter msg_iter;
};
struct task_struct {
	char comm[16];
};
struct pid_namespace;
struct pipe_inode_info;
struct page;
struct upid {
	int nr;
};
struct pid {
	struct upid numbers[1];
};
struct bpf_sock_ops {
	u32 op, family, remote_ip4, local_ip4;
	u32 remote_ip6[4], local_ip6[4];
	u32 remote_port, local_port;
	struct sock *sk;
};
struct sk_msg_md {
	void *data, *data_end;
	u32 size;
	struct sock *sk;
};
enum { BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB = 4, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 5 };
enum { BPF_ANY = 0, BPF_F_NO_PREALLOC = 1, BPF_RB_NO_WAKEUP = 1, BPF_SK_STORAGE_GET_F_CREATE = 1, SK_DROP = 0, SK_PASS = 1 };

/* Hash maps: a list, newest first. An update makes a new element and frees the old one, as the kernel's do. */
struct element {
	struct element *next;
	void *key, *value;
};
struct map {
	u32 key_size, value_size, limit;
	u8 evicts;
	struct element *first;
};

static struct element **find_element(struct map *map, const void *key)
{
	struct element **at = &map->first;

	while (*at && memcmp((*at)->key, key, map->key_size))
		at = &(*at)->next;
	return at;
}

static void *map_lookup(struct map *map, const void *key)
{
	struct element *found = *find_element(map, key);

	return found ? found->value : NULL;
}

static int map_delete(struct map *map, const void *key)
{
	struct element **at = find_element(map, key), *found = *at;

	if (!found)
		return -2;
	*at = found->next;
	free(found->key);
	free(found->value);
	free(found);
	return 0;
}

static int map_update(struct map *map, const void *key, const void *value)
{
	struct element *made = allocate(sizeof(*made)), *other, *oldest = NULL;
	u32 elements = 0;

	made->key = allocate(map->key_size);
	made->value = allocate(map->value_size);
	memcpy(made->key, key, map->key_size);
	memcpy(made->value, value, map->value_size);
	map_delete(map, key);
	for (other = map->first; other; other = other->next, elements++)
		oldest = other;
	if (elements >= map->limit && map->evicts)
		map_delete(map, oldest->key);
	made->next = map->first;
	map->first = made;
	return 0;
}

static void map_clear(struct map *map)
{
	while (map->first)
		map_delete(map, map->first->key);
}

/* Arrays: elements of their own, made when they are first looked up. */
static void *array_lookup(void **elements, u32 limit, size_t size, u32 at)
{
	if (at >= limit)
		return NULL;
	if (!elements[at])
		elements[at] = allocate(size);
	return elements[at];
}

static void array_clear(void **elements, u32 limit)
{
	while (limit--) {
		free(elements[limit]);
		elements[limit] = NULL;
	}
}

#define BPF_F_TABLE(KIND, KEY, LEAF, NAME, LIMIT, FLAGS) \
	static struct map NAME##_map = {sizeof(KEY), sizeof(LEAF), LIMIT, KIND[0] == 'l', NULL}; \
	static LEAF *NAME##_lookup(KEY *key) { return map_lookup(&NAME##_map, key); } \
	static int NAME##_update(KEY *key, LEAF *leaf) \
	{ \
		return refused(FAULT_##NAME) ? -7 : map_update(&NAME##_map, key, leaf); \
	} \
	static int NAME##_delete(KEY *key) { return map_delete(&NAME##_map, key); } \
	static const struct { \
		LEAF *(*lookup)(KEY *); \
		int (*update)(KEY *, LEAF *); \
		int (*delete)(KEY *); \
	} NAME = {NAME##_lookup, NAME##_update, NAME##_delete}
#define BPF_TABLE(KIND, KEY, LEAF, NAME, LIMIT) BPF_F_TABLE(KIND, KEY, LEAF, NAME, LIMIT, 0)

#define BPF_ARRAY(NAME, LEAF, LIMIT) \
	enum { NAME##_limit = LIMIT }; \
	static void *NAME##_elements[LIMIT]; \
	static LEAF *NAME##_lookup(u32 *at) { return array_lookup(NAME##_elements, LIMIT, sizeof(LEAF), *at); } \
	static const struct { \
		LEAF *(*lookup)(u32 *); \
	} NAME = {NAME##_lookup}
#define BPF_PERCPU_ARRAY BPF_ARRAY
#define CLEAR_ARRAY(NAME) array_clear(NAME##_elements, NAME##_limit)

#define BPF_SK_STORAGE(NAME, LEAF) \
	static LEAF *NAME##_storage(void *sk, void *initial, int flags) \
	{ \
		struct sock *of = sk; \
		(void)initial; \
		if (!of->storage && flags & BPF_SK_STORAGE_GET_F_CREATE && !refused(FAULT_STORAGE)) \
			of->storage = allocate(sizeof(LEAF)); \
		return of->storage; \
	} \
	static const struct { \
		LEAF *(*sk_storage_get)(void *, void *, int); \
	} NAME = {NAME##_storage}

#define BPF_SOCKHASH(NAME, KEY, LIMIT) \
	static long NAME##_update(void *ops, KEY *key, u64 flags) \
	{ \
		(void)ops, (void)key, (void)flags; \
		return refused(FAULT_SOCKHASH) ? -7 : 0; \
	} \
	static const struct { \
		long (*sock_hash_update)(void *, KEY *, u64); \
	} NAME = {NAME##_update}

/* The ring buffer: records gathered for the answer, each behind its size. */
static u8 *ring;
static u32 ring_used;

static int ring_output(void *record, u64 size, u64 flags)
{
	u32 length = size;

	(void)flags;
	if (refused(FAULT_RING))
		return -11;
	ring = realloc(ring, ring_used + sizeof(length) + length);
	if (!ring)
		abort();
	memcpy(ring + ring_used, &length, sizeof(length));
	memcpy(ring + ring_used + sizeof(length), record, length);
	ring_used += sizeof(length) + length;
	return 0;
}
#define BPF_RINGBUF_OUTPUT(NAME, PAGES) \
	static const struct { \
		int (*ringbuf_output)(void *, u64, u64); \
	} NAME = {ring_output}

/* Tail calls: RUN does what it is given anew, 33 times at most (MAX_TAIL_CALL_CNT). */
static jmp_buf program_start;
static u32 tail_calls;
static const char *called; /* the array that was called through last */

static void tail_call(const char *array)
{
	if (refused(FAULT_TAIL_CALL) || tail_calls++ >= 33)
		return;
	called = array;
	longjmp(program_start, 1);
}
#define BPF_PROG_ARRAY(NAME, LIMIT) \
	static void NAME##_call(void *context, u32 at) \
	{ \
		(void)context, (void)at; \
		tail_call(#NAME); \
	} \
	static const struct { \
		void (*call)(void *, u32); \
	} NAME = {NAME##_call}
#define RUN(CALL) \
	do { \
		tail_calls = 0; \
		called = ""; \
		(void)setjmp(program_start); \
		CALL; \
	} while (0)

/* Programs become functions: probe_NAME at a kernel function's return, entry_NAME at its beginning. */
#define KRETFUNC_PROBE(NAME, ...) static int probe_##NAME(void *ctx, __VA_ARGS__)
#define KFUNC_PROBE(NAME, ...) static int entry_##NAME(void *ctx, __VA_ARGS__)
#define BPF_PROG(NAME, ...) static int NAME(void *ctx, __VA_ARGS__)
#define RAW_TRACEPOINT_PROBE(NAME) static int probe_##NAME(void *ctx)

/* The pod's scope stands in the map's own leaf. */
#define BPF_ANNOTATE_KV_PAIR(...) struct no_annotation
#define get_local_storage(FLAGS) leaf.known ? &pod_scopes.leaf : NULL

/* Helpers. */
#define bpf_htonl __builtin_bswap32
#define bpf_ntohl __builtin_bswap32

static struct task_struct current_task = {"service"};

static u64 bpf_get_current_pid_tgid(void) { return running; }
static u64 bpf_get_current_cgroup_id(void) { return 0x500000000ULL | (running >> 32) << 16 | 9; }
static u64 bpf_get_current_task(void) { return (u64)&current_task; }
static u64 bpf_ktime_get_ns(void) { return clock_ns += 1000; }
static u32 bpf_get_prandom_u32(void) { return dice; }
static u64 bpf_get_socket_cookie(void *ops) { return (u64)ops; }

static long bpf_probe_read_kernel(void *to, u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

static long bpf_probe_read_user(void *to, u32 size, const void *from)
{
	if (refused(FAULT_USER_READ))
		return -14;
	memcpy(to, from, size);
	return 0;
}

#endif
