/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What the programs count: everything that is lost, refused or given up, so that nothing is lost in silence. The agent reads
 * names and help texts from here (metrics.py); a new counter is one line.
 */
#ifndef CLEW_COUNTERS_H
#define CLEW_COUNTERS_H

enum counter {
	COUNTER_CONNECTIONS = 0,        /* connections of traced pods that were taken up */
	COUNTER_SERVER_REQUESTS = 1,    /* requests read by traced pods */
	COUNTER_CLIENT_REQUESTS = 2,    /* requests sent by traced pods */
	COUNTER_INJECTED = 3,           /* requests sent on with a traceparent that Clew added */
	COUNTER_ADOPTED = 4,            /* requests sent on with the traceparent that the application made */
	COUNTER_NOT_INJECTED_POLICY = 5, /* requests sent on without a traceparent because the policy says so */
	COUNTER_NOT_INJECTED_SPACE = 6, /* requests sent on without a traceparent: the kernel had no room in the message or the send buffer */
	COUNTER_NOT_INJECTED_FORM = 7,  /* requests sent on without a traceparent: lines that end in a bare LF, or a blank line cut in two */
	COUNTER_HEAD_TOO_LONG = 8,      /* message heads that did not end within 8 KiB or 128 lines */
	COUNTER_HEAD_UNREADABLE = 9,    /* message heads that could not be read from the application's memory */
	COUNTER_FRAMING_LOST = 10,      /* connections given up because the end of a message was not certain */
	COUNTER_PARTIAL_FULL = 11,      /* beginnings of heads that could not be kept */
	COUNTER_CONTEXT_FULL = 12,      /* requests that were not traced: the table of open requests was full */
	COUNTER_SOCKET_FULL = 13,       /* connections that found no room: not followed, or without propagation */
	COUNTER_SEND_CUT = 14,          /* sends that the kernel took only in part */
	COUNTER_BUSY = 15,              /* messages passed on unchanged: the scratch buffer was in use */
	COUNTER_RING_FULL = 16,         /* records lost: the ring buffer was full */
	COUNTER_RATE_LIMITED = 17,      /* traces not begun: sampling.maxPerSecond */
	COUNTER_AMBIGUOUS = 18,         /* requests sent without a parent: more than one could have been it */
	COUNTER_UNTRUSTED = 19,         /* requests sent without a parent: it is not certain that the helper thread works for the request that made it */
	COUNTER_MULTIPLEXING = 20,      /* processes found to serve several requests on one thread, or one on several */
	COUNTER_POOLS = 21,             /* processes whose helper threads were found to outlive their request */
	COUNTER_FUNCTION_DEPTH = 22,    /* function calls not recorded: nested too deeply, or no memory for the thread's stack */
	COUNTER_FUNCTION_LIMIT = 23,    /* function calls not recorded: limits.spansPerRequest */
	COUNTER_FUNCTION_UNWOUND = 24,  /* function calls dropped: their end was not, or would not be, seen */
	COUNTER_FUNCTION_RATE = 25,     /* function calls not recorded: limits.eventsPerSecond */
	COUNTER_FIONREAD_CORRECTED = 26, /* FIONREAD results of 0 corrected on kernels that have the fault */
	COUNTER_SEND_TORN = 27,         /* connections whose sends fail from here: the kernel, short of memory, took only a part of what was added to a head */
	COUNTERS = 28,                  /* how many there are */
};

#endif
