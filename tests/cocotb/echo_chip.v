// SPDX-License-Identifier: Apache-2.0
// In the place of a chip: every flit that goes in comes out, two held at most.
module chip #(parameter WIDTH = 8) (
  input clk, input rst,
  input host_i_valid, input [WIDTH-1:0] host_i_payload, output host_i_ready,
  output host_o_valid, output [WIDTH-1:0] host_o_payload, input host_o_ready,
  output quiet
);
  reg [1:0] held;
  reg [WIDTH-1:0] first, second;
  wire push = host_i_valid & host_i_ready, pop = host_o_valid & host_o_ready;
  assign host_i_ready = ~held[1];
  assign host_o_valid = held[0];
  assign host_o_payload = first;
  assign quiet = ~held[0];
  always @(posedge clk) begin
    if (pop) first <= second;
    if (push & (~held[0] | pop & ~held[1])) first <= host_i_payload;
    if (push) second <= host_i_payload;
    if (push & ~pop) held <= {held[0], 1'b1};
    if (pop & ~push) held <= {1'b0, held[1]};
    if (rst) held <= 0;
  end
endmodule
