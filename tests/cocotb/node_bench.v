// SPDX-License-Identifier: Apache-2.0
// The node (0, 1) alone: the host at its north link, nothing at the others.
module node_bench #(parameter WIDTH = 8, parameter COORD_WIDTH = 3);
  reg clk = 0;
  always #5 clk = ~clk;
  reg rst = 1;               // set by Python
  wire quiet, sent;
  wire [WIDTH-1:0] sent_flit;
  wire i_valid, i_ready, o_valid, o_ready;
  wire [WIDTH-1:0] i_payload, o_payload;
  wire [2:0] edge_valid;
  reg edge_broken = 0;       // something left through a link that leads nowhere
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
  node dut (
    .clk(clk), .rst(rst), .x({COORD_WIDTH{1'b0}}), .y({{COORD_WIDTH-1{1'b0}}, 1'b1}), .edges(4'd0),
    .i__0__valid(i_valid), .i__0__payload(i_payload), .i__0__ready(i_ready),
    .o__0__valid(o_valid), .o__0__payload(o_payload), .o__0__ready(o_ready),
    .i__1__valid(1'b0), .i__1__payload({WIDTH{1'b0}}), .i__1__ready(),
    .o__1__valid(edge_valid[0]), .o__1__payload(), .o__1__ready(1'b0),
    .i__2__valid(1'b0), .i__2__payload({WIDTH{1'b0}}), .i__2__ready(),
    .o__2__valid(edge_valid[1]), .o__2__payload(), .o__2__ready(1'b0),
    .i__3__valid(1'b0), .i__3__payload({WIDTH{1'b0}}), .i__3__ready(),
    .o__3__valid(edge_valid[2]), .o__3__payload(), .o__3__ready(1'b0),
    .sent(sent), .sent_flit(sent_flit), .quiet(quiet));
endmodule
