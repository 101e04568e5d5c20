// SPDX-License-Identifier: Apache-2.0
// A whole board in simulation whose chip lies in memory: the gateware of hdl/host/window.py before a
// mesh of compiled nodes (board.h), its two buses at a socket. A request is three words of 32 bits:
// 0 to read or 1 to write, a byte address, of which bit 12 is the page, and data; the answer two:
// RRESP or BRESP, and data.
//
// mapped_board LIBRARY COLUMNS ROWS SOCKET
// Prints the name of the socket, and runs until its standard input ends.

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "Vmapped_host.h"
#include "board.h"
#include "verilated.h"

using board::Engine;
using board::fail;
using board::Mesh;

namespace {

// References to the signals of one bus, whose names begin with `bus`.
#define BUS(bus)                                                                          \
    Bus {                                                                                 \
        host.bus##_awvalid, host.bus##_awready, host.bus##_awaddr,                        \
            host.bus##_wvalid, host.bus##_wready, host.bus##_wdata,                       \
            host.bus##_wstrb, host.bus##_bvalid, host.bus##_bready,                       \
            host.bus##_bresp, host.bus##_arvalid, host.bus##_arready,                     \
            host.bus##_araddr, host.bus##_rvalid, host.bus##_rready,                      \
            host.bus##_rdata, host.bus##_rresp                                            \
    }
struct Bus {
    CData &awvalid, &awready;
    SData& awaddr;
    CData &wvalid, &wready;
    IData& wdata;
    CData &wstrb, &bvalid, &bready, &bresp, &arvalid, &arready;
    SData& araddr;
    CData &rvalid, &rready;
    IData& rdata;
    CData& rresp;
};

class Board {
  public:
    Vmapped_host host;
    Mesh mesh;

    Board(const Engine& engine, int columns, int rows) : mesh(engine, columns, rows) {
        host.rst = 1;
        for (int i = 0; i < 64; ++i) cycle();
        host.rst = 0;
    }
    void cycle() { board::cycle(host, mesh); }

    void access(const uint32_t* request, uint32_t* answer) {
        const bool is_window = request[1] >> 12 & 1;
        Bus bus = is_window ? BUS(window) : BUS(registers);
        const uint32_t address = request[1] & 0xFFF;
        if (request[0]) {
            bus.awaddr = address, bus.wdata = request[2], bus.wstrb = 15;
            bus.awvalid = bus.wvalid = bus.bready = 1;
            while (!bus.bvalid) {
                const bool aw = bus.awvalid && bus.awready, w = bus.wvalid && bus.wready;
                cycle();
                if (aw) bus.awvalid = 0;
                if (w) bus.wvalid = 0;
            }
            answer[0] = bus.bresp, answer[1] = 0;
            cycle();
            bus.bready = 0;
        } else {
            bus.araddr = address;
            bus.arvalid = bus.rready = 1;
            while (!bus.rvalid) {
                const bool ar = bus.arvalid && bus.arready;
                cycle();
                if (ar) bus.arvalid = 0;
            }
            answer[0] = bus.rresp, answer[1] = bus.rdata;
            cycle();
            bus.rready = 0;
        }
    }
};

// One host after the other; what comes and goes is words.
class Server {
  public:
    explicit Server(const char* path) {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        if (std::strlen(path) >= sizeof name.sun_path) fail("the name of the socket is too long");
        std::strcpy(name.sun_path, path);
        listener_ = socket(AF_UNIX, SOCK_STREAM, 0);
        if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&name), sizeof name) ||
            listen(listener_, 4))
            fail("the socket cannot be made");
    }
    // Serves what is there; waits for up to `ms`. False at the end of the standard input.
    bool serve(Board& board, int ms) {
        pollfd files[] = {{client_ < 0 ? listener_ : client_, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        poll(files, 2, ms);
        uint8_t buffer[12 * 512];
        if (files[1].revents && read(STDIN_FILENO, buffer, sizeof buffer) <= 0) return false;
        if (!files[0].revents) return true;
        if (client_ < 0) {
            client_ = accept(listener_, nullptr, nullptr);
            return true;
        }
        const ssize_t n = read(client_, buffer, sizeof buffer);
        if (n <= 0) {
            close(client_);
            client_ = -1;
            rest_.clear();
            return true;
        }
        rest_.insert(rest_.end(), buffer, buffer + n);
        size_t used = 0;
        std::vector<uint32_t> answers;
        for (; used + 12 <= rest_.size(); used += 12) {
            uint32_t request[3], answer[2];
            std::memcpy(request, rest_.data() + used, 12);
            board.access(request, answer);
            answers.insert(answers.end(), answer, answer + 2);
        }
        rest_.erase(rest_.begin(), rest_.begin() + used);
        const uint8_t* from = reinterpret_cast<const uint8_t*>(answers.data());
        size_t left = 4 * answers.size();
        while (left) {
            const ssize_t sent = send(client_, from, left, MSG_NOSIGNAL);
            if (sent <= 0) break;
            from += sent, left -= sent;
        }
        return true;
    }

  private:
    int listener_, client_ = -1;
    std::vector<uint8_t> rest_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) fail("LIBRARY COLUMNS ROWS SOCKET");
    constexpr int BETWEEN = 200, STILL = 2000;  // cycles
    const Engine engine(argv[1]);
    Board board(engine, std::stoi(argv[2]), std::stoi(argv[3]));
    Server server(argv[4]);
    std::printf("%s\n", argv[4]);
    std::fflush(stdout);
    int still = 0;
    while (server.serve(board, still > STILL ? 20 : 0)) {
        for (int i = 0; i < BETWEEN; ++i) board.cycle();
        still = board.mesh.quiet ? still + BETWEEN : 0;
    }
    return 0;
}
