// SPDX-License-Identifier: Apache-2.0
// One Verilated node, and its clocks.
//
// The model of a run has a clock for each block (runtime/native/clocks.py). Verilator keeps the
// code of each apart, so that a block which cannot change costs nothing: the node itself says which
// blocks are awake (hdl/node.py). Verilator's own `eval` would look for changed inputs and clocks
// several times a cycle; here both are known, so its parts are called one by one. Their names are
// those of the pinned version.
//
// The model that writes waves has one clock, as the gateware has, and is evaluated on both edges.

#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "Vnode.h"
#include "Vnode___024root.h"
#include "fields.h"
#include "host.h"
#include "verilated.h"
#ifdef STEM_TRACE
#include "verilated_fst_c.h"
#else
void Vnode___024root___eval_triggers_vec__act(Vnode___024root*);
void Vnode___024root___eval_ico(Vnode___024root*);
void Vnode___024root___eval_nba(Vnode___024root*);
#endif

namespace stem {

constexpr int PORTS = 4;
constexpr int MAX_WORKERS = STEM_MAX_THREADS;  // runtime/native/build.py

// What stands on a link, as far as one end of it says so.
struct Carried {
    QData payload = 0;
    CData valid = 0, ready = 0;

    // Takes over new values. Returns whether they are new.
    bool changes(CData new_valid, CData new_ready, QData new_payload) {
        if (((valid ^ new_valid) | (ready ^ new_ready)) == 0 && payload == new_payload) return false;
        valid = new_valid, ready = new_ready, payload = new_payload;
        return true;
    }
};

// A flag for each worker.
struct Flags : std::array<bool, MAX_WORKERS> {
    static_assert(sizeof(bool) * MAX_WORKERS == sizeof(uint64_t));

    // Whether any is set; none is afterwards.
    bool take() {
        uint64_t any;
        std::memcpy(&any, data(), sizeof any);
        if (any) fill(false);
        return any;
    }
};

// What a step needs comes first, HEAD bytes: a large mesh fetches it ahead.
struct alignas(64) Node {
    Vnode___024root* root;       // the model's variables, ports among them
    int64_t evaluated = 0;
    bool active = false;         // in its worker's list
    bool moved = false;          // a flit went through a link in the last step, or work was done
    uint8_t worker = 0;          // whose node it is
    Flags inputs_changed{true};  // since the last step, by the worker that changed them
#ifndef STEM_TRACE
    std::array<unsigned, 3> before{~0u & ((1u << AWAKE_WIDTH) - 1), 0, 0};  // blocks awake then
#endif
    // Port access by index.
    std::array<CData*, PORTS> i_valid, i_ready, o_valid, o_ready;
    std::array<QData*, PORTS> i_payload, o_payload;
    std::array<Carried, PORTS> carried;  // to the neighbours
    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Vnode> model;
    std::string scope;
    Recorder recorder;

    // `edges`: links beyond which there is no node, North lowest; what is sent there is dropped.
    Node(int column, int row, unsigned edges) {
        context = std::make_unique<VerilatedContext>();
        scope = "node_" + std::to_string(column) + "_" + std::to_string(row);
#ifdef STEM_TRACE
        context->traceEverOn(true);
#endif
        model = std::make_unique<Vnode>(context.get(), scope.c_str());
        root = model->rootp;
        Vnode& m = *model;
        m.x = column;
        m.y = row;
        m.edges = edges;
        m.clk = 0;
#define PORT(p, name)                                                                     \
    i_valid[p] = &m.name##_i_valid, i_payload[p] = &m.name##_i_payload,                   \
    i_ready[p] = &m.name##_i_ready, o_valid[p] = &m.name##_o_valid,                       \
    o_payload[p] = &m.name##_o_payload, o_ready[p] = &m.name##_o_ready,                   \
    *i_valid[p] = 0, *i_payload[p] = 0, *o_ready[p] = edges >> p & 1
        PORT(0, north);
        PORT(1, east);
        PORT(2, south);
        PORT(3, west);
#undef PORT
        m.eval();  // initial values; the same as after a reset
    }
    Node(const Node&) = delete;

