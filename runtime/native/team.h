// SPDX-License-Identifier: Apache-2.0
// Threads that do the same piece of work at the same time, again and again, in less than a
// microsecond each time: too short to sleep in between.

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace stem {

class Team {
  public:
    // `work(n)` is the piece of member n; the caller of `run` is member 0.
    Team(int size, std::function<void(int)> work) : work_(std::move(work)) {
        for (int n = 1; n < size; ++n) members_.push_back(std::make_unique<Member>());
        for (int n = 1; n < size; ++n)
            members_[n - 1]->thread = std::thread([this, n] { serve(n); });
    }
    Team(const Team&) = delete;
    ~Team() {
        ended_ = true;
        call();
        for (auto& member : members_) member->thread.join();
    }

    // Every member's piece once. What was written before is seen by all, and what they write by the
    // caller afterwards.
    void run() {
        const uint64_t turn = call();
        work_(0);
        for (auto& member : members_)
            for (int spins = 0; member->done.load(std::memory_order_acquire) != turn;)
                if (++spins < PATIENCE)
                    rest();
                else
                    std::this_thread::yield();  // the member waits for a processor
    }

  private:
    static constexpr int PATIENCE = 4000;  // rests, some 50 microseconds
    struct alignas(64) Member {
        std::atomic<uint64_t> done{0};
        std::thread thread;
    };
    const std::function<void(int)> work_;
    std::vector<std::unique_ptr<Member>> members_;
    alignas(64) std::atomic<uint64_t> turn_{0};
    std::atomic<bool> ended_{false};
    alignas(64) std::atomic<int> asleep_{0};

    uint64_t call() {
        // Sequentially consistent, as in `serve`: either this sees a sleeper, or that the new turn.
        const uint64_t turn = ++turn_;
        if (asleep_.load()) turn_.notify_all();
        return turn;
    }
    void serve(int n) {
        for (uint64_t seen = 0;;) {
            int spins = 0;
            while (turn_.load(std::memory_order_acquire) == seen) {
                if (++spins < PATIENCE) {
                    rest();
                    continue;
                }
                ++asleep_;
                turn_.wait(seen);
                --asleep_;
            }
            ++seen;  // nobody calls again before all have done
            if (ended_) return;
            work_(n);
            members_[n - 1]->done.store(seen, std::memory_order_release);
        }
    }
    static void rest() {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }
};

}  // namespace stem
