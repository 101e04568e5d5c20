/* SPDX-License-Identifier: Apache-2.0 */
/* c_driver PORT PROGRAM OUT: runs a program of tests/support/c_programs.py with the C driver, and
 * writes every flit that comes, or the bytes of a codec's results. Ends with the driver's status. */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "stemcore.h"

static int file;
static FILE *out;
static stemcore_tokens tokens;
static stemcore_codec codec; /* used where it has a header */
static stemcore_answers answers;
static int is_started;

static int read_line(void *user, uint8_t *bytes, int n) {
    struct pollfd one = {file, POLLIN, 0};
    (void)user;
    if (poll(&one, 1, 5) <= 0) return 0;
    const ssize_t got = read(file, bytes, (size_t)n);
    return got > 0 ? (int)got : -1;
}
static int write_line(void *user, const uint8_t *bytes, int n) {
    (void)user;
    return (int)write(file, bytes, (size_t)n);
}
static uint32_t milliseconds(void *user) {
    struct timespec t;
    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint32_t)((uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u);
}
static void take(void *user, uint64_t flit) {
    (void)user;
    if (codec.header) {
        stemcore_collect(&codec, flit);
        return;
    }
    if (!is_started) {
        stemcore_answer(&answers, flit);
        return;
    }
    stemcore_count(&tokens, flit);
    fwrite(&flit, 8, 1, out);
}
static void take_result(void *user, const uint8_t *result) {
    (void)user;
    fwrite(result, 1, codec.n_outputs, out);
}

/* A number of words, and the words, from the file. */
static uint64_t *words(FILE *from, uint64_t *n) {
    if (fread(n, 8, 1, from) != 1) exit(100);
    uint64_t *found = malloc(8 * (*n + 1));
    if (!found || fread(found, 8, *n, from) != *n) exit(100);
    return found;
}

/* Reads `number` memories back. */
static int compare(stemcore *chip, FILE *program, uint64_t number) {
    int status = STEMCORE_OK;
    for (uint64_t i = 0; i < number && !status; ++i) {
        uint64_t n;
        size_t wrong = 0;
        uint64_t *found = words(program, &n); /* ADDRESS, READ, shift, and the words */
        uint32_t *wanted = malloc(4 * n);
        if (!wanted) return 100;
        for (uint64_t k = 3; k < n; ++k) wanted[k - 3] = (uint32_t)found[k];
        const stemcore_memory memory = {found[0], found[1], (int)found[2], wanted, n - 3};
        status = stemcore_compare(chip, &answers, &memory, &wrong);
        if (status) fprintf(stderr, "memory %d word %d\n", (int)i, (int)wrong);
        free(wanted);
        free(found);
    }
    return status;
}

/* Configures, compares and runs; images as flits. */
static int run_flits(stemcore *chip, FILE *program, const uint64_t *configuration, uint64_t n,
                     const uint64_t *rules, const uint64_t *starts, uint64_t n_starts) {
    int status = stemcore_send(chip, configuration, n);
    if (!status) status = compare(chip, program, rules[4]);
    is_started = 1;
    if (!status) status = stemcore_send(chip, starts, n_starts);
    if (!status) status = stemcore_begin(chip, &tokens);
    for (uint64_t i = 0; i < rules[2] && !status; ++i) {
        uint64_t *part = words(program, &n);
        status = stemcore_feed(chip, &tokens, part, n, 10000);
        free(part);
    }
    return status ? status : stemcore_finish(chip, &tokens, (uint32_t)rules[3], 10000);
}

/* The same; images as bytes, each in words of its own. */
static int run_codec(stemcore *chip, FILE *program, const uint64_t *configuration, uint64_t n,
                     const uint64_t *sizes, const uint64_t *starts, uint64_t n_starts) {
    uint64_t n_words;
    uint64_t *tables = words(program, &n_words);
    codec.n_values = sizes[2], codec.n_outputs = sizes[3];
    codec.sizes = (uint32_t)sizes[0], codec.header = sizes[1];
    codec.result = malloc(codec.n_outputs + 8), codec.take = take_result;
    if (!codec.result) return 100;
    int status = stemcore_encode(chip, &codec, tables, n_words);
    if (!status) status = stemcore_send(chip, configuration, n);
    if (!status) status = stemcore_send(chip, starts, n_starts);
    if (!status) status = stemcore_send(chip, tokens.credits, tokens.n_credits);
    for (uint64_t i = 0; i < sizes[4] && !status; ++i) {
        uint64_t *image = words(program, &n_words);
        status = stemcore_image(chip, &codec, (const uint8_t *)image);
        free(image);
    }
    return status ? status : stemcore_results(chip, &codec, (uint32_t)sizes[4], 10000);
}

int main(int argc, char **argv) {
    static stemcore chip;
    const stemcore_port port = {NULL, read_line, write_line, milliseconds, take};
    struct termios settings;
    if (argc != 4) return 100;
    file = open(argv[1], O_RDWR | O_NOCTTY);
    FILE *program = fopen(argv[2], "rb");
    out = fopen(argv[3], "wb");
    if (file < 0 || !program || !out || tcgetattr(file, &settings)) return 100;
    cfmakeraw(&settings);
    tcsetattr(file, TCSANOW, &settings);

    uint64_t n, n_starts, n_credits, n_rules, n_sizes;
    uint64_t *configuration = words(program, &n), *starts = words(program, &n_starts);
    uint64_t *credits = words(program, &n_credits), *rules = words(program, &n_rules);
    tokens.credits = credits, tokens.n_credits = n_credits;
    tokens.input_credits = (uint32_t)rules[0], tokens.output_ends = (uint32_t)rules[1];
    uint64_t *sizes = words(program, &n_sizes);
    int status = stemcore_open(&chip, &port);
    /* The configuration is in bursts. */
    if (!status && chip.minor < STEMCORE_BURST_MINOR) status = STEMCORE_FOREIGN;
    if (!status) status = stemcore_reset(&chip);
    if (!status)
        status = n_sizes ? run_codec(&chip, program, configuration, n, sizes, starts, n_starts)
                         : run_flits(&chip, program, configuration, n, rules, starts, n_starts);
    uint32_t errors = 0;
    if (!status) status = stemcore_get(&chip, STEMCORE_ERRORS, &errors);
    printf("%u %u %u\n", errors, chip.n_damaged, chip.n_repeats);
    fclose(out);
    return status;
}
