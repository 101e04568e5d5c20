// SPDX-License-Identifier: Apache-2.0
// A mesh of nodes, stepped clock by clock.
//
// Every output of a node depends on its registers alone. So all nodes can be clocked one after the
// other with the inputs of the last cycle, and their outputs be carried to the neighbours
// afterwards: each link sees in every cycle what it would see in one large design. A node whose
// registers cannot change (its output `quiet`, and no flit coming in) is not even looked at.

#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "host.h"
#include "node.h"

namespace stem {

class Mesh {
  public:
    Host host;
    int64_t cycle = 0;
    int64_t last_moved = 0;  // the last cycle in which something moved or worked anywhere

    // For tests: what stands on all links in every cycle, see stem_links.
    bool keep_links = false;
    std::vector<uint64_t> links;

    Mesh(int columns, int rows) : columns_(columns), rows_(rows) {
        for (int n = 0; n < columns * rows; ++n)
            nodes_.push_back(std::make_unique<Node>(n, n % columns, n / columns + 1));
        Node::find_clocks(at(0));
        *at(0).o_ready[0] = 1;  // the host is always ready
        for (int n = 0; n < size(); ++n) {
            carry_all(n);
            wake(n);
        }
    }
    ~Mesh() {
        for (auto& node : nodes_) {
#ifdef STEM_TRACE
            if (node->trace) node->trace->close();
#endif
            node->model->final();
        }
        // A model's end takes its scopes out of the thread's context, which may be that of a node,
        // or of another mesh, that has gone before.
        for (auto& node : nodes_) {
            Verilated::threadContextp(node->context.get());
            node->model.reset();
        }
    }

    // Advances one clock cycle. Returns whether any node or link is still at work.
    bool step() {
        Node& gate = at(0);
        offer(gate);
        if (keep_links) copy_links();
        const bool taken = *gate.i_valid[0] && *gate.i_ready[0];
        const bool given = *gate.o_valid[0];
        const uint64_t flit = *gate.o_payload[0];
        bool moved = false;
        const size_t n_active = active_.size();
        for (size_t i = 0; i < n_active; ++i) {
            Node& node = at(active_[i]);
            if (n_active > CACHED && i + 2 < n_active) {
                at(active_[i + 1]).fetch_registers();
                at(active_[i + 2]).fetch_head();
            }
            if (node.root->sent) node.recorder.observe(node.root->sent_flit, cycle);
            node.clock(cycle);
            moved |= node.moved;
        }
        ++cycle;
        if (moved) last_moved = cycle;
        if (taken) {
            host.accepted(cycle);
            *gate.i_valid[0] = 0;
            gate.inputs_changed = true;
        }
        if (given) host.receive(flit, cycle);
        exchange();
        return !active_.empty() || host.busy();
    }

    Node& at(int n) { return *nodes_[n]; }
    int size() const { return int(nodes_.size()); }

  private:
    static constexpr size_t CACHED = 32;  // as many nodes stay in the processor's own cache
    static constexpr size_t AHEAD = 4;    // nodes whose ports are on their way while one is carried
    int columns_, rows_;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::vector<int> active_;

    void wake(int n) {
        if (!at(n).active) {
            at(n).active = true;
            active_.push_back(n);
        }
    }

    void offer(Node& gate) {
        uint64_t flit;
        if (*gate.i_valid[0] || !host.offer(flit)) return;
        *gate.i_valid[0] = 1;
        *gate.i_payload[0] = flit;
        gate.inputs_changed = true;
        wake(0);
    }

    // Carries the outputs of the nodes that were stepped to their neighbours, and finds out who
    // is to be stepped next: a node that says that it is at work, or to which a flit comes.
    void exchange() {
        const size_t n_stepped = active_.size();
        for (size_t i = 0; i < n_stepped; ++i) {
            if (n_stepped > CACHED && i + AHEAD < n_stepped) at(active_[i + AHEAD]).fetch_ports();
            carry_all(active_[i]);
        }
        size_t kept = 0;
        for (const int n : active_) {
            Node& node = at(n);
            node.active = !node.root->quiet || node.has_input();
            if (node.active) active_[kept++] = n;
        }
        active_.resize(kept);
    }
    void carry_all(int n) {
        const int x = n % columns_, y = n / columns_;
        if (y > 0) carry(at(n), 0, n - columns_, 2);
        if (x + 1 < columns_) carry(at(n), 1, n + 1, 3);
        if (y + 1 < rows_) carry(at(n), 2, n + columns_, 0);
        if (x > 0) carry(at(n), 3, n - 1, 1);
    }
    void carry(const Node& from, int port, int to_number, int to_port) {
        Node& to = at(to_number);
        const CData valid = *from.o_valid[port], ready = *from.i_ready[port];
        const QData payload = *from.o_payload[port];
        if (((*to.i_valid[to_port] ^ valid) | (*to.o_ready[to_port] ^ ready)) == 0 &&
            *to.i_payload[to_port] == payload)
            return;
        *to.i_valid[to_port] = valid;
        *to.i_payload[to_port] = payload;
        *to.o_ready[to_port] = ready;
        to.inputs_changed = true;
        if (valid) wake(to_number);
    }

    void copy_links() {
        for (auto& node : nodes_) node->copy_ports(links);
    }
};

}  // namespace stem
