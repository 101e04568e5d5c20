// SPDX-License-Identifier: Apache-2.0
// Steps a mesh of Verilated nodes clock by clock, and plays the host.
//
// Every output of a node depends on its registers alone. So all nodes can be clocked one after the
// other with the inputs of the last cycle, and their outputs be carried to the neighbours
// afterwards: each link sees in every cycle what it would see in one large design. A node whose
// registers cannot change (its output `quiet`, and no flit coming in) is skipped.
//
// The functions at the end are called from Python (runtime/engines/verilator.py).

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "Vnode.h"
#include "fields.h"  // positions of the bit fields, written from golden.fields
#include "verilated.h"
#include "verilated_sym_props.h"
#include "verilated_syms.h"
#ifdef STEM_TRACE
#include "verilated_fst_c.h"
#endif

namespace {

constexpr int PORTS = 4;
constexpr uint64_t field(uint64_t flit, int position, int width) {
    return (flit >> position) & ((uint64_t{1} << width) - 1);
}

// What a core, or the host's end, is seen to fire: spike trains as integers, sample by sample.
struct Recorder {
    uint8_t* values = nullptr;  // [sample][channel][row][column], bit T-1-t set by a spike of step t
    int64_t channels = 0, rows = 0, columns = 0, bits = 0;
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
        // Outside the population, after the last sample, or too late a time step.
        if (sample >= n_samples || c >= channels || y >= rows || x >= columns || t >= bits) {
            ++errors;
            return;
        }
        values[((sample * channels + c) * rows + y) * columns + x] |= 1u << (bits - 1 - t);
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
};

struct Link {
    Vnode* node = nullptr;
    int port = 0;
};

struct NodeState {
    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Vnode> model;
    std::string scope;
    bool active = true;
    bool outputs_changed = true;
    Recorder recorder;
    int64_t evaluated = 0;
    // Port access by index. Verilator writes the double underscores of i__0__valid as ___05F.
    CData *i_valid[PORTS], *i_ready[PORTS], *o_valid[PORTS], *o_ready[PORTS];
    QData *i_payload[PORTS], *o_payload[PORTS];
#ifdef STEM_TRACE
    std::unique_ptr<VerilatedFstC> trace;
#endif
};

class Mesh {
  public:
    Mesh(int columns, int rows) : columns_(columns), rows_(rows), nodes_(columns * rows) {
        for (int n = 0; n < columns * rows; ++n) create(nodes_[n], n);
        for (auto& node : nodes_) {
            node.model->rst = 1;
            for (int i = 0; i < 2; ++i) clock(node);
            node.model->rst = 0;
        }
        exchange();
    }
    ~Mesh() {
        for (auto& node : nodes_) {
#ifdef STEM_TRACE
            if (node.trace) node.trace->close();
#endif
            node.model->final();
        }
        // A model's end takes its scopes out of the thread's context, which may be that of a node,
        // or of another mesh, that has gone before.
        for (auto& node : nodes_) {
            Verilated::threadContextp(node.context.get());
            node.model.reset();
        }
    }

    // Advances one clock cycle. Returns whether any node or link is still at work.
    bool step() {
        offer();
        if (keep_links) copy_links();
        bool busy = false;
        NodeState& gate = nodes_[0];
        const bool taken = *gate.i_valid[0] && *gate.i_ready[0];
        const bool given = *gate.o_valid[0];  // the host is always ready
        const uint64_t flit = *gate.o_payload[0];
        for (auto& node : nodes_) {
            if (!node.active) continue;
            if (node.model->sent) observe(node);
            clock(node);
            ++node.evaluated;
        }
        ++cycle;
        if (taken) accepted();
        if (given) receive(flit);
        busy = exchange();
        return busy || host_busy();
    }