    // A flit goes through a link of the node at the next clock edge.
    bool passes_flit() const {
        unsigned any = 0;
        for (int p = 0; p < PORTS; ++p)
            any |= (*i_valid[p] & *i_ready[p]) | (*o_valid[p] & *o_ready[p]);
        return any;
    }
    void copy_ports(std::vector<uint64_t>& values) const {
        for (int p = 0; p < PORTS; ++p)
            for (uint64_t value :
                 {uint64_t(*i_valid[p]), uint64_t(*i_payload[p]), uint64_t(*i_ready[p]),
                  uint64_t(*o_valid[p]), uint64_t(*o_payload[p]), uint64_t(*o_ready[p])})
                values.push_back(value);
    }
    // Begin to fetch what a step needs, while other nodes are stepped: first the head, then the
    // registers, which lie before the memories in a model.
    void fetch_head() const { fetch(this, HEAD); }
    void fetch_registers() const { fetch(root, REGISTERS); }
    void fetch_ports() const {
        fetch(i_valid[0], 64);
        fetch(i_payload[0], 64);
    }
    // Whether its registers may change at the next clock edge: the first one always.
    bool at_work() const {
        return evaluated == 0 || !root->quiet || *i_valid[0] || *i_valid[1] || *i_valid[2] ||
               *i_valid[3];
    }

#ifdef STEM_TRACE
    std::unique_ptr<VerilatedFstC> trace;

    void clock(int64_t cycle) {
        const bool flit = passes_flit();
        moved = flit || (root->awake & WORKING);
        ++evaluated;
        model->clk = 1;
        model->eval();
        if (trace) trace->dump(uint64_t(cycle) * 2);
        model->clk = 0;
        model->eval();
        if (trace) trace->dump(uint64_t(cycle) * 2 + 1);
    }
    static void find_clocks(Node&) {}
#else
    void clock(int64_t) {
        const bool flit = passes_flit();
        const unsigned awake = root->awake | (flit ? ROUTER : 0);
        moved = awake & (WORKING | ROUTER);
        ++evaluated;
        // A block settles within three cycles, the router within one (hdl/node.py).
        unsigned blocks = before[1] | before[2];
        blocks = (blocks & ~ROUTER) | before[0] | awake;
        before[2] = before[1];
        before[1] = before[0];
        before[0] = awake;
        if (inputs_changed.take()) {
            root->__VicoTriggered[0U] = 1;
            Vnode___024root___eval_ico(root);
        }
        root->__VnbaTriggered[0U] = clocks_[blocks];
        Vnode___024root___eval_nba(root);
    }

    // Finds out, once, which bit of Verilator's triggers belongs to which clock.
    static void find_clocks(Node& node) {
        Vnode& m = *node.model;
        std::array<QData, AWAKE_WIDTH> bits{};
        const auto triggered = [&](CData& clock) {
            clock ^= 1;
            Vnode___024root___eval_triggers_vec__act(m.rootp);
            return m.rootp->__VactTriggered[0U];
        };
        const QData always = triggered(m.clk);
#define CLOCK(block, position) bits[position] = triggered(m.clk_##block);
        AWAKE_CLOCKS(CLOCK)
#undef CLOCK
        for (unsigned blocks = 0; blocks < clocks_.size(); ++blocks) {
            clocks_[blocks] = always;
            for (int bit = 0; bit < AWAKE_WIDTH; ++bit)
                if (blocks >> bit & 1) clocks_[blocks] |= bits[bit];
        }
    }
#endif

  private:
    static constexpr int HEAD = 320, REGISTERS = 3072;  // bytes
    static void fetch(const void* from, int bytes) {
        const char* const start = static_cast<const char*>(from);
        for (int offset = 0; offset < bytes; offset += 64) __builtin_prefetch(start + offset, 1);
    }
    static constexpr unsigned ROUTER = 1u << AWAKE_ROUTER_POSITION;
    // Blocks that never wait for others: while one of these is awake, something goes on.
    static constexpr unsigned WORKING = 1u << AWAKE_DENDRITE_POSITION | 1u << AWAKE_SOMA_POSITION;
#ifndef STEM_TRACE
    inline static std::array<QData, 1u << AWAKE_WIDTH> clocks_{};
#endif
};

}  // namespace stem
