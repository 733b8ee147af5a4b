/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * One direction of a connection as a sequence of HTTP/1 messages: where heads begin and bodies end (RFC 9112, 6).
 *
 * A program sees the bytes of one system call (or one piece of a send). In one round it reads one head or steps over one body,
 * without reading it; what is left after that is for the next round, by a tail call to itself. A head that is not complete is kept
 * in `heads` until its rest comes, so the parser always sees it in one piece.
 *
 * Once the end of a message is not certain, the stream is given up: from there nothing is recognised in it, and nothing touched.
 */
#ifndef CLEW_STREAM_H
#define CLEW_STREAM_H

#include "source.h"

#define HEADS_MAX 512   /* unfinished heads kept at once: 4 MiB */
#define MSG_TRUNC 0x20
#define MSG_NOT_READ (0x1 | 0x2 | 0x2000) /* MSG_OOB, MSG_PEEK, MSG_ERRQUEUE: nothing of the stream is taken */
#define FIRST_LOOK 1024 /* bytes read to begin with: most heads are shorter */
#define ROUNDS_MAX 30   /* tail calls in one system call (the kernel allows 33) */
#define CHUNK_STEPS 32  /* bytes of chunk headers that one round reads: four chunks or more */

enum stream_state {
	STREAM_HEAD = 0,        /* a message begins here */
	STREAM_BODY = 1,        /* `left` bytes of a body remain */
	STREAM_CHUNK_SIZE = 2,  /* hexadecimal digits, gathered in `left` */
	STREAM_CHUNK_REST = 3,  /* the rest of the chunk's line */
	STREAM_CHUNK_DATA = 4,  /* `left` bytes of data and CRLF remain */
	STREAM_TRAILER = 5,     /* at the start of a trailer line */
	STREAM_TRAILER_LINE = 6, /* inside it */
	STREAM_UNTIL_CLOSE = 7, /* the body lasts as long as the connection */
	STREAM_GIVEN_UP = 8,    /* not HTTP/1, no longer, or not certain */
	STREAM_WAITING = 9,     /* behind a request for another protocol: nothing may come until the answer tells */
	STREAM_UNSYNCED = 10,   /* the connection is older than the agent: no message's beginning is known */
};

struct stream {
	u64 left;
	u32 partial; /* bytes of an unfinished head that are kept */
	u8 state;
	u8 reserved[3];
};

struct connection {
	struct connection_facts about;
	struct stream in;
	struct stream out;
	u32 begun;       /* requests so far; their contexts' keys are id << 16 | number */
	u32 ended;       /* responses that are over */
	u32 send_seen;   /* client: the application's bytes of the running send that were judged */
	u32 body_from;   /* client: where in the running send the body that is being sent began (0: before it) */
	u64 body_left;   /* and how many of its bytes were still to come there */
	u32 body_known;  /* 1: the two above hold */
	u32 send_from;   /* client: the TCP sequence number at which the running send began */
	u32 send_added;  /* client: the bytes that were added in it */
	u32 send_last;   /* client: where in it, these counted, the last of them is */
	u32 torn;        /* client: 1: bytes would go out that the application did not send; its sends fail (inject.c) */
	u32 reserved;
};
/* The kernel frees an element with its socket: nothing to clean up, no key that is used twice. */
BPF_SK_STORAGE(connections, struct connection);

/* A head that has come in part; key: connection id << 1 | direction. */
struct kept_head {
	u8 bytes[HEAD_MAX];
};
BPF_TABLE("lru_hash", u64, struct kept_head, heads, HEADS_MAX);

/* What one run works with, too large for the stack. Each program has its own: a program is never run inside itself on one CPU
 * (the trampoline's recursion check), and sk_msg, which has no such check, sets `busy`. */
struct work {
	u64 busy;
	u64 owner;   /* sk_msg: the connection whose message is under way */
	u32 rounds;
	u32 offset;  /* bytes of the message that are dealt with */
	u32 length;  /* bytes of the message */
	u32 look;    /* bytes to read for a head */
	u32 ended;   /* a message ended in this round */
	u32 unsynced; /* where a message begins was not known before this round */

	u32 inserted; /* bytes that this run has added to the message */
	u32 kept;    /* read_head's numbers lie here: in registers, each range that they can have would make the verifier walk */
	u32 size;    /* through the whole parser again */
	u32 whole;
	struct http_head head;
	struct context context;
	struct request_record record;
	u8 text[TRACESTATE_MAX * 2 + 128];
	u8 bytes[HEAD_MAX * 3 + HEAD_SLACK]; /* what was kept, what is read behind it; the third only for the verifier */
};
enum { WORK_RECEIVE = 0, WORK_RESPOND = 1, WORK_INJECT = 2, WORK_CLOSE = 3, WORK_ANSWER = 4, WORK_SPLICE = 5, WORK_OBSERVE = 6, WORKS = 7 };
BPF_PERCPU_ARRAY(works, struct work, WORKS);

/* The first read on a connection that user space added. A server's stream is found again by the next request that begins with a
 * read, a client's only behind a whole response, since its bytes are touched. */
