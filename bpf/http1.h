/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The head of an HTTP/1 message (RFC 9112) and the W3C Trace Context (level 2) that it carries.
 *
 * A pure function of bytes that lie in one piece: a head that arrives in several reads or writes is put together first
 * (stream.h). It compiles in the kernel and, for the tests, on the host; its twin is tests/truth/http1_twin.py.
 *
 * The verifier walks every path of every turn of a loop, so the loops here are built for it:
 *   - where LFs are is marked 64 bytes at a time, then the lines are found among the marks; what a line means is noted in a third
 *     loop, and values are read after that;
 *   - whatever a turn learns goes to memory (`struct http_head`), never to registers that the next turn would tell apart; so do the
 *     head's length, a value's end and each step's verdict, since a comparison narrows what is known of a register;
 *   - a loop has one branch, its way out, and why it was left is asked behind it;
 *   - CHECKPOINT (clew.h) stands where many ways meet;
 *   - bytes are judged by arithmetic, not by branches, and BARRIER keeps clang from turning it back into branches.
 */
#ifndef CLEW_HTTP1_H
#define CLEW_HTTP1_H

#include "start_line.h"
#include "field_lines.h"
#include "body_fields.h"
#include "trace_fields.h"

/* Reads what the lines say. */
INLINE void read_fields(const u8 *bytes, struct http_head *head)
{
	volatile struct http_head *notes = head;

	note_lines(bytes, head);
	CHECKPOINT();
	if (notes->is_response && BYTE_AT(bytes, notes->starts[1] - 2) != '\r')
		notes->flags |= HEAD_BARE_LF;
	notes->traceparents = notes->seen[FIELD_TRACEPARENT];
	notes->flags |= notes->seen[FIELD_UPGRADE] ? HEAD_UPGRADE : 0;
	CHECKPOINT();
	read_content_length(bytes, head);
	CHECKPOINT();
	read_transfer_encoding(bytes, head);
	CHECKPOINT();
	if (!notes->is_response) {
		read_traceparent(bytes, head, &head->value);
		CHECKPOINT();
		read_tracestate(bytes, head, &head->value);
	}
}

/* Reads the first message head in `bytes`, of which `len` (at most HEAD_MAX) have come; `bytes` has HEAD_SLACK more to
 * read from. Everything in `head` is set, the verdict returned. */
INLINE u32 parse_head(const u8 *bytes, u32 len, int is_response, struct http_head *head)
{
	volatile struct http_head *notes = head;
	u32 i;

	/* Asked for in memory each time: the verifier then walks once for all that they can be. */
	notes->is_response = is_response;
	notes->length = len;

	notes->end = notes->insert_at = notes->flags = notes->status = notes->minor = 0;
	notes->method_length = notes->target_end = 0;
	notes->content_length = 0;
	notes->traceparents = notes->valid = notes->trace_flags = notes->tracestate_length = 0;
	notes->at = notes->line = notes->last = notes->spoiled = 0;
	for (i = 0; i < FIELD_KINDS; i++)
		notes->seen[i] = 0;
	notes->lines = notes->is_response ? 0 : 1;
	notes->verdict = HEAD_COMPLETE;
	CHECKPOINT();
	if (!notes->is_response)
		notes->verdict = parse_request_line(bytes, notes);
	CHECKPOINT();
	if (notes->verdict == HEAD_COMPLETE)
		notes->verdict = parse_version(bytes, notes);
	CHECKPOINT();
	if (notes->verdict == HEAD_COMPLETE)
		notes->verdict = notes->is_response ? parse_status(bytes, notes) : parse_request_line_end(bytes, notes);
	CHECKPOINT();
	if (notes->verdict == HEAD_COMPLETE) {
		notes->starts[1] = notes->line;
		notes->verdict = find_lines(bytes, notes);
	}
	CHECKPOINT();
	if (notes->verdict == HEAD_COMPLETE)
		read_fields(bytes, head);
	CHECKPOINT();
	if (notes->verdict == HEAD_INCOMPLETE && notes->length >= HEAD_MAX)
		notes->verdict = HEAD_TOO_LONG;
	return notes->verdict;
}

#endif
