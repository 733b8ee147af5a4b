/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The fields of the W3C Trace Context (level 2): traceparent and tracestate.
 */
#ifndef CLEW_TRACE_FIELDS_H
#define CLEW_TRACE_FIELDS_H

#include "head.h"

/* W3C Trace Context 2, 3.2.2 and 3.2.2.3 (later versions). */
INLINE void read_traceparent(const u8 *bytes, struct http_head *head, volatile u64 *bad)
{
	volatile struct http_head *notes = head;
	volatile struct field_line *field = &notes->fields[FIELD_TRACEPARENT * FIELD_REPEATS];
	u32 at, i;
	u64 version, flags;

	notes->valid = 0;
	if (notes->seen[FIELD_TRACEPARENT] != 1 || notes->spoiled & 1 << FIELD_TRACEPARENT)
		return;
	notes->stop = field->end;
	notes->at = field->start;
	skip_ows(bytes, notes);
	at = notes->at;
	if (notes->stop - at < TRACEPARENT_LENGTH || at >= notes->stop)
		return;
	*bad = 0;
	version = hex_digit(BYTE_AT(bytes, at), bad) << 4;
	version |= hex_digit(BYTE_AT(bytes, at + 1), bad);
	for (i = 0; i < 16; i++) {
		u64 high = hex_digit(BYTE_AT(bytes, at + 3 + 2 * i), bad);

		head->trace_id[i] = high << 4 | hex_digit(BYTE_AT(bytes, at + 4 + 2 * i), bad);
	}
	for (i = 0; i < 8; i++) {
		u64 high = hex_digit(BYTE_AT(bytes, at + 36 + 2 * i), bad);

		head->parent_id[i] = high << 4 | hex_digit(BYTE_AT(bytes, at + 37 + 2 * i), bad);
	}
	flags = hex_digit(BYTE_AT(bytes, at + 53), bad) << 4;
	flags |= hex_digit(BYTE_AT(bytes, at + 54), bad);
	if (*bad || version == 0xff)
		return;
	if (BYTE_AT(bytes, at + 2) != '-' || BYTE_AT(bytes, at + 35) != '-' || BYTE_AT(bytes, at + 52) != '-')
		return;
	if (!(*(u64 *)head->trace_id | *(u64 *)(head->trace_id + 8)) || !*(u64 *)head->parent_id)
		return;
	/* Version 00 ends here; a later one may go on behind a dash. */
	notes->at = at + TRACEPARENT_LENGTH;
	if (!(version && notes->at < notes->stop && BYTE_AT(bytes, notes->at) == '-')) {
		skip_ows(bytes, notes);
		if (notes->at != notes->stop)
			return;
	}
	notes->trace_flags = flags & 3;
	notes->valid = 1;
}

/* W3C Trace Context 2, 3.3: the fields' values joined by commas, cut to whole members within TRACESTATE_MAX. */
INLINE void read_tracestate(const u8 *bytes, struct http_head *head, volatile u64 *bad)
{
	volatile struct http_head *notes = head;
	u32 i, n, used;

	notes->tracestate_length = 0;
	if (!notes->valid || notes->seen[FIELD_TRACESTATE] > FIELD_REPEATS || notes->spoiled & 1 << FIELD_TRACESTATE)
		return;
	for (i = 0; i < FIELD_REPEATS; i++) {
		u32 stop, at;

		CHECKPOINT();
		if (i >= notes->seen[FIELD_TRACESTATE])
			break;
		notes->stop = notes->fields[FIELD_TRACESTATE * FIELD_REPEATS + i].end;
		notes->at = notes->fields[FIELD_TRACESTATE * FIELD_REPEATS + i].start;
		skip_ows(bytes, notes);
		at = notes->at;
		stop = notes->stop;
		used = notes->tracestate_length;
		if (at >= stop || used > TRACESTATE_MAX)
			continue;
		if (used)
			head->tracestate[used++] = ',';
		n = stop - at;
		if (n > TRACESTATE_MAX + 1)
			n = TRACESTATE_MAX + 1;
		COPY(head->tracestate + used, n, bytes + (at & (HEAD_MAX - 1)));
		notes->tracestate_length = used + n;
	}
	if (notes->tracestate_length > TRACESTATE_MAX) {
		notes->tracestate_length = 0;
		for (i = 0; i <= TRACESTATE_MAX; i++) {
			u64 comma = same(head->tracestate[i], ',');

			notes->tracestate_length = (i & (0 - comma)) | (notes->tracestate_length & (comma - 1));
		}
	}
	*bad = 0;
	for (i = 0; i < TRACESTATE_MAX; i++) {
		u64 c;

		if (i >= notes->tracestate_length)
			break;
		c = head->tracestate[i];
		/* Printable ASCII and HTAB. */
		*bad |= (less(c, 0x20) & less(0, c ^ '\t')) | less(0x7e, c);
	}
	if (*bad)
		notes->tracestate_length = 0;
}

#endif