INLINE void take_up(struct connection *connection, struct sock *sk)
{
	connection->about.unsynced = 0;
	connection->about.socket = (u64)sk;
	connection->in.state = STREAM_UNSYNCED;
	connection->out.state = connection->about.role == ROLE_CLIENT ? STREAM_UNSYNCED : STREAM_HEAD;
}

INLINE void give_up(struct stream *stream, u32 why)
{
	stream->state = STREAM_GIVEN_UP;
	count(why);
}

INLINE int in_body(struct stream *stream)
{
	u8 state = *(volatile u8 *)&stream->state;

	return state != STREAM_HEAD && state != STREAM_UNSYNCED;
}

/* One byte of a chunk's header or of the trailer. What was learnt goes to memory: see the top of http1.h. */
INLINE void step_chunk(volatile struct stream *stream, volatile struct work *notes, u64 byte)
{
	u64 digit, letter, value;

	if (stream->state == STREAM_CHUNK_SIZE) {
		/* `partial` counts the digits while a chunk's size is read. */
		digit = less((byte - '0') & 0xff, 10);
		letter = less(((byte | 0x20) - 'a') & 0xff, 6);
		BARRIER(digit);
		BARRIER(letter);
		if (digit | letter) {
			value = ((byte - '0') & (0 - digit) & 0xff) | (((byte | 0x20) - 'a' + 10) & (0 - letter) & 0xff);
			stream->left = stream->left << 4 | value;
			stream->partial++;
			if (stream->partial > 15)
				stream->state = STREAM_GIVEN_UP;
			return;
		}
		stream->state = stream->partial ? STREAM_CHUNK_REST : STREAM_GIVEN_UP;
	}
	if (stream->state == STREAM_CHUNK_REST) {
		if (byte != '\n')
			return;
		stream->partial = 0;
		if (stream->left) {
			stream->left += 2; /* the CRLF behind the data */
			stream->state = STREAM_CHUNK_DATA;
		} else {
			stream->state = STREAM_TRAILER;
		}
		return;
	}
	if (stream->state == STREAM_TRAILER) {
		if (byte == '\n') {
			stream->state = STREAM_HEAD;
			notes->ended = 1;
		} else if (byte != '\r') {
			stream->state = STREAM_TRAILER_LINE;
		}
		return;
	}
	if (stream->state == STREAM_TRAILER_LINE && byte == '\n')
		stream->state = STREAM_TRAILER;
}

/* Steps over body bytes. Sets work->ended when the message's last byte is passed. */
INLINE void skip_body(struct stream *from, struct source *source, struct work *work)
{
	volatile struct stream *stream = from;
	volatile struct work *notes = work;
	u32 i;

#pragma clang loop unroll(disable)
	for (i = 0; i < CHUNK_STEPS; i++) {
		u32 rest = notes->length - notes->offset;

		if (!rest || notes->ended)
			return;
		if (stream->state == STREAM_UNTIL_CLOSE || stream->state == STREAM_GIVEN_UP) {
			notes->offset = notes->length;
			return;
		}
		if (stream->state == STREAM_WAITING && stream->left) {
			/* The LF that the request's blank line still owes. */
			stream->left = 0;
			notes->offset++;
			continue;
		}
		if (stream->state == STREAM_WAITING) {
			give_up(from, COUNTER_FRAMING_LOST);
			return;
		}
		if (stream->state == STREAM_BODY || stream->state == STREAM_CHUNK_DATA) {
			if (stream->left > rest) {
				stream->left -= rest;
				notes->offset = notes->length;
				return;
			}
			notes->offset += stream->left;
			stream->left = 0;
			if (stream->state == STREAM_BODY) {
				stream->state = STREAM_HEAD;
				notes->ended = 1;
				return;
			}
			stream->state = STREAM_CHUNK_SIZE;
			stream->partial = 0;
			continue;
		}
		if (copy_from(source, notes->length, notes->offset, work->bytes, 1) != 1) {
			give_up(from, COUNTER_HEAD_UNREADABLE);
			return;
		}
		notes->offset++;
		step_chunk(stream, notes, *(volatile u8 *)work->bytes);
		if (stream->state == STREAM_GIVEN_UP) {
			count(COUNTER_FRAMING_LOST);
			return;
		}
	}
}

enum passed { PASSED_PART = 0, PASSED_END = 1, PASSED_LOST = 2 };

/* Bytes go by that can't be looked into. PASSED_END: the message's last one was among them; PASSED_LOST: what they are is not certain. */
INLINE int pass_unread(struct stream *stream, u64 bytes)
{
	if (stream->state == STREAM_UNTIL_CLOSE)
		return PASSED_PART;
	if ((stream->state != STREAM_BODY && stream->state != STREAM_CHUNK_DATA) || stream->left < bytes)
		return PASSED_LOST;
	stream->left -= bytes;
	if (stream->left)
		return PASSED_PART;
	if (stream->state == STREAM_CHUNK_DATA) {
		stream->state = STREAM_CHUNK_SIZE;
		stream->partial = 0;
		return PASSED_PART;
	}
	stream->state = STREAM_HEAD;
	return PASSED_END;
}

