/* SPDX-License-Identifier: Apache-2.0 */
/* c_driver PORT PROGRAM OUT: runs a program of tests/support/c_programs.py with the C driver, and
 * writes every flit that comes. Ends with the driver's status. */
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
    stemcore_count(&tokens, flit);
    fwrite(&flit, 8, 1, out);
}

/* A number of words, and the words, from the file. */
static uint64_t *words(FILE *from, uint64_t *n) {
    if (fread(n, 8, 1, from) != 1) exit(100);
    uint64_t *found = malloc(8 * (*n + 1));
    if (!found || fread(found, 8, *n, from) != *n) exit(100);
    return found;
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

    uint64_t n, n_credits, n_rules, n_parts;
    uint64_t *configuration = words(program, &n);
    uint64_t *credits = words(program, &n_credits), *rules = words(program, &n_rules);
    tokens.credits = credits, tokens.n_credits = n_credits;
    tokens.input_credits = (uint32_t)rules[0], tokens.output_ends = (uint32_t)rules[1];
    n_parts = rules[2];
    int status = stemcore_open(&chip, &port);
    if (!status) status = stemcore_reset(&chip);
    if (!status) status = stemcore_send(&chip, configuration, n);
    if (!status) status = stemcore_begin(&chip, &tokens);
    for (uint64_t i = 0; i < n_parts && !status; ++i) {
        uint64_t *part = words(program, &n);
        status = stemcore_feed(&chip, &tokens, part, n, 10000);
        free(part);
    }
    if (!status) status = stemcore_finish(&chip, &tokens, (uint32_t)rules[3], 10000);
    uint32_t errors = 0;
    if (!status) status = stemcore_get(&chip, STEMCORE_ERRORS, &errors);
    printf("%u %u %u\n", errors, chip.n_damaged, chip.n_repeats);
    fclose(out);
    return status;
}
