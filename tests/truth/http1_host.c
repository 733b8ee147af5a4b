/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The kernel's head parser as a program for the tests (tests/truth/http1_host.py drives it). Standard input brings
 * questions, standard output takes the answers: `struct question`, the bytes of the head, `struct reading`, and so on. A program
 * of its own rather than a library, so that the address sanitizer can watch it.
 *
 * What the kernel side provides stands in for here. Bytes behind those that have come are filled as the question says,
 * and so is `struct http_head` before the call: a result that depends on either shows as a difference.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define INLINE static inline __attribute__((always_inline))
#define BARRIER(x) __asm__ volatile("" : "+r"(x))
#define CHECKPOINT()
#define COPY(to, n, from) memcpy((to), (from), (n))

#include "../../bpf/http1.h"

struct question {
	u32 length; /* at most HEAD_MAX */
	u16 response;
	u16 fill;   /* the byte that stands behind the head's bytes */
};

/* The parts of a head that are its reading; all zero but the verdict unless it is complete. */
struct reading {
	u32 verdict, end, insert_at, flags, status, minor, method_length, target_length;
	u64 content_length;
	u32 traceparents, valid, trace_flags, tracestate_length;
	u8 trace_id[16], parent_id[8], tracestate[TRACESTATE_MAX];
};

static void read_head(const u8 *bytes, const struct question *question, struct http_head *head, struct reading *out)
{
	memset(head, question->fill, sizeof(*head));
	memset(out, 0, sizeof(*out));
	out->verdict = question->response ? parse_head(bytes, question->length, 1, head) : parse_head(bytes, question->length, 0, head);
	if (out->verdict != head->verdict)
		abort();
	if (out->verdict != HEAD_COMPLETE)
		return;
	out->end = head->end;
	out->insert_at = head->insert_at;
	out->flags = head->flags;
	out->status = head->status;
	out->minor = head->minor;
	out->method_length = head->method_length;
	out->target_length = question->response ? 0 : head->target_end - head->method_length - 1;
	out->content_length = head->flags & HEAD_LENGTH ? head->content_length : 0;
	out->traceparents = head->traceparents;
	out->valid = head->valid;
	out->tracestate_length = head->tracestate_length;
	if (head->valid) {
		out->trace_flags = head->trace_flags;
		memcpy(out->trace_id, head->trace_id, sizeof(out->trace_id));
		memcpy(out->parent_id, head->parent_id, sizeof(out->parent_id));
	}
	if (head->tracestate_length <= TRACESTATE_MAX)
		memcpy(out->tracestate, head->tracestate, head->tracestate_length);
}

int main(void)
{
	u8 *bytes = malloc(HEAD_MAX + HEAD_SLACK);
	struct http_head *head = malloc(sizeof(*head));
	struct question question;
	struct reading reading;

	while (bytes && head && fread(&question, sizeof(question), 1, stdin) == 1 && question.length <= HEAD_MAX) {
		memset(bytes, question.fill, HEAD_MAX + HEAD_SLACK);
		if (fread(bytes, 1, question.length, stdin) != question.length)
			return 1;
		read_head(bytes, &question, head, &reading);
		if (fwrite(&reading, sizeof(reading), 1, stdout) != 1 || fflush(stdout))
			return 1;
	}
	free(bytes);
	free(head);
	return 0;
}
