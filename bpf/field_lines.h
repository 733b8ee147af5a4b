/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Where the lines of a head are, and which of them matter (RFC 9112, 5).
 */
#ifndef CLEW_FIELD_LINES_H
#define CLEW_FIELD_LINES_H

#include "head.h"

/* A field's name, eight bytes a word. LETTERS marks the bytes that are letters: OR-ing 0x20 into just those folds case
 * and lets no other byte pass for one. */
#define LETTERS 0x2020202020202020ULL
#define TRACEPAR 0x7261706563617274ULL /* "tracepar" */
#define ENT_COLON 0x3a746e65ULL        /* "ent:" */
#define TRACESTA 0x6174736563617274ULL /* "tracesta" */
#define TE_COLON 0x3a6574ULL           /* "te:" */
#define CONTENT_ 0x2d746e65746e6f63ULL /* "content-" */
#define LENGTH_COLON 0x3a6874676e656cULL /* "length:" */
#define TRANSFER 0x726566736e617274ULL /* "transfer" */
#define _ENCODIN 0x6e69646f636e652dULL /* "-encodin" */
#define G_COLON 0x3a67ULL              /* "g:" */
#define UPGRADE_COLON 0x3a65646172677075ULL /* "upgrade:" */

/* Notes down the line from `line` to its LF at `end`: no branch, whatever it is. */
INLINE void note_line(const u8 *bytes, u32 line, u32 end, volatile struct http_head *notes)
{
	u64 first = LOAD8(bytes, line), second = LOAD8(bytes, line + 8), third = LOAD8(bytes, line + 16);
	u64 content = first | 0x0020202020202020ULL, folded = first | LETTERS;
	u64 traceparent, tracestate, length, encoding, upgrade, fold, cr;
	u32 kind, last, stop, skip, n, place;

	traceparent = same(folded, TRACEPAR) & same((second & 0xffffffff) | 0x202020, ENT_COLON);
	tracestate = same(folded, TRACESTA) & same((second & 0xffffff) | 0x2020, TE_COLON);
	length = same(content, CONTENT_) & same((second & 0xffffffffffffffULL) | 0x202020202020ULL, LENGTH_COLON);
	encoding = same(folded, TRANSFER) & same(second | 0x2020202020202000ULL, _ENCODIN) & same((third & 0xffff) | 0x20, G_COLON);
	upgrade = same(content, UPGRADE_COLON);
	fold = same(first & 0xff, ' ') | same(first & 0xff, '\t');
	cr = same(BYTE_AT(bytes, end - 1), '\r') & less(line, end);
	stop = end - cr;
	notes->flags |= (HEAD_BARE_LF & (cr - 1)) | (HEAD_FOLDED & (0 - fold));
	kind = traceparent * FIELD_TRACEPARENT + tracestate * FIELD_TRACESTATE + length * FIELD_LENGTH +
	       encoding * FIELD_ENCODING + upgrade * FIELD_UPGRADE;
	skip = traceparent * 12 + tracestate * 11 + length * 15 + encoding * 18 + upgrade * 8;
	last = notes->last;
	notes->spoiled |= fold << (last & (FIELD_KINDS - 1));
	notes->last = (last & (0 - fold)) | kind;
	/* A line that does not matter is noted too, as FIELD_NONE: without a branch. */
	n = notes->seen[kind & (FIELD_KINDS - 1)];
	notes->seen[kind & (FIELD_KINDS - 1)] = n + 1;
	place = (kind & (FIELD_KINDS - 1)) * FIELD_REPEATS + (n & (FIELD_REPEATS - 1));
	BARRIER(place);
	place &= FIELD_KINDS * FIELD_REPEATS - 1; /* 6.1's verifier loses the bounds of the sum */
	notes->fields[place].start = line + skip;
	notes->fields[place].end = stop;
}