    // The host ---------------------------------------------------------------------------------
    std::deque<uint64_t> raw;                    // flits of configuration
    std::deque<uint64_t> tokens;                 // CREDITs for the output cores
    std::vector<uint64_t> credit_flits;          // sent after every sample received
    std::vector<std::vector<uint64_t>> samples;  // spikes and ENDs of each sample
    size_t next_sample = 0, position = 0;
    int64_t credits = 0, credits_needed = 0;
    int64_t holding = 0;  // cores that asked to hold spikes for now
    Recorder output;
    std::vector<uint32_t> replies;
    std::vector<int64_t> start_cycles;
    int64_t cycle = 0;
    int64_t host_flits = 0;

    // For tests: what stands on all links in every cycle, see stem_links.
    bool keep_links = false;
    std::vector<uint64_t> links;

    bool idle() const {
        for (auto& node : nodes_)
            if (node.active) return false;
        return true;
    }
    NodeState& at(int n) { return nodes_[n]; }
    int size() const { return int(nodes_.size()); }

  private:
    enum class From { raw, tokens, sample };
    int columns_, rows_;
    std::vector<NodeState> nodes_;
    From offered_ = From::raw;

    void copy_links() {
        for (auto& node : nodes_)
            for (int p = 0; p < PORTS; ++p)
                for (uint64_t value :
                     {uint64_t(*node.i_valid[p]), uint64_t(*node.i_payload[p]),
                      uint64_t(*node.i_ready[p]), uint64_t(*node.o_valid[p]),
                      uint64_t(*node.o_payload[p]), uint64_t(*node.o_ready[p])})
                    links.push_back(value);
    }

    void create(NodeState& node, int number) {
        node.context = std::make_unique<VerilatedContext>();
        node.scope = "n" + std::to_string(number);
#ifdef STEM_TRACE
        node.context->traceEverOn(true);
#endif
        node.model = std::make_unique<Vnode>(node.context.get(), node.scope.c_str());
        Vnode& m = *node.model;
        m.x = number % columns_;
        m.y = number / columns_ + 1;
        m.clk = 0;
#define PORT(p)                                                                        \
    node.i_valid[p] = &m.i___05F##p##___05Fvalid, node.i_payload[p] = &m.i___05F##p##___05Fpayload,    \
    node.i_ready[p] = &m.i___05F##p##___05Fready, node.o_valid[p] = &m.o___05F##p##___05Fvalid,        \
    node.o_payload[p] = &m.o___05F##p##___05Fpayload, node.o_ready[p] = &m.o___05F##p##___05Fready,    \
    *node.i_valid[p] = 0, *node.i_payload[p] = 0, *node.o_ready[p] = 0
        PORT(0);
        PORT(1);
        PORT(2);
        PORT(3);
#undef PORT
        if (number == 0) *node.o_ready[0] = 1;
    }

    void clock(NodeState& node) {
        node.model->clk = 1;
        node.model->eval();
#ifdef STEM_TRACE
        if (node.trace) node.trace->dump(uint64_t(cycle) * 2);
#endif
        node.model->clk = 0;
        node.model->eval();
#ifdef STEM_TRACE
        if (node.trace) node.trace->dump(uint64_t(cycle) * 2 + 1);
#endif
        node.outputs_changed = true;
    }

    // Carries outputs to the neighbours; a node is at work when it says so or when a flit waits.
    bool exchange() {
        for (int n = 0; n < size(); ++n) {
            NodeState& node = nodes_[n];
            if (!node.outputs_changed) continue;
            node.outputs_changed = false;
            const int x = n % columns_, y = n / columns_;
            if (y > 0) carry(node, 0, nodes_[n - columns_], 2);
            if (x + 1 < columns_) carry(node, 1, nodes_[n + 1], 3);
            if (y + 1 < rows_) carry(node, 2, nodes_[n + columns_], 0);
            if (x > 0) carry(node, 3, nodes_[n - 1], 1);
        }
        bool any = false;
        for (auto& node : nodes_) {
            bool active = !node.model->quiet;
            for (int p = 0; p < PORTS; ++p) active |= *node.i_valid[p] != 0;
            node.active = active;
            any |= active;
        }
        return any;
    }
    static void carry(NodeState& from, int port, NodeState& to, int to_port) {
        *to.i_valid[to_port] = *from.o_valid[port];
        *to.i_payload[to_port] = *from.o_payload[port];
        *to.o_ready[to_port] = *from.i_ready[port];
    }

