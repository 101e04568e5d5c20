/* SPDX-License-Identifier: Apache-2.0 */
/* Driver of a chip behind a serial line, for C99 without a library that allocates or opens files.
 *
 * Give it the functions of a line, then: stemcore_open, stemcore_reset, stemcore_send, and so on.
 * Every function that returns int returns STEMCORE_OK or what went wrong, and returns in time:
 * where the board is silent, or does not answer what it is asked, for STEMCORE_ANSWER_MS the answer
 * is STEMCORE_SILENT; where it takes no flit for STEMCORE_STANDSTILL_MS, STEMCORE_STANDSTILL. After
 * any of them begin again with stemcore_reset.
 */
#ifndef STEMCORE_H
#define STEMCORE_H

#include <stddef.h>
#include <stdint.h>

#include "stemcore_registers.h"

#ifndef STEMCORE_RETRY_MS
#define STEMCORE_RETRY_MS 150 /* longer than a frame takes, there and back */
#endif
#ifndef STEMCORE_ANSWER_MS
#define STEMCORE_ANSWER_MS 5000
#endif
#ifndef STEMCORE_STANDSTILL_MS
#define STEMCORE_STANDSTILL_MS 20000
#endif

enum {
    STEMCORE_OK = 0,
    STEMCORE_CLOSED = 1,   /* read or write of the line failed */
    STEMCORE_SILENT = 2,   /* the board does not answer */
    STEMCORE_LOST = 3,     /* the board was reset, or another program uses the line */
    STEMCORE_REFUSED = 4,  /* the access to a register is not permitted */
    STEMCORE_FOREIGN = 5,  /* not a chip of this project, or of another major version */
    STEMCORE_STANDSTILL = 6, /* the board answers, and what is waited for does not come */
    STEMCORE_NO_CODEC = 7,   /* the board has no spike codec, or one of other sizes */
    STEMCORE_DIFFERENT = 8   /* a memory does not hold what was written */
};

/* The line. `read` and `write` return bytes moved, 0 where none can be moved now, below 0 for a
 * line that is closed. `read` may wait some milliseconds for the first byte. */
typedef struct {
    void *user;
    int (*read)(void *user, uint8_t *bytes, int n);
    int (*write)(void *user, const uint8_t *bytes, int n);
    uint32_t (*milliseconds)(void *user);
    void (*flit)(void *user, uint64_t flit); /* called for each flit that comes, once, in order */
} stemcore_port;

typedef struct {
    stemcore_port port;
    uint8_t session, wanted, room, connecting, connected, asked, again, due, repeat;
    uint16_t expected, acknowledged, number, answered;
    uint16_t minor; /* of the version of the board's registers */
    uint32_t response, data, last_frame;
    uint32_t n_damaged, n_repeats; /* frames that came damaged; times that flits were sent again */
    int n, escaped;
    uint8_t frame[STEMCORE_UART_HEADER_BYTES + 255 + STEMCORE_UART_CRC_BYTES];
    uint8_t out[2 * (STEMCORE_UART_HEADER_BYTES + 8 * STEMCORE_UART_MAX_FLITS +
                     STEMCORE_UART_CRC_BYTES) + 2];
} stemcore;

/* Begins a session, and checks who is there. */
int stemcore_open(stemcore *s, const stemcore_port *port);
/* Resets the chip, and ends a codec's work; what is under way is dropped. */
int stemcore_reset(stemcore *s);
/* Registers, by the offsets of stemcore_registers.h. */
int stemcore_get(stemcore *s, uint32_t address, uint32_t *value);
int stemcore_put(stemcore *s, uint32_t address, uint32_t value);
/* Sends flits, and returns when the board has them all; those that come go to `flit` meanwhile.
 * Words of write bursts are sent as flits are, to a board whose `minor` is STEMCORE_BURST_MINOR or
 * more. */
int stemcore_send(stemcore *s, const uint64_t *flits, size_t n);
/* Takes what has come. */
int stemcore_poll(stemcore *s);

/* A memory as it must be, its words in pieces of 32 bits, and the flits that ask for them. */
typedef struct {
    uint64_t address; /* to the memory's first word */
    uint64_t read;    /* the next 32 bits */
    int shift;        /* where these begin in the flit that answers */
    const uint32_t *words;
    size_t n;
} stemcore_memory;

/* Answers to READ; zero before the first call. */
typedef struct {
    uint32_t n;
    uint64_t last;
} stemcore_answers;

/* To be called for each flit that comes while memories are compared. */
void stemcore_answer(stemcore_answers *a, uint64_t flit);
/* Reads a memory back, before its core is started; at the first difference STEMCORE_DIFFERENT, and
 * its place among `words` in `wrong`. */
int stemcore_compare(stemcore *s, stemcore_answers *a, const stemcore_memory *m, size_t *wrong);

/* The host's part of a program: what it sends when. */
typedef struct {
    const uint64_t *credits; /* flits that grant the output cores a token period */
    size_t n_credits;
    uint32_t input_credits; /* CREDITs that permit a token period of the input */
    uint32_t output_ends;   /* ENDs of a token period of the output */
    uint32_t held, ends, owed, n_periods; /* zero before the cores are started */
} stemcore_tokens;

/* To be called for each flit that comes; counts tokens. */
void stemcore_count(stemcore_tokens *t, uint64_t flit);
/* Grants the output cores the first period. */
int stemcore_begin(stemcore *s, stemcore_tokens *t);
/* Sends one token period of the input as soon as it is permitted. */
int stemcore_feed(stemcore *s, stemcore_tokens *t, const uint64_t *flits, size_t n,
                  uint32_t standstill_ms);
/* Until `n` token periods of the output have come. */
int stemcore_finish(stemcore *s, stemcore_tokens *t, uint32_t n, uint32_t standstill_ms);

/* A board with a spike codec: images and results as bytes, in the place of stemcore_tokens. */
typedef struct {
    uint32_t sizes;             /* what CODEC_SIZES must be: the tables are made for it */
    uint64_t header;            /* the word before an image */
    size_t n_values, n_outputs; /* bytes of an image, and of a result */
    uint8_t *result;            /* room for a result, in whole words of 8 bytes */
    void *user;
    void (*take)(void *user, const uint8_t *result); /* called for each result, in order */
    size_t left;                                     /* zero before the first call */
    uint32_t n_results, n_answers;                   /* likewise */
} stemcore_codec;

/* To be called for each flit that comes. */
void stemcore_collect(stemcore_codec *c, uint64_t word);
/* After stemcore_reset: writes the tables, flits of which the last is a READ whose answer says that
 * all are written; sets the codec to work. Then configure, start, and send CREDITs once. */
int stemcore_encode(stemcore *s, stemcore_codec *c, const uint64_t *tables, size_t n);
/* Sends an image of n_values bytes; returns when the board has it, perhaps before its turn. */
int stemcore_image(stemcore *s, const stemcore_codec *c, const uint8_t *values);
/* Until `n` results have come. */
int stemcore_results(stemcore *s, const stemcore_codec *c, uint32_t n, uint32_t standstill_ms);

#endif
