/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The first line of an HTTP/1 message: a request line or a status line (RFC 9112, 3 and 4).
 */
#ifndef CLEW_START_LINE_H
#define CLEW_START_LINE_H

#include "head.h"

/* Reads the request line: the method's length and the target's end. Leaves the cursor at the version's end. */
INLINE u32 parse_request_line(const u8 *bytes, volatile struct http_head *notes)
{
	u32 len = notes->length;
	u32 i, at;

	notes->value = notes->method_length = 0;
	for (i = 0; i <= METHOD_MAX; i++) {
		u64 c = bytes[i];

		if (i >= len)
			break;
		if (c == ' ') {
			notes->method_length = i;
			break;
		}
		notes->value |= 1 ^ is_token(c);
	}
	if (notes->value || (len && bytes[0] == ' '))
		return HEAD_NOT_HTTP;
	if (!notes->method_length)
		return notes->length > METHOD_MAX ? HEAD_NOT_HTTP : HEAD_INCOMPLETE;

	notes->at = notes->method_length + 1;
	notes->target_end = 0;
	/* It may run past what has come, over bytes that mean nothing: the check behind the loop sees that. */
	for (i = 0; i <= HEAD_MAX / STEP; i++) {
		u64 first, second;

		at = notes->at;
		first = LOAD8(bytes, at);
		first = BYTES_BELOW(first, 0x21) | ZERO_BYTES(first ^ WORD(0x7f));
		second = LOAD8(bytes, at + 8);
		second = BYTES_BELOW(second, 0x21) | ZERO_BYTES(second ^ WORD(0x7f));
		notes->target_end = at + lowest_of(first, second);
		notes->at = at + STEP;
		if (first | second)
			break;
	}
	at = notes->target_end;
	len = notes->length;
	if (!at || at >= len) {
		notes->target_end = 0;
		return HEAD_INCOMPLETE;
	}
	if (BYTE_AT(bytes, at) != ' ' || at == notes->method_length + 1)
		return HEAD_NOT_HTTP;
	notes->at = at + 1;
	return HEAD_COMPLETE;
}

/* Checks `HTTP/1.x` at the cursor and steps over it. */
INLINE u32 parse_version(const u8 *bytes, volatile struct http_head *notes)
{
	u32 len = notes->length;
	u32 at = notes->at, have = len - at;
	u64 word = LOAD8(bytes, at), differs = (word ^ 0x002e312f50545448ULL) & 0x00ffffffffffffffULL; /* "HTTP/1." */

	if (at >= len)
		return HEAD_INCOMPLETE;
	if (have < 8)
		return differs & ((1ULL << (have * 8)) - 1) ? HEAD_NOT_HTTP : HEAD_INCOMPLETE;
	notes->minor = (u32)(word >> 56) - '0';
	if (differs || notes->minor > 1)
		return HEAD_NOT_HTTP;
	notes->at = at + 8;
	return HEAD_COMPLETE;
}

/* What follows the version of a request: the end of the line. */
INLINE u32 parse_request_line_end(const u8 *bytes, volatile struct http_head *notes)
{
	u32 len = notes->length;
	u32 at = notes->at;
	u8 c = BYTE_AT(bytes, at);

	if (at >= len)
		return HEAD_INCOMPLETE;
	if (c == '\n') {
		notes->flags |= HEAD_BARE_LF;
		notes->line = notes->at = at + 1;
		return HEAD_COMPLETE;
	}
	if (c != '\r')
		return HEAD_NOT_HTTP;
	if (at + 1 >= len)
		return HEAD_INCOMPLETE;
	if (BYTE_AT(bytes, at + 1) != '\n')
		return HEAD_NOT_HTTP;
	notes->line = notes->at = at + 2;
	return HEAD_COMPLETE;
}

/* What follows the version of a response: the status. The reason is left to the search for the line's end. */
INLINE u32 parse_status(const u8 *bytes, volatile struct http_head *notes)
{
	u32 len = notes->length;
	u64 a = bytes[9] - '0', b = bytes[10] - '0', c = bytes[11] - '0', after = bytes[12];

	if (len > 8 && bytes[8] != ' ')
		return HEAD_NOT_HTTP;
	if (len < 13)
		return HEAD_INCOMPLETE;
	if (!less(a & 0xff, 10) || !less(b & 0xff, 10) || !less(c & 0xff, 10) || !a)
		return HEAD_NOT_HTTP;
	if (after != ' ' && after != '\r' && after != '\n')
		return HEAD_NOT_HTTP;
	notes->status = a * 100 + b * 10 + c;
	notes->at = 12;
	return HEAD_COMPLETE;
}

#endif
