// SPDX-License-Identifier: Apache-2.0
// The host at the north link of node (0, 1): what it sends, what it collects.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "fields.h"  // bit fields and the spike code, written from stemcore.golden.spec

namespace stem {

constexpr uint64_t field(uint64_t flit, int position, int width) {
    return (flit >> position) & ((uint64_t{1} << width) - 1);
}

// A population that fires, and where its values begin among those of a sample.
struct Population {
    int64_t start = 0, channels = 0, rows = 0, columns = 0, bits = 0;
};

// What a core is seen to fire, or the host receives: spike trains as integers, sample by sample.
struct Recorder {
    uint8_t* values = nullptr;  // [sample][channel][row][column], two's complement
    // Those that the axon of a spike numbers; where there is one, all axons mean it.
    std::vector<Population> populations;
    int64_t size = 0;  // values of a sample
    int64_t n_samples = 0;
    int64_t ends_per_sample = 0;
    int64_t sample = 0, ends = 0, last_t = 0, errors = 0;
    std::vector<int64_t> end_cycles;  // cycle of the last END of every sample

    void spike(uint64_t flit) {
        const uint64_t payload = field(flit, FLIT_PAYLOAD_POSITION, FLIT_PAYLOAD_WIDTH);
        const int64_t t = field(payload, SPIKE_T_POSITION, SPIKE_T_WIDTH);
        const int64_t c = field(payload, SPIKE_C_POSITION, SPIKE_C_WIDTH);
        const int64_t y = field(payload, SPIKE_Y_POSITION, SPIKE_Y_WIDTH);
        const int64_t x = field(payload, SPIKE_X_POSITION, SPIKE_X_WIDTH);
        const size_t axon = populations.size() == 1
                                ? 0
                                : field(payload, SPIKE_AXON_POSITION, SPIKE_AXON_WIDTH);
        // Outside the populations, after the last sample, or too late a time step.
        if (sample >= n_samples || axon >= populations.size()) {
            ++errors;
            return;
        }
        const Population& of = populations[axon];
        if (c >= of.channels || y >= of.rows || x >= of.columns || t >= of.bits) {
            ++errors;
            return;
        }
        values[sample * size + of.start + (c * of.rows + y) * of.columns + x] |=
            SPIKE_BIT[of.bits][t];
    }
    void in_order(uint64_t flit) {
        const uint64_t payload = field(flit, FLIT_PAYLOAD_POSITION, FLIT_PAYLOAD_WIDTH);
        const int64_t t = field(payload, SPIKE_T_POSITION, SPIKE_T_WIDTH);
        if (t < last_t) ++errors;
        last_t = t;
    }
    bool end(int64_t cycle) {
        if (++ends < ends_per_sample) return false;
        ends = 0;
        last_t = 0;
        ++sample;
        end_cycles.push_back(cycle);
        return true;
    }
    // A flit that a core hands to its router.
    void observe(uint64_t flit, int64_t cycle) {
        switch (field(flit, FLIT_KIND_POSITION, FLIT_KIND_WIDTH)) {
            case KIND_SPIKE:
                spike(flit);
                in_order(flit);
                break;
            case KIND_END: end(cycle); break;
            default: break;
        }
    }
};

// What is sent when: the rules of stemcore.golden.spec.tokens, to which a test holds this class.
class Host {
  public:
    std::deque<uint64_t> raw;                    // flits of configuration
    std::deque<uint64_t> tokens;                 // CREDITs for the output cores
    std::vector<uint64_t> credit_flits;          // sent after every part received
    int64_t ends_per_grant = 1;                  // ENDs of a part of the output
    struct Part {
        std::vector<uint64_t> flits;
        bool is_first;
    };
    std::vector<Part> parts;  // what CREDITs permit together: samples, or time steps
    size_t next_part = 0, position = 0;
    int64_t credits = 0, credits_needed = 0;
    int64_t holding = 0;  // cores that asked to hold spikes for now
    Recorder output;
    std::vector<uint32_t> replies;
    std::vector<uint32_t> alerts;  // first errors of cores: what their registers said
    std::vector<int64_t> start_cycles;
    int64_t n_flits = 0;

    // Chooses what to offer, if anything; what has been offered stays until it is taken.
    bool offer(uint64_t& flit) {
        if (!raw.empty()) {
            offered_ = From::raw, flit = raw.front();
        } else if (!tokens.empty()) {
            offered_ = From::tokens, flit = tokens.front();
        } else if (next_part < parts.size() && may_send()) {
            offered_ = From::part, flit = parts[next_part].flits[position];
        } else {
            return false;
        }
        return true;
    }
    void accepted(int64_t cycle) {
        ++n_flits;
        switch (offered_) {
            case From::raw: raw.pop_front(); break;
            case From::tokens: tokens.pop_front(); break;
            case From::part: {
                const Part& part = parts[next_part];
                if (position == 0) credits -= credits_needed;
                if (position == 0 && part.is_first) start_cycles.push_back(cycle);
                if (++position == part.flits.size()) position = 0, ++next_part;
                break;
            }
        }
    }
    bool busy() const {
        return !raw.empty() || !tokens.empty() || (next_part < parts.size() && may_send());
    }
    void receive(uint64_t flit, int64_t cycle) {
        switch (field(flit, FLIT_KIND_POSITION, FLIT_KIND_WIDTH)) {
            case KIND_SPIKE: output.spike(flit); break;
            case KIND_END:
                output.end(cycle);
                if (output.ends % ends_per_grant == 0)
                    tokens.insert(tokens.end(), credit_flits.begin(), credit_flits.end());
                break;
            case KIND_CREDIT: ++credits; break;
            case KIND_PACE: {
                const uint64_t payload = field(flit, FLIT_PAYLOAD_POSITION, FLIT_PAYLOAD_WIDTH);
                holding += field(payload, SPIKE_T_POSITION, 1) ? 1 : -1;
                break;
            }
            case KIND_DATA:
                replies.push_back(uint32_t(field(flit, FLIT_PAYLOAD_POSITION, 32)));
                break;
            case KIND_ALERT:
                alerts.push_back(uint32_t(field(flit, FLIT_PAYLOAD_POSITION, 32)));
                break;
            default: ++output.errors;
        }
    }

  private:
    enum class From { raw, tokens, part };
    From offered_ = From::raw;
    bool may_send() const {
        return holding == 0 && (position > 0 || credits >= credits_needed);
    }
};

}  // namespace stem
