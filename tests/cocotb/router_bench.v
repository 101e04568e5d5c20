// SPDX-License-Identifier: Apache-2.0
// One router between five sources and five sinks; ports are N, E, S, W, Local.
module router_bench #(parameter WIDTH = 8, parameter COORD_WIDTH = 3);
  reg clk = 0;
  always #5 clk = ~clk;
  reg rst = 1;                             // set by Python
  reg [COORD_WIDTH-1:0] x = 0, y = 1;      // set by Python
  wire idle;
  wire [4:0] i_valid, i_ready, o_valid, o_ready;
  wire [5*WIDTH-1:0] i_payload, o_payload;
  genvar n;
  generate
    for (n = 0; n < 5; n = n + 1) begin : port
      stream_source #(.WIDTH(WIDTH)) source (
        .clk(clk), .rst(rst), .valid(i_valid[n]), .payload(i_payload[n*WIDTH +: WIDTH]),
        .ready(i_ready[n]));
      stream_sink #(.WIDTH(WIDTH)) sink (
        .clk(clk), .rst(rst), .valid(o_valid[n]), .payload(o_payload[n*WIDTH +: WIDTH]),
        .ready(o_ready[n]));
    end
  endgenerate
  router dut (
    .clk(clk), .rst(rst), .x(x), .y(y), .idle(idle),
    .north_i_valid(i_valid[0]), .north_i_payload(i_payload[0*WIDTH +: WIDTH]), .north_i_ready(i_ready[0]),
    .east_i_valid(i_valid[1]), .east_i_payload(i_payload[1*WIDTH +: WIDTH]), .east_i_ready(i_ready[1]),
    .south_i_valid(i_valid[2]), .south_i_payload(i_payload[2*WIDTH +: WIDTH]), .south_i_ready(i_ready[2]),
    .west_i_valid(i_valid[3]), .west_i_payload(i_payload[3*WIDTH +: WIDTH]), .west_i_ready(i_ready[3]),
    .local_i_valid(i_valid[4]), .local_i_payload(i_payload[4*WIDTH +: WIDTH]), .local_i_ready(i_ready[4]),
    .north_o_valid(o_valid[0]), .north_o_payload(o_payload[0*WIDTH +: WIDTH]), .north_o_ready(o_ready[0]),
    .east_o_valid(o_valid[1]), .east_o_payload(o_payload[1*WIDTH +: WIDTH]), .east_o_ready(o_ready[1]),
    .south_o_valid(o_valid[2]), .south_o_payload(o_payload[2*WIDTH +: WIDTH]), .south_o_ready(o_ready[2]),
    .west_o_valid(o_valid[3]), .west_o_payload(o_payload[3*WIDTH +: WIDTH]), .west_o_ready(o_ready[3]),
    .local_o_valid(o_valid[4]), .local_o_payload(o_payload[4*WIDTH +: WIDTH]), .local_o_ready(o_ready[4]));
endmodule
