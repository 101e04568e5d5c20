// SPDX-License-Identifier: Apache-2.0
// The functions of the native engine that Python calls (runtime/native/verilated_mesh.py).

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "mesh.h"
#include "verilated_sym_props.h"
#include "verilated_syms.h"

using stem::Mesh;
using stem::Node;
using stem::Recorder;

namespace {

// A variable of the model by the name of its scope and its own; null when it is not public.
VerilatedVar* find_variable(Node& node, const char* scope, const char* name) {
    const std::string full = node.scope + "." + scope;
    const VerilatedScope* found = node.context->scopeFind(full.c_str());
    return found ? found->varFind(name) : nullptr;
}

Mesh& mesh_of(void* mesh) { return *static_cast<Mesh*>(mesh); }

Recorder& recorder_of(void* mesh, int node) {
    return node < 0 ? mesh_of(mesh).host.output : mesh_of(mesh).at(node).recorder;
}

}  // namespace

extern "C" {

void* stem_create(int columns, int rows, int workers, int least) {
    return new Mesh(columns, rows, workers, least);
}
void stem_destroy(void* mesh) { delete &mesh_of(mesh); }

// Copies words of 32-bit chunks into (or out of) a memory of a node; returns 0, or -1 if the memory
// is not found, -2 if it is smaller.
int stem_memory(void* mesh, int node, const char* scope, const char* name, uint32_t* chunks,
                int64_t n_words, int64_t n_chunks, int store) {
    VerilatedVar* var = find_variable(mesh_of(mesh).at(node), scope, name);
    if (!var) return -1;
    const int64_t depth = int64_t(var->totalSize() / var->entSize());
    if (n_words > depth) return -2;
    const size_t size = var->entSize();
    uint8_t* data = static_cast<uint8_t*>(var->datap());
    for (int64_t word = 0; word < n_words; ++word) {
        uint8_t* entry = data + word * size;
        uint8_t* chunk = reinterpret_cast<uint8_t*>(chunks + word * n_chunks);
        const size_t bytes = std::min<size_t>(size, 4 * n_chunks);
        if (store) {
            std::memset(entry, 0, size);
            std::memcpy(entry, chunk, bytes);
        } else {
            std::memset(chunk, 0, 4 * n_chunks);
            std::memcpy(chunk, entry, bytes);
        }
    }
    return 0;
}

void stem_send_raw(void* mesh, const uint64_t* flits, int64_t n) {
    Mesh& m = mesh_of(mesh);
    m.host.raw.insert(m.host.raw.end(), flits, flits + n);
}
// The host and the recorders begin anew; flits that the host has not sent are forgotten.
void stem_forget(void* mesh) {
    Mesh& m = mesh_of(mesh);
    m.host = stem::Host();
    for (int n = 0; n < m.size(); ++n) m.at(n).recorder = Recorder();
}
void stem_host(void* mesh, int64_t credits_needed, int64_t ends_per_grant,
               const uint64_t* credit_flits, int64_t n) {
    Mesh& m = mesh_of(mesh);
    m.host.credits_needed = credits_needed;
    m.host.ends_per_grant = ends_per_grant;
    m.host.credit_flits.assign(credit_flits, credit_flits + n);
    m.host.tokens.assign(credit_flits, credit_flits + n);  // the grant of the first sample
}
// What the host sends for one set of CREDITs: a sample, or one of its time steps.
void stem_part(void* mesh, int is_first, const uint64_t* flits, int64_t n) {
    mesh_of(mesh).host.parts.push_back({{flits, flits + n}, is_first != 0});
}

// Records what node `node` fires into `values`, or what the host receives (-1): of each population
// in turn.
// `populations` holds channels, rows, columns and bits of each of the `n` populations.
void stem_record(void* mesh, int node, uint8_t* values, const int64_t* populations, int64_t n,
                 int64_t n_samples, int64_t ends_per_sample) {
    Recorder& recorder = recorder_of(mesh, node);
    recorder.values = values;
    recorder.populations.clear();
    recorder.size = 0;
    for (int64_t i = 0; i < n; ++i) {
        const int64_t* p = populations + 4 * i;
        recorder.populations.push_back({recorder.size, p[0], p[1], p[2], p[3]});
        recorder.size += p[0] * p[1] * p[2];
    }
    recorder.n_samples = n_samples;
    recorder.ends_per_sample = ends_per_sample;
}

// Runs until `n_samples` have come out, `n_replies` answers are there and all raw flits have gone
// and nothing moves (n_samples < 0: until nothing moves), or for `limit` cycles. Returns 0: done,
// 1: limit reached, 2: all is at rest although not done, 3: no flit has moved and no core has worked
// for `patience` cycles, although something waits to. A call after one that reached its limit goes on
// counting those cycles, so that slices shorter than `patience` find a standstill too.
int stem_run(void* mesh, int64_t n_samples, int64_t n_replies, int64_t limit, int64_t patience) {
    Mesh& m = mesh_of(mesh);
    const stem::Host& host = m.host;
    if (!m.is_cut) m.last_moved = m.cycle;
    m.is_cut = false;
    m.begin();
    for (int64_t i = 0; i < limit; ++i) {
        const bool busy = m.step();
        const bool reached =
            host.output.sample >= n_samples && int64_t(host.replies.size()) >= n_replies;
        if (n_samples >= 0 && reached && host.raw.empty()) return 0;
        if (!busy) return n_samples < 0 || reached ? 0 : 2;
        if (m.cycle - m.last_moved >= patience) return 3;
    }
    m.is_cut = true;
    return 1;
}

int64_t stem_cycle(void* mesh) { return mesh_of(mesh).cycle; }
int64_t stem_shared(void* mesh) { return mesh_of(mesh).n_shared; }
int64_t stem_done(void* mesh) { return mesh_of(mesh).host.output.sample; }
int64_t stem_evaluated(void* mesh, int node) { return mesh_of(mesh).at(node).evaluated; }
int64_t stem_host_flits(void* mesh) { return mesh_of(mesh).host.n_flits; }
int stem_active(void* mesh, int node) { return mesh_of(mesh).at(node).at_work(); }
int64_t stem_errors(void* mesh, int node) {
    return recorder_of(mesh, node).errors;
}
int64_t stem_recorded(void* mesh, int node) {
    return recorder_of(mesh, node).sample;
}
// Copies at most `n` values: the cycles at which samples ended at `node`, at the host's end (-1), or
// started at the host (-2). Returns how many there are.
int64_t stem_cycles(void* mesh, int node, int64_t* cycles, int64_t n) {
    Mesh& m = mesh_of(mesh);
    const auto& from =
        node == -2 ? m.host.start_cycles : recorder_of(mesh, node).end_cycles;
    std::memcpy(cycles, from.data(), 8 * std::min<size_t>(n, from.size()));
    return int64_t(from.size());
}
// Takes the oldest `n` answers; the caller has made sure that they are there.
void stem_take_replies(void* mesh, uint32_t* values, int64_t n) {
    Mesh& m = mesh_of(mesh);
    std::memcpy(values, m.host.replies.data(), 4 * n);
    m.host.replies.erase(m.host.replies.begin(), m.host.replies.begin() + n);
}

// Copies at most `n` of the alerts that have come; returns how many there are.
int64_t stem_alerts(void* mesh, uint32_t* values, int64_t n) {
    const std::vector<uint32_t>& alerts = mesh_of(mesh).host.alerts;
    std::memcpy(values, alerts.data(), 4 * std::min<size_t>(n, alerts.size()));
    return int64_t(alerts.size());
}

// What stands on the links of a node now: N, E, S, W; i valid, payload, ready, o valid, payload, ready.
void stem_ports(void* mesh, int node, uint64_t* values) {
    std::vector<uint64_t> ports;
    mesh_of(mesh).at(node).copy_ports(ports);
    std::memcpy(values, ports.data(), 8 * ports.size());
}

// From now on, keeps what stands on all links just before every clock edge. Copies at most `n` of the
// values kept so far, by cycle and node, each as stem_ports. Returns how many there are.
int64_t stem_links(void* mesh, uint64_t* values, int64_t n) {
    Mesh& m = mesh_of(mesh);
    m.keep_links = true;
    std::memcpy(values, m.links.data(), 8 * std::min<size_t>(n, m.links.size()));
    return int64_t(m.links.size());
}

#ifdef STEM_TRACE
void stem_trace(void* mesh, int node, const char* path) {
    auto& state = mesh_of(mesh).at(node);
    state.trace = std::make_unique<VerilatedFstC>();
    state.model->trace(state.trace.get(), 99);
    state.trace->open(path);
}
#endif

}  // extern "C"
