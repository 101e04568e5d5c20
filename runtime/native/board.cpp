// SPDX-License-Identifier: Apache-2.0
// A whole board in simulation: the gateware of the host side (hdl/host/uart_host.py) before a mesh of
// compiled nodes (board.h), its serial line at a pseudo-terminal. What a driver finds there is what
// it would find behind /dev/ttyUSB0.
//
// board LIBRARY COLUMNS ROWS DIVISOR DAMAGE SEED
//   DAMAGE: bytes of each direction that are damaged, in a million
// Prints the name of the terminal, and runs until its standard input ends.

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <deque>
#include <random>
#include <string>

#include "Vuart_host.h"
#include "board.h"
#include "verilated.h"

using board::Engine;
using board::fail;
using board::Mesh;

namespace {

// Flips a bit of, drops, doubles or adds a byte, now and then.
class Damage {
  public:
    Damage(int per_million, int seed) : per_million_(per_million), random_(seed) {}
    template <typename Take>
    void pass(uint8_t byte, Take take) {
        if (per_million_ == 0 || int(random_() % 1000000) >= per_million_) {
            take(byte);
            return;
        }
        switch (random_() % 4) {
            case 0: take(byte ^ uint8_t(1u << random_() % 8)); break;
            case 1: break;
            case 2: take(byte), take(byte); break;
            default: take(byte), take(uint8_t(random_()));
        }
    }

  private:
    int per_million_;
    std::mt19937 random_;
};

class Terminal {
  public:
    Terminal() {
        file_ = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
        if (file_ < 0 || grantpt(file_) || unlockpt(file_)) fail("no pseudo-terminal");
        // Somebody holds the other end, so that a driver may come and go.
        keep_ = open(ptsname(file_), O_RDWR | O_NOCTTY);
        termios settings;
        if (keep_ < 0 || tcgetattr(keep_, &settings)) fail("no pseudo-terminal");
        cfmakeraw(&settings);
        tcsetattr(keep_, TCSANOW, &settings);
    }
    std::string name() const { return ptsname(file_); }
    // Bytes that are there; waits for up to `ms`. False at the end of the standard input.
    bool read(std::deque<uint8_t>& bytes, int ms) {
        pollfd files[] = {{file_, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        poll(files, 2, ms);
        uint8_t buffer[256];
        if (files[1].revents && ::read(STDIN_FILENO, buffer, sizeof buffer) <= 0) return false;
        const ssize_t n = ::read(file_, buffer, sizeof buffer);
        for (ssize_t i = 0; i < n; ++i) bytes.push_back(buffer[i]);
        return true;
    }
    // A host that does not read loses bytes, as with an adapter whose memory is full.
    void write(uint8_t byte) {
        if (::write(file_, &byte, 1) != 1) ++n_lost;
    }
    int64_t n_lost = 0;

  private:
    int file_, keep_;
};

class Board {
  public:
    Board(const Engine& engine, int columns, int rows, int divisor, int damage, int seed)
        : mesh_(engine, columns, rows), divisor_(divisor), to_chip_(damage, seed),
          to_host_(damage, seed + 1) {
        host_.rx = 1;
        host_.rst = 1;
        for (int i = 0; i < 64; ++i) cycle();
        host_.rst = 0;
    }
    std::string name() const { return terminal_.name(); }
    void run() {
        int64_t still = 0;
        while (true) {
            if (incoming_.empty() && cycles_ % POLL == 0) {
                if (!terminal_.read(incoming_, still > STILL ? 100 : 0)) return;
            }
            drive_rx();
            cycle();
            take_tx();
            const bool moves = !incoming_.empty() || rx_bits_ || tx_bits_ || !mesh_.quiet;
            still = moves ? 0 : still + 1;
        }
    }

  private:
    static constexpr int64_t POLL = 500, STILL = 20000;
    Vuart_host host_;
    Mesh mesh_;
    Terminal terminal_;
    int divisor_;
    Damage to_chip_, to_host_;
    std::deque<uint8_t> incoming_;
    int64_t cycles_ = 0;
    int rx_bits_ = 0, rx_count_ = 0, tx_bits_ = 0, tx_count_ = 0;
    unsigned rx_shift_ = 0, tx_shift_ = 0;

    void drive_rx() {
        if (rx_count_) {
            --rx_count_;
            return;
        }
        while (!rx_bits_ && !incoming_.empty()) {
            to_chip_.pass(incoming_.front(), [this](uint8_t byte) { damaged_.push_back(byte); });
            incoming_.pop_front();
            break;
        }
        if (!rx_bits_ && !damaged_.empty()) {
            rx_shift_ = unsigned(damaged_.front()) << 1 | 1u << 9;
            damaged_.pop_front();
            rx_bits_ = 10;
        }
        if (!rx_bits_) return;
        host_.rx = rx_shift_ & 1;
        rx_shift_ >>= 1;
        --rx_bits_;
        rx_count_ = divisor_ - 1;
    }
    std::deque<uint8_t> damaged_;

    void take_tx() {
        if (!tx_bits_) {
            if (host_.tx) return;
            tx_bits_ = 10;
            tx_count_ = divisor_ / 2;
        }
        if (tx_count_--) return;
        tx_shift_ = tx_shift_ >> 1 | unsigned(host_.tx) << 9;
        tx_count_ = divisor_ - 1;
        if (--tx_bits_ == 0)
            to_host_.pass(uint8_t(tx_shift_ >> 1), [this](uint8_t byte) { terminal_.write(byte); });
    }

    void cycle() {
        board::cycle(host_, mesh_);
        ++cycles_;
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 7) fail("LIBRARY COLUMNS ROWS DIVISOR DAMAGE SEED");
    const Engine engine(argv[1]);
    Board board(engine, std::stoi(argv[2]), std::stoi(argv[3]), std::stoi(argv[4]),
                std::stoi(argv[5]), std::stoi(argv[6]));
    std::printf("%s\n", board.name().c_str());
    std::fflush(stdout);
    board.run();
    return 0;
}