    // Chooses what the host offers; what has been offered stays until it is taken.
    void offer() {
        NodeState& gate = nodes_[0];
        if (*gate.i_valid[0]) return;
        const bool in_sample = position > 0 || credits >= credits_needed;
        uint64_t flit = 0;
        if (!raw.empty()) {
            offered_ = From::raw, flit = raw.front();
        } else if (!tokens.empty()) {
            offered_ = From::tokens, flit = tokens.front();
        } else if (next_sample < samples.size() && in_sample && holding == 0) {
            offered_ = From::sample, flit = samples[next_sample][position];
        } else {
            return;
        }
        *gate.i_valid[0] = 1;
        *gate.i_payload[0] = flit;
        gate.active = true;
    }
    void accepted() {
        NodeState& gate = nodes_[0];
        ++host_flits;
        *gate.i_valid[0] = 0;
        switch (offered_) {
            case From::raw: raw.pop_front(); break;
            case From::tokens: tokens.pop_front(); break;
            case From::sample:
                if (position == 0) start_cycles.push_back(cycle), credits -= credits_needed;
                if (++position == samples[next_sample].size()) position = 0, ++next_sample;
                break;
        }
    }
    bool host_busy() const {
        return !raw.empty() || !tokens.empty() ||
               (next_sample < samples.size() && (position > 0 || credits >= credits_needed));
    }
    void receive(uint64_t flit) {
        switch (field(flit, FLIT_KIND_POSITION, FLIT_KIND_WIDTH)) {
            case KIND_SPIKE: output.spike(flit); break;
            case KIND_END:
                if (output.end(cycle)) tokens.insert(tokens.end(), credit_flits.begin(), credit_flits.end());
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
            default: ++output.errors;
        }
    }
    void observe(NodeState& node) {
        const uint64_t flit = node.model->sent_flit;
        switch (field(flit, FLIT_KIND_POSITION, FLIT_KIND_WIDTH)) {
            case KIND_SPIKE:
                node.recorder.spike(flit);
                node.recorder.in_order(flit);
                break;
            case KIND_END: node.recorder.end(cycle); break;
            default: break;
        }
    }
};

// An array of the model by the name of its scope and variable; null when it is not public.
VerilatedVar* find_variable(NodeState& node, const char* scope, const char* name) {
    const std::string full = node.scope + "." + scope;
    const VerilatedScope* found = node.context->scopeFind(full.c_str());
    return found ? found->varFind(name) : nullptr;
}

}  // namespace

