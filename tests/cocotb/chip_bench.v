// SPDX-License-Identifier: Apache-2.0
// A whole chip: the host at its link, an observer at every core's way out.
module chip_bench #(parameter WIDTH = 8, parameter NODES = 4);
  reg clk = 0;
  always #5 clk = ~clk;
  reg rst = 1;               // set by Python
  wire quiet;
  wire i_valid, i_ready, o_valid, o_ready;
  wire [WIDTH-1:0] i_payload, o_payload;

  stream_source #(.WIDTH(WIDTH)) host_source (
    .clk(clk), .rst(rst), .valid(i_valid), .payload(i_payload), .ready(i_ready));
  stream_sink #(.WIDTH(WIDTH)) host_sink (
    .clk(clk), .rst(rst), .valid(o_valid), .payload(o_payload), .ready(o_ready));
  genvar n;
  generate
    for (n = 0; n < NODES; n = n + 1) begin : fired
      stream_observer #(.WIDTH(WIDTH)) observer (
        .clk(clk), .rst(rst), .valid(dut.sent[n]), .payload(dut.sent_flit[n*WIDTH +: WIDTH]),
        .ready(1'b1));
    end
  endgenerate
  chip dut (
    .clk(clk), .rst(rst), .quiet(quiet),
    .host_i_valid(i_valid), .host_i_payload(i_payload), .host_i_ready(i_ready),
    .host_o_valid(o_valid), .host_o_payload(o_payload), .host_o_ready(o_ready));
endmodule
