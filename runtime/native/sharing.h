// SPDX-License-Identifier: Apache-2.0
// Whether several threads step the nodes of a mesh in the next cycles.
//
// They meet twice a cycle. That pays where enough nodes are at work and every thread has a processor
// of its own; where another program takes one away, all wait for it, a thousand times longer than a
// cycle takes. So the time that threads gain against one alone is kept account of.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace stem {

class Sharing {
  public:
    // `least` nodes at work for each of `workers`; 0: together always, whatever it costs.
    Sharing(int workers, int least)
        : needed_(double(least) * workers), decides_(workers > 1 && least > 0),
          together_(workers > 1 && least == 0) {}

    bool together() const { return together_; }

    // Counting goes on at time `now` (nanoseconds): what passed since the last cycle is not its.
    void begin(int64_t now) { began_ = now, cycles_ = 0, stepped_ = 0; }

    // Counts a cycle in which `n` nodes were stepped. Returns whether `judge` is due.
    bool count(size_t n) {
        stepped_ += n;
        return decides_ && ++cycles_ == CHECK;
    }
    void judge(int64_t now) {
        const double took = double(now - began_), nodes = std::max(stepped_, 1.0);
        if (together_) {
            credit_ = std::min(credit_ + alone_ * nodes - took, MOST_CREDIT);
        } else {
            const double each = took / nodes;
            // Quick to fall, slow to rise: other programs disturb this time too.
            alone_ = each < alone_ ? each : alone_ + (each - alone_) / CHECKS;
        }
        nodes_ += stepped_;
        begin(now);
        if (together_ && credit_ < -MOST_LOSS) stop(now);
        if (++checks_ < CHECKS) return;
        const bool is_busy = nodes_ >= needed_ * CHECK * CHECKS;
        if (!is_busy) together_ = false;
        if (is_busy && !together_ && now >= next_try_) {
            together_ = true;
            credit_ = 0;
            started_ = now;
        }
        checks_ = 0, nodes_ = 0;
    }

  private:
    static constexpr int CHECK = 8;    // cycles between two looks at the clock
    static constexpr int CHECKS = 32;  // of them between two looks at how many nodes are at work
    static constexpr double MOST_CREDIT = 20e6, MOST_LOSS = 5e6;                    // ns
    static constexpr int64_t FIRST_WAIT = 50'000'000, MOST_WAIT = 5'000'000'000;    // ns
    static constexpr int64_t LONG = 1'000'000'000;  // ns together that were worth the try
    const double needed_;
    const bool decides_;  // else it is settled
    bool together_;
    double alone_ = std::numeric_limits<double>::infinity();  // ns for a node's step, one thread
    double credit_ = 0;  // ns gained since threads work together
    double stepped_ = 0, nodes_ = 0;
    int cycles_ = 0, checks_ = 0;
    int64_t began_ = 0, started_ = 0, next_try_ = 0, wait_ = FIRST_WAIT / 2;

    void stop(int64_t now) {
        together_ = false;
        wait_ = now - started_ > LONG ? FIRST_WAIT : std::min(2 * wait_, MOST_WAIT);
        next_try_ = now + wait_;
    }
};

}  // namespace stem
