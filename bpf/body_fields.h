/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The fields that say how long a message's body is: Content-Length and Transfer-Encoding (RFC 9112, 6).
 */
#ifndef CLEW_BODY_FIELDS_H
#define CLEW_BODY_FIELDS_H

#include "head.h"

/* RFC 9112, 6.2: one value, or the same several times. A list of equal values is refused like a garbled one. */
INLINE void read_content_length(const u8 *bytes, struct http_head *head)
{
	volatile struct http_head *notes = head;
	u32 i, j;

	if (!notes->seen[FIELD_LENGTH])
		return;
	notes->flags |= HEAD_BAD_LENGTH;
	if (notes->seen[FIELD_LENGTH] > FIELD_REPEATS || notes->spoiled & 1 << FIELD_LENGTH)
		return;
	for (i = 0; i < FIELD_REPEATS; i++) {
		volatile u64 *value = &head->value;
		u32 at;

		CHECKPOINT();
		if (i >= notes->seen[FIELD_LENGTH])
			break;
		notes->stop = notes->fields[FIELD_LENGTH * FIELD_REPEATS + i].end;
		notes->at = notes->fields[FIELD_LENGTH * FIELD_REPEATS + i].start;
		skip_ows(bytes, notes);
		at = notes->at;
		*value = 0;
		notes->digits = 0;
		for (j = 0; j < LENGTH_DIGITS; j++) {
			u64 digit = (BYTE_AT(bytes, at + j) - '0') & 0xff;

			if (!(less(at + j, notes->stop) & less(digit, 10)))
				break;
			*value = *value * 10 + digit;
			notes->digits = j + 1;
		}
		CHECKPOINT();
		notes->at = at + notes->digits;
		skip_ows(bytes, notes);
		if (!notes->digits || notes->at != notes->stop)
			return;
		if (i && notes->content_length != *value)
			return;
		notes->content_length = *value;
	}
	notes->flags = (notes->flags & ~HEAD_BAD_LENGTH) | HEAD_LENGTH;
}

/* Skips SP and HTAB backwards from `from`, at most OWS_MAX of them: up to the field's colon at the latest. Returns where the
 * byte behind the last other one is. */
INLINE u32 skip_ows_back(const u8 *bytes, volatile u32 *cursor, u32 from)
{
	u32 i;

	*cursor = from;
	for (i = 0; i < OWS_MAX; i++) {
		u64 c = BYTE_AT(bytes, *cursor - 1), ows = same(c, ' ') | same(c, '\t');

		*cursor -= ows;
		if (!ows)
			break;
	}
	return *cursor;
}

/* RFC 9112, 6.1: the body is chunked if that is the final coding of the last field. */
INLINE void read_transfer_encoding(const u8 *bytes, struct http_head *head)
{
	volatile struct http_head *notes = head;
	u32 last = (notes->seen[FIELD_ENCODING] - 1) & (FIELD_REPEATS - 1), start, stop;
	u64 word;

	if (!notes->seen[FIELD_ENCODING])
		return;
	start = notes->fields[FIELD_ENCODING * FIELD_REPEATS + last].start;
	notes->flags |= HEAD_BAD_ENCODING;
	if (notes->spoiled & 1 << FIELD_ENCODING)
		return;
	stop = skip_ows_back(bytes, &head->at, notes->fields[FIELD_ENCODING * FIELD_REPEATS + last].end);
	if (stop < start + 7)
		return;
	word = LOAD8(bytes, stop - 8); /* one byte more than the coding's name */
	if (((word >> 8) | 0x20202020202020ULL) != 0x64656b6e756863ULL) /* "chunked" */
		return;
	/* It is a coding of its own: the first, or behind a comma. */
	stop = skip_ows_back(bytes, &head->at, stop - 7);
	if (stop > start && BYTE_AT(bytes, stop - 1) != ',')
		return;
	notes->flags = (notes->flags & ~HEAD_BAD_ENCODING) | HEAD_CHUNKED;
}

#endif
