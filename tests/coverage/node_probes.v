// SPDX-License-Identifier: Apache-2.0
// Where the probes of an exported node are.
bind node__core__dendrite__loop forward_probe #(.WIDTH(6)) forward (
  .clk(clk), .rst(rst), .valid({valid_4, valid_3, valid_2, valid_1}),
  .a1(address_1), .a2(address_2), .a3(address_3), .a4(address_4));
bind node__core__dendrite__loop coverage_probe #(.N(1)) wraps (
  .clk(clk), .rst(rst), .event_bits(overflow));
bind node__core queue_probe tokens_and_queue (
  .clk(clk), .rst(rst), .idle(spikes.idle), .high(spikes.is_high), .room(spikes.i__ready),
  .tokens({ingress.go, ingress.hold, ingress.credit, ingress.\end }));
bind node__core end_probe end_distance (
  .clk(clk), .rst(rst), .spike(ingress.spike__valid && spikes.i__ready), .last(ingress.\end ),
  .idle(spikes.idle));
bind node__core__flow flow_probe pace_and_credit (
  .clk(clk), .rst(rst), .taken(o__valid && o__ready), .is_credit(is_credit),
  .says_hold(says_hold), .granting(granting), .has_asked(has_asked));
