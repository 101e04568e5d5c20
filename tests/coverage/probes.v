// SPDX-License-Identifier: Apache-2.0
// Counters of events inside exported gateware, bound to its modules; Python reads `hits`.

// Counts each bit of `event_bits` on its own.
module coverage_probe #(parameter N = 1) (input clk, input rst, input [N-1:0] event_bits);
  reg [N*32-1:0] hits = 0;
  integer n;
  always @(posedge clk)
    if (!rst)
      for (n = 0; n < N; n = n + 1)
        if (event_bits[n]) hits[n*32 +: 32] <= hits[n*32 +: 32] + 1;
endmodule

// The nearest of the three operations before an operation that has the same word, if any: each
// distance without and with cycles between them in which none entered.
module forward_probe #(parameter WIDTH = 1) (
  input clk, input rst, input [4:1] valid, input [WIDTH-1:0] a1, a2, a3, a4);
  wire at_1 = valid[2] && a2 == a1;
  wire at_2 = valid[3] && a3 == a1 && !at_1;
  wire at_3 = valid[4] && a4 == a1 && !at_1 && !(valid[3] && a3 == a1);
  coverage_probe #(.N(6)) counts (.clk(clk), .rst(rst), .event_bits({6{valid[1]}} & {
    !at_1 && !at_2 && !at_3,
    at_3 && !(valid[2] && valid[3]), at_3 && valid[2] && valid[3],
    at_2 && !valid[2], at_2 && valid[2],
    at_1}));
endmodule

// Tokens by how full the queue of spikes is: empty, some, high, full; END, CREDIT, hold, go in each.
module queue_probe (
  input clk, input rst, input idle, input high, input room, input [3:0] tokens);
  wire [3:0] level = {!room, room && high, room && !high && !idle, room && !high && idle};
  coverage_probe #(.N(16)) counts (.clk(clk), .rst(rst), .event_bits({
    {4{level[3]}} & tokens, {4{level[2]}} & tokens,
    {4{level[1]}} & tokens, {4{level[0]}} & tokens}));
endmodule

// Cycles from the last spike that was taken to an END: 1, 2, 3, 4 to 7, 8 to 15, more; in each, with
// spikes in the queue or without.
module end_probe (input clk, input rst, input spike, input last, input idle);
  reg [4:0] cycles = 31;
  always @(posedge clk)
    if (rst || spike) cycles <= 1;
    else if (cycles != 31) cycles <= cycles + 1;
  wire [5:0] distance = {cycles > 15, cycles > 7 && cycles < 16, cycles > 3 && cycles < 8,
    cycles == 3, cycles == 2, cycles == 1};
  coverage_probe #(.N(12)) counts (.clk(clk), .rst(rst),
    .event_bits({{6{last && !idle}} & distance, {6{last && idle}} & distance}));
endmodule

// What flow control sends, by what it has to send besides: CREDIT alone, and while sources hold;
// hold and go, each alone, and while a CREDIT is due.
module flow_probe (
  input clk, input rst, input taken, input is_credit, input says_hold, input granting,
  input has_asked);
  wire pace = taken && !is_credit;
  coverage_probe #(.N(6)) counts (.clk(clk), .rst(rst), .event_bits({
    pace && !says_hold && granting, pace && !says_hold && !granting,
    pace && says_hold && granting, pace && says_hold && !granting,
    taken && is_credit && has_asked, taken && is_credit && !has_asked}));
endmodule
