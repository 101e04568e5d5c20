// SPDX-License-Identifier: Apache-2.0
// The chip of a board in simulation: a mesh of compiled nodes (engine.cpp), one cycle at a time, and
// how the host side of a board is connected to it.
//
// The mesh is stepped with the chip's clock. While the host side has no room for the flit that the
// mesh offers, the mesh is not stepped: a chip whose clock is slow just then, which the crossing
// between the clocks permits.

#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace board {

[[noreturn]] inline void fail(const std::string& what) {
    std::fprintf(stderr, "board: %s\n", what.c_str());
    std::exit(2);
}

// The functions of the native engine that are needed here.
struct Engine {
    void* (*create)(int, int, int, int);
    void (*destroy)(void*);
    void (*send)(void*, const uint64_t*, int64_t);
    int (*run)(void*, int64_t, int64_t, int64_t, int64_t);
    void (*ports)(void*, int, uint64_t*);

    explicit Engine(const char* path) {
        void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library) fail(dlerror());
        get(library, create, "stem_create");
        get(library, destroy, "stem_destroy");
        get(library, send, "stem_send_raw");
        get(library, run, "stem_run");
        get(library, ports, "stem_ports");
    }

  private:
    template <typename Function>
    static void get(void* library, Function& function, const char* name) {
        function = reinterpret_cast<Function>(dlsym(library, name));
        if (!function) fail(dlerror());
    }
};

// The mesh of nodes as the crossing sees it, one cycle at a time.
class Mesh {
  public:
    struct Link {  // north link of node (0, 1)
        uint64_t i_valid, i_payload, i_ready, o_valid, o_payload, o_ready;
    };
    bool quiet = false;

    Mesh(const Engine& engine, int columns, int rows)
        : engine_(engine), columns_(columns), rows_(rows) {}
    ~Mesh() { reset(); }
    void reset() {
        if (mesh_) engine_.destroy(mesh_);
        mesh_ = nullptr;
        quiet = false;
    }
    Link link() {
        if (!mesh_) mesh_ = engine_.create(columns_, rows_, 1, 0);
        uint64_t ports[4 * 6];
        engine_.ports(mesh_, 0, ports);
        return {ports[0], ports[1], ports[2], ports[3], ports[4], ports[5]};
    }
    void step() { quiet = engine_.run(mesh_, -1, 0, 1, INT64_MAX) == 0; }
    void offer(uint64_t flit) { engine_.send(mesh_, &flit, 1); }

  private:
    const Engine& engine_;
    int columns_, rows_;
    void* mesh_ = nullptr;
};

// One cycle of both clocks, which rise together. All that crosses between host side and mesh is a
// register, or follows from registers, so what stands there before the edge is what both see.
template <typename Host>
void cycle(Host& host, Mesh& mesh) {
    bool steps = false;
    if (host.chip_rst) {
        mesh.reset();
        host.chip_i_ready = host.chip_o_valid = 0;
    } else {
        const Mesh::Link link = mesh.link();
        steps = !link.o_valid || host.chip_o_ready;
        if (steps && host.chip_i_valid && !link.i_valid) mesh.offer(host.chip_i_payload);
        host.chip_i_ready = steps && link.i_ready;
        host.chip_o_valid = steps && link.o_valid;
        host.chip_o_payload = link.o_payload;
    }
    host.chip_quiet = mesh.quiet;
    host.eval();
    host.clk = host.chip_clk = 1;
    host.eval();
    if (steps) mesh.step();
    host.clk = host.chip_clk = 0;
    host.eval();
}

}  // namespace board
