// SPDX-License-Identifier: Apache-2.0
// A mesh of nodes, stepped clock by clock.
//
// Every output of a node depends on its registers alone. So all nodes can be clocked one after the
// other, or by several threads, with the inputs of the last cycle, and their outputs be carried to
// the neighbours afterwards: each link sees in every cycle what it would see in one large design. A
// node whose registers cannot change (its output `quiet`, and no flit coming in) is not even looked
// at.
//
// A node belongs to one worker for ever, so that its registers stay in one processor's cache, and
// neighbours belong to different ones, so that a busy corner of the mesh keeps all of them busy.
// Where threads do not pay (sharing.h), one does what all workers have to do.

#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "host.h"
#include "node.h"
#include "sharing.h"
#include "team.h"

namespace stem {

class Mesh {
  public:
    Host host;
    int64_t cycle = 0;
    int64_t last_moved = 0;  // the last cycle in which something moved or worked anywhere
    bool is_cut = false;     // the last run ended at its limit, in the middle of the work
    int64_t n_shared = 0;    // cycles for which every worker had a thread

    // For tests: what stands on all links in every cycle, see stem_links.
    bool keep_links = false;
    std::vector<uint64_t> links;

    // `least`: see Sharing.
    Mesh(int columns, int rows, int workers, int least)
        : columns_(columns), rows_(rows),
          workers_(workers), sharing_(workers, least) {
        for (Worker& worker : workers_) worker.woken.resize(workers_.size());
        for (int n = 0; n < columns * rows; ++n) {
            const int x = n % columns, y = n / columns;
            // North of node (0, 1) is the host.
            const unsigned edges = (y == 0 && x > 0) | (x + 1 == columns) << 1 |
                                   (y + 1 == rows) << 2 | (x == 0) << 3;
            nodes_.push_back(std::make_unique<Node>(x, y + 1, edges));
            at(n).worker = (x + y) % int(workers_.size());
        }
        Node::find_clocks(at(0));
        *at(0).o_ready[0] = 1;  // the host is always ready
        for (int n = 0; n < size(); ++n) {
            carry_all(n, 0);
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

    // To be called before the first of many steps.
    void begin() { sharing_.begin(now()); }

    // Advances one clock cycle, unless no node or link is at work any more. Returns whether it did.
    bool step() {
        Node& gate = at(0);
        offer(gate);
        const size_t links_before = links.size();
        if (keep_links) copy_links();
        const bool taken = *gate.i_valid[0] && *gate.i_ready[0];
        const bool given = *gate.o_valid[0];
        const uint64_t flit = *gate.o_payload[0];
        do_all(&Mesh::advance);
        size_t n_stepped = 0;
        for (const Worker& worker : workers_) {
            n_stepped += worker.active.size();
            if (worker.moved) last_moved = cycle + 1;
        }
        if (n_stepped == 0) {
            links.resize(links_before);
            return false;
        }
        ++cycle;
        if (taken) {
            host.accepted(cycle);
            *gate.i_valid[0] = 0;
            gate.inputs_changed[0] = true;
        }
        if (given) host.receive(flit, cycle);
        do_all(&Mesh::exchange);
        n_shared += sharing_.together();
        if (sharing_.count(n_stepped)) sharing_.judge(now());
        return true;
    }

    Node& at(int n) { return *nodes_[n]; }
    int size() const { return int(nodes_.size()); }

  private:
    static constexpr size_t CACHED = 32;  // as many nodes stay in the processor's own cache
    static constexpr size_t AHEAD = 4;    // nodes whose ports are on their way while one is carried
    struct alignas(64) Worker {
        std::vector<int> active;              // its nodes that are stepped in this cycle
        std::vector<std::vector<int>> woken;  // nodes at rest that got a flit from it, by worker
        bool moved = false;
    };
    using Phase = void (Mesh::*)(int);
    int columns_, rows_;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::vector<Worker> workers_;
    Phase phase_ = nullptr;
    Sharing sharing_;
    std::unique_ptr<Team> team_;  // ends before what it works on

    void do_all(Phase phase) {
        if (sharing_.together()) {
            if (!team_)
                team_ = std::make_unique<Team>(int(workers_.size()),
                                               [this](int w) { (this->*phase_)(w); });
            phase_ = phase;
            team_->run();
        } else {
            for (size_t w = 0; w < workers_.size(); ++w) (this->*phase)(int(w));
        }
    }
    static int64_t now() {
        const auto time = std::chrono::steady_clock::now().time_since_epoch();
        return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
    }

    void wake(int n) {
        Node& node = at(n);
        if (node.active) return;
        node.active = true;
        workers_[node.worker].active.push_back(n);
    }

    void offer(Node& gate) {
        uint64_t flit;
        if (*gate.i_valid[0] || !host.offer(flit)) return;
        *gate.i_valid[0] = 1;
        *gate.i_payload[0] = flit;
        gate.inputs_changed[0] = true;
        wake(0);
    }

    // Finds out which nodes of a worker are to be stepped, those that say that they are at work or
    // to which a flit comes, and steps them.
    void advance(int w) {
        Worker& worker = workers_[w];
        for (Worker& other : workers_) {
            for (const int n : other.woken[w]) wake(n);
            other.woken[w].clear();
        }
        std::vector<int>& active = worker.active;
        const auto rests = [this](int n) {
            Node& node = at(n);
            node.active = node.at_work();
            return !node.active;
        };
        active.erase(std::remove_if(active.begin(), active.end(), rests), active.end());
        worker.moved = false;
        const size_t n_active = active.size();
        for (size_t i = 0; i < n_active; ++i) {
            Node& node = at(active[i]);
            if (n_active > CACHED && i + 2 < n_active) {
                at(active[i + 1]).fetch_registers();
                at(active[i + 2]).fetch_head();
            }
            if (node.root->sent) node.recorder.observe(node.root->sent_flit, cycle);
            node.clock(cycle);
            worker.moved |= node.moved;
        }
    }
    // Carries the outputs of a worker's nodes that were stepped to their neighbours. An input of a
    // node is written by one neighbour alone, so workers do not meet.
    void exchange(int w) {
        const std::vector<int>& active = workers_[w].active;
        const size_t n_active = active.size();
        for (size_t i = 0; i < n_active; ++i) {
            if (n_active > CACHED && i + AHEAD < n_active) at(active[i + AHEAD]).fetch_ports();
            carry_all(active[i], w);
        }
    }
    void carry_all(int n, int w) {
        const int x = n % columns_, y = n / columns_;
        if (y > 0) carry(at(n), 0, n - columns_, 2, w);
        if (x + 1 < columns_) carry(at(n), 1, n + 1, 3, w);
        if (y + 1 < rows_) carry(at(n), 2, n + columns_, 0, w);
        if (x > 0) carry(at(n), 3, n - 1, 1, w);
    }
    void carry(Node& from, int port, int to_number, int to_port, int w) {
        const CData valid = *from.o_valid[port], ready = *from.i_ready[port];
        const QData payload = *from.o_payload[port];
        if (!from.carried[port].changes(valid, ready, payload)) return;
        Node& to = at(to_number);
        *to.i_valid[to_port] = valid;
        *to.i_payload[to_port] = payload;
        *to.o_ready[to_port] = ready;
        to.inputs_changed[w] = true;
        if (valid && !to.active) workers_[w].woken[to.worker].push_back(to_number);
    }

    void copy_links() {
        for (auto& node : nodes_) node->copy_ports(links);
    }
};

}  // namespace stem
