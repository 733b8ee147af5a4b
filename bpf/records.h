/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The records that cross the ring buffer to user space. This is their only declaration: node_agent/clew_agent/records.py
 * reads this file and derives the decoder from it, so adding a field is one line here and its use.
 *
 * Rules of the file, which that reader holds it to: every record is a `struct … { … };` of the fixed-width members
 * u8 u16 u32 u64 s64 or an array of u8; no member needs padding before it; each struct ends on a multiple of eight bytes;
 * the constants of an enum carry explicit values. All times are CLOCK_MONOTONIC nanoseconds. Identifiers and
 * addresses are in network byte order, numbers in the host's. Addresses are IPv6; IPv4 is mapped (::ffff:a.b.c.d).
 */
#ifndef CLEW_RECORDS_H
#define CLEW_RECORDS_H

enum record_kind {
	RECORD_REQUEST = 1,  /* one finished server or client request: a request span */
	RECORD_FUNCTION = 2, /* one finished call of a kernel function inside a sampled request */
};

enum role {
	ROLE_SERVER = 1,
	ROLE_CLIENT = 2,
};

/* How a request ended. */
enum outcome {
	OUTCOME_COMPLETE = 1, /* the response was seen to its end */
	OUTCOME_CLOSED = 2,   /* the connection ended first */
	OUTCOME_TUNNEL = 3,   /* the connection stopped being HTTP/1 here: 101, or a successful CONNECT */
	OUTCOME_LOST = 4,     /* the response could not be followed to its end (see the counters) */
};

#define TARGET_MAX 256 /* bytes of the request target that a record keeps; the rest is cut */

struct request_record {
	u16 kind;            /* RECORD_REQUEST */
	u8 role;             /* enum role */
	u8 outcome;          /* enum outcome */
	u32 pod;             /* the pod's slot, as the agent numbered it */
	u64 start_ns;        /* server: the request's first bytes were read; client: they were sent */
	u64 end_ns;          /* server: the response's last byte was sent; client: it was read */
	u8 trace_id[16];
	u8 span_id[8];
	u8 parent_id[8];     /* all zero: the trace begins here */
	u32 pid;             /* process (tgid) that read or sent the request, in the initial PID namespace */
	u32 tid;             /* thread likewise */
	u8 local_address[16];
	u8 remote_address[16];
	u16 local_port;
	u16 remote_port;
	u16 status;          /* of the final response; 0: none was seen */
	u8 trace_flags;      /* of the traceparent that goes on: bit 0 sampled, bit 1 random */
	u8 http_minor;       /* 0 or 1: the request's HTTP/1.x */
	u8 adopted;          /* 1: the application's own traceparent was taken; 0 otherwise */
	u8 method_length;    /* the method's bytes at the start of `target`, which a space follows */
	u16 target_length;   /* bytes of `target` */
	u32 cgroup;          /* low half of the ID (inode) of the thread's cgroup: no two that there are share it */
	u8 comm[16];         /* the thread's name, NUL-padded */
	u8 target[TARGET_MAX]; /* the request line's start: method, space, target; the record ends behind the last of them */
};

/* The arguments that the policy asked for follow the struct, laid out by the generated code (see functions/codegen.py). */
struct function_record {
	u16 kind;            /* RECORD_FUNCTION */
	u16 function;        /* index in the list of functions that the programs were generated from */
	u32 pod;
	u64 start_ns;
	u64 end_ns;
	u8 trace_id[16];
	u8 span_id[8];
	u8 parent_id[8];     /* the enclosing function's span, or the request's */
	u8 request_id[8];    /* the span of the request that the call works for */
	s64 returned;        /* the return register, sign-extended from the function's return type by the decoder */
	u32 pid;
	u32 tid;
	u16 depth;           /* 0: directly under the request */
	u16 arguments_length; /* bytes that follow */
	u32 cgroup;          /* that of the request */
};

#endif
