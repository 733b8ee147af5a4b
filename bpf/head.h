/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What is known of the head of an HTTP/1 message: what the parser fills in, and its notes while it does so (http1.h).
 */
#ifndef CLEW_HEAD_H
#define CLEW_HEAD_H

#include "words.h"

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

/* Eight bytes as a little-endian number; `at` is taken modulo HEAD_MAX, so no read leaves the buffer and its slack. */
#define LOAD8(bytes, at) (*(u64 *)((bytes) + ((at) & (HEAD_MAX - 1))))
#define BYTE_AT(bytes, at) ((bytes)[(at) & (HEAD_MAX - 1)])

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

#endif
