/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * An sk_msg for path_host.c: bytes in scattered pieces, some of them shared (sendfile's pages, which a program may only read as
 * a copy), and the helpers that change it, after bpf_msg_pull_data, bpf_msg_push_data and bpf_msg_pop_data of net/core/filter.c.
 */
#ifndef PATH_MESSAGE_H
#define PATH_MESSAGE_H

#include "path_kernel.h"

#define PIECES_MAX 17 /* MAX_MSG_FRAGS */

struct piece {
	u8 *bytes;
	u32 length;
	u8 shared;
};
/* Where bytes were pushed, as offsets in the message as it stood then. */
struct insertion {
	u32 at, length;
};
struct message {
	struct sk_msg_md md;
	struct piece pieces[PIECES_MAX + 1];
	u32 used;
	struct insertion insertions[64];
	u32 insertion_count;
};

/* sk_msg_compute_data_pointers: the first piece, unless it is shared. */
static void point_at_start(struct message *message)
{
	struct piece *first = message->pieces;

	message->md.data = message->used && !first->shared ? first->bytes : NULL;
	message->md.data_end = message->md.data ? first->bytes + first->length : NULL;
}

static void add_piece(struct message *message, u32 at, u8 *bytes, u32 length, u8 shared)
{
	memmove(message->pieces + at + 1, message->pieces + at, (message->used - at) * sizeof(struct piece));
	message->pieces[at] = (struct piece){bytes, length, shared};
	message->used++;
}

static void remove_piece(struct message *message, u32 at)
{
	free(message->pieces[at].bytes);
	message->used--;
	memmove(message->pieces + at, message->pieces + at + 1, (message->used - at) * sizeof(struct piece));
}

/* The piece that holds the offset, which becomes relative to it. */
static struct piece *piece_of(struct message *message, u32 *offset)
{
	struct piece *piece = message->pieces;

	while (piece < message->pieces + message->used && *offset >= piece->length)
		*offset -= (piece++)->length;
	return piece < message->pieces + message->used ? piece : NULL;
}

static long bpf_msg_pull_data(struct sk_msg_md *md, u32 start, u32 end, u64 flags)
{
	struct message *message = (struct message *)md;
	u32 offset = start, copied = 0, needed, from;
	struct piece *piece = piece_of(message, &offset), whole = {};

	if (refused(FAULT_PULL) || flags || end <= start || !piece)
		return -22;
	needed = offset + end - start;
	if (piece->shared || needed > piece->length) {
		if (refused(FAULT_COPY))
			return -12;
		from = piece - message->pieces;
		while (copied < needed && piece < message->pieces + message->used)
			copied += (piece++)->length;
		if (copied < needed)
			return -22;
		whole.bytes = allocate(copied);
		while (whole.length < copied) {
			memcpy(whole.bytes + whole.length, message->pieces[from].bytes, message->pieces[from].length);
			whole.length += message->pieces[from].length;
			remove_piece(message, from);
		}
		add_piece(message, from, whole.bytes, copied, 0);
		piece = message->pieces + from;
	}
	md->data = piece->bytes + offset;
	md->data_end = piece->bytes + needed;
	return 0;
}

static u8 *copy_of(const u8 *bytes, u32 length)
{
	u8 *made = allocate(length);

	memcpy(made, bytes, length);
	return made;
}

/* What is pushed holds whatever was in the page: here 0xee. */
static long bpf_msg_push_data(struct sk_msg_md *md, u32 start, u32 length, u64 flags)
{
	struct message *message = (struct message *)md;
	u32 offset = start, at, space = PIECES_MAX - message->used;
	struct piece *piece = piece_of(message, &offset), old;
	u8 *made;

	if (refused(FAULT_PUSH) || flags || message->insertion_count == 64)
		return -22;
	at = piece ? piece - message->pieces : message->used;
	if (!piece && offset)
		return -22;
	old = piece ? *piece : (struct piece){};
	if (piece && (!space || (space == 1 && offset))) {
		made = allocate(old.length + length);
		memcpy(made, old.bytes, offset);
		memset(made + offset, 0xee, length);
		memcpy(made + offset + length, old.bytes + offset, old.length - offset);
		*piece = (struct piece){made, old.length + length, 0};
		free(old.bytes);
	} else {
		if (offset) {
			*piece = (struct piece){copy_of(old.bytes, offset), offset, old.shared};
			add_piece(message, ++at, copy_of(old.bytes + offset, old.length - offset), old.length - offset, old.shared);
			free(old.bytes);
		}
		add_piece(message, at, memset(allocate(length), 0xee, length), length, 0);
	}
	message->insertions[message->insertion_count++] = (struct insertion){start, length};
	md->size += length;
	point_at_start(message);
	return 0;
}

static long bpf_msg_pop_data(struct sk_msg_md *md, u32 start, u32 length, u64 flags)
{
	struct message *message = (struct message *)md;

	if (refused(FAULT_POP) || flags || (u64)start + length > md->size)
		return -22;
	md->size -= length;
	while (length) {
		u32 offset = start, part;
		struct piece *piece = piece_of(message, &offset);

		part = piece->length - offset < length ? piece->length - offset : length;
		memmove(piece->bytes + offset, piece->bytes + offset + part, piece->length - offset - part);
		piece->length -= part;
		length -= part;
		if (!piece->length)
			remove_piece(message, piece - message->pieces);
	}
	message->insertion_count--;
	point_at_start(message);
	return 0;
}

#endif