/* Notes down where LFs are, a bit a byte. */
INLINE void mark_line_feeds(const u8 *bytes, volatile struct http_head *notes)
{
	u32 i, j;

	notes->block = 0;
	for (i = 0; i < HEAD_MAX / BLOCK; i++) {
		u32 at = notes->block;
		const u8 *block = bytes + (at & (HEAD_MAX - 1));
		u64 marks = 0;

		if (at >= notes->length)
			break;
		for (j = 0; j < BLOCK / 8; j++) {
			u64 word = *(u64 *)(block + j * 8) ^ WORD('\n');

			marks |= GATHER_MARKS(ZERO_BYTES_EXACT(word)) << (j * 8);
		}
		notes->line_feeds[(at / BLOCK) & (HEAD_MAX / BLOCK - 1)] = marks;
		notes->block = at + BLOCK;
	}
}

/* Finds the lines, up to the blank one. */
INLINE u32 find_lines(const u8 *bytes, volatile struct http_head *notes)
{
	u32 i;

	mark_line_feeds(bytes, notes);
	CHECKPOINT();
	notes->blank = notes->full = 0;
	/* One branch a turn, the one that leaves the loop; the rest is arithmetic. Where two ways through a turn meet again, the
	 * verifier would have to know the state from before, but of a loop's states it forgets those that are a few turns old.
	 * And why the loop was left is asked behind it, in memory: else each turn's ways out would be walked to the program's end. */
	for (i = 0; i < HEAD_MAX / BLOCK + HEAD_LINES + 1; i++) {
		u32 at = notes->at, line = notes->line, n = notes->lines, end, size;
		u64 marks, lowest, none, came, blank, last, more, over;

		marks = notes->line_feeds[(at / BLOCK) & (HEAD_MAX / BLOCK - 1)] >> (at & (BLOCK - 1));
		none = same(marks, 0);
		lowest = marks & (0 - marks);
		BARRIER(lowest); /* or clang looks its place up in a table, where a program has none */
		/* The lowest mark's place; where there is none, the next block's beginning. */
		end = at + count_ones(lowest - 1) - (at & (BLOCK - 1)) * none;
		size = end - line;
		came = less(end, notes->length);
		blank = less(0, n) & (same(size, 0) | (same(size, 1) & same(BYTE_AT(bytes, end - 1), '\r')));
		last = came & (none ^ 1) & (blank | (less(n, HEAD_LINES) ^ 1));
		more = came & (none ^ 1) & (last ^ 1);
		notes->blank = last & blank;
		notes->full = last & (blank ^ 1);
		notes->lines = n + more;
		/* Beyond notes->lines it means nothing. */
		notes->starts[(n + 1) & (HEAD_LINES * 2 - 1)] = end + 1;
		notes->line = line + (size + 1) * more;
		notes->at = end + more;
		over = (came ^ 1) | last;
		BARRIER(over);
		if (over)
			break;
	}
	CHECKPOINT();
	if (notes->blank) {
		notes->flags |= notes->at == notes->line ? HEAD_BARE_LF : 0;
		notes->insert_at = notes->line;
		notes->end = notes->at + 1;
		return HEAD_COMPLETE;
	}
	if (notes->full)
		return HEAD_TOO_LONG;
	/* No field begins with CR: at the very end of what has come, it can only be the blank line's. */
	if (notes->lines && notes->line + 1 == notes->length && BYTE_AT(bytes, notes->line) == '\r') {
		notes->insert_at = notes->line;
		notes->end = notes->line + 2;
		return HEAD_COMPLETE;
	}
	return HEAD_INCOMPLETE;
}

/* Notes what the lines are. A response's first is its status line; a request's is not among them. */
INLINE void note_lines(const u8 *bytes, struct http_head *head)
{
	volatile struct http_head *notes = head;
	u32 i;

	for (i = 1; i < HEAD_LINES; i++) {
		if (i >= notes->lines)
			break;
		note_line(bytes, notes->starts[i], notes->starts[i + 1] - 1, notes);
	}
}

#endif
