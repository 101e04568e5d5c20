// SPDX-License-Identifier: Apache-2.0
// runtime/native/sharing.h for a test that makes up the time.

#include "sharing.h"

extern "C" {
void* sharing_create(int workers, int least) { return new stem::Sharing(workers, least); }
void sharing_destroy(void* sharing) { delete static_cast<stem::Sharing*>(sharing); }

// Steps `cycles` cycles with `nodes` nodes at work; a node takes `alone` ns in a cycle of one thread,
// a cycle of several threads `together` ns. Moves the time on. Returns the cycles stepped together.
int64_t sharing_run(void* sharing, int64_t* now, int64_t cycles, int64_t nodes, int64_t alone,
                    int64_t together) {
    auto& s = *static_cast<stem::Sharing*>(sharing);
    int64_t shared = 0;
    s.begin(*now);
    for (int64_t i = 0; i < cycles; ++i) {
        *now += s.together() ? together : alone * nodes;
        shared += s.together();
        if (s.count(nodes)) s.judge(*now);
    }
    return shared;
}
}
