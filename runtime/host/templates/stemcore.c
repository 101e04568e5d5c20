/* SPDX-License-Identifier: Apache-2.0 */
/* See stemcore.h. The rules of the line are those of golden/spec/uart_frames.py. */
#include "stemcore.h"

#include <string.h>

#define FIELD(word, name)                                  \
    ((uint32_t)((word) >> STEMCORE_UART_HEADER_##name##_SHIFT & \
                ((1ULL << STEMCORE_UART_HEADER_##name##_WIDTH) - 1)))
#define PLACE(value, name) ((uint64_t)(value) << STEMCORE_UART_HEADER_##name##_SHIFT)
#define KIND_MASK 7u

static uint32_t crc(const uint8_t *bytes, int n) {
    uint32_t sum = 0xFFFFFFFFu;
    for (int i = 0; i < n; ++i) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ (0xEDB88320u & (0u - (sum & 1u)));
    }
    return ~sum;
}

static uint64_t word_of(const uint8_t *bytes, int n) {
    uint64_t word = 0;
    for (int i = n - 1; i >= 0; --i) word = word << 8 | bytes[i];
    return word;
}

static uint32_t now(stemcore *s) { return s->port.milliseconds(s->port.user); }

/* ---- frames out */

static int put_byte(uint8_t *out, int at, uint8_t byte) {
    if (byte == STEMCORE_UART_FLAG || byte == STEMCORE_UART_ESCAPE) {
        out[at++] = STEMCORE_UART_ESCAPE;
        byte ^= STEMCORE_UART_FLIPPED;
    }
    out[at++] = byte;
    return at;
}

static int send_frame(stemcore *s, uint32_t kind, uint8_t session, uint16_t sequence,
                      const uint64_t *words, int n_words) {
    uint8_t body[STEMCORE_UART_HEADER_BYTES + 8 * STEMCORE_UART_MAX_FLITS +
                 STEMCORE_UART_CRC_BYTES];
    const uint64_t header = PLACE(kind, KIND) | PLACE(s->again, AGAIN) | PLACE(session, SESSION) |
                            PLACE(8 * n_words, LENGTH) | PLACE(sequence, SEQUENCE) |
                            PLACE(s->expected, ACKNOWLEDGED) | PLACE(255, ROOM);
    int n = 0, at = 0, sent = 0;
    for (int i = 0; i < 8; ++i) body[n++] = (uint8_t)(header >> 8 * i);
    for (int w = 0; w < n_words; ++w)
        for (int i = 0; i < 8; ++i) body[n++] = (uint8_t)(words[w] >> 8 * i);
    const uint32_t sum = crc(body, n);
    for (int i = 0; i < 4; ++i) body[n++] = (uint8_t)(sum >> 8 * i);
    s->out[at++] = STEMCORE_UART_FLAG;
    for (int i = 0; i < n; ++i) at = put_byte(s->out, at, body[i]);
    s->out[at++] = STEMCORE_UART_FLAG;
    s->again = s->due = 0;
    while (sent < at) {
        const uint32_t began = now(s);
        int moved;
        while ((moved = s->port.write(s->port.user, s->out + sent, at - sent)) == 0)
            if (now(s) - began > STEMCORE_ANSWER_MS) return STEMCORE_SILENT;
        if (moved < 0) return STEMCORE_CLOSED;
        sent += moved;
    }
    return STEMCORE_OK;
}

/* ---- frames in */

static void ask_again(stemcore *s) {
    if (s->asked || !s->connected) return;
    s->asked = s->again = s->due = 1;
}

static int take_frame(stemcore *s) {
    const int n = s->n - (int)STEMCORE_UART_CRC_BYTES;
    const uint64_t header = n >= (int)STEMCORE_UART_HEADER_BYTES ? word_of(s->frame, 8) : 0;
    if (n < (int)STEMCORE_UART_HEADER_BYTES || s->escaped ||
        crc(s->frame, n) != word_of(s->frame + n, 4) ||
        (int)FIELD(header, LENGTH) != n - (int)STEMCORE_UART_HEADER_BYTES || n % 8) {
        ++s->n_damaged;
        ask_again(s);
        return STEMCORE_OK;
    }
    const uint32_t kind = FIELD(header, KIND), sequence = FIELD(header, SEQUENCE);
    const uint8_t session = (uint8_t)FIELD(header, SESSION), *payload = s->frame + 8;
    s->last_frame = now(s);
    if (s->connecting) {
        if (!s->wanted) {
            s->wanted = (uint8_t)(session % 255 + 1);
        } else if (kind == STEMCORE_UART_KIND_CONNECT && session == s->wanted) {
            s->session = session;
            s->connecting = 0;
            s->connected = 1;
            s->room = (uint8_t)FIELD(header, ROOM);
        }
        return STEMCORE_OK;
    }
    if (session != s->session) return STEMCORE_LOST;
    s->acknowledged = (uint16_t)FIELD(header, ACKNOWLEDGED);
    s->room = (uint8_t)FIELD(header, ROOM);
    if (FIELD(header, AGAIN)) s->repeat = 1; /* stemcore_send does */
    if (kind == STEMCORE_UART_KIND_FLITS) {
        const uint16_t ahead = (uint16_t)(sequence - s->expected);
        const int n_flits = (n - 8) / 8;
        if (n_flits == 0) return STEMCORE_OK;
        if (ahead >= 0x8000u) {
            s->due = 1; /* it had come: say so */
        } else if (ahead) {
            ask_again(s);
        } else {
            s->expected = (uint16_t)(s->expected + n_flits);
            s->asked = 0;
            s->due = 1;
            for (int i = 0; i < n_flits; ++i)
                s->port.flit(s->port.user, word_of(payload + 8 * i, 8));
        }
    } else if (sequence == s->number && n == 16) {
        s->response = (uint32_t)word_of(payload, 4);
        s->data = (uint32_t)word_of(payload + 4, 4);
        s->answered = s->number;
    }
    return STEMCORE_OK;
}

/* Takes the bytes that are there; answers what wants an answer. */
int stemcore_poll(stemcore *s) {
    uint8_t bytes[256];
    const int n = s->port.read(s->port.user, bytes, (int)sizeof bytes);
    if (n < 0) return STEMCORE_CLOSED;
    for (int i = 0; i < n; ++i) {
        uint8_t byte = bytes[i];
        if (byte == STEMCORE_UART_FLAG) {
            const int status = s->n || s->escaped ? take_frame(s) : STEMCORE_OK;
            s->n = s->escaped = 0;
            if (status) return status;
        } else if (byte == STEMCORE_UART_ESCAPE) {
            s->escaped = 1;
        } else {
            if (s->escaped) byte ^= STEMCORE_UART_FLIPPED;
            s->escaped = 0;
            /* What is longer than a frame is none: its CRC will not fit. */
            if (s->n < (int)sizeof s->frame) s->frame[s->n++] = byte;
        }
    }
    if (s->due && s->connected)
        return send_frame(s, STEMCORE_UART_KIND_FLITS, s->session, s->acknowledged, NULL, 0);
    return now(s) - s->last_frame > STEMCORE_ANSWER_MS ? STEMCORE_SILENT : STEMCORE_OK;
}

/* ---- sessions and registers */

static int connect_anew(stemcore *s) {
    int status = STEMCORE_OK;
    uint32_t began;
    s->session = s->wanted = s->connected = s->asked = s->again = s->due = s->repeat = 0;
    s->expected = s->acknowledged = 0;
    s->number = s->answered = 0;
    s->connecting = 1;
    s->last_frame = began = now(s);
    while (s->connecting && !status) {
        const uint8_t wanted = s->wanted;
        const uint32_t asked = now(s);
        const uint32_t kind = wanted ? STEMCORE_UART_KIND_CONNECT : STEMCORE_UART_KIND_FLITS;
        status = send_frame(s, kind, wanted, 0, NULL, 0);
        while (!status && s->connecting && s->wanted == wanted &&
               now(s) - asked < STEMCORE_RETRY_MS)
            status = stemcore_poll(s);
        /* Whatever comes instead. */
        if (!status && s->connecting && now(s) - began > STEMCORE_ANSWER_MS)
            status = STEMCORE_SILENT;
    }
    return status;
}

static int access(stemcore *s, uint32_t kind, uint32_t address, uint32_t data) {
    const uint64_t word = address | (uint64_t)data << 32;
    const uint32_t began = now(s);
    int status = STEMCORE_OK;
    ++s->number;
    while (s->answered != s->number && !status) {
        const uint32_t asked = now(s);
        status = send_frame(s, kind, s->session, s->number, &word, 1);
        while (!status && s->answered != s->number && now(s) - asked < STEMCORE_RETRY_MS)
            status = stemcore_poll(s);
        if (!status && s->answered != s->number && now(s) - began > STEMCORE_ANSWER_MS)
            status = STEMCORE_SILENT;
    }
    return status ? status : s->response ? STEMCORE_REFUSED : STEMCORE_OK;
}

int stemcore_get(stemcore *s, uint32_t address, uint32_t *value) {
    const int status = access(s, STEMCORE_UART_KIND_READ, address, 0);
    *value = status ? 0 : s->data;
    return status;
}

int stemcore_put(stemcore *s, uint32_t address, uint32_t value) {
    return access(s, STEMCORE_UART_KIND_WRITE, address, value);
}

int stemcore_open(stemcore *s, const stemcore_port *port) {
    uint32_t identity, version;
    memset(s, 0, sizeof *s);
    s->port = *port;
    int status = connect_anew(s);
    if (!status) status = stemcore_get(s, STEMCORE_IDENTITY, &identity);
    if (!status) status = stemcore_get(s, STEMCORE_VERSION, &version);
    if (status) return status;
    s->minor = (uint16_t)((version & STEMCORE_VERSION_MINOR_MASK) >> STEMCORE_VERSION_MINOR_SHIFT);
    version = (version & STEMCORE_VERSION_MAJOR_MASK) >> STEMCORE_VERSION_MAJOR_SHIFT;
    return identity == STEMCORE_IDENTITY_VALUE && version == STEMCORE_VERSION_MAJOR_VALUE
               ? STEMCORE_OK
               : STEMCORE_FOREIGN;
}

int stemcore_reset(stemcore *s) {
    const uint32_t began = now(s);
    uint32_t status_word = STEMCORE_STATUS_RESETTING_MASK;
    int status = connect_anew(s);
    if (!status) status = stemcore_put(s, STEMCORE_CODEC, 0);
    if (status == STEMCORE_REFUSED) status = STEMCORE_OK; /* a board from before there was one */
    if (!status) status = stemcore_put(s, STEMCORE_RESET, STEMCORE_RESET_RESET_MASK);
    while (!status && status_word & STEMCORE_STATUS_RESETTING_MASK) {
        status = stemcore_get(s, STEMCORE_STATUS, &status_word);
        if (!status && now(s) - began > STEMCORE_ANSWER_MS) status = STEMCORE_STANDSTILL;
    }
    return status ? status : connect_anew(s);
}

/* ---- flits */

int stemcore_send(stemcore *s, const uint64_t *flits, size_t n) {
    const uint16_t first = s->acknowledged; /* nothing is under way here */
    size_t passed = 0, sent = 0;
    uint32_t moved = now(s), tried = moved;
    while (passed < n) {
        while (sent < n && sent - passed < s->room) {
            size_t n_flits = n - sent, room = s->room - (sent - passed);
            if (n_flits > STEMCORE_UART_MAX_FLITS) n_flits = STEMCORE_UART_MAX_FLITS;
            if (n_flits > room) n_flits = room;
            const int status = send_frame(s, STEMCORE_UART_KIND_FLITS, s->session,
                                          (uint16_t)(first + sent), flits + sent, (int)n_flits);
            if (status) return status;
            sent += n_flits;
            tried = now(s);
        }
        int status = stemcore_poll(s);
        if (status) return status;
        const uint16_t more = (uint16_t)(s->acknowledged - (uint16_t)(first + passed));
        if (more && more <= n - passed) {
            passed += more;
            moved = now(s);
        }
        if (sent < passed) sent = passed;
        const uint32_t time = now(s);
        if (passed < n && time - moved > STEMCORE_STANDSTILL_MS) return STEMCORE_STANDSTILL;
        const int is_late = time - moved > STEMCORE_RETRY_MS && time - tried > STEMCORE_RETRY_MS;
        if (s->repeat || is_late) {
            s->repeat = 0;
            ++s->n_repeats;
            sent = passed;
        }
        if (is_late) {
            s->again = 1;
            tried = now(s);
            status = send_frame(s, STEMCORE_UART_KIND_FLITS, s->session, (uint16_t)(first + sent),
                                NULL, 0);
            if (status) return status;
        }
    }
    return STEMCORE_OK;
}

/* ---- tokens */

void stemcore_count(stemcore_tokens *t, uint64_t flit) {
    switch (flit & KIND_MASK) {
        case STEMCORE_KIND_CREDIT: ++t->held; break;
        case STEMCORE_KIND_END:
            if (++t->ends == t->output_ends) {
                t->ends = 0;
                ++t->owed;
                ++t->n_periods;
            }
            break;
        default: break; /* PACE is advice: it changes when a spike is sent, never whether */
    }
}

static int grant(stemcore *s, stemcore_tokens *t) {
    int status = STEMCORE_OK;
    while (t->owed && !status) {
        --t->owed;
        status = stemcore_send(s, t->credits, t->n_credits);
    }
    return status;
}

int stemcore_begin(stemcore *s, stemcore_tokens *t) {
    ++t->owed;
    return grant(s, t);
}

/* Looks once at what has come; asks for what may have been lost. */
static int look(stemcore *s, uint32_t *looked, uint32_t began, uint32_t standstill_ms) {
    int status = stemcore_poll(s);
    if (!status && now(s) - *looked > STEMCORE_RETRY_MS) {
        *looked = now(s);
        s->again = 1;
        status = send_frame(s, STEMCORE_UART_KIND_FLITS, s->session, s->acknowledged, NULL, 0);
    }
    if (!status && now(s) - began > standstill_ms) status = STEMCORE_STANDSTILL;
    return status;
}

void stemcore_answer(stemcore_answers *a, uint64_t flit) {
    if ((flit & KIND_MASK) == STEMCORE_KIND_DATA) {
        a->last = flit;
        ++a->n;
    }
}

int stemcore_compare(stemcore *s, stemcore_answers *a, const stemcore_memory *m, size_t *wrong) {
    int status = stemcore_send(s, &m->address, 1);
    for (size_t i = 0; i < m->n && !status; ++i) {
        const uint32_t before = a->n;
        const uint32_t began = now(s);
        uint32_t looked = began;
        status = stemcore_send(s, &m->read, 1); /* one at a time: an answer waits for the next */
        while (!status && a->n == before)
            status = look(s, &looked, began, STEMCORE_STANDSTILL_MS);
        if (!status && (uint32_t)(a->last >> m->shift) != m->words[i]) {
            *wrong = i;
            status = STEMCORE_DIFFERENT;
        }
    }
    return status;
}

static int wait_for_tokens(stemcore *s, stemcore_tokens *t, uint32_t *looked, uint32_t began,
                           uint32_t standstill_ms) {
    const int status = look(s, looked, began, standstill_ms);
    return status ? status : grant(s, t);
}

int stemcore_feed(stemcore *s, stemcore_tokens *t, const uint64_t *flits, size_t n,
                  uint32_t standstill_ms) {
    const uint32_t began = now(s);
    uint32_t looked = began;
    int status = grant(s, t);
    while (!status && t->held < t->input_credits)
        status = wait_for_tokens(s, t, &looked, began, standstill_ms);
    if (status) return status;
    t->held -= t->input_credits;
    status = stemcore_send(s, flits, n);
    return status ? status : grant(s, t);
}

int stemcore_finish(stemcore *s, stemcore_tokens *t, uint32_t n, uint32_t standstill_ms) {
    uint32_t began = now(s), looked = began, before = t->n_periods;
    int status = STEMCORE_OK;
    while (!status && t->n_periods < n) {
        status = wait_for_tokens(s, t, &looked, began, standstill_ms);
        if (t->n_periods != before) before = t->n_periods, began = now(s);
    }
    return status;
}

/* ---- a spike codec beside the port */

void stemcore_collect(stemcore_codec *c, uint64_t word) {
    if (c->left) {
        const size_t n_words = (c->n_outputs + 7) / 8;
        uint8_t *at = c->result + 8 * (n_words - c->left);
        for (int i = 0; i < 8; ++i) at[i] = (uint8_t)(word >> 8 * i);
        if (--c->left == 0) {
            ++c->n_results;
            c->take(c->user, c->result);
        }
    } else if ((word & KIND_MASK) == STEMCORE_KIND_END) {
        c->left = (c->n_outputs + 7) / 8;
    } else if ((word & KIND_MASK) == STEMCORE_KIND_DATA) {
        ++c->n_answers;
    }
}

int stemcore_encode(stemcore *s, stemcore_codec *c, const uint64_t *tables, size_t n) {
    const uint32_t before = c->n_answers;
    uint32_t sizes = 0, looked;
    int status = stemcore_get(s, STEMCORE_CODEC_SIZES, &sizes);
    if (status == STEMCORE_REFUSED || (!status && (!sizes || sizes != c->sizes)))
        status = STEMCORE_NO_CODEC;
    if (!status) status = stemcore_send(s, tables, n);
    const uint32_t began = looked = now(s);
    while (!status && c->n_answers == before)
        status = look(s, &looked, began, STEMCORE_STANDSTILL_MS);
    return status ? status : stemcore_put(s, STEMCORE_CODEC, STEMCORE_CODEC_WORK_MASK);
}

int stemcore_image(stemcore *s, const stemcore_codec *c, const uint8_t *values) {
    uint64_t words[STEMCORE_UART_MAX_FLITS] = {c->header};
    size_t n = 1, at = 0;
    int status = STEMCORE_OK;
    while (!status && (n || at < c->n_values)) {
        while (n < STEMCORE_UART_MAX_FLITS && at < c->n_values) {
            const size_t more = c->n_values - at < 8 ? c->n_values - at : 8;
            words[n++] = word_of(values + at, (int)more);
            at += more;
        }
        status = stemcore_send(s, words, n);
        n = 0;
    }
    return status;
}

int stemcore_results(stemcore *s, const stemcore_codec *c, uint32_t n, uint32_t standstill_ms) {
    uint32_t began = now(s), looked = began, before = c->n_results;
    int status = STEMCORE_OK;
    while (!status && c->n_results < n) {
        status = look(s, &looked, began, standstill_ms);
        if (c->n_results != before) before = c->n_results, began = now(s);
    }
    return status;
}
