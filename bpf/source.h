/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Where the bytes of one system call lie, and how to read some of them: the application's memory behind an iov_iter, or an sk_msg.
 */
#ifndef CLEW_SOURCE_H
#define CLEW_SOURCE_H

#define SEGMENTS_MAX 16 /* pieces of a readv or writev that are looked into */

/* Where a message's bytes are: in the application's memory behind an iov_iter, or in an sk_msg. */
struct source {
	struct iov_iter *iter;
	struct sk_msg_md *message;
	u32 ahead; /* 1: the iterator stands in front of the message; otherwise behind it */
};

#ifndef IOV_MEMBER
#define IOV_MEMBER __iov
#endif

/* Reads up to `size` bytes (at most HEAD_MAX) at `offset` of a message of `total` bytes that the iterator has just passed over: those
 * of the one segment that holds the offset. The iterator stands behind the message, so where the segment is is found by
 * walking back. Returns how many were read, or -1. */
INLINE int copy_from_iter(struct iov_iter *iter, u32 total, u32 offset, u8 *to, u32 size)
{
	u8 type = iter->iter_type;
	struct iovec *segments;
	struct iovec segment = {};
	u64 behind, wanted = total - offset, start = 0, part;
	u32 i;

	if (type == ITER_UBUF) {
		/* Read as a number: the verifier lets no typed pointer be reckoned with. */
		bpf_probe_read_kernel(&start, sizeof(start), &iter->ubuf);
		return bpf_probe_read_user(to, size, (void *)(start + iter->iov_offset - wanted)) ? -1 : (int)size;
	}
	if (type != ITER_IOVEC)
		return -1;
	bpf_probe_read_kernel(&start, sizeof(start), &iter->IOV_MEMBER);
	segments = (struct iovec *)start;
	behind = iter->iov_offset;
	if (behind && bpf_probe_read_kernel(&segment, sizeof(segment), segments))
		return -1;
	part = behind;
	for (i = 0; i < SEGMENTS_MAX; i++) {
		if (behind >= wanted)
			break;
		segments--;
		if (bpf_probe_read_kernel(&segment, sizeof(segment), segments))
			return -1;
		part = segment.iov_len;
		behind += part;
	}
	if (behind < wanted)
		return -1;
	/* `part` bytes of the segment belong to the message, and end where what was walked over before begins. */
	start = (u64)segment.iov_base + (behind - wanted);
	part -= behind - wanted;
	if (part > size)
		part = size;
	BARRIER(part);
	if (part > HEAD_MAX || bpf_probe_read_user(to, part, (void *)start))
		return -1;
	return part;
}

/* The same of a message that the iterator stands in front of. */
INLINE int copy_ahead(struct iov_iter *iter, u32 offset, u8 *to, u32 size)
{
	u8 type = iter->iter_type;
	struct iovec *segments;
	struct iovec segment = {};
	u64 before = iter->iov_offset + offset, start = 0, part = 0;
	u32 i;

	if (type == ITER_UBUF) {
		bpf_probe_read_kernel(&start, sizeof(start), &iter->ubuf);
		return bpf_probe_read_user(to, size, (void *)(start + before)) ? -1 : (int)size;
	}
	if (type != ITER_IOVEC)
		return -1;
	bpf_probe_read_kernel(&start, sizeof(start), &iter->IOV_MEMBER);
	segments = (struct iovec *)start;
	for (i = 0; i < SEGMENTS_MAX; i++) {
		if (bpf_probe_read_kernel(&segment, sizeof(segment), segments))
			return -1;
		if (before < segment.iov_len)
			break;
		before -= segment.iov_len;
		segments++;
	}
	if (i == SEGMENTS_MAX)
		return -1;
	part = segment.iov_len - before;
	start = (u64)segment.iov_base + before;
	if (part > size)
		part = size;
	BARRIER(part);
	if (part > HEAD_MAX || bpf_probe_read_user(to, part, (void *)start))
		return -1;
	return part;
}

INLINE int copy_from_message(struct sk_msg_md *message, u32 offset, u8 *to, u32 size)
{
	u64 data, end;

	if (bpf_msg_pull_data(message, offset, offset + size, 0))
		return -1;
	data = (u64)message->data;
	end = (u64)message->data_end;
	if (data + size > end)
		return -1;
	return bpf_probe_read_kernel(to, size, (void *)data) ? -1 : (int)size;
}

/* As copy_from_iter, of any source. */
INLINE int copy_from(struct source *source, u32 total, u32 offset, u8 *to, u32 size)
{
	if (size > HEAD_MAX)
		return -1;
	if (source->message)
		return copy_from_message(source->message, offset, to, size);
	return source->ahead ? copy_ahead(source->iter, offset, to, size) : copy_from_iter(source->iter, total, offset, to, size);
}

#endif
