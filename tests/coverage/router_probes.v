// SPDX-License-Identifier: Apache-2.0
// Where the probe of an exported router is: which input's flit each output takes.
bind router coverage_probe #(.N(25)) turns (
  .clk(clk), .rst(rst),
  .event_bits({local_served, west_served, south_served, east_served, north_served}));
