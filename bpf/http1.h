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

#define HEAD_MAX 8192        /* a head is looked at up to here; a power of two */
#define HEAD_LINES 128       /* more field lines than that: HEAD_TOO_LONG */
#define HEAD_SLACK 64        /* bytes behind HEAD_MAX that a word-wise read may touch */
#define STEP 16              /* bytes that a turn of a search looks at */
#define BLOCK 64             /* bytes that the search for lines looks at together: a bit each */
#define METHOD_MAX 20
#define OWS_MAX 256          /* white space before a value; beyond it the value is not looked for */
#define FIELD_REPEATS 8      /* tracestate or Content-Length fields that are read; more make the value invalid */
#define TRACESTATE_MAX 512   /* W3C Trace Context 2, 3.3.1.5: characters that are passed on */
#define TRACEPARENT_LENGTH 55
#define LENGTH_DIGITS 18       /* of a Content-Length */

enum head_verdict {
	HEAD_INCOMPLETE = 0,
	HEAD_COMPLETE = 1,
	HEAD_NOT_HTTP = 2,
	HEAD_TOO_LONG = 3,
};

enum head_flags {
	HEAD_BARE_LF = 1,      /* a line ended without CR */
	HEAD_FOLDED = 2,       /* a line continued the one before (obs-fold) */
	HEAD_CHUNKED = 4,      /* Transfer-Encoding ends in chunked */
	HEAD_LENGTH = 8,       /* Content-Length was read into content_length */
	HEAD_BAD_LENGTH = 16,  /* Content-Length is garbled, or values differ */
	HEAD_BAD_ENCODING = 32, /* Transfer-Encoding that does not end in chunked */
	HEAD_UPGRADE = 64,     /* there is an Upgrade field */
};

/* The fields whose values matter. */
enum field_kind {
	FIELD_NONE = 0,
	FIELD_TRACEPARENT = 1,
	FIELD_TRACESTATE = 2,
	FIELD_LENGTH = 3,
	FIELD_ENCODING = 4,
	FIELD_UPGRADE = 5,
	FIELD_KINDS = 8,
};

struct field_line {
	u32 start; /* offset of the value's first byte, behind the colon */
	u32 end;   /* offset of the line's end: its CR, or its LF where there is no CR */
};

struct http_head {
	u32 verdict;         /* enum head_verdict */
	u32 end;             /* length of the head with its blank line */
	u32 insert_at;       /* offset of the blank line: where a field can be added */
	u32 flags;           /* enum head_flags */
	u32 status;          /* response: 100..999 */
	u32 minor;           /* HTTP/1.minor */
	u32 method_length;   /* request */
	u32 target_end;      /* request: offset behind the target */
	u64 content_length;
	u32 traceparents;    /* how many traceparent fields there are, good or bad */
	u32 valid;           /* 1: exactly one traceparent, and well-formed */
	u8 trace_id[16];
	u8 parent_id[8];
	u32 trace_flags;     /* of it: sampled (1) and random (2) */
	u32 tracestate_length; /* with what follows, as in struct tracestate (context.h) */
	u8 tracestate[TRACESTATE_MAX * 2 + 8]; /* room for a copy that is cut afterwards */
	/* The parser's own notes. */
	u32 is_response;
	u32 length;          /* how many bytes have come */
	u32 at;              /* where the search for the line's end goes on */
	u32 stop;            /* where the value that is being read ends */
	u32 line;            /* where the current line began */
	u32 lines;           /* lines seen so far, with the first */
	u32 last;            /* enum field_kind of the last field: a continuation makes it invalid */
	u32 spoiled;         /* bit for each enum field_kind that a continuation made invalid */
	u64 line_feeds[HEAD_MAX / BLOCK]; /* where they are: a bit a byte */
	u32 block;           /* up to here */
	u32 blank;           /* 1: the search for lines ended at the blank one */
	u32 full;            /* 1: at one too many */
	u32 digits;
	u64 value;           /* a number that is being read, or whether something was wrong */
	u32 starts[HEAD_LINES * 2]; /* where each line begins; the half above HEAD_LINES is only for the verifier */
	u32 seen[FIELD_KINDS];      /* how often each field was there */
	struct field_line fields[FIELD_KINDS * FIELD_REPEATS]; /* where; those beyond FIELD_REPEATS overwrite the first */
};

#define WORD(c) (0x0101010101010101ULL * (c))
#define HIGH_BITS WORD(0x80)

