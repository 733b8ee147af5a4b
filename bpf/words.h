/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Eight bytes judged at once, as a 64-bit number, and comparisons that are arithmetic: what the parser's loops are made of, since
 * every branch of a turn doubles what the verifier walks (http1.h). BARRIER keeps clang from turning it back into branches.
 */
#ifndef CLEW_WORDS_H
#define CLEW_WORDS_H

#define WORD(c) (0x0101010101010101ULL * (c))
#define HIGH_BITS WORD(0x80)

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

/* One hexadecimal digit's value in `value`; `bad` becomes 1 where it is not one of 0-9a-f. */
INLINE u64 hex_digit(u64 c, volatile u64 *bad)
{
	u64 digit = less((c - '0') & 0xff, 10), letter = less((c - 'a') & 0xff, 6);

	BARRIER(digit);
	BARRIER(letter);
	*bad |= 1 ^ (digit | letter);
	return ((c - '0') & (0 - digit) & 0xff) | ((c - 'a' + 10) & (0 - letter) & 0xff);
}

#endif
