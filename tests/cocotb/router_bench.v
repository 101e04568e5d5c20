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
    .i__0__valid(i_valid[0]), .i__0__payload(i_payload[0*WIDTH +: WIDTH]), .i__0__ready(i_ready[0]),
    .i__1__valid(i_valid[1]), .i__1__payload(i_payload[1*WIDTH +: WIDTH]), .i__1__ready(i_ready[1]),
    .i__2__valid(i_valid[2]), .i__2__payload(i_payload[2*WIDTH +: WIDTH]), .i__2__ready(i_ready[2]),
    .i__3__valid(i_valid[3]), .i__3__payload(i_payload[3*WIDTH +: WIDTH]), .i__3__ready(i_ready[3]),
    .i__4__valid(i_valid[4]), .i__4__payload(i_payload[4*WIDTH +: WIDTH]), .i__4__ready(i_ready[4]),
    .o__0__valid(o_valid[0]), .o__0__payload(o_payload[0*WIDTH +: WIDTH]), .o__0__ready(o_ready[0]),
    .o__1__valid(o_valid[1]), .o__1__payload(o_payload[1*WIDTH +: WIDTH]), .o__1__ready(o_ready[1]),
    .o__2__valid(o_valid[2]), .o__2__payload(o_payload[2*WIDTH +: WIDTH]), .o__2__ready(o_ready[2]),
    .o__3__valid(o_valid[3]), .o__3__payload(o_payload[3*WIDTH +: WIDTH]), .o__3__ready(o_ready[3]),
    .o__4__valid(o_valid[4]), .o__4__payload(o_payload[4*WIDTH +: WIDTH]), .o__4__ready(o_ready[4]));
endmodule
