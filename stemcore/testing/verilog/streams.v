// SPDX-License-Identifier: Apache-2.0
// Sources, sinks and observers of streams. Python is woken once per transfer, not once per cycle.

// Pseudo-random willingness: with pace 0 always, else in one of pace + 1 cycles on average, in runs.
module pauses (input clk, input rst, output willing);
  reg [3:0] pace = 0;        // set by Python
  reg [31:0] seed = 1;       // set by Python, not zero; taken over during reset
  reg [31:0] state = 1;
  reg drawn = 0;
  assign willing = drawn | (pace == 0);
  wire [31:0] a = state ^ (state << 13);
  wire [31:0] b = a ^ (a >> 17);
  always @(posedge clk) begin
    state <= rst ? seed : b ^ (b << 5);
    // A new draw in half of the cycles: bursts and long waits both occur.
    if (rst) drawn <= 0;
    else if (state[0]) drawn <= (state[27:4] % ({20'd0, pace} + 1)) == 0;
  end
endmodule

// Offers item while offered is set; taken changes with every transfer.
module stream_source #(parameter WIDTH = 8) (
  input clk, input rst, output valid, output [WIDTH-1:0] payload, input ready
);
  reg offered = 0;           // set by Python
  reg [WIDTH-1:0] item = 0;  // set by Python
  reg taken = 0;
  reg waiting = 0;           // an item once shown stays until it is taken
  wire willing;
  pauses pauses (.clk(clk), .rst(rst), .willing(willing));
  assign valid = offered & (waiting | willing);
  assign payload = item;
  always @(posedge clk) begin
    waiting <= valid & ~ready & ~rst;
    if (valid & ready & ~rst) taken <= ~taken;
  end
endmodule

// Shows every transfer of a stream: item, then a change of seen. Watches the rule that an item once
// shown stays unchanged until it is taken.
module stream_observer #(parameter WIDTH = 8) (
  input clk, input rst, input valid, input [WIDTH-1:0] payload, input ready
);
  reg [WIDTH-1:0] item = 0;
  reg seen = 0;
  reg broken = 0;            // the rule was broken, or valid was undefined
  reg waiting = 0;
  reg [WIDTH-1:0] waits = 0;
  always @(posedge clk) begin
    waiting <= valid & ~ready & ~rst;
    waits <= payload;
    if (rst) broken <= 0;
    else if (waiting & (~valid | (payload != waits))) broken <= 1;
    else if (valid !== 1'b0 & valid !== 1'b1) broken <= 1;
    if (valid & ready & ~rst) begin
      item <= payload;
      seen <= ~seen;
    end
  end
endmodule

// Takes what comes, with pauses.
module stream_sink #(parameter WIDTH = 8) (
  input clk, input rst, input valid, input [WIDTH-1:0] payload, output ready
);
  wire willing;
  pauses pauses (.clk(clk), .rst(rst), .willing(willing));
  assign ready = willing & ~rst;
  stream_observer #(.WIDTH(WIDTH)) observer (
    .clk(clk), .rst(rst), .valid(valid), .payload(payload), .ready(ready));
endmodule
