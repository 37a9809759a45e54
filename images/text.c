// SPDX-License-Identifier: Apache-2.0
/* Text encodings of the manifest: UTF-8 (RFC 3629) and base64 (RFC 4648, section 4). */
#include "images/node-impl.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The length of the character at `s`; 0: overlong, surrogate, beyond U+10FFFF, no character. */
static size_t utf8_char(const unsigned char *s, size_t left)
{
	static const unsigned char first[] = { 0x80, 0xc2, 0xe0, 0xf0, 0xf5 };
	static const unsigned char length[] = { 1, 0, 2, 3, 4, 0 };
	size_t n = 0;

	while (n < sizeof(first) && s[0] >= first[n])
		n++;
	n = length[n];

	if (n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return n;
}

bool utf8_valid(const char *s, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_char((const unsigned char *)s + i, len - i);
		if (!n)
			return false;
	}
	return true;
}

size_t base64_encoded_size(size_t len)
{
	return (len + 2) / 3 * 4;
}

void base64_encode(const void *data, size_t len, char *ret)
{
	const unsigned char *in = data;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16;

		if (i + 1 < len)
			v |= (uint32_t)in[i + 1] << 8;
		if (i + 2 < len)
			v |= in[i + 2];
		*ret++ = alphabet[v >> 18];
		*ret++ = alphabet[v >> 12 & 63];
		*ret++ = i + 1 < len ? alphabet[v >> 6 & 63] : '=';
		*ret++ = i + 2 < len ? alphabet[v & 63] : '=';
	}
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ssize_t base64_decode(const char *text, size_t len, unsigned char *ret)
{
	unsigned char *out = ret;
	size_t pad = 0;

	if (len % 4)
		return -EBADMSG;
	while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < len; i += 4) {
		size_t digits = i + 4 < len ? 4 : 4 - pad;
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			int d = k < digits ? digit(text[i + k]) : 0;

			if (d < 0)
				return -EBADMSG;
			v = v << 6 | (uint32_t)d;
		}
		*out++ = (unsigned char)(v >> 16);
		if (digits > 2)
			*out++ = (unsigned char)(v >> 8);
		if (digits > 3)
			*out++ = (unsigned char)v;
		if ((digits == 2 && (v & 0xffff)) || (digits == 3 && (v & 0xff)))
			return -EBADMSG;
	}
	return out - ret;
}
