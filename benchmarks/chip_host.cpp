// SPDX-License-Identifier: Apache-2.0
// Plays the host to a whole chip in one Verilated design: chip_host FILE.
//
// FILE: 64-bit words; four lists (each its length, then its flits): configuration, START, CREDITs, all
// samples one after the other; then CREDITs that the host awaits, ENDs of an output sample, and how
// many samples there are. Prints clock cycles from START to the last END, processor seconds for them,
// and the number of ENDs.

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <vector>

#include "Vchip.h"
#include "host.h"
#include "verilated.h"

namespace {

using Flits = std::vector<uint64_t>;

uint64_t word(std::FILE* file) {
    uint64_t value = 0;
    if (std::fread(&value, 8, 1, file) != 1) std::perror("chip_host: a word is missing");
    return value;
}
Flits list(std::FILE* file) {
    Flits flits(word(file));
    for (auto& flit : flits) flit = word(file);
    return flits;
}
double processor_seconds() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

}  // namespace

int main(int, char** arguments) {
    std::FILE* file = std::fopen(arguments[1], "rb");
    if (!file) {
        std::perror(arguments[1]);
        return 1;
    }
    stem::Host host;
    const Flits configuration = list(file), start = list(file);
    host.credit_flits = list(file);
    const Flits flits = list(file);
    host.credits_needed = int64_t(word(file));
    const int64_t ends_per_sample = int64_t(word(file));
    const uint64_t n_samples = word(file);
    host.ends_per_grant = ends_per_sample;
    // What comes out is counted, not kept: the recorder has room for no sample.
    host.output.ends_per_sample = ends_per_sample;
    for (uint64_t sample = 0; sample < n_samples; ++sample) host.parts.push_back({flits, true});

    const auto context = std::make_unique<VerilatedContext>();
    Vchip chip(context.get());
    const auto clock = [&] {
        chip.clk = 1;
        chip.eval();
        chip.clk = 0;
        chip.eval();
    };
    chip.host_o_ready = 1;
    chip.rst = 1;
    for (int i = 0; i < 2; ++i) clock();
    chip.rst = 0;
    int64_t cycle = 0;
    const auto step = [&] {
        uint64_t flit;
        if (!chip.host_i_valid && host.offer(flit)) {
            chip.host_i_valid = 1;
            chip.host_i_payload = flit;
            chip.eval();
        }
        const bool taken = chip.host_i_valid && chip.host_i_ready;
        const bool given = chip.host_o_valid;
        const uint64_t received = chip.host_o_payload;
        clock();
        ++cycle;
        if (taken) host.accepted(cycle), chip.host_i_valid = 0;
        if (given) host.receive(received, cycle);
    };
    const auto parts = std::move(host.parts);
    host.parts.clear();
    host.raw.assign(configuration.begin(), configuration.end());
    while (!host.raw.empty()) step();
    for (int i = 0; i < 100; ++i) step();

    host.raw.assign(start.begin(), start.end());
    host.tokens.assign(host.credit_flits.begin(), host.credit_flits.end());
    host.parts = parts;
    const int64_t first = cycle;
    const double began = processor_seconds();
    while (host.output.sample < int64_t(n_samples) && cycle < first + 100'000'000) step();
    const double seconds = processor_seconds() - began;
    std::printf("%ld %.9f %ld\n", long(cycle - first), seconds, long(host.output.sample));
    return 0;
}