extern "C" {

void* stem_create(int columns, int rows) { return new Mesh(columns, rows); }
void stem_destroy(void* mesh) { delete static_cast<Mesh*>(mesh); }

// Copies words of 32-bit chunks into (or out of) a memory of a node; returns 0, or -1 if the memory
// is not found, -2 if it is smaller.
int stem_memory(void* mesh, int node, const char* scope, const char* name, uint32_t* chunks,
                int64_t n_words, int64_t n_chunks, int store) {
    VerilatedVar* var = find_variable(static_cast<Mesh*>(mesh)->at(node), scope, name);
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
    auto& m = *static_cast<Mesh*>(mesh);
    m.raw.insert(m.raw.end(), flits, flits + n);
}
void stem_host(void* mesh, int64_t credits_needed, const uint64_t* credit_flits, int64_t n) {
    auto& m = *static_cast<Mesh*>(mesh);
    m.credits_needed = credits_needed;
    m.credit_flits.assign(credit_flits, credit_flits + n);
    m.tokens.assign(credit_flits, credit_flits + n);  // the grant of the first sample
}
void stem_sample(void* mesh, const uint64_t* flits, int64_t n) {
    static_cast<Mesh*>(mesh)->samples.emplace_back(flits, flits + n);
}

// Records what node `node` (or the host's end, -1) fires into `values`.
void stem_record(void* mesh, int node, uint8_t* values, const int64_t* shape, int64_t bits,
                 int64_t n_samples, int64_t ends_per_sample) {
    auto& m = *static_cast<Mesh*>(mesh);
    Recorder& recorder = node < 0 ? m.output : m.at(node).recorder;
    recorder.values = values;
    recorder.channels = shape[0], recorder.rows = shape[1], recorder.columns = shape[2];
    recorder.bits = bits, recorder.n_samples = n_samples;
    recorder.ends_per_sample = ends_per_sample;
}

// Runs until `n_samples` have come out, `n_replies` answers are there and all raw flits have gone
// and nothing moves (n_samples < 0: until nothing moves), or for `limit` cycles. Returns 0: done,
// 1: limit reached, 2: nothing moves although not done.
int stem_run(void* mesh, int64_t n_samples, int64_t n_replies, int64_t limit) {
    auto& m = *static_cast<Mesh*>(mesh);
    for (int64_t i = 0; i < limit; ++i) {
        const bool busy = m.step();
        const bool reached = m.output.sample >= n_samples && int64_t(m.replies.size()) >= n_replies;
        if (n_samples >= 0 && reached && m.raw.empty()) return 0;
        if (!busy) return n_samples < 0 || reached ? 0 : 2;
    }
    return 1;
}

int64_t stem_cycle(void* mesh) { return static_cast<Mesh*>(mesh)->cycle; }
int64_t stem_done(void* mesh) { return static_cast<Mesh*>(mesh)->output.sample; }
int64_t stem_evaluated(void* mesh, int node) { return static_cast<Mesh*>(mesh)->at(node).evaluated; }
int64_t stem_host_flits(void* mesh) { return static_cast<Mesh*>(mesh)->host_flits; }
int stem_active(void* mesh, int node) { return static_cast<Mesh*>(mesh)->at(node).active; }
int64_t stem_errors(void* mesh, int node) {
    auto& m = *static_cast<Mesh*>(mesh);
    return node < 0 ? m.output.errors : m.at(node).recorder.errors;
}
int64_t stem_recorded(void* mesh, int node) {
    auto& m = *static_cast<Mesh*>(mesh);
    return node < 0 ? m.output.sample : m.at(node).recorder.sample;
}
// Copies at most `n` values: the cycles at which samples ended at `node`, at the host's end (-1), or
// started at the host (-2). Returns how many there are.
int64_t stem_cycles(void* mesh, int node, int64_t* cycles, int64_t n) {
    auto& m = *static_cast<Mesh*>(mesh);
    const auto& from = node == -2 ? m.start_cycles
                       : node < 0 ? m.output.end_cycles
                                  : m.at(node).recorder.end_cycles;
    std::memcpy(cycles, from.data(), 8 * std::min<size_t>(n, from.size()));
    return int64_t(from.size());
}
// Takes the oldest `n` answers; the caller has made sure that they are there.
void stem_take_replies(void* mesh, uint32_t* values, int64_t n) {
    auto& m = *static_cast<Mesh*>(mesh);
    std::memcpy(values, m.replies.data(), 4 * n);
    m.replies.erase(m.replies.begin(), m.replies.begin() + n);
}

// From now on, keeps what stands on all links just before every clock edge. Copies at most `n` of the
// values kept so far, by cycle, node, port (N, E, S, W), and then i valid, payload, ready, o valid,
// payload, ready. Returns how many there are.
int64_t stem_links(void* mesh, uint64_t* values, int64_t n) {
    auto& m = *static_cast<Mesh*>(mesh);
    m.keep_links = true;
    std::memcpy(values, m.links.data(), 8 * std::min<size_t>(n, m.links.size()));
    return int64_t(m.links.size());
}

#ifdef STEM_TRACE
void stem_trace(void* mesh, int node, const char* path) {
    auto& state = static_cast<Mesh*>(mesh)->at(node);
    state.trace = std::make_unique<VerilatedFstC>();
    state.model->trace(state.trace.get(), 99);
    state.trace->open(path);
}
#endif

}  // extern "C"