/* Eight bytes as a little-endian number; `at` is taken modulo HEAD_MAX, so no read leaves the buffer and its slack. */
#define LOAD8(bytes, at) (*(u64 *)((bytes) + ((at) & (HEAD_MAX - 1))))
#define BYTE_AT(bytes, at) ((bytes)[(at) & (HEAD_MAX - 1)])

/* The high bit of each byte that is zero. Bytes above the lowest such one may be marked wrongly. */
#define ZERO_BYTES(word) (((word) - WORD(0x01)) & ~(word) & HIGH_BITS)
/* The same, exact in every byte. */
#define ZERO_BYTES_EXACT(word) (~((((word) & WORD(0x7f)) + WORD(0x7f)) | (word) | WORD(0x7f)))
/* The high bit of each byte below n (n <= 128); exact up to the lowest one. */
#define BYTES_BELOW(word, n) (((word) - WORD(n)) & ~(word) & HIGH_BITS)

/* Which byte the lowest mark stands in (0..7): the mark, shifted to its byte's bit 0, picks a byte of the constant. */
#define LOWEST_BYTE(marks) (((((marks) & -(marks)) >> 7) * 0x0001020304050607ULL) >> 56)

/* The marks of eight bytes, where nothing else is set, as eight bits. */
#define GATHER_MARKS(marks) ((((marks) >> 7) * 0x0102040810204080ULL) >> 56)

/* 1 if a < b, both far below 2^63, without a branch. */
INLINE u64 less(u64 a, u64 b)
{
	u64 result = a - b;

	/* Without both, clang sees that it means a comparison, and makes it one, here or where the result is used. */
	BARRIER(result);
	result >>= 63;
	BARRIER(result);
	return result;
}

/* 1 if a == b, without a branch. */
INLINE u64 same(u64 a, u64 b)
{
	u64 differs = a ^ b, result = 0 - differs;

	/* As above. */
	BARRIER(result);
	result = ((differs | result) >> 63) ^ 1;
	BARRIER(result);
	return result;
}

/* Which of sixteen bytes the lowest mark stands in, if there is one. */
INLINE u64 lowest_of(u64 first, u64 second)
{
	return LOWEST_BYTE(first) + same(first, 0) * (8 + LOWEST_BYTE(second));
}

INLINE u64 count_ones(u64 bits)
{
	bits -= (bits >> 1) & WORD(0x55);
	bits = (bits & WORD(0x33)) + ((bits >> 2) & WORD(0x33));
	return (((bits + (bits >> 4)) & WORD(0x0f)) * WORD(0x01)) >> 56;
}

/* RFC 9110, 5.6.2: token characters, as bits of two words. */
#define TOKEN_LOW 0x03ff6cfa00000000ULL  /* !#$%&'*+-. and digits */
#define TOKEN_HIGH 0x57ffffffc7fffffeULL /* letters ^_`|~ */

INLINE u64 is_token(u64 c)
{
	u64 high = (c >> 6) & 1, ascii = 1 ^ (c >> 7);

	BARRIER(high);
	return (((TOKEN_LOW >> (c & 63)) & (high ^ 1)) | ((TOKEN_HIGH >> (c & 63)) & high)) & 1 & ascii;
}

/* Steps the cursor over SP and HTAB (RFC 9110, 5.6.3), at most OWS_MAX of them, up to notes->stop at most. */
INLINE void skip_ows(const u8 *bytes, volatile struct http_head *notes)
{
	u32 i;

	for (i = 0; i < OWS_MAX / 8; i++) {
		u32 at = notes->at;
		u64 word = LOAD8(bytes, at), other, none;

		other = ~(ZERO_BYTES_EXACT(word ^ WORD(' ')) | ZERO_BYTES_EXACT(word ^ WORD('\t'))) & HIGH_BITS;
		none = same(other, 0);
		at += LOWEST_BYTE(other) + none * 8;
		notes->at = at;
		if (!(none & less(at, notes->stop)))
			break;
	}
	CHECKPOINT();
	if (notes->at > notes->stop)
		notes->at = notes->stop;
}

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

/* One hexadecimal digit's value in `value`; `bad` becomes 1 where it is not one of 0-9a-f. */
INLINE u64 hex_digit(u64 c, volatile u64 *bad)
{
	u64 digit = less((c - '0') & 0xff, 10), letter = less((c - 'a') & 0xff, 6);

	BARRIER(digit);
	BARRIER(letter);
	*bad |= 1 ^ (digit | letter);
	return ((c - '0') & (0 - digit) & 0xff) | ((c - 'a' + 10) & (0 - letter) & 0xff);
}

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