/* Looks for a head at the offset. HEAD_COMPLETE: work->head tells, and the offset is behind it. HEAD_INCOMPLETE: the bytes are
 * kept, and all are dealt with or another round goes on with the next segment; or work->look was raised for another round.
 * Otherwise the stream is given up. work->kept tells how many of the head's bytes had come earlier. */
INLINE u32 read_head(struct connection *connection, struct stream *stream, struct source *source, struct work *work,
		     const int direction, int is_response)
{
	volatile struct work *notes = work;
	u64 key = connection->about.id << 1 | direction;
	u32 kept, size, rest, verdict, whole;
	struct kept_head *head;
	int got;

	kept = stream->partial;
	if (kept >= HEAD_MAX) {
		give_up(stream, COUNTER_HEAD_TOO_LONG);
		return HEAD_TOO_LONG;
	}
	if (kept) {
		head = heads.lookup(&key);
		if (!head) {
			give_up(stream, COUNTER_PARTIAL_FULL);
			return HEAD_TOO_LONG;
		}
		bpf_probe_read_kernel(work->bytes, kept, head->bytes);
	}
	size = work->length - work->offset;
	if (size > work->look)
		size = work->look;
	if (size > HEAD_MAX - kept)
		size = HEAD_MAX - kept;
	notes->kept = kept;
	notes->size = size;
	got = copy_from(source, work->length, work->offset, work->bytes + (notes->kept & (HEAD_MAX - 1)), notes->size);
	if (got <= 0) {
		give_up(stream, COUNTER_HEAD_UNREADABLE);
		return HEAD_NOT_HTTP;
	}
	notes->size = got;
	notes->whole = notes->kept + got;
	/* RFC 9112, 2.2: an empty line in front of a request is stepped over. */
	if (!is_response && !notes->kept && (work->bytes[0] == '\r' || work->bytes[0] == '\n')) {
		work->offset++;
		return HEAD_INCOMPLETE;
	}
	whole = notes->whole;
	if (whole > HEAD_MAX)
		return HEAD_NOT_HTTP;
	verdict = parse_head(work->bytes, whole, is_response, &work->head);
	kept = notes->kept;
	size = notes->size;
	whole = notes->whole;
	rest = work->length - work->offset;
	/* Only where a field is to be inserted must a blank line be recognised by its CR. */
	if (verdict == HEAD_COMPLETE && work->head.end > whole && *(volatile u32 *)&work->head.is_response)
		verdict = HEAD_INCOMPLETE;
	if (verdict == HEAD_COMPLETE) {
		if (kept)
			heads.delete(&key);
		stream->partial = 0;
		/* A lone CR may stand for the blank line: its LF comes later and is stepped over as a byte of body. */
		stream->left = 0;
		if (work->head.end > whole) {
			work->offset += size;
			stream->left = 1;
		} else {
			work->offset += work->head.end - kept;
		}
		return HEAD_COMPLETE;
	}
	if (verdict == HEAD_INCOMPLETE) {
		/* The same bytes again and more of them, unless the segment that holds them ends here. */
		if (size < rest && size == work->look && whole < HEAD_MAX) {
			work->look = HEAD_MAX;
			return HEAD_INCOMPLETE;
		}
		if (heads.update(&key, (struct kept_head *)work->bytes)) {
			give_up(stream, COUNTER_PARTIAL_FULL);
			return HEAD_TOO_LONG;
		}
		stream->partial = whole;
		work->offset += size;
		return HEAD_INCOMPLETE;
	}
	if (kept)
		heads.delete(&key);
	if (verdict == HEAD_TOO_LONG)
		give_up(stream, COUNTER_HEAD_TOO_LONG);
	return verdict;
}

/* How long the body behind a head is (RFC 9112, 6.3). `none`: this response has no body whatever its fields say. */
INLINE void begin_body(struct stream *stream, struct work *work, int is_response, int none)
{
	volatile struct http_head *head = &work->head;
	u64 owed = stream->left; /* 1: the blank line's LF is yet to come */

	if (none) {
		stream->left = owed;
		stream->state = STREAM_BODY;
	} else if (head->flags & HEAD_CHUNKED) {
		/* An owed LF is taken for the end of a chunk's data. */
		stream->state = owed ? STREAM_CHUNK_DATA : STREAM_CHUNK_SIZE;
		stream->left = owed;
		stream->partial = 0;
	} else if (head->flags & (HEAD_BAD_LENGTH | HEAD_BAD_ENCODING)) {
		if (is_response)
			stream->state = STREAM_UNTIL_CLOSE;
		else
			give_up(stream, COUNTER_FRAMING_LOST);
	} else if (head->flags & HEAD_LENGTH) {
		stream->left = head->content_length + owed;
		stream->state = STREAM_BODY;
	} else if (is_response) {
		stream->state = STREAM_UNTIL_CLOSE;
	} else {
		stream->left = owed;
		stream->state = STREAM_BODY;
	}
	if (stream->state == STREAM_BODY && !stream->left) {
		stream->state = STREAM_HEAD;
		work->ended = 1;
	}
}

#endif
