// SPDX-License-Identifier: Apache-2.0
// runtime/native/host.h for a test that plays the chip.

#include "host.h"

namespace {
uint64_t flit(uint64_t kind, uint64_t t) {
    return (kind << FLIT_KIND_POSITION) | (t << SPIKE_T_POSITION << FLIT_PAYLOAD_POSITION);
}
}  // namespace

extern "C" {
// A host with `raw` flits of configuration, `credits` CREDITs to grant (once at first), and parts of
// `lengths` flits; it needs `needed` CREDITs for a part, and has a part of the output with `ends` ENDs.
void* host_create(int raw, int credits, int needed, int ends, int n_parts, const int* lengths) {
    auto* host = new stem::Host;
    host->raw.assign(raw, flit(KIND_WRITE, 0));
    host->credit_flits.assign(credits, flit(KIND_CREDIT, 0));
    host->tokens.assign(credits, flit(KIND_CREDIT, 0));
    host->credits_needed = needed;
    host->ends_per_grant = ends;
    host->output.ends_per_sample = int64_t{ends} << 32;
    for (int i = 0; i < n_parts; ++i)
        host->parts.push_back({std::vector<uint64_t>(lengths[i], flit(KIND_SPIKE, 0)), true});
    return host;
}
void host_destroy(void* host) { delete static_cast<stem::Host*>(host); }

void host_receive(void* host, int kind, int t) {
    static_cast<stem::Host*>(host)->receive(flit(kind, t), 0);
}

// The kind of the flit that is sent now, or -1.
int host_send(void* host) {
    auto& h = *static_cast<stem::Host*>(host);
    uint64_t offered;
    if (!h.offer(offered)) return -1;
    h.accepted(0);
    return stem::field(offered, FLIT_KIND_POSITION, FLIT_KIND_WIDTH);
}
}
