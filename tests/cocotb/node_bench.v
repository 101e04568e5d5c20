// SPDX-License-Identifier: Apache-2.0
// One node, (0, 1) unless Python says another: the host at its north link, and at each of the others
// a source, which sends nothing, and a sink.
module node_bench #(parameter WIDTH = 8, parameter COORD_WIDTH = 3);
  reg clk = 0;
  always #5 clk = ~clk;
  reg rst = 1;               // set by Python
  wire quiet, sent;
  wire [WIDTH-1:0] sent_flit;
  wire i_valid, i_ready, o_valid, o_ready;
  wire [WIDTH-1:0] i_payload, o_payload;
  reg [COORD_WIDTH-1:0] x = 0, y = 1;  // set by Python
  wire [2:0] side_i_valid, side_i_ready, side_o_valid, side_o_ready;
  wire [3*WIDTH-1:0] side_i_payload, side_o_payload;
  wire [2:0] edge_valid = side_o_valid;
  reg edge_broken = 0;       // something left through a link other than the host's
  always @(posedge clk) edge_broken <= ~rst & (edge_broken | (|edge_valid));

  stream_source #(.WIDTH(WIDTH)) host_source (
    .clk(clk), .rst(rst), .valid(i_valid), .payload(i_payload), .ready(i_ready));
  stream_sink #(.WIDTH(WIDTH)) host_sink (
    .clk(clk), .rst(rst), .valid(o_valid), .payload(o_payload), .ready(o_ready));
  genvar n;
  generate
    for (n = 0; n < 1; n = n + 1) begin : fired
      stream_observer #(.WIDTH(WIDTH)) observer (
        .clk(clk), .rst(rst), .valid(sent), .payload(sent_flit), .ready(1'b1));
    end
  endgenerate
  generate
    for (n = 0; n < 3; n = n + 1) begin : side  // east, south, west
      stream_source #(.WIDTH(WIDTH)) source (
        .clk(clk), .rst(rst), .valid(side_i_valid[n]), .payload(side_i_payload[n*WIDTH +: WIDTH]),
        .ready(side_i_ready[n]));
      stream_sink #(.WIDTH(WIDTH)) sink (
        .clk(clk), .rst(rst), .valid(side_o_valid[n]), .payload(side_o_payload[n*WIDTH +: WIDTH]),
        .ready(side_o_ready[n]));
    end
  endgenerate
  node dut (
    .clk(clk), .rst(rst), .x(x), .y(y), .edges(4'd0),
    .north_i_valid(i_valid), .north_i_payload(i_payload), .north_i_ready(i_ready),
    .north_o_valid(o_valid), .north_o_payload(o_payload), .north_o_ready(o_ready),
    .east_i_valid(side_i_valid[0]), .east_i_payload(side_i_payload[0*WIDTH +: WIDTH]),
    .east_i_ready(side_i_ready[0]),
    .east_o_valid(side_o_valid[0]), .east_o_payload(side_o_payload[0*WIDTH +: WIDTH]),
    .east_o_ready(side_o_ready[0]),
    .south_i_valid(side_i_valid[1]), .south_i_payload(side_i_payload[1*WIDTH +: WIDTH]),
    .south_i_ready(side_i_ready[1]),
    .south_o_valid(side_o_valid[1]), .south_o_payload(side_o_payload[1*WIDTH +: WIDTH]),
    .south_o_ready(side_o_ready[1]),
    .west_i_valid(side_i_valid[2]), .west_i_payload(side_i_payload[2*WIDTH +: WIDTH]),
    .west_i_ready(side_i_ready[2]),
    .west_o_valid(side_o_valid[2]), .west_o_payload(side_o_payload[2*WIDTH +: WIDTH]),
    .west_o_ready(side_o_ready[2]),
    .sent(sent), .sent_flit(sent_flit), .quiet(quiet));
endmodule
