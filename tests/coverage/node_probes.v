// SPDX-License-Identifier: Apache-2.0
// Where the probes of an exported node are.
bind node_accumulate_loop forward_probe #(.WIDTH(6)) forward (
  .clk(clk), .rst(rst), .valid({valid_4, valid_3, valid_2, valid_1}),
  .a1(address_1), .a2(address_2), .a3(address_3), .a4(address_4));
bind node_accumulate_loop coverage_probe #(.N(1)) wraps (
  .clk(clk), .rst(rst), .event_bits(overflow));
bind node_core queue_probe tokens_and_queue (
  .clk(clk), .rst(rst), .idle(spikes.idle), .high(spikes.is_high), .room(spikes.i_ready),
  .tokens({ingress.go, ingress.hold, ingress.credit, ingress.end_}));
bind node_core end_probe end_distance (
  .clk(clk), .rst(rst), .spike(ingress.spike_valid && ingress.keep && spikes.i_ready), .last(ingress.end_),
  .idle(spikes.idle));
bind node_flow_control flow_probe pace_and_credit (
  .clk(clk), .rst(rst), .taken(o_valid && o_ready), .is_credit(is_credit),
  .says_hold(says_hold), .granting(granting), .has_asked(has_asked));
